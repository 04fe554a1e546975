/** Requests: the ledger, a page at a time. There is no content in it. */
import { html, raw } from 'hono/html';
import { cost, count, seconds, time } from '../../commands/text/table.ts';
import type { LabelledRow, OwnerData } from '../data.ts';
import { live, named, table, type Column, type Html, type View } from '../layout.ts';
import { ledgerRoutes } from '../../ledger/record.ts';
import { inWords } from '../words.ts';

const perPage = 50;
const statuses = { '': 'any', 2: 'answered', 4: 'refused (4xx)', 5: 'failed (5xx)', 0: 'client left' };

export function requestsView(data: OwnerData, query: URLSearchParams): View {
  const given = {
    key: query.get('key') ?? '',
    route: query.get('route') ?? '',
    status: query.get('status') ?? '',
  };
  const before = /^[0-9]{1,15}$/.test(query.get('before') ?? '') ? Number(query.get('before')) : undefined;
  const filter = {
    keyId: given.key || undefined,
    route: given.route || undefined,
    status: /^[0245]$/.test(given.status) ? Number(given.status) : undefined,
  };
  const { rows, searchedTo } = data.requests(filter, perPage, before);
  const older = new URLSearchParams({ ...given, before: String(searchedTo) });
  const content = html`
    <form class="filter">
      ${select('key', 'Key', { '': 'any', ...Object.fromEntries(data.labels()) }, given.key)}
      ${select('route', 'Route', { '': 'any', ...Object.fromEntries(ledgerRoutes.map((route) => [route, route])) }, given.route)}
      ${select('status', 'Status', statuses, given.status)}
      <button type="submit">Show</button>
    </form>
    ${live(
      'requests',
      html`${table('Requests, the latest first', columns, rows)}
      ${searchedTo === undefined ? '' : html`<p><a id="older" href="requests?${older.toString()}">Older requests</a></p>`}`,
    )}
  `;
  // An older page does not change.
  return { content, refreshS: before === undefined ? 3 : 0 };
}

const columns: Column<LabelledRow>[] = [
  { title: 'Time', cell: ({ at }) => time(at) },
  { title: 'Key', cell: ({ label }) => named(label) },
  { title: 'Route', cell: ({ route }) => route },
  { title: 'Model', cell: modelOf },
  { title: 'Status', cell: statusOf },
  { title: 'Queue', number: true, cell: ({ queue_ms: ms }) => seconds(ms ?? 0) },
  { title: 'First text', number: true, cell: ({ first_text_ms: ms }) => (ms === null ? '' : seconds(ms)) },
  { title: 'Total', number: true, cell: ({ total_ms: ms }) => seconds(ms) },
  {
    title: 'In',
    number: true,
    cell: ({ tokens_in, cache_read, cache_write }) => count(tokens_in + cache_read + cache_write),
  },
  { title: 'Out', number: true, cell: ({ tokens_out }) => count(tokens_out) },
  { title: 'Reckoned cost', number: true, cell: ({ cost_usd }) => cost(cost_usd) },
];

function modelOf({ model, fallback_from: from }: LabelledRow): string | Html {
  return from === null ? (model ?? '') : html`${model ?? ''} <span class="why">in place of ${from}</span>`;
}

function statusOf({ status, error, limit_hit: limit }: LabelledRow): string | Html {
  const text = status === 0 ? 'left' : String(status);
  return error === null ? text : html`${text} <span class="why">${inWords(error, limit)}</span>`;
}

function select(name: string, label: string, values: Readonly<Record<string, string>>, now: string): Html {
  const options = Object.entries(values)
    .toSorted(([a], [b]) => Number(b === '') - Number(a === ''))
    .map(
      ([value, text]) =>
        html`<option value="${value}" ${raw(value === now ? 'selected' : '')}>${text}</option>`,
    );
  return html`<label
    >${label}
    <select name="${name}">
      ${options}
    </select></label
  >`;
}
