/** This user's directories (XDG Base Directory Specification). A relative path is ignored: it would name one below where a command is run. */
import { userInfo } from 'node:os';
import { isAbsolute, join } from 'node:path';

type Environment = Readonly<Record<string, string | undefined>>;

export function homeDirectory({ HOME: home = '' }: Environment): string {
  return isAbsolute(home) ? home : userInfo().homedir;
}

/** `fallback` is below the home directory. */
export function xdgDirectory(
  env: Environment,
  name: 'XDG_CACHE_HOME' | 'XDG_CONFIG_HOME' | 'XDG_DATA_HOME',
  fallback: string,
): string {
  const named = env[name] ?? '';
  return isAbsolute(named) ? named : join(homeDirectory(env), fallback);
}
