/** Trouble: what was refused or failed, and why. */
import { html } from 'hono/html';
import { count } from '../../commands/text/table.ts';
import { isDenial } from '../../errors.ts';
import { failuresCounted, type Failures } from '../../ledger/reader.ts';
import { dayMs } from '../../time.ts';
import { bar } from '../charts.ts';
import type { OwnerData } from '../data.ts';
import { choice, live, table, type Html, type View } from '../layout.ts';
import { inWords } from '../words.ts';

const periods = { '24h': { text: '24 hours', days: 1 }, '7d': { text: '7 days', days: 7 } } as const;

export async function troubleView(data: OwnerData, query: URLSearchParams, now: number): Promise<View> {
  const span = query.get('period') === '7d' ? '7d' : '24h';
  const failures = data.failures(now - periods[span].days * dayMs);
  const refused = failures.filter(({ limit_hit: limit }) => limit !== null);
  const denied = failures.filter(({ error }) => isDenial(error));
  const others = failures.filter((failure) => !refused.includes(failure) && !denied.includes(failure));
  const all = failures.reduce((sum, each) => sum + each.count, 0);
  const withoutKey = await data.withoutKey();
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
      html`<p>
          Only requests with a valid key are below. Requests without one since the start of the relay:
          ${count(withoutKey)}.
        </p>
        ${all < failuresCounted ? '' : html`<p>Only the newest ${count(failuresCounted)} are counted.</p>`}
        ${tally('Refusals by limit', refused)} ${tally('Failures by cause', others)}
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
