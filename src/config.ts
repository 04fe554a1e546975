/**
 * Settings: config.env and the environment (which wins) -> Config. The only reader of `process.env`.
 *
 * `settings` is the one table: the example file, the documentation and the start's error messages are held to it by a test.
 */
import { readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { isIP } from 'node:net';
import { isAbsolute, join } from 'node:path';
import { parseEnv } from 'node:util';
import { z } from 'zod';
import { isHostname, parseNat64, parseNetwork } from './network.ts';

/** A model alias or id. It becomes an argument of the CLI, so it cannot look like a flag. */
const modelPattern = /^[A-Za-z0-9][A-Za-z0-9._:/@[\]-]{0,127}$/;

const whole = (least: number, most: number) =>
  z
    .string()
    .regex(/^\d{1,12}$/, `must be a whole number from ${least} to ${most}`)
    .transform(Number)
    .refine((value) => value >= least && value <= most, `must be a whole number from ${least} to ${most}`);

const limit = whole(0, 1_000_000);
const optional = z.string().transform((value) => (value === '' ? undefined : value));
const list = z
  .string()
  .transform((value) => value.split(',').map((part) => part.trim()))
  .transform((parts) => parts.filter((part) => part !== ''));
const cidr = z
  .string()
  .refine(
    (value) => parseNetwork(value) !== undefined,
    'must hold IP addresses or networks such as 203.0.113.7 or 203.0.113.0/24',
  );
const proxy = z
  .string()
  .refine(
    (value) => value === 'loopback' || parseNetwork(value) !== undefined,
    'must hold "loopback", IP addresses or networks such as 10.0.0.0/8',
  );
const nat64Prefix = optional.refine(
  (value) => value === undefined || parseNat64(value) !== undefined,
  'must be an IPv6 prefix of 96 bits such as 64:ff9b::/96, and not of 64:ff9b:1::/48',
);
const hostname = optional
  .refine(
    (value) => value === undefined || isHostname(value),
    'must be a host name such as name.ngrok-free.app, without https://, port or path',
  )
  .transform((value) => value?.toLowerCase());
const flag = z.enum(['0', '1'], 'must be 0 or 1').transform((value) => value === '1');
const absolutePath = optional.refine(
  // A service's unit can hold no control character.
  (value) => value === undefined || (isAbsolute(value) && !/[\u0000-\u001f\u007f]/.test(value)),
  'must be an absolute path, without control characters',
);
const model = z
  .string()
  .regex(modelPattern, 'must be a model alias (opus, sonnet, haiku) or a full model id');

/** `name=model` pairs. */
const aliases = list.transform((pairs, context) => {
  const found = new Map<string, string>();
  for (const pair of pairs) {
    const [name = '', target = '', ...rest] = pair.split('=').map((part) => part.trim());
    if (rest.length > 0 || !modelPattern.test(name) || !modelPattern.test(target) || found.has(name)) {
      context.addIssue('must be pairs such as gpt-4o=sonnet,gpt-4o-mini=haiku, each name once');
      return z.NEVER;
    }
    found.set(name, target);
  }
  return found;
});

type Setting = { schema: z.ZodType; default: string; about: string };

export const settings = {
  PORT: { schema: whole(0, 65535), default: '8799', about: 'TCP port; 0 picks a free one.' },
  HOST: {
    // A name could mean another address tomorrow than the one that was checked today.
    schema: z.string().refine(
      // No URL can hold the zone of an address.
      (value) => value === 'localhost' || (isIP(value) !== 0 && !value.includes('%')),
      'must be an IP address without a zone, or localhost',
    ),
    default: '127.0.0.1',
    about: 'Address to listen on. Anything but loopback is refused unless ALLOW_REMOTE_BIND=1.',
  },
  ALLOW_REMOTE_BIND: {
    schema: flag,
    default: '0',
    about: '1 allows a HOST that other machines can reach. A tunnel is the better way in.',
  },
  TRUST_PROXY: {
    schema: list.pipe(z.array(proxy)),
    default: '',
    about:
      'Proxies whose X-Forwarded-For is believed: "loopback", addresses or CIDRs, comma-separated. Empty: none.',
  },
  DATA_DIR: {
    schema: absolutePath,
    default: '',
    about:
      'Where keys and usage are kept. Empty: $XDG_DATA_HOME/claude-relay or ~/.local/share/claude-relay.',
  },
  CLAUDE_BIN: {
    schema: absolutePath,
    default: '',
    about: 'Path of the Claude Code CLI. Empty: the first `claude` on PATH.',
  },
  DEFAULT_MODEL: { schema: model, default: 'opus', about: 'Model of a request that names none.' },
  ALLOWED_MODELS: {
    schema: list
      .pipe(z.array(model).min(1, 'must name at least one model'))
      .transform((models) => [...new Set(models)]),
    default: 'opus,sonnet,haiku',
    about:
      'Models that may be asked for, comma-separated: aliases or full model ids. An alias allows the full ids of its family, too.',
  },
  MODEL_ALIASES: {
    schema: aliases,
    default: '',
    about:
      'Names that apps have hard-wired, and the models they mean: gpt-4o=sonnet,gpt-4o-mini=haiku. Empty: none.',
  },
  MAX_INPUT_BYTES: {
    schema: whole(1024, 64 * 1024 * 1024),
    default: '1048576',
    about:
      'Largest request body in bytes, without the data of images and documents; a larger one is refused with 413.',
  },
  MAX_ATTACHMENT_BYTES: {
    schema: whole(0, 64 * 1024 * 1024),
    default: '20971520',
    about: 'Largest data of images and documents of a request, in bytes of base64. 0: none are taken.',
  },
  REQ_TIMEOUT: {
    schema: whole(1, 3600),
    default: '300',
    about: 'Seconds a running request may take; then it ends with 504.',
  },
  GLOBAL_CONCURRENCY: {
    schema: whole(0, 64),
    default: '3',
    about: 'Requests that run at the same time, each in a process of its own. 0 turns the limit off.',
  },
  PER_KEY_CONCURRENCY: {
    schema: limit,
    default: '0',
    about: 'The same for one key. 0: one less than GLOBAL_CONCURRENCY, so that another key finds a free one.',
  },
  PER_KEY_RPM: { schema: limit, default: '30', about: 'Requests a minute for one key. 0 turns it off.' },
  PER_KEY_DAILY: {
    schema: limit,
    default: '500',
    about: 'Requests a UTC day for one key that has no limit of its own. 0 turns it off.',
  },
  GLOBAL_DAILY: {
    schema: limit,
    default: '1000',
    about: 'Requests a UTC day for all keys together. 0 turns it off.',
  },
  QUEUE_MAX: {
    schema: whole(0, 10_000),
    default: '32',
    about:
      'Requests that may wait for a free slot: one key fills half of the places, and each key has one in any case. 0: nobody waits.',
  },
  QUEUE_TIMEOUT: {
    schema: whole(0, 3600),
    default: '0',
    about: 'Seconds a request may wait for a free slot. 0: as long as one request may take (REQ_TIMEOUT).',
  },
  FETCH_CONCURRENCY: {
    schema: limit,
    default: '8',
    about: 'Pages that are fetched at the same time, one less for one key. 0 turns the limit off.',
  },
  FETCH_RPM: { schema: limit, default: '60', about: 'Page fetches a minute for one key. 0 turns it off.' },
  FETCH_DAILY: {
    schema: limit,
    default: '2000',
    about: 'Page fetches a UTC day for one key. 0 turns it off.',
  },
  FETCH_GLOBAL_DAILY: {
    schema: limit,
    default: '5000',
    about: 'Page fetches a UTC day for all keys together. 0 turns it off.',
  },
  FETCH_PORTS: {
    schema: list.pipe(z.array(whole(1, 65535)).min(1, 'must name at least one port')),
    default: '80,443,8080,8443',
    about: 'Ports that a page may be fetched from, comma-separated.',
  },
  FETCH_DENY_CIDRS: {
    schema: list.pipe(z.array(cidr)),
    default: '',
    about:
      'Addresses and networks that are never fetched from, besides all special ones and those of this host: its public address behind a router belongs here.',
  },
  FETCH_NAT64: {
    schema: nat64Prefix,
    default: '',
    about: 'The NAT64 prefix through which this host reaches IPv4, if it does.',
  },
  FETCH_IPV6: { schema: flag, default: '1', about: '0 fetches over IPv4 only.' },
  FETCH_USER_AGENT: {
    schema: z.string().regex(/^[\x21-\x7e][\x20-\x7e]{0,199}$/, 'must be printable ASCII'),
    default: 'claude-relay/0.1 (+https://github.com/claude-relay)',
    about: 'User agent of a fetch that names none.',
  },
  DRAIN_TIMEOUT: {
    schema: whole(0, 600),
    default: '20',
    about: 'Seconds that running and waiting requests get to finish when the relay is stopped.',
  },
  WARM_SPARES: {
    schema: whole(0, 8),
    default: '1',
    about: 'Processes kept waiting for the next request, some 150 MiB each. 0 turns it off.',
  },
  SPARE_MAX_AGE: {
    schema: whole(10, 86_400),
    default: '1800',
    about: 'Seconds after which a waiting process is replaced by a fresh one.',
  },
  JOB_TTL: {
    schema: whole(10, 86_400),
    default: '600',
    about: 'Seconds that the result of a job is kept in memory after it has ended.',
  },
  LEDGER_DAYS: { schema: whole(1, 3650), default: '90', about: 'Days that the record of requests is kept.' },
  LOG_LEVEL: {
    schema: z.enum(
      ['trace', 'debug', 'info', 'warn', 'error', 'silent'],
      'must be trace, debug, info, warn, error or silent',
    ),
    default: 'info',
    about: 'Least severity that is logged.',
  },
  NGROK_DOMAIN: {
    schema: hostname,
    default: '',
    about: 'The reserved ngrok domain of the tunnel, for the tunnel service.',
  },
} as const satisfies Record<string, Setting>;

export type SettingName = keyof typeof settings;

const schema = z.object(
  Object.fromEntries(Object.entries(settings).map(([name, setting]) => [name, setting.schema])) as {
    [Name in SettingName]: (typeof settings)[Name]['schema'];
  },
);

export type Config = {
  port: number;
  host: string;
  trustProxy: string[];
  dataDir: string;
  claudeBin: string | undefined;
  defaultModel: string;
  allowedModels: string[];
  /** What a caller may call a model -> a model of `allowedModels` or a full id of its family. */
  modelAliases: ReadonlyMap<string, string>;
  maxInputBytes: number;
  maxAttachmentBytes: number;
  requestTimeoutMs: number;
  globalConcurrency: number;
  keyConcurrency: number;
  keyRpm: number;
  keyDaily: number;
  globalDaily: number;
  queueMax: number;
  queueTimeoutMs: number;
  fetch: {
    concurrency: number;
    keyConcurrency: number;
    keyRpm: number;
    keyDaily: number;
    globalDaily: number;
    ports: number[];
    denyCidrs: string[];
    nat64: string | undefined;
    ipv6: boolean;
    userAgent: string;
  };
  drainTimeoutMs: number;
  warmSpares: number;
  spareMaxAgeMs: number;
  jobTtlMs: number;
  ledgerDays: number;
  logLevel: z.infer<(typeof settings)['LOG_LEVEL']['schema']>;
  ngrokDomain: string | undefined;
  /** What the CLI's environment is chosen from: the relay's own environment and the login variables of config.env. */
  hostEnv: Record<string, string>;
};

/** Wrong settings: `problems` holds one sentence each, naming the setting, what is wrong and what is allowed. */
export class ConfigError extends Error {
  readonly problems: readonly string[];

  constructor(problems: readonly string[]) {
    super(problems.join('\n'));
    this.name = 'ConfigError';
    this.problems = problems;
  }
}

export type ConfigSources = {
  /** The environment; by default the process's own. */
  env?: Readonly<Record<string, string | undefined>>;
  /** Path of config.env; a file that does not exist counts as empty. */
  file?: string;
};

/** After its time a request holds its slot for as long as its process takes to end. */
const slotEndMs = 10_000;

/** Of the slots, what one key may use: all but one, where there are several. 0 is no limit. */
function shareOf(slots: number): number {
  return slots > 1 ? slots - 1 : slots;
}

/** config.env and the environment -> Config. Throws ConfigError. */
export function loadConfig({ env = process.env, file }: ConfigSources = {}): Config {
  const fromFile = file === undefined ? {} : readSettingsFile(file);
  const problems = unknownSettings(fromFile, file ?? '');
  const given = Object.fromEntries(
    Object.entries(settings).map(([name, setting]) => [name, env[name] ?? fromFile[name] ?? setting.default]),
  );
  const parsed = schema.safeParse(given);
  if (!parsed.success) {
    for (const issue of parsed.error.issues) {
      const name = String(issue.path[0]);
      problems.push(`${name} ${issue.message} (it is ${JSON.stringify(given[name])})`);
    }
    throw new ConfigError(problems);
  }
  const value = parsed.data;
  if (!value.ALLOWED_MODELS.includes(value.DEFAULT_MODEL)) {
    problems.push(
      `DEFAULT_MODEL must be one of ALLOWED_MODELS (${value.ALLOWED_MODELS.join(', ')}); it is ${JSON.stringify(value.DEFAULT_MODEL)}`,
    );
  }
  for (const [name, target] of value.MODEL_ALIASES) {
    if (value.ALLOWED_MODELS.includes(name)) {
      problems.push(
        `MODEL_ALIASES must not rename a model of ALLOWED_MODELS; it has ${JSON.stringify(`${name}=${target}`)}. Remove ${name} from one of them`,
      );
    }
    if (listedAs(target, value.ALLOWED_MODELS) === undefined) {
      problems.push(
        `MODEL_ALIASES must map to models of ALLOWED_MODELS (${value.ALLOWED_MODELS.join(', ')}); it has ${JSON.stringify(`${name}=${target}`)}`,
      );
    }
  }
  if (!isLoopback(value.HOST) && !value.ALLOW_REMOTE_BIND) {
    problems.push(
      `HOST must be a loopback address (127.0.0.1, ::1 or localhost) unless ALLOW_REMOTE_BIND=1; it is ${JSON.stringify(value.HOST)}`,
    );
  }
  const hostEnv: Record<string, string> = {};
  for (const [name, text] of [...Object.entries(fromFile), ...Object.entries(env)]) {
    if (text !== undefined) hostEnv[name] = text;
  }
  const { CLAUDE_CONFIG_DIR } = hostEnv;
  if (CLAUDE_CONFIG_DIR === '') delete hostEnv['CLAUDE_CONFIG_DIR'];
  else if (CLAUDE_CONFIG_DIR !== undefined && !isAbsolute(CLAUDE_CONFIG_DIR)) {
    problems.push(
      `CLAUDE_CONFIG_DIR must be an absolute path: each Claude Code process has another working directory (it is ${JSON.stringify(CLAUDE_CONFIG_DIR)})`,
    );
  }
  if (problems.length > 0) throw new ConfigError(problems);

  return {
    port: value.PORT,
    host: value.HOST,
    trustProxy: value.TRUST_PROXY,
    dataDir: value.DATA_DIR ?? defaultDataDir(env),
    claudeBin: value.CLAUDE_BIN,
    defaultModel: value.DEFAULT_MODEL,
    allowedModels: value.ALLOWED_MODELS,
    modelAliases: value.MODEL_ALIASES,
    maxInputBytes: value.MAX_INPUT_BYTES,
    maxAttachmentBytes: value.MAX_ATTACHMENT_BYTES,
    requestTimeoutMs: value.REQ_TIMEOUT * 1000,
    globalConcurrency: value.GLOBAL_CONCURRENCY,
    keyConcurrency: value.PER_KEY_CONCURRENCY || shareOf(value.GLOBAL_CONCURRENCY),
    keyRpm: value.PER_KEY_RPM,
    keyDaily: value.PER_KEY_DAILY,
    globalDaily: value.GLOBAL_DAILY,
    queueMax: value.QUEUE_MAX,
    queueTimeoutMs: value.QUEUE_TIMEOUT * 1000 || value.REQ_TIMEOUT * 1000 + slotEndMs,
    fetch: {
      concurrency: value.FETCH_CONCURRENCY,
      keyConcurrency: shareOf(value.FETCH_CONCURRENCY),
      keyRpm: value.FETCH_RPM,
      keyDaily: value.FETCH_DAILY,
      globalDaily: value.FETCH_GLOBAL_DAILY,
      ports: value.FETCH_PORTS,
      denyCidrs: value.FETCH_DENY_CIDRS,
      nat64: value.FETCH_NAT64,
      ipv6: value.FETCH_IPV6,
      userAgent: value.FETCH_USER_AGENT,
    },
    drainTimeoutMs: value.DRAIN_TIMEOUT * 1000,
    warmSpares: value.WARM_SPARES,
    spareMaxAgeMs: value.SPARE_MAX_AGE * 1000,
    jobTtlMs: value.JOB_TTL * 1000,
    ledgerDays: value.LEDGER_DAYS,
    logLevel: value.LOG_LEVEL,
    ngrokDomain: value.NGROK_DOMAIN,
    hostEnv,
  };
}

/** The settings where they are right, and the environment in any case: to take something away, they need not be right. */
export function loadLeniently(
  file: string,
  env: ConfigSources['env'] = process.env,
): { config: Config | undefined; env: Record<string, string> } {
  try {
    const config = loadConfig({ env, file });
    return { config, env: config.hostEnv };
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    const set = Object.entries(env).filter((entry): entry is [string, string] => entry[1] !== undefined);
    return { config: undefined, env: Object.fromEntries(set) };
  }
}

/**
 * The entry of `models` that stands for a model: its own name, or, for a full id of a family (`claude-sonnet-4-5-20250929`), the
 * family's alias. A larger context window (`[1m]`) costs more and has to be named itself.
 */
export function listedAs(name: string, models: readonly string[]): string | undefined {
  if (models.includes(name)) return name;
  const family = /^claude-(?:[a-z0-9]+[-.])*(opus|sonnet|haiku)(?:[-.@][a-z0-9.@-]+)?$/.exec(name)?.[1];
  return name.length <= 128 && family !== undefined && models.includes(family) ? family : undefined;
}

/** Login variables that config.env may hold besides the settings, so that a service needs no other file. */
export const loginVariables: ReadonlySet<string> = new Set([
  'CLAUDE_CODE_OAUTH_TOKEN',
  'ANTHROPIC_API_KEY',
  'ANTHROPIC_AUTH_TOKEN',
  'CLAUDE_CONFIG_DIR',
]);

/** What config.env sets; nothing when there is no such file. Throws ConfigError. */
export function readSettingsFile(file: string): Record<string, string | undefined> {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return {};
    throw new ConfigError([`${file} cannot be read: ${(error as Error).message}`]);
  }
  text = text.replace(/^\ufeff/, '');
  const odd = oddLine(text);
  // Not the line itself, which may hold a secret.
  if (odd !== undefined)
    throw new ConfigError([`${file}, line ${odd}: a line is NAME=value, or a # and a comment`]);
  return parseEnv(text);
}

/** The number of the first line that sets nothing, which the parser would pass over in silence. */
function oddLine(text: string): number | undefined {
  // A quoted value may have several lines.
  const lines = text.replaceAll(
    /=[ \t]*(["'`])[^]*?\1/g,
    (value) => `=${value.replaceAll(/[^\n]/g, '').replaceAll('\n', '\n#')}`,
  );
  const at = lines.split('\n').findIndex((line) => !/^\s*(?:#|$|(?:export\s+)?[^\s=#]+\s*=)/.test(line));
  return at === -1 ? undefined : at + 1;
}

function unknownSettings(fromFile: Record<string, string | undefined>, file: string): string[] {
  return Object.keys(fromFile)
    .filter((name) => !(name in settings) && !loginVariables.has(name))
    .map((name) => {
      const near = Object.keys(settings).find((known) => distance(known, name) <= 2);
      return `${name} in ${file} is not a setting${near === undefined ? '; config.env.example lists them' : `; did you mean ${near}?`}`;
    });
}

/** Edit distance of two short names. */
function distance(a: string, b: string): number {
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

function defaultDataDir(env: Readonly<Record<string, string | undefined>>): string {
  const base = env['XDG_DATA_HOME'];
  // An empty HOME would put the keys into the directory the relay was started in.
  const home = env['HOME'] !== undefined && isAbsolute(env['HOME']) ? env['HOME'] : homedir();
  const shared = base !== undefined && isAbsolute(base) ? base : join(home, '.local', 'share');
  return join(shared, 'claude-relay');
}
