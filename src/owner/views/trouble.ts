/** Trouble: what was refused or failed, and why. */
import { html } from 'hono/html';
import { count } from '../../commands/text/table.ts';
import type { ErrorCode } from '../../errors.ts';
import type { Failures } from '../../ledger/reader.ts';
import { dayMs } from '../../time.ts';
import { bar } from '../charts.ts';
import type { OwnerData } from '../data.ts';
import { choice, live, table, type Html, type View } from '../layout.ts';
import { inWords } from '../words.ts';

const periods = { '24h': { text: '24 hours', days: 1 }, '7d': { text: '7 days', days: 7 } } as const;
/** What the guard of the page fetches refuses. */
const denials: readonly ErrorCode[] = [
  'invalid_url',
  'blocked_scheme',
  'blocked_userinfo',
  'blocked_hostname',
  'blocked_address',
  'blocked_port',
];

export function troubleView(data: OwnerData, query: URLSearchParams, now: number): View {
  const span = query.get('period') === '7d' ? '7d' : '24h';
  const failures = data.failures(now - periods[span].days * dayMs);
  const refused = failures.filter(({ limit_hit: limit }) => limit !== null);
  const denied = failures.filter(({ error }) => (denials as readonly string[]).includes(error));
  const others = failures.filter((failure) => !refused.includes(failure) && !denied.includes(failure));
  const content = html`
    ${choice(
      'Period',
      Object.entries(periods).map(([name, { text }]) => ({
        text,
        href: `trouble?period=${name}`,
        now: name === span,
      })),
    )}
    ${live(
      'trouble',
      html`${tally('Refusals by limit', refused)} ${tally('Failures by cause', others)}
      ${tally('Page fetches denied, by reason', denied)}`,
    )}
  `;
  return { content, refreshS: 10 };
}

function tally(caption: string, failures: readonly Failures[]): Html {
  const most = Math.max(1, ...failures.map((each) => each.count));
  return table(
    caption,
    [
      { title: 'Reason', cell: ({ error, limit_hit: limit }: Failures) => inWords(error, limit) },
      { title: 'Code', cell: ({ error, limit_hit: limit }) => html`<code>${limit ?? error}</code>` },
      { title: 'Route', cell: ({ route }) => route },
      { title: 'Requests', number: true, cell: (row) => count(row.count) },
      { title: 'Share', cell: (row) => bar(`${row.count} of at most ${most}`, row.count / most) },
    ],
    failures,
  );
}
