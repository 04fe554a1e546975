/** Now: whether a request would be served, and by what. */
import { html } from 'hono/html';
import type { ReadyResponse } from '../../api.ts';
import type { UsageWindows } from '../../claude/usage-windows.ts';
import { time } from '../../commands/text/table.ts';
import { meter } from '../charts.ts';
import type { LabelledRow, OwnerData } from '../data.ts';
import { live, named, table, type Html, type View } from '../layout.ts';
import { inWords } from '../words.ts';

export function nowView(data: OwnerData): View {
  const ready = data.ready();
  const content = html`
    ${live('state', stateOf(ready))} ${live('figures', figures(data, ready))}
    ${live('plan', isLocked(ready) ? planOf(data.plan().value) : planLater)}
    ${live('errors', lastErrors(data.lastFailures(8)))}
  `;
  return { content, refreshS: 2 };
}

function stateOf({ ok, checks, seal }: ReadyResponse): Html {
  const failed = checks.filter((check) => !check.ok);
  const locked = isLocked({ checks });
  const others = failed.map(
    ({ name, detail }) => html`<li>${name}${detail === undefined ? '' : `: ${detail}`}</li>`,
  );
  return html`<p class="state ${ok ? 'good' : 'bad'}">${ok ? 'Ready' : 'Not ready'}</p>
    ${
      others.length > 0
        ? html`<ul class="problems">
            ${others}
          </ul>`
        : ''
    }
    <dl class="badges">
      <div class="${locked ? 'good' : 'bad'}">
        <dt>${locked ? 'Locked' : 'Not locked'}</dt>
        <dd>
          ${locked ? 'Proved: the installed Claude Code does nothing but answer.' : 'Not proved: no request is served.'}
        </dd>
      </div>
      ${seal === undefined ? '' : sealBadge(seal)}
    </dl>`;
}

function isLocked({ checks }: Pick<ReadyResponse, 'checks'>): boolean {
  return checks.some(({ name, ok }) => name === 'lock_proved' && ok);
}

function sealBadge(seal: NonNullable<ReadyResponse['seal']>): Html {
  const parts = [seal.network, seal.files].filter((part) => part !== 'none').length;
  const missing = seal.missing.map(({ problem, fix }) => html`<br />${problem}: <code>${fix}</code>`);
  return html`<div class="${parts === 2 ? 'good' : 'warn'}">
    <dt>${['Not sealed', 'Sealed in part', 'Sealed'][parts] ?? ''}</dt>
    <dd>${parts === 0 ? '' : `Network by ${seal.network}, files by ${seal.files}.`}${missing}</dd>
  </div>`;
}

function figures(data: OwnerData, { spares, hot }: ReadyResponse): Html {
  const { complete, fetch } = data.load();
  const rows: [string, string][] = [
    ['Running', String(complete.running)],
    ['In the queue', String(complete.queued)],
    ['Page fetches', `${fetch.running}, ${fetch.queued} in the queue`],
    ['Hot processes', hot?.off ?? `${hot?.resting ?? 0}, ${mib(hot?.rss_bytes)}`],
    ['Spares', `${spares?.waiting ?? 0}, ${mib(spares?.rss_bytes)}`],
  ];
  return html`<dl class="figures">
    ${rows.map(
      ([name, value]) =>
        html`<div>
          <dt>${name}</dt>
          <dd>${value}</dd>
        </div>`,
    )}
  </dl>`;
}

function mib(bytes = 0): string {
  return `${Math.round(bytes / 2 ** 20)} MiB`;
}

const planLater = html`<p class="none">
  Claude Code is asked for the windows of the plan once the lock is proved.
</p>`;

function planOf(windows: UsageWindows | undefined): Html {
  if (windows === undefined)
    return html`<p class="none">Claude Code is asked for the windows of the plan.</p>`;
  if (windows === null)
    return html`<p class="none">The login has no usage windows, or they could not be read.</p>`;
  const rows = Object.entries({ 'Five hours': windows.five_hour, 'Seven days': windows.seven_day }).flatMap(
    ([name, window]) => (window === null ? [] : [{ name, ...window }]),
  );
  return table(
    'The plan',
    [
      { title: 'Window', cell: ({ name }) => name },
      {
        title: 'Used',
        cell: ({ name, utilization: used }) =>
          used === null
            ? 'not reported'
            : html`${meter(`${name}: ${used} % used`, used / 100)} ${Math.round(used)} %`,
      },
      { title: 'Restarts', cell: ({ resets_at: at }) => (at === null ? '' : time(Date.parse(at))) },
    ],
    rows,
  );
}

function lastErrors(rows: readonly LabelledRow[]): Html {
  return table(
    'The last errors',
    [
      { title: 'Time', cell: ({ at }) => time(at) },
      { title: 'Key', cell: ({ label }) => named(label) },
      { title: 'Route', cell: ({ route }) => route },
      { title: 'Error', cell: ({ error, limit_hit: limit }) => inWords(error ?? '', limit) },
    ],
    rows,
  );
}
