/** `claude-relay key create|list|show|set|disable|enable|rotate|revoke`: manages the keys, whether or not the relay runs. */
import { Option, type Command } from 'commander';
import { CommandError } from '../command-error.ts';
import { isLoopback } from '../config.ts';
import { effortLevels, type Effort } from '../conversation.ts';
import { relayCommand } from '../installation.ts';
import { keyRoutes, type GrantChanges, type Key, type KeyRoute } from '../keys/key.ts';
import type { NewSecret } from '../keys/store.ts';
import { spentOn } from '../limits/spending.ts';
import { openDailyCounts } from '../store/daily.ts';
import { iso, utcDay } from '../time.ts';
import { localUrl } from '../service/ready.ts';
import { withRecords, type CommandContext, type Records } from './context.ts';
import { freeAddress } from './free-address.ts';
import { addHelpCommand, addSections } from './help.ts';
import { unservedFallback, unservedModel } from './settings-warnings.ts';
import { readSystemFile } from './system-file.ts';
import { keyJson, keyTable, keyText, type Today } from './text/key-text.ts';
import { parseCount, parseDollars, parseDuration, parseExpiry, parseList, parsePort } from './text/parse.ts';
import { json, time } from './text/table.ts';

/** The key store checks the names of routes, models and efforts. */
type GrantOptions = {
  daily?: number | 'off';
  rpm?: number | 'off';
  concurrency?: number | 'off';
  usdDaily?: number | 'off';
  tokensDaily?: number | 'off';
  expires?: number | 'off';
  routes?: KeyRoute[] | 'off';
  models?: string[] | 'off';
  /** Or `off`. */
  model?: string;
  effort?: Effort | 'off';
  maxTokens?: number | 'off';
  systemFile?: string;
  locked?: boolean;
  /** Or `off` or `none`. */
  fallback?: string;
};
type CreateOptions = GrantOptions & { json?: boolean };
type ListOptions = { all?: boolean; json?: boolean };
type SetOptions = GrantOptions & { ollamaPort?: number | 'off'; ollamaHost: string; json?: boolean };
type RotateOptions = { grace: number; json?: boolean; webhookSecret?: boolean };

export function addKeyCommand(program: Command, context: CommandContext): void {
  const { now = Date.now } = context;
  /** Names the models of a key that the relay does not serve. */
  const warnOf = (key: Key, { terminal }: Records): void => {
    const config = context.models();
    for (const problem of [unservedFallback(key, config), unservedModel(key, config)]) {
      if (problem === undefined) continue;
      terminal.err(`Warning: ${problem}. Add it to ALLOWED_MODELS, or choose another model.\n`);
    }
  };
  const key = program.command('key').description('create, list, change and revoke the keys of your apps');

  const create = grantOptions(key.command('create <label>'), now)
    .description(
      'create a key; its secret is shown once, alone on stdout\n\nEach option with a value accepts "off", which is the default.',
    )
    .optionsGroup('Options:')
    .option('--json', 'the key and its secret as JSON')
    .action((label: string, options: CreateOptions) =>
      withRecords(context, (records) => {
        const system = systemOf(options) ?? undefined;
        const created = records.keys.create(label, { ...grantsOf(options), system }, 'key create');
        warnOf(created.key, records);
        showSecret(records, created, options.json, `Created the key ${label}. Its secret, shown once:`);
      }),
    );
  addSections(create, {
    title: 'Examples',
    items: [
      ['KEY=$(claude-relay key create my-app)', 'keep the secret'],
      ['claude-relay key create guest --daily 20', 'with a daily limit'],
      ['claude-relay key create prometheus --routes metrics', 'only the metrics'],
    ],
  });

  key
    .command('list')
    .description('list the keys and their limits')
    .option('--all', 'include revoked keys')
    .option('--json', 'as JSON')
    .action(({ all = false, json: asJson }: ListOptions) =>
      withRecords(context, (records) => {
        const { keys, terminal } = records;
        const list = keys.list({ revoked: all });
        const today = todayOf(records);
        if (asJson === true) terminal.out(json(list.map((item) => keyJson(item, today))));
        else if (list.length > 0) terminal.out(keyTable(list, today));
        else terminal.err(`There are no keys. Create one with ${relayCommand} key create <label>.\n`);
      }),
    );

  key
    .command('show <label>')
    .description('show one key, its limits and its history')
    .addOption(
      new Option('--system', 'only its system prompt, byte for byte').conflicts(['json', 'webhookSecret']),
    )
    .option('--json', 'as JSON')
    .addOption(webhookSecret('print only the secret that signs the webhooks of the key'))
    .action((label: string, options: { json?: boolean; system?: boolean; webhookSecret?: boolean }) =>
      withRecords(context, (records) => {
        const { keys, terminal } = records;
        if (options.webhookSecret === true) return terminal.out(`${keys.webhookSecret(label)}\n`);
        const { key, events } = keys.show(label);
        if (options.system === true) {
          const text = keys.systemOf(key.id);
          if (text === undefined) throw new CommandError(`The key ${label} has no system prompt.`);
          return terminal.out(text);
        }
        const today = todayOf(records);
        if (options.json !== true) return terminal.out(keyText(key, events, today));
        const history = events.map(({ at, action, command }) => ({ at: iso(at), action, command }));
        terminal.out(json({ ...keyJson(key, today), events: history }));
      }),
    );

  const set = grantOptions(key.command('set <label>'), now)
    .description(
      'change a key: its next request has the new settings\n\nEach option with a value accepts "off", which restores the default.',
    )
    .option('--no-locked', 'end --locked: requests can override the profile again')
    .optionsGroup("Ollama's API:")
    .option(
      '--ollama-port <port>',
      "serve Ollama's API on this port without the secret, within a second; off ends it",
      parsePort,
    )
    .option('--ollama-host <address>', 'the address of this machine for that port', '127.0.0.1')
    .optionsGroup('Options:')
    .option('--json', 'as JSON')
    .action((label: string, options: SetOptions) =>
      withRecords(context, async (records) => {
        const { keys, terminal } = records;
        const { ollamaPort: port, ollamaHost: host } = options;
        const ollama =
          typeof port === 'number' ? await freeAddress({ host, port }, keys.withOllama()) : port && null;
        const grants = grantsOf(options);
        const system = systemOf(options);
        const changesGrants = Object.keys(grants).length > 0 || system !== undefined;
        if (!changesGrants && ollama === undefined) {
          throw new CommandError(
            `Say what to change, such as: claude-relay key set ${label} --daily 100 --rpm off`,
          );
        }
        const changed = keys.change(label, { ...grants, ollama, system }, 'key set');
        warnOf(changed, records);
        if (options.json === true) return terminal.out(json(keyJson(changed, todayOf(records))));
        if (changesGrants) terminal.err(`Changed ${label}: its next request has the new settings.\n`);
        if (ollama === null) terminal.err(`${label} is not served to Ollama clients.\n`);
        if (!ollama) return;
        const callers = isLoopback(ollama.host) ? 'on this machine' : `that reaches ${ollama.host}`;
        terminal.err(
          `${label} is served to Ollama clients at ${localUrl(ollama)}. Every program ${callers} can use it, up to its limits.\n`,
        );
      }),
    );

  addSections(set, {
    title: 'Examples',
    items: [
      ['claude-relay key set my-app --daily 100 --rpm off', 'change two limits'],
      ['claude-relay key set ha --ollama-port 11434', 'for Home Assistant'],
    ],
  });

  for (const [name, disabled, effect] of [
    ['disable', true, 'its requests are refused until you enable it'],
    ['enable', null, 'its requests are served again'],
  ] as const) {
    key
      .command(`${name} <label>`)
      .description(`${name} a key: ${effect}`)
      .option('--json', 'as JSON')
      .action((label: string, options: { json?: boolean }) =>
        withRecords(context, (records) => {
          const { keys, terminal } = records;
          const changed = keys.change(label, { disabled }, `key ${name}`);
          if (options.json === true) terminal.out(json(keyJson(changed, todayOf(records))));
          else terminal.err(`${name === 'disable' ? 'Disabled' : 'Enabled'} ${label}: ${effect}.\n`);
        }),
      );
  }

  key
    .command('rotate <label>')
    .description('create a new secret for a key; the old one stays valid for a grace period')
    .addOption(
      new Option('--grace <duration>', 'the grace period: 0, 90s, 15m, 24h, 7d')
        .argParser(parseDuration)
        .default(86_400_000, '24h'),
    )
    .option('--json', 'the key and its new secret as JSON')
    .addOption(webhookSecret('create a new secret for the webhooks of the key instead'))
    .action((label: string, { grace, json: asJson, webhookSecret: ofWebhooks }: RotateOptions) =>
      withRecords(context, (records) => {
        if (ofWebhooks === true) {
          const secret = records.keys.rotateWebhookSecret(label, grace, 'key rotate');
          const effect =
            grace === 0
              ? `The old webhook secret of ${label} no longer signs`
              : `Until ${time(records.now() + grace)} UTC, both webhook secrets of ${label} sign`;
          records.terminal.err(`${effect}. Give your receiver the new one:\n`);
          return records.terminal.out(`${secret}\n`);
        }
        const created = records.keys.rotate(label, grace, 'key rotate');
        const until = grace === 0 ? 'is revoked' : `works until ${time(records.now() + grace)} UTC`;
        const sentence = `The old secret of ${label} ${until}. The new secret, shown once:`;
        showSecret(records, created, asJson, sentence);
      }),
    );

  key
    .command('revoke <label>')
    .description('revoke a key: its next request is refused')
    .option('--json', 'as JSON')
    .action((label: string, options: { json?: boolean }) =>
      withRecords(context, (records) => {
        const { keys, terminal } = records;
        const revoked = keys.revoke(label, 'key revoke');
        if (options.json === true) terminal.out(json(keyJson(revoked, todayOf(records))));
        else terminal.err(`Revoked ${label}: its next request is refused.\n`);
      }),
    );

  addHelpCommand(key, { hidden: true });
}

function webhookSecret(description: string): Option {
  return new Option('--webhook-secret', description).conflicts('json');
}

type Parse = (text: string) => unknown;

/** Each option accepts `off`, too. */
function grantOptions(command: Command, now: () => number): Command {
  const limit = orOff(parseCount(1, 1_000_000_000));
  return command
    .optionsGroup('Limits:')
    .option('--daily <n>', 'requests per UTC day', limit)
    .option('--rpm <n>', 'requests per minute', limit)
    .option('--concurrency <n>', 'requests at the same time', limit)
    .option('--usd-daily <n>', 'dollars per UTC day, as Claude Code reckons them', orOff(parseDollars))
    .option('--tokens-daily <n>', 'tokens per UTC day: input, output and cache writes', limit)
    .option(
      '--expires <when>',
      'a duration (30d) or a date (2030-01-31, UTC)',
      orOff((text) => parseExpiry(text, now())),
    )
    .optionsGroup('Permissions:')
    .option(
      '--routes <list>',
      `only these routes (webhook: may use webhooks; metrics: may read the metrics): ${keyRoutes.join(',')}`,
      orOff(parseList),
    )
    .option('--models <list>', 'only these models, such as opus,haiku', orOff(parseList))
    .option(
      '--fallback <what>',
      'what answers when the plan is used up: a model (sonnet), api (the second login) or none',
    )
    .optionsGroup('Profile, for requests that do not say otherwise:')
    .option('--system-file <file>', 'the system prompt; - is stdin')
    .option('--model <name>', 'the model')
    .addOption(new Option('--effort <level>', 'how hard the model thinks').choices([...effortLevels, 'off']))
    .option('--max-tokens <n>', 'the longest answer', limit)
    .option('--locked', 'requests cannot override the profile');
}

function orOff(parse: Parse): Parse {
  return (text) => (text === 'off' ? text : parse(text));
}

/** What the options name. Null for `off`. */
function grantsOf(options: GrantOptions): GrantChanges {
  const { daily, rpm, concurrency, usdDaily, tokensDaily, expires, routes, models, fallback } = options;
  const { model, effort, maxTokens, locked } = options;
  const named = {
    model,
    effort,
    maxTokens,
    locked: locked === false ? 'off' : locked,
    expiresAt: expires,
    dailyLimit: daily,
    rpm,
    concurrency,
    usdDaily,
    tokensDaily,
    allowedRoutes: routes,
    allowedModels: models,
    fallback: fallback === 'none' ? 'off' : fallback,
  };
  const given = Object.entries(named).filter(([, value]) => value !== undefined);
  return Object.fromEntries(given.map(([name, value]) => [name, value === 'off' ? null : value]));
}

/** Null for `off`. */
function systemOf({ systemFile: file }: GrantOptions): string | null | undefined {
  return file === undefined || file === 'off' ? file && null : readSystemFile(file);
}

function todayOf({ store, now }: Records): Today {
  const counts = openDailyCounts(store);
  const at = now();
  return { now: at, spent: ({ id }) => spentOn(counts, utcDay(at), id) };
}

/** Only the secret is on stdout, so that `KEY=$(claude-relay key create my-app)` works. */
function showSecret(
  records: Records,
  { key, token }: NewSecret,
  asJson: boolean | undefined,
  sentence: string,
): void {
  const { terminal } = records;
  if (asJson === true) return terminal.out(json({ ...keyJson(key, todayOf(records)), secret: token }));
  terminal.err(`${sentence}\n`);
  terminal.out(`${token}\n`);
}
