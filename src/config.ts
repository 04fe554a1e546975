/** Settings: config.env and the environment (which wins) -> Config. The only reader of `process.env`. */
import { readFileSync } from 'node:fs';
import { isIP } from 'node:net';
import { isAbsolute, join } from 'node:path';
import { parseEnv } from 'node:util';
import { settingsList } from './installation.ts';
import { allowedEntryFor } from './model-family.ts';
import { withSecretFiles } from './secret-files.ts';
import { readSettings, settings } from './settings.ts';
import { xdgDirectory } from './xdg.ts';

/** The values of all settings, and the environment that the CLI's environment is chosen from. */
export type Config = ReturnType<typeof loadConfig>;

type Environment = Readonly<Record<string, string>>;

/** No value of it is undefined. */
export const processEnv = process.env as Environment;

/** Settings that are not valid. Each of `problems` names the setting, what is wrong and what is valid. */
export class ConfigError extends Error {
  override name = 'ConfigError';
  readonly problems: readonly string[];

  constructor(problems: readonly string[]) {
    super(problems.join('\n'));
    this.problems = problems;
  }
}

/** `env` is the process's own by default. `file` is the path of config.env, which need not exist. */
export type ConfigSources = { env?: Environment; file?: string };

/** After its time limit a request holds its slot for as long as its process takes to end. */
const slotEndMs = 10_000;

/** How many slots one key can use: all but one, if there are several. 0 is no limit. */
function keyShare(slots: number): number {
  return slots > 1 ? slots - 1 : slots;
}

/** Throws ConfigError. */
export function loadConfig({ env: given = processEnv, file }: ConfigSources = {}) {
  const invalid: string[] = [];
  const env = withSecretFiles(given, invalid);
  const fromFile = withSecretFiles(file === undefined ? {} : readSettingsFile(file), invalid);
  const unknown = unknownSettings(fromFile, file ?? '');
  const values = readSettings(({ name, default: defaultText, parser }) => {
    const text = env[name] ?? fromFile[name] ?? defaultText;
    const { data, error } = parser.safeParse(text);
    if (error !== undefined)
      invalid.push(`${name} ${error.issues[0]?.message} (it is ${JSON.stringify(text)})`);
    return data;
  });
  if (invalid.length > 0) throw new ConfigError([...unknown, ...invalid]);

  const hostEnv: Record<string, string> = { ...fromFile, ...env };
  if (hostEnv['CLAUDE_CONFIG_DIR'] === '') delete hostEnv['CLAUDE_CONFIG_DIR'];
  const problems = [...unknown, ...modelProblems(values), ...placeProblems(values, hostEnv)];
  if (problems.length > 0) throw new ConfigError(problems);

  const { queueTimeoutMs, lanes, ...limits } = values.limits;
  return {
    ...values,
    dataDir: values.dataDir ?? join(xdgDirectory(env, 'XDG_DATA_HOME', '.local/share'), 'claude-relay'),
    limits: {
      lanes: {
        complete: {
          ...lanes.complete,
          keyConcurrency: lanes.complete.keyConcurrency || keyShare(lanes.complete.concurrency),
        },
        fetch: { ...lanes.fetch, keyConcurrency: keyShare(lanes.fetch.concurrency) },
      },
      ...limits,
      queueTimeoutMs: queueTimeoutMs || values.requestTimeoutMs + slotEndMs,
    },
    /** The relay's environment and the login variables of config.env: what the CLI's environment is chosen from. */
    hostEnv,
  };
}

type Values = ReturnType<typeof readSettings>;

function modelProblems({ defaultModel, allowedModels, modelAliases }: Values): string[] {
  const problems: string[] = [];
  const allowed = `ALLOWED_MODELS (${allowedModels.join(', ')})`;
  if (!allowedModels.includes(defaultModel)) {
    problems.push(`DEFAULT_MODEL must be one of ${allowed}; it is ${JSON.stringify(defaultModel)}`);
  }
  for (const [name, target] of modelAliases) {
    const pair = JSON.stringify(`${name}=${target}`);
    if (allowedModels.includes(name)) {
      problems.push(
        `MODEL_ALIASES must not rename a model of ALLOWED_MODELS; it has ${pair}. Remove ${name} from one of them`,
      );
    }
    if (allowedEntryFor(target, allowedModels) === undefined) {
      problems.push(`MODEL_ALIASES must map to models of ${allowed}; it has ${pair}`);
    }
  }
  return problems;
}

function placeProblems({ host, port, adminPort, allowRemoteBind }: Values, hostEnv: Environment): string[] {
  const problems: string[] = [];
  if (adminPort !== 0 && adminPort === port) {
    problems.push(`ADMIN_PORT must be another port than PORT, or 0; both are ${port}`);
  }
  if (!isLoopback(host) && !allowRemoteBind) {
    problems.push(
      `HOST must be a loopback address (127.0.0.1, ::1 or localhost) unless ALLOW_REMOTE_BIND=1; it is ${JSON.stringify(host)}`,
    );
  }
  for (const name of ['ANTHROPIC_BASE_URL', 'HTTPS_PROXY', 'https_proxy', 'HTTP_PROXY', 'http_proxy']) {
    const value = hostEnv[name] ?? '';
    const url = name === 'ANTHROPIC_BASE_URL' || value.includes('://') ? value : `http://${value}`;
    if (value !== '' && !/^https?:$/.test(URL.parse(url)?.protocol ?? ''))
      problems.push(`${name} must be an http or https URL`);
  }
  const { CLAUDE_CONFIG_DIR } = hostEnv;
  if (CLAUDE_CONFIG_DIR !== undefined && !isAbsolute(CLAUDE_CONFIG_DIR)) {
    problems.push(
      `CLAUDE_CONFIG_DIR must be an absolute path: each Claude Code process has another working directory (it is ${JSON.stringify(CLAUDE_CONFIG_DIR)})`,
    );
  }
  return problems;
}

/** The settings if they are valid, and the environment in any case: an uninstall does not require valid settings. */
export function loadConfigIfValid(file: string, env = processEnv) {
  try {
    const config = loadConfig({ env, file });
    return { config, env: config.hostEnv };
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    return { config: undefined, env };
  }
}

/** Login variables that config.env can hold in addition to the settings, with their meanings. */
export const loginVariables: ReadonlyMap<string, string> = new Map([
  [
    'CLAUDE_CODE_OAUTH_TOKEN',
    'A long-lived token of `claude setup-token`, as `claude-relay login` saves it.',
  ],
  ['ANTHROPIC_API_KEY', 'A key of the API. Requests are billed.'],
  ['ANTHROPIC_AUTH_TOKEN', 'A bearer token, for a gateway to the API.'],
  [
    'FALLBACK_ANTHROPIC_API_KEY',
    'A second login, for when the plan is used up: a key of the API (FALLBACK_USD_DAILY).',
  ],
  [
    'CLAUDE_CONFIG_DIR',
    "Absolute path of Claude Code's directory, which holds its login, instead of ~/.claude.",
  ],
]);

/** The variables that a settings file sets: none if the file does not exist. Throws ConfigError. */
export function readSettingsFile(file: string): Environment {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return {};
    throw new ConfigError([`${file} cannot be read: ${(error as Error).message}`]);
  }
  text = text.replace(/^\ufeff/, '');
  const line = lineThatSetsNothing(text);
  // Without the line itself, which may hold a secret.
  if (line !== undefined) {
    throw new ConfigError([`${file}, line ${line}: write NAME=value, or # and a comment`]);
  }
  return parseEnv(text) as Environment;
}

/** The number of the first line that `parseEnv` would ignore. */
function lineThatSetsNothing(text: string): number | undefined {
  // A quoted value may have several lines.
  const lines = text.replaceAll(
    /=[ \t]*(["'`])[^]*?\1/g,
    (value) => `=${value.replaceAll(/[^\n]/g, '').replaceAll('\n', '\n#')}`,
  );
  const index = lines.split('\n').findIndex((line) => !/^\s*(?:#|$|(?:export\s+)?[^\s=#]+\s*=)/.test(line));
  return index === -1 ? undefined : index + 1;
}

function unknownSettings(fromFile: Environment, file: string): string[] {
  return Object.keys(fromFile)
    .filter((name) => !settings.has(name) && !loginVariables.has(name))
    .map((name) => {
      const nearest = [...settings.keys()].find((setting) => editDistance(setting, name) <= 2);
      const hint = nearest === undefined ? `${settingsList} lists them` : `did you mean ${nearest}?`;
      return `${name} in ${file} is not a setting; ${hint}`;
    });
}

function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const cost = a[i - 1] === b[j - 1] ? 0 : 1;
      next.push(Math.min((row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1, (row[j - 1] ?? 0) + cost));
    }
    row = next;
  }
  return row[b.length] ?? 0;
}

export function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || (isIP(host) === 4 && host.startsWith('127.'));
}
