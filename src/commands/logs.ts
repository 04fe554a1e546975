/** `claude-relay logs`: the ledger's last rows, and with `-f` the new ones. */
import { setTimeout as delay } from 'node:timers/promises';
import type { Command } from 'commander';
import { iso } from '../time.ts';
import { openLedgerReader, type NumberedRow } from '../ledger/reader.ts';
import { parseCount } from './text/parse.ts';
import { withRecords, type CommandContext, type Records } from './context.ts';
import { addSections } from './help.ts';
import { keyLabels } from './text/key-text.ts';
import { cost, seconds, time } from './text/table.ts';

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
    .action((options: LogsOptions) => withRecords(context, (records) => show(records, options)));
  addSections(command, {
    title: 'Examples',
    items: [['claude-relay logs -f --key my-app', 'follow the requests of one app']],
  });
}

async function show({ store, keys, terminal }: Records, options: LogsOptions): Promise<void> {
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
  while (!terminal.gone()) {
    const rows = reader.after(lastId, keyId);
    print(rows);
    lastId = rows.at(-1)?.id ?? lastId;
    if (rows.length === 0) await delay(pollMs);
  }

  function print(rows: readonly NumberedRow[]): void {
    // A new key's label is read once.
    if (rows.some(({ key_id }) => key_id !== null && !labels.has(key_id))) labels = keyLabels(keys);
    for (const row of rows) {
      const label = labels.get(row.key_id ?? '') ?? row.key_id;
      terminal.out(options.json === true ? logJson(row, label) : logLine(row, label));
    }
  }
}

/** `2030-01-31 18:00:05  200  complete  my-app  opus  2.4s  in 10  out 20  $0.0123  req_...`, with the error and what else is unusual. */
function logLine(row: NumberedRow, label: string | null): string {
  const parts = [
    time(row.at),
    row.status === 0 ? '---' : String(row.status),
    row.route.padEnd(8),
    (label ?? '-').padEnd(12),
    (row.model ?? '-').padEnd(8),
    seconds(row.total_ms).padStart(6),
  ];
  if (row.tokens_in + row.tokens_out > 0) {
    const input = row.tokens_in + row.cache_read + row.cache_write;
    parts.push(`in ${input}`, `out ${row.tokens_out}`, cost(row.cost_usd));
  }
  if (row.error !== null) parts.push(row.limit_hit === null ? row.error : `${row.error} (${row.limit_hit})`);
  if (row.stop_reason !== null && row.stop_reason !== 'end_turn') parts.push(row.stop_reason);
  if ((row.queue_ms ?? 0) >= 1000) parts.push(`queued ${seconds(row.queue_ms ?? 0)}`);
  if (row.client_gone === 1) parts.push('client gone');
  parts.push(row.request_id);
  return `${parts.join('  ')}\n`;
}

function logJson(row: NumberedRow, label: string | null): string {
  const { id: _, at, ...columns } = row;
  const client_gone = columns.client_gone === 1;
  return `${JSON.stringify({ at: iso(at), ...columns, key_label: label, client_gone })}\n`;
}
