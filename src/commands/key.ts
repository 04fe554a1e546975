/** `claude-relay key create|list|show|set|rotate|revoke`: manages the keys, whether or not the relay runs. */
import type { Command } from 'commander';
import { isLoopback } from '../config.ts';
import { keyRoutes, type KeyRoute } from '../keys/key.ts';
import type { NewSecret } from '../keys/store.ts';
import { iso } from '../time.ts';
import { localUrl } from '../service/ready.ts';
import { withRecords, type CommandContext, type Records } from './context.ts';
import { freeAddress } from './free-address.ts';
import { keyJson, keyTable, keyText } from './text/key-text.ts';
import { parseCount, parseDuration, parseExpiry, parseList, parsePort } from './text/parse.ts';
import { json, time } from './text/table.ts';

type CreateOptions = {
  daily?: number;
  rpm?: number;
  concurrency?: number;
  expires?: number;
  routes?: string[];
  models?: string[];
  json?: boolean;
};
type ListOptions = { all?: boolean; json?: boolean };
type SetOptions = { ollamaPort: number | 'off'; ollamaHost: string; json?: boolean };
type RotateOptions = { grace: number; json?: boolean };

export function addKeyCommand(program: Command, context: CommandContext): void {
  const { now = Date.now } = context;
  const limit = parseCount(1, 1_000_000_000);
  const key = program.command('key').description('create, list, change and revoke the keys of your apps');

  key
    .command('create <label>')
    .description('create a key; its secret is shown once, alone on stdout')
    .option('--daily <n>', 'requests per UTC day', limit)
    .option('--rpm <n>', 'requests per minute', limit)
    .option('--concurrency <n>', 'requests at the same time', limit)
    .option('--expires <when>', 'a duration (30d) or a date (2030-01-31, UTC)', (text: string) =>
      parseExpiry(text, now()),
    )
    .option('--routes <list>', `only these of ${keyRoutes.join(',')}`, parseList)
    .option('--models <list>', 'only these models, such as opus,haiku', parseList)
    .option('--json', 'the key and its secret as JSON')
    .action((label: string, options: CreateOptions) =>
      withRecords(context, (records) => {
        const { daily: dailyLimit, rpm, concurrency, expires: expiresAt, models: allowedModels } = options;
        // The key store checks the names of routes and models.
        const allowedRoutes = options.routes as KeyRoute[] | undefined;
        const grants = { expiresAt, dailyLimit, rpm, concurrency, allowedRoutes, allowedModels };
        const created = records.keys.create(label, grants, 'key create');
        showSecret(records, created, options.json, `Created the key ${label}. Its secret, shown once:`);
      }),
    );

  key
    .command('list')
    .description('list the keys and their limits')
    .option('--all', 'include revoked keys')
    .option('--json', 'as JSON')
    .action(({ all = false, json: asJson }: ListOptions) =>
      withRecords(context, ({ keys, terminal, now }) => {
        const list = keys.list({ revoked: all });
        if (asJson === true) terminal.out(json(list.map((item) => keyJson(item, now()))));
        else if (list.length > 0) terminal.out(keyTable(list, now()));
        else terminal.err('There are no keys. Create one with bin/genkey <label>.\n');
      }),
    );

  key
    .command('show <label>')
    .description('show one key, its limits and its history')
    .option('--json', 'as JSON')
    .action((label: string, options: { json?: boolean }) =>
      withRecords(context, ({ keys, terminal, now }) => {
        const { key, events } = keys.show(label);
        if (options.json !== true) return terminal.out(keyText(key, events, now()));
        const history = events.map(({ at, action, command }) => ({ at: iso(at), action, command }));
        terminal.out(json({ ...keyJson(key, now()), events: history }));
      }),
    );

  key
    .command('set <label>')
    .description('change a key; a running relay applies it within a second')
    .requiredOption(
      '--ollama-port <port>',
      "serve Ollama's API on this port without the secret; off ends it",
      parsePort,
    )
    .option('--ollama-host <address>', 'the address of this machine for that port', '127.0.0.1')
    .option('--json', 'as JSON')
    .action((label: string, options: SetOptions) =>
      withRecords(context, async (records) => {
        const { keys, terminal, now } = records;
        const { ollamaPort: port, ollamaHost: host } = options;
        const address = port === 'off' ? undefined : await freeAddress({ host, port }, keys.withOllama());
        const changed = keys.setOllama(label, address, 'key set');
        if (options.json === true) return terminal.out(json(keyJson(changed, now())));
        if (address === undefined) return terminal.err(`${label} is not served to Ollama clients.\n`);
        const callers = isLoopback(address.host) ? 'on this machine' : `that reaches ${address.host}`;
        terminal.err(
          `${label} is served to Ollama clients at ${localUrl(address)}. Every program ${callers} can use it, up to its limits.\n`,
        );
      }),
    );

  key
    .command('rotate <label>')
    .description('create a new secret for a key; the old one stays valid for a grace period')
    .option('--grace <duration>', 'the grace period: 0, 90s, 15m, 24h, 7d', parseDuration, 86_400_000)
    .option('--json', 'the key and its new secret as JSON')
    .action((label: string, { grace, json: asJson }: RotateOptions) =>
      withRecords(context, (records) => {
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
      withRecords(context, ({ keys, terminal, now }) => {
        const revoked = keys.revoke(label, 'key revoke');
        if (options.json === true) terminal.out(json(keyJson(revoked, now())));
        else terminal.err(`Revoked ${label}: its next request is refused.\n`);
      }),
    );
}

/** Only the secret is on stdout, so that `KEY=$(claude-relay key create my-app)` works. */
function showSecret(
  { terminal, now }: Records,
  { key, token }: NewSecret,
  asJson: boolean | undefined,
  sentence: string,
): void {
  if (asJson === true) return terminal.out(json({ ...keyJson(key, now()), secret: token }));
  terminal.err(`${sentence}\n`);
  terminal.out(`${token}\n`);
}
