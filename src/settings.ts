/** The one table of settings: the shape of `Config`. `npm run docs:settings` writes config.env.example and the documents from it. */
import { isIP } from 'node:net';
import { isAbsolute } from 'node:path';
import { z } from 'zod';
import { isHostname, parseNat64, parseNetwork } from './network.ts';

export type Setting<Value = unknown> = {
  name: string;
  default: string;
  /** Text -> value. Its messages follow the name of the setting: "PORT must be ...". */
  parser: z.ZodType<Value>;
  description: string;
};

function setting<Value>(
  name: string,
  defaultText: string,
  parser: z.ZodType<Value>,
  about: { description: string },
): Setting<Value> {
  return { name, default: defaultText, parser, ...about };
}

/** A model alias or id. It becomes an argument of the CLI, so it cannot look like a flag. */
const modelPattern = /^[A-Za-z0-9][A-Za-z0-9._:/@[\]-]{0,127}$/;

const whole = (least: number, most: number) =>
  z
    .string()
    .regex(/^\d{1,12}$/, `must be a whole number from ${least} to ${most}`)
    .transform(Number)
    .refine((value) => value >= least && value <= most, `must be a whole number from ${least} to ${most}`);
const milliseconds = (least: number, most: number) => whole(least, most).transform((value) => value * 1000);
const mebibytes = (least: number, most: number) => whole(least, most).transform((value) => value * 2 ** 20);
const limit = whole(0, 1_000_000);
const dollars = z
  .string()
  .regex(/^\d{1,7}(?:\.\d{1,2})?$/, 'must be dollars from 0 to 1000000, such as 2 or 0.50')
  .transform(Number)
  .refine((value) => value <= 1_000_000, 'must be dollars from 0 to 1000000, such as 2 or 0.50');
const bytes = (least: number) => whole(least, 64 * 1024 * 1024);
const flag = z.enum(['0', '1'], 'must be 0 or 1').transform((value) => value === '1');
const text = (isValid: (value: string) => boolean, message: string) => z.string().refine(isValid, message);
/** Empty: undefined. */
const optional = (isValid: (value: string) => boolean, message: string) =>
  text((value) => value === '' || isValid(value), message).transform((value) => value || undefined);
const list = z
  .string()
  .transform((value) => value.split(',').map((part) => part.trim()))
  .transform((parts) => parts.filter((part) => part !== ''));
const listOf = (isValid: (part: string) => boolean, message: string) =>
  list.refine((parts) => parts.every(isValid), message);

const isNetwork = (value: string): boolean => parseNetwork(value) !== undefined;
const host = text(
  // No name: it could mean another address tomorrow than the one checked today. No zone: no URL can hold one.
  (value) => value === 'localhost' || (isIP(value) !== 0 && !value.includes('%')),
  'must be an IP address without a zone, or localhost',
);
const proxies = listOf(
  (value) => value === 'loopback' || isNetwork(value),
  'must be "loopback", IP addresses or networks such as 10.0.0.0/8, separated by commas',
);
const networks = listOf(
  isNetwork,
  'must be IP addresses or networks such as 203.0.113.7 or 203.0.113.0/24, separated by commas',
);
const origins = listOf(
  (value) => /^https?:[^*]+$/.test(value) && URL.parse(value)?.origin === value,
  'must be exact origins such as https://app.example.com, separated by commas, without a path; * is not allowed: any page could then use a key that it gets hold of',
);
const nat64Prefix = optional(
  (value) => parseNat64(value) !== undefined,
  'must be a /96 IPv6 prefix such as 64:ff9b::/96 that is not in 64:ff9b:1::/48',
);
const absolutePath = optional(
  // A service's unit can hold no control character.
  (value) => isAbsolute(value) && !/[\u0000-\u001f\u007f]/.test(value),
  'must be an absolute path without control characters',
);
const hostname = optional(
  isHostname,
  'must be a host name such as name.ngrok-free.app, without https://, port or path',
).transform((value) => value?.toLowerCase());
const userAgent = text(
  (value) => /^[\x21-\x7e][\x20-\x7e]{0,199}$/.test(value),
  'must be 1 to 200 printable ASCII characters that do not begin with a space',
);
const model = text(
  (value) => modelPattern.test(value),
  'must be a model alias (opus, sonnet, haiku) or a full model id',
);
const modelList = list
  .pipe(z.array(model).min(1, 'must name at least one model'))
  .transform((names) => [...new Set(names)]);
const ports = list.pipe(z.array(whole(1, 65535)).min(1, 'must name at least one port'));
const levels = ['trace', 'debug', 'info', 'warn', 'error', 'silent'] as const;

/** `name=model` pairs. */
const aliases = list.transform((pairs, context) => {
  const models = new Map<string, string>();
  for (const pair of pairs) {
    const [name = '', target = '', ...rest] = pair.split('=').map((part) => part.trim());
    if (rest.length > 0 || !modelPattern.test(name) || !modelPattern.test(target) || models.has(name)) {
      context.addIssue('must be pairs such as gpt-4o=sonnet,gpt-4o-mini=haiku, each name once');
      return z.NEVER;
    }
    models.set(name, target);
  }
  return models;
});

/** Settings at the place of their value in `Config`, under the titles that the documents have. 'Limits' has the shape of `createAdmission`'s options. */
const groups = {
  'Address and files': {
    port: setting('PORT', '8799', whole(0, 65535), {
      description: 'TCP port. 0 picks a free port at each start.',
    }),
    adminPort: setting('ADMIN_PORT', '8798', whole(0, 65535), {
      description:
        "The port of the owner's page and of the metrics, on 127.0.0.1 only (claude-relay dashboard). 0: neither.",
    }),
    host: setting('HOST', '127.0.0.1', host, {
      description:
        'Address to listen on. An address that other machines can reach requires ALLOW_REMOTE_BIND=1 and a valid key.',
    }),
    allowRemoteBind: setting('ALLOW_REMOTE_BIND', '0', flag, {
      description: '1 allows a HOST that other machines can reach. Prefer a tunnel or a proxy with TLS.',
    }),
    trustProxy: setting('TRUST_PROXY', '', proxies, {
      description:
        'Proxies whose X-Forwarded-For header is trusted: "loopback", IP addresses or networks, separated by commas. Empty: none.',
    }),
    corsOrigins: setting('CORS_ORIGINS', '', origins, {
      description:
        'Origins of the web pages that can call the relay from a browser, separated by commas. A key in a page is known to everyone who can open it. Empty: none.',
    }),
    dataDir: setting('DATA_DIR', '', absolutePath, {
      description:
        'Directory of the keys and the usage records. Empty: $XDG_DATA_HOME/claude-relay or ~/.local/share/claude-relay.',
    }),
    claudeBin: setting('CLAUDE_BIN', '', absolutePath, {
      description: 'Path of the Claude Code CLI. Empty: the first `claude` on PATH.',
    }),
  },
  Models: {
    defaultModel: setting('DEFAULT_MODEL', 'opus', model, {
      description: 'Model for requests without a model.',
    }),
    allowedModels: setting('ALLOWED_MODELS', 'opus,sonnet,haiku', modelList, {
      description:
        'Models that requests can use: aliases or full model ids, separated by commas. An alias also allows the full ids of its family.',
    }),
    strictModels: setting('STRICT_MODELS', '0', flag, {
      description:
        '1 refuses a full model id in place of which Claude Code would ask a newer model. 0: the answer names that model in x-relay-resolved-model.',
    }),
    modelAliases: setting('MODEL_ALIASES', '', aliases, {
      description:
        'Other names for allowed models, for apps with a fixed model name: gpt-4o=sonnet,gpt-4o-mini=haiku. Empty: none.',
    }),
  },
  Requests: {
    maxInputBytes: setting('MAX_INPUT_BYTES', '1048576', bytes(1024), {
      description:
        'Largest request body in bytes, not counting the data of images and documents. A larger body gets a 413.',
    }),
    maxAttachmentBytes: setting('MAX_ATTACHMENT_BYTES', '20971520', bytes(0), {
      description:
        'Largest total of image and document data in a request, in bytes of base64. 0: images and documents are refused.',
    }),
    requestTimeoutMs: setting('REQ_TIMEOUT', '300', milliseconds(1, 3600), {
      description: 'Seconds that a request can run before it fails with 504.',
    }),
  },
  Limits: {
    limits: {
      lanes: {
        complete: {
          concurrency: setting('GLOBAL_CONCURRENCY', '3', whole(0, 64), {
            description: 'Requests that run at the same time, each in a separate process. 0: no limit.',
          }),
          keyConcurrency: setting('PER_KEY_CONCURRENCY', '0', limit, {
            description:
              'Requests of one key that run at the same time. 0: GLOBAL_CONCURRENCY minus one, which leaves a slot for other keys.',
          }),
          keyRpm: setting('PER_KEY_RPM', '30', limit, {
            description: 'Requests per minute for one key. 0: no limit.',
          }),
          keyDaily: setting('PER_KEY_DAILY', '500', limit, {
            description: 'Requests per UTC day for a key without its own daily limit. 0: no limit.',
          }),
          globalDaily: setting('GLOBAL_DAILY', '1000', limit, {
            description: 'Requests per UTC day for all keys together. 0: no limit.',
          }),
        },
        fetch: {
          concurrency: setting('FETCH_CONCURRENCY', '8', limit, {
            description: 'Page fetches that run at the same time. One key can use all but one. 0: no limit.',
          }),
          keyRpm: setting('FETCH_RPM', '60', limit, {
            description: 'Page fetches per minute for one key. 0: no limit.',
          }),
          keyDaily: setting('FETCH_DAILY', '2000', limit, {
            description: 'Page fetches per UTC day for one key. 0: no limit.',
          }),
          globalDaily: setting('FETCH_GLOBAL_DAILY', '5000', limit, {
            description: 'Page fetches per UTC day for all keys together. 0: no limit.',
          }),
        },
      },
      budget: {
        usd: setting('GLOBAL_USD_DAILY', '0', dollars, {
          description:
            'Dollars per UTC day for all keys together, as Claude Code reckons them. They include those billed to the second login. 0: no limit.',
        }),
        tokens: setting('GLOBAL_TOKENS_DAILY', '0', whole(0, 1_000_000_000), {
          description:
            'Tokens per UTC day for all keys together: input, output and cache writes. 0: no limit.',
        }),
      },
      fallbackUsd: setting('FALLBACK_USD_DAILY', '0', dollars, {
        description:
          'Dollars per UTC day for requests with FALLBACK_ANTHROPIC_API_KEY, when the plan is used up. They are billed. 0: the second login is off.',
      }),
      queueMax: setting('QUEUE_MAX', '32', whole(0, 10_000), {
        description:
          'Requests that can wait for a free slot. One key can fill half of these places, and always has one. 0: no queue.',
      }),
      queueTimeoutMs: setting('QUEUE_TIMEOUT', '0', milliseconds(0, 3600), {
        description:
          'Seconds that a request can wait for a free slot. 0: about as long as a request can run (REQ_TIMEOUT).',
      }),
    },
  },
  'Page fetches': {
    fetch: {
      ports: setting('FETCH_PORTS', '80,443,8080,8443', ports, {
        description: 'Ports that pages can be fetched from, separated by commas.',
      }),
      denyCidrs: setting('FETCH_DENY_CIDRS', '', networks, {
        description:
          "IP addresses and networks to deny, in addition to special addresses and this host's networks. Behind a router, add its public address.",
      }),
      nat64: setting('FETCH_NAT64', '', nat64Prefix, {
        description: 'The NAT64 prefix through which this host reaches IPv4. Empty: none.',
      }),
      ipv6: setting('FETCH_IPV6', '1', flag, { description: '0 fetches pages over IPv4 only.' }),
      userAgent: setting(
        'FETCH_USER_AGENT',
        'claude-relay/0.1 (+https://github.com/claude-relay)',
        userAgent,
        { description: 'User agent of page fetches without their own.' },
      ),
    },
  },
  Processes: {
    seal: setting('SEAL', 'auto', z.enum(['auto', 'required', 'off'], 'must be auto, required or off'), {
      description:
        'What keeps the processes of Claude Code from the network and from files: auto uses the strongest seal that works on this host, required refuses to start without a full one, off uses no seal.',
    }),
    drainTimeoutMs: setting('DRAIN_TIMEOUT', '20', milliseconds(0, 600), {
      description: 'Seconds that running and waiting requests have to finish when the relay stops.',
    }),
    pool: {
      spares: setting('WARM_SPARES', '1', whole(0, 8), {
        description:
          'Spares: processes that wait for the next request of anybody, about 150 MiB each. 0: none.',
      }),
      hot: setting('HOT_PROCESSES', '3', whole(0, 64), {
        description:
          'Hot processes: processes that rest after a request for the next one of the same key with the same model and system prompt, about 200 MiB each. 0: each process serves one request.',
      }),
      hotIdleMs: setting('HOT_IDLE', '300', milliseconds(1, 86_400), {
        description: 'Seconds that a hot process rests before it ends.',
      }),
      maxAgeMs: setting('SPARE_MAX_AGE', '1800', milliseconds(10, 86_400), {
        description: 'Seconds after its start when a waiting process is replaced by a new one.',
      }),
      memoryBytes: setting('WAITING_MEMORY', '1024', mebibytes(64, 1_048_576), {
        description:
          'MiB of memory that spares and hot processes can use together. Beyond it, hot processes end: first those of the key that has most, the longest rested first.',
      }),
    },
  },
  Records: {
    jobTtlMs: setting('JOB_TTL', '600', milliseconds(10, 86_400), {
      description: 'Seconds that the answer of a finished job stays in memory.',
    }),
    ledgerDays: setting('LEDGER_DAYS', '90', whole(1, 3650), {
      description: 'Days that the records of requests are kept.',
    }),
    logLevel: setting('LOG_LEVEL', 'info', z.enum(levels, `must be one of ${levels.join(', ')}`), {
      description: `Lowest severity to log: ${levels.join(', ')}.`,
    }),
  },
  Tunnel: {
    ngrokDomain: setting('NGROK_DOMAIN', '', hostname, {
      description: 'Your reserved ngrok domain, for the ngrok tunnel service.',
    }),
  },
};

type SettingTree = { [key: string]: Setting | SettingTree };

const tree = {
  ...groups['Address and files'],
  ...groups.Models,
  ...groups.Requests,
  ...groups.Limits,
  ...groups['Page fetches'],
  ...groups.Processes,
  ...groups.Records,
  ...groups.Tunnel,
};

/** The values of a tree of settings, in its shape. */
type ValuesOf<Tree> =
  Tree extends Setting<infer Value> ? Value : { [Key in keyof Tree]: ValuesOf<Tree[Key]> };

/** What `read` returns for each setting, in the shape of `Config`. */
export function readSettings(read: (setting: Setting) => unknown): ValuesOf<typeof tree> {
  const valuesOf = (branch: SettingTree): object =>
    Object.fromEntries(
      Object.entries(branch).map(([key, node]) => [key, isSetting(node) ? read(node) : valuesOf(node)]),
    );
  return valuesOf(tree) as ValuesOf<typeof tree>;
}

function settingsOf(branch: SettingTree): Setting[] {
  return Object.values(branch).flatMap((node) => (isSetting(node) ? [node] : settingsOf(node)));
}

function isSetting(node: Setting | SettingTree): node is Setting {
  return typeof node['name'] === 'string';
}

export const settingGroups = Object.entries(groups).map(([title, group]) => ({
  title,
  settings: settingsOf(group),
}));

/** By name. */
export const settings: ReadonlyMap<string, Setting> = new Map(
  settingsOf(groups).map((each) => [each.name, each]),
);
