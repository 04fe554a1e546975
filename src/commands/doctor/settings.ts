/** The doctor's lines about the settings: not valid, risky, or readable by others. */
import { statSync } from 'node:fs';
import { isLoopback, loginVariables, readSettingsFile, type Config } from '../../config.ts';
import { settingsList, way } from '../../installation.ts';
import { word } from '../../shell-word.ts';
import { failure, ok, warning, type Line } from './line.ts';
import { limitsOff, unfairLimits } from '../settings-warnings.ts';

/** `problems` are the sentences of a ConfigError. */
export function settingsFailures(problems: readonly string[], file: string): Line[] {
  return problems.map((problem) =>
    failure('settings', problem, `edit ${file} (${settingsList} lists every setting)`),
  );
}

export function settingsLines(config: Config, file: string): Line[] {
  const set = Object.keys(readSettingsFile(file));
  const mode = statSync(file, { throwIfNoEntry: false })?.mode;
  const said = mode === undefined ? 'no config.env: defaults and environment' : `${set.length} in ${file}`;
  return [
    ok('settings', said),
    ...(mode === undefined ? [] : [fileLine(file, mode, set)]),
    bindLine(config),
    limitsLine(config, file),
    ...unfairLimits(config).map((sentence) =>
      warning('fairness', sentence, `keep the defaults of QUEUE_MAX and QUEUE_TIMEOUT in ${file}`),
    ),
  ];
}

function fileLine(file: string, mode: number, set: readonly string[]): Line {
  if ((mode & 0o077) === 0) return ok('config-file', 'only you can read it');
  const logins = set.filter((name) => loginVariables.has(name));
  const detail = `other users can read or write it (mode ${(mode & 0o777).toString(8)})`;
  const fix = `chmod 600 ${word(file)}`;
  return logins.length > 0
    ? failure('config-file', `${detail}, and it holds ${logins.join(', ')}`, fix)
    : warning('config-file', detail, fix);
}

function bindLine({ host }: Config): Line {
  if (isLoopback(host)) return ok('bind', `${host}, only this machine`);
  if (way === 'image')
    return ok('bind', `${host} in the container: its published ports decide who reaches it`);
  const detail = `HOST is ${host}: other machines can reach the relay, without TLS`;
  return warning('bind', detail, 'set HOST=127.0.0.1, and use a tunnel or a proxy with TLS');
}

function limitsLine(config: Config, file: string): Line {
  const off = limitsOff(config);
  if (off.length > 0) return warning('limits', `off: ${off.join(', ')}`, `set each above 0 in ${file}`);
  const { keyRpm, keyDaily, globalDaily } = config.limits.lanes.complete;
  const each = `a key has ${keyRpm} requests a minute and ${keyDaily} a day`;
  return ok('limits', `${each}, all together ${globalDaily} a day`);
}
