/** To take something away, the settings need not be right. */
import { ConfigError, loadConfig, type Config } from '../config.ts';

/** The settings where they are right, and the environment in any case. */
export function lenient(file: string): { config: Config | undefined; env: Record<string, string> } {
  try {
    const config = loadConfig({ file });
    return { config, env: config.hostEnv };
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    const set = Object.entries(process.env).filter(
      (entry): entry is [string, string] => entry[1] !== undefined,
    );
    return { config: undefined, env: Object.fromEntries(set) };
  }
}
