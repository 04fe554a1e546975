/** `claude-relay key create|list|show|rotate|revoke`: the keys, while the relay runs or not. */
import type { Command } from 'commander';
import { keyRoutes, type KeyGrants, type KeyRoute } from '../keys/key.ts';
import type { NewSecret } from '../keys/store.ts';
import { iso } from '../time.ts';
import { withRecords, type CommandContext, type Records } from './context.ts';
import { withExamples, parseCount, parseDuration, parseExpiry, parseList } from './text/parse.ts';
import { keyJson, keyTable, keyText } from './text/key-text.ts';
import { paint } from './text/terminal.ts';
import { time } from './text/table.ts';

type CreateOptions = {
  daily?: number;
  rpm?: number;
  concurrency?: number;
  expires?: number;
  routes?: string[];
  models?: string[];
  json?: boolean;
};

export function addKeyCommand(program: Command, context: CommandContext): void {
  const { now = Date.now } = context;
  const limit = parseCount(1, 1_000_000_000);
  const key = program.command('key').description('make, list, rotate and revoke the keys of your apps');

  const create = key
    .command('create <label>')
    .description('make a key; its secret is shown this once, alone on stdout')
    .option('--daily <n>', 'requests a UTC day', limit)
    .option('--rpm <n>', 'requests a minute', limit)
    .option('--concurrency <n>', 'requests at the same time', limit)
    .option('--expires <when>', 'a duration (30d) or a date (2030-01-31, UTC)', (text: string) =>
      parseExpiry(text, now()),
    )
    .option('--routes <list>', `only these of ${keyRoutes.join(',')}`, parseList)
    .option('--models <list>', 'only these models, such as opus,haiku', parseList)
    .option('--json', 'the key and its secret as JSON')
    .action((label: string, options: CreateOptions, command: Command) =>
      withRecords(command, context, (records) => {
        const made = records.keys.create(label, grants(options), 'key create');
        showSecret(records, made, options.json, `Made the key ${label}. Its secret, shown this once:`);
      }),
    );

  const list = key
    .command('list')
    .description('the keys and their limits')
    .option('--all', 'revoked keys too')
    .option('--json', 'as JSON')
    .action((options: { all?: boolean; json?: boolean }, command: Command) =>
      withRecords(command, context, (records) => {
        const { keys, terminal, now } = records;
        const list = keys.list({ revoked: options.all === true });
        if (options.json === true) terminal.out(json(list.map((item) => keyJson(item, now()))));
        else if (list.length === 0) terminal.err('There are no keys: make one with bin/genkey <label>.\n');
        else terminal.out(keyTable(terminal, list, now()));
      }),
    );

  const show = key
    .command('show <label>')
    .description('one key, its limits and who changed it when')
    .option('--json', 'as JSON')
    .action((label: string, options: { json?: boolean }, command: Command) =>
      withRecords(command, context, ({ keys, terminal, now }) => {
        const { key: shown, events } = keys.show(label);
        if (options.json === true) {
          const record = events.map(({ at, ...event }) => ({ at: iso(at), ...event }));
          terminal.out(json({ ...keyJson(shown, now()), events: record }));
        } else {
          terminal.out(keyText(terminal, shown, events, now()));
        }
      }),
    );

  const rotate = key
    .command('rotate <label>')
    .description('a new secret for a key; the old one works on for the grace')
    .option(
      '--grace <duration>',
      'how long the old secret works on: 0, 90s, 15m, 24h, 7d',
      parseDuration,
      86_400_000,
    )
    .option('--json', 'the key and its new secret as JSON')
    .action((label: string, options: { grace: number; json?: boolean }, command: Command) =>
      withRecords(command, context, (records) => {
        const made = records.keys.rotate(label, options.grace, 'key rotate');
        const until =
          options.grace === 0
            ? 'is refused from now on'
            : `works until ${time(records.now() + options.grace)} UTC`;
        showSecret(
          records,
          made,
          options.json,
          `The old secret of ${label} ${until}. The new one, shown this once:`,
        );
      }),
    );

  const revoke = key
    .command('revoke <label>')
    .description('end a key: refused from the next request on')
    .option('--json', 'as JSON')
    .action((label: string, options: { json?: boolean }, command: Command) =>
      withRecords(command, context, ({ keys, terminal, now }) => {
        const revoked = keys.revoke(label, 'key revoke');
        if (options.json === true) terminal.out(json(keyJson(revoked, now())));
        else terminal.err(`Revoked ${label}: it is refused from the next request on.\n`);
      }),
    );

  withExamples(key, [
    ['claude-relay key create my-app', 'a key; bin/genkey is short for this'],
    ['claude-relay key list', 'all that are not revoked'],
    ['claude-relay key revoke my-app', 'the end of one; bin/revoke is short for this'],
  ]);
  withExamples(create, [
    ['KEY=$(claude-relay key create my-app)', 'the secret alone is on stdout'],
    ['claude-relay key create cron --daily 50 --rpm 5 --expires 30d', 'with limits of its own'],
    ['claude-relay key create bot --routes complete --models haiku', 'for one route and one model'],
  ]);
  withExamples(list, [
    ['claude-relay key list', 'as a table'],
    ['claude-relay key list --all --json', 'revoked ones too, for a program'],
  ]);
  withExamples(show, [['claude-relay key show my-app', 'its limits, and who changed it when']]);
  withExamples(rotate, [
    ['claude-relay key rotate my-app', 'both secrets work for a day'],
    ['claude-relay key rotate my-app --grace 0', 'the old secret ends now'],
  ]);
  withExamples(revoke, [['claude-relay key revoke my-app', 'also for a relay that runs']]);
}

function grants(options: CreateOptions): KeyGrants {
  const { daily, rpm, concurrency, expires, routes, models } = options;
  return {
    ...(daily !== undefined && { dailyLimit: daily }),
    ...(rpm !== undefined && { rpm }),
    ...(concurrency !== undefined && { concurrency }),
    ...(expires !== undefined && { expiresAt: expires }),
    // The key store checks the names.
    ...(routes !== undefined && { allowedRoutes: routes as KeyRoute[] }),
    ...(models !== undefined && { allowedModels: models }),
  };
}

/** The secret alone on stdout, so that `KEY=$(claude-relay key create my-app)` works; words for people on stderr. */
function showSecret(
  { terminal, now }: Records,
  { key, token }: NewSecret,
  asJson = false,
  words: string,
): void {
  if (asJson) {
    terminal.out(json({ ...keyJson(key, now()), secret: token }));
    return;
  }
  terminal.err(`${paint(terminal, 'dim', words)}\n`);
  terminal.out(`${token}\n`);
}

function json(value: unknown): string {
  return `${JSON.stringify(value, null, 2)}\n`;
}
