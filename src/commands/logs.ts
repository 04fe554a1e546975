/** `claude-relay logs`: the ledger's last rows, and with `-f` the new ones. */
import { setTimeout as delay } from 'node:timers/promises';
import type { Command } from 'commander';
import { openLedgerReader, type NumberedRow } from '../ledger/reader.ts';
import { withExamples, parseCount } from './text/parse.ts';
import { withRecords, type CommandContext, type Records } from './context.ts';
import { keyLabels } from './text/key-text.ts';
import { logJson, logLine } from './text/logs-text.ts';

type LogsOptions = { follow?: boolean; lines: number; key?: string; json?: boolean };

const pollMs = 300;

export function addLogsCommand(program: Command, context: CommandContext): void {
  const command = program
    .command('logs')
    .description('show the requests, one line each, without content (times in UTC)')
    .option('-f, --follow', 'show new requests as they end')
    .option('-n, --lines <n>', 'number of requests to show', parseCount(0, 100_000), 20)
    .option('--key <label>', 'only this key')
    .option('--json', 'one JSON object per line')
    .action((options: LogsOptions, command: Command) =>
      withRecords(command, context, (records) => show(records, options, context.signal)),
    );
  withExamples(command, [
    ['claude-relay logs', 'the last 20 requests'],
    ['claude-relay logs -f --key my-app', 'the requests of one key, as they end'],
    ['claude-relay logs -n 1000 --json', 'for a program'],
  ]);
}

async function show(records: Records, options: LogsOptions, signal?: AbortSignal): Promise<void> {
  const { store, keys, terminal } = records;
  const keyId = options.key === undefined ? undefined : keys.show(options.key).key.id;
  const reader = openLedgerReader(store);
  let labels = keyLabels(keys);
  const first = reader.last(Math.max(options.lines, 1), keyId);
  print(options.lines === 0 ? [] : first);
  if (options.follow !== true) {
    if (first.length === 0) terminal.err('There are no requests yet.\n');
    return;
  }
  let lastId = first.at(-1)?.id ?? 0;
  const ended = () => signal?.aborted === true || terminal.gone();
  while (!ended()) {
    const rows = reader.after(lastId, keyId);
    print(rows);
    lastId = rows.at(-1)?.id ?? lastId;
    if (rows.length === 0) await delay(pollMs, undefined, { signal }).catch(() => undefined);
  }

  function print(rows: readonly NumberedRow[]): void {
    // A new key's label is read once.
    if (rows.some(({ key_id }) => key_id !== null && !labels.has(key_id))) labels = keyLabels(keys);
    for (const row of rows) {
      const label = row.key_id === null ? undefined : (labels.get(row.key_id) ?? row.key_id);
      terminal.out(options.json === true ? logJson(row, label) : logLine(terminal, row, label));
    }
  }
}
