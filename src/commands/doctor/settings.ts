/** The settings, as the doctor sees them: wrong, risky, or readable by others. */
import { statSync } from 'node:fs';
import { isLoopback, loginVariables, readSettingsFile, type Config } from '../../config.ts';
import { failure, ok, warning, word, type Line } from './line.ts';
import { limitsOff, unfairLimits } from '../settings-warnings.ts';

/** Of settings that could not be read: a sentence each. */
export function settingsFailures(problems: readonly string[], file: string): Line[] {
  return problems.map((problem) =>
    failure('settings', problem, `edit ${file} (config.env.example has every setting)`),
  );
}

export function settingsLines(config: Config, file: string): Line[] {
  const set = Object.keys(readSettingsFile(file));
  const mode = statSync(file, { throwIfNoEntry: false })?.mode;
  const said =
    mode === undefined ? 'no config.env: the defaults and the environment' : `${set.length} in ${file}`;
  return [
    ok('settings', said),
    ...(mode === undefined ? [] : [fileLine(file, mode, set)]),
    bindLine(config),
    limitsLine(config, file),
    ...unfairLimits(config).map((sentence) =>
      warning('fairness', sentence, `leave QUEUE_MAX and QUEUE_TIMEOUT at their defaults in ${file}`),
    ),
  ];
}

function fileLine(file: string, mode: number, set: readonly string[]): Line {
  if ((mode & 0o077) === 0) return ok('config-file', 'yours alone');
  const logins = set.filter((name) => loginVariables.has(name));
  const detail = `others on this machine may read or write it (mode ${(mode & 0o777).toString(8)})`;
  const fix = `chmod 600 ${word(file)}`;
  return logins.length > 0
    ? failure('config-file', `${detail}, and it holds ${logins.join(', ')}`, fix)
    : warning('config-file', detail, fix);
}

function bindLine({ host }: Config): Line {
  return isLoopback(host)
    ? ok('bind', `${host}, this machine only`)
    : warning(
        'bind',
        `HOST is ${host}: other machines can reach the relay, without TLS`,
        'set HOST=127.0.0.1, and let a tunnel or a proxy with TLS be the way in',
      );
}

function limitsLine(config: Config, file: string): Line {
  const off = limitsOff(config);
  const { keyRpm, keyDaily, globalDaily } = config.limits.lanes.complete;
  return off.length === 0
    ? ok(
        'limits',
        `a key has ${keyRpm} requests a minute and ${keyDaily} a day, all together ${globalDaily} a day`,
      )
    : warning(
        'limits',
        `off: ${off.join(', ')}`,
        `give ${off.length === 1 ? 'it' : 'each'} a number above 0 in ${file}`,
      );
}
