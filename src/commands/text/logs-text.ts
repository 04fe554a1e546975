/** One row of the ledger as a line. Pure. */
import type { NumberedRow } from '../../ledger/reader.ts';
import { iso } from '../../time.ts';
import { cost, seconds, time } from './table.ts';
import { paint, type Terminal } from './terminal.ts';

/** `2030-01-31 18:00:05  200  complete  my-app  opus  2.4s  in 10  out 20  $0.0123  req_...`, with the error and what else is unusual. */
export function logLine(terminal: Terminal, row: NumberedRow, label = '-'): string {
  const colour = row.status >= 500 || row.status === 0 ? 'red' : row.status >= 400 ? 'yellow' : 'green';
  const parts = [
    paint(terminal, 'dim', time(row.at)),
    paint(terminal, colour, row.status === 0 ? '---' : String(row.status)),
    row.route.padEnd(8),
    label.padEnd(12),
    (row.model ?? '-').padEnd(8),
    seconds(row.total_ms).padStart(6),
  ];
  if (row.tokens_in + row.tokens_out > 0) {
    parts.push(
      `in ${row.tokens_in + row.cache_read + row.cache_write}`,
      `out ${row.tokens_out}`,
      cost(row.cost_usd),
    );
  }
  if (row.error !== null) {
    const limit = row.limit_hit === null ? '' : ` (${row.limit_hit})`;
    parts.push(paint(terminal, colour, `${row.error}${limit}`));
  }
  if (row.stop_reason !== null && row.stop_reason !== 'end_turn') parts.push(row.stop_reason);
  if ((row.queue_ms ?? 0) >= 1000) parts.push(`queued ${seconds(row.queue_ms ?? 0)}`);
  if (row.client_gone === 1) parts.push('client gone');
  parts.push(paint(terminal, 'dim', row.request_id));
  return `${parts.join('  ')}\n`;
}

export function logJson(row: NumberedRow, label: string | undefined): string {
  const { id: _, at, client_gone, ...columns } = row;
  return `${JSON.stringify({
    at: iso(at),
    ...columns,
    key_label: label ?? null,
    client_gone: client_gone === 1,
  })}\n`;
}
