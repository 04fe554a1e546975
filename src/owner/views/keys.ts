/** Keys: what each used today of what it may, and the three things that its owner does with a key. */
import { html } from 'hono/html';
import { profileText } from '../../commands/text/key-text.ts';
import { cost, count } from '../../commands/text/table.ts';
import { meter, sparkline } from '../charts.ts';
import type { KeyState, OwnerData } from '../data.ts';
import { live, named, table, type Cell, type Html, type View } from '../layout.ts';

export function keysView(data: OwnerData): View {
  const keys = data.keys();
  const content = html`<p><button type="button" data-act="new-key">Create a key</button></p>
    ${live('shared', sharedLimits(data.shared()))}
    ${live('keys', table('Keys, and their use today', columns, keys))}
    <details>
      <summary>The charts as a table</summary>
      ${live('days', table('Requests of each UTC day, where there were any', dayColumns, keys))}
    </details>
    ${newKeyForm}`;
  return { content, refreshS: 5 };
}

const columns = [
  {
    title: 'Key',
    cell: ({ label, state, profile }: KeyState) =>
      html`${named(label)}${state === 'live' ? '' : html` <em class="tag">${state}</em>`}${
        profile === null ? '' : html`<small>${profileText(profile)}</small>`
      }`,
  },
  {
    title: 'Requests',
    cell: ({ limits, today }: KeyState) =>
      html`${used(today.requests, limits.key_daily, count, 'requests')}<small>${atOnce(limits)}</small>`,
  },
  {
    title: 'Reckoned dollars',
    cell: ({ limits, usd_today: usd }: KeyState) => used(usd, limits.key_usd, cost, 'reckoned dollars'),
  },
  {
    title: 'Tokens',
    cell: ({ limits, tokens_today: tokens }: KeyState) => used(tokens, limits.key_tokens, count, 'tokens'),
  },
  { title: 'Failed', cell: ({ today }: KeyState) => count(today.errors), number: true as const },
  {
    title: 'Last use',
    cell: ({ last_used_at: at }: KeyState) => at?.slice(0, 16).replace('T', ' ') ?? 'never',
  },
  {
    title: '14 days',
    cell: ({ label, days }: KeyState) => {
      const values = days.map(({ requests }) => requests);
      return sparkline(`Requests of ${label} in 14 days: ${values.join(', ')}`, values);
    },
  },
  { title: 'Change', cell: actions },
];

const dayColumns = [
  { title: 'Key', cell: ({ label }: KeyState) => named(label) },
  {
    title: 'Requests',
    cell: ({ days }: KeyState) =>
      days
        .filter(({ requests }) => requests > 0)
        .map(({ day, requests }) => `${day}: ${count(requests)}`)
        .join(', ') || 'none',
  },
];

/** What the key uses of its limits by the minute and at the same time. */
function atOnce({ key_rpm: rpm, concurrency: { limit, running } }: KeyState['limits']): string {
  const minute = rpm === undefined ? [] : [`${count(rpm.used)} of ${count(rpm.limit)} a minute`];
  return [...minute, `${running}${limit === 0 ? '' : ` of ${limit}`} running`].join(', ');
}

/** What all keys used today of each limit that they share, and the second login of its budget. */
function sharedLimits({ requests, usd, tokens, billed }: ReturnType<OwnerData['shared']>): Html | '' {
  const figures = [
    { name: 'All keys, requests today', limit: requests, text: count, unit: 'requests' },
    { name: 'All keys, reckoned dollars today', limit: usd, text: cost, unit: 'reckoned dollars' },
    { name: 'All keys, tokens today', limit: tokens, text: count, unit: 'tokens' },
    { name: 'Billed to the second login today', limit: billed, text: cost, unit: 'billed dollars' },
  ].flatMap(({ name, limit, text, unit }) =>
    limit === undefined
      ? []
      : [
          html`<div>
            <dt>${name}</dt>
            <dd>${used(limit.used, limit, text, unit)}</dd>
          </div>`,
        ],
  );
  return figures.length === 0 ? '' : html`<dl class="figures">${figures}</dl>`;
}

/** An amount, of its limit if there is one. From four fifths on it has a mark in words. */
function used(
  amount: number,
  limit: { limit: number; used: number } | undefined,
  text: (value: number) => string,
  unit: string,
): Cell {
  if (limit === undefined) return text(amount);
  const part = limit.used / limit.limit;
  const mark =
    part >= 1 ? html` <em class="tag">used up</em>` : part >= 0.8 ? html` <em class="tag">80 %</em>` : '';
  const words = `${text(limit.used)} of ${text(limit.limit)}`;
  return html`<span class="amount">${words}</span>${mark}${meter(`${words} ${unit}`, part)}`;
}

function actions({ label, state }: KeyState): Html {
  // The two buttons that switch a key share an id: the other one gets the focus.
  const button = (act: 'disable' | 'enable' | 'revoke', text: string) =>
    html`<button
      type="button"
      id="${act === 'revoke' ? 'revoke' : 'switch'}-${label}"
      data-act="${act}"
      data-path="keys/${encodeURIComponent(label)}/${act}"
      data-name="${label}"
      aria-label="${text} ${label}"
    >
      ${text}
    </button>`;
  return html`<span class="actions"
    >${state === 'disabled' ? button('enable', 'Enable') : button('disable', 'Disable')}
    ${button('revoke', 'Revoke')}</span
  >`;
}

const newKeyForm = html`<template id="new-key">
  <form>
    <h2 id="dialog-title">Create a key</h2>
    <label
      >Label <input name="label" required maxlength="64" pattern="[0-9A-Za-z._\\-]+" autocomplete="off"
    /></label>
    <label>Requests a day <input name="daily" type="number" min="1" placeholder="the default" /></label>
    <label
      >Reckoned dollars a day
      <input name="usd_daily" type="number" min="0.01" step="0.01" placeholder="no budget"
    /></label>
    <label>Tokens a day <input name="tokens_daily" type="number" min="1" placeholder="no budget" /></label>
    <p class="actions">
      <button type="submit">Create it</button> <button type="button" data-act="close">Cancel</button>
    </p>
  </form>
</template>`;
