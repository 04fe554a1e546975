/** The frame of each view, and the parts that several views have. */
import { version } from '../installation.ts';
import { html, raw } from 'hono/html';
import type { HtmlEscapedString } from 'hono/utils/html';

export type Html = HtmlEscapedString | Promise<HtmlEscapedString>;
/** What a template shows: text is escaped. */
export type Cell = string | number | Html;

export const viewNames = ['now', 'keys', 'use', 'requests', 'trouble', 'doctor'] as const;
export type ViewName = (typeof viewNames)[number];

const titles: Readonly<Record<ViewName, string>> = {
  now: 'Now',
  keys: 'Keys',
  use: 'Use',
  requests: 'Requests',
  trouble: 'Trouble',
  doctor: 'Doctor',
};

/** `refreshS`: seconds after which the script asks for the parts of class `live` again; 0: never. */
export type View = { content: Html; refreshS: number };

export function page(name: ViewName, { content, refreshS }: View): Html {
  const links = viewNames.map(
    (each) => html`<a href="${each}" ${raw(each === name ? 'aria-current="page"' : '')}>${titles[each]}</a>`,
  );
  return document(
    titles[name],
    html`<header>
        <p class="brand">claude-relay</p>
        <nav aria-label="Views">${links}</nav>
      </header>
      <main id="main" data-refresh="${refreshS}">
        <h1>${titles[name]}</h1>
        ${content}
      </main>
      <footer>
        <p>
          claude-relay ${version}. Days and times are UTC. Claude Code reckons the dollars. Under a
          subscription they are no bill, except those billed to the second login.
        </p>
        <p><button type="button" data-act="logout" data-path="logout">Sign out</button></p>
      </footer>
      <dialog id="dialog" aria-labelledby="dialog-title"></dialog>
      <p id="status" role="status"></p>`,
  );
}

/** A page without a session: one sentence. */
export function notice(title: string, sentence: Cell): Html {
  return document(
    title,
    html`<main>
      <h1>${title}</h1>
      <p>${sentence}</p>
    </main>`,
  );
}

/** The browser goes on by itself: so the next request comes from this page, and has the session's cookie. */
export function forward(path: string): Html {
  const head = raw(`<meta http-equiv="refresh" content="0; url=${path}">`);
  return document(
    'claude-relay',
    html`<main>
      <p><a href="${path}">Open the page</a></p>
    </main>`,
    head,
  );
}

function document(title: string, body: Html, head: Html = raw('')): Html {
  return html`<!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <meta name="color-scheme" content="light dark" />
        ${head}
        <title>${title} - claude-relay</title>
        <link rel="stylesheet" href="/owner.css" />
        <script type="module" src="/owner.js"></script>
      </head>
      <body>
        ${body}
      </body>
    </html>`;
}

/** A part that the script keeps up to date. What can have the focus in it has an id that stays. */
export function live(id: string, content: Cell): Html {
  return html`<div class="live" id="${id}">${content}</div>`;
}

/** The name of a key, in a cell. */
export function named(label: string): Html {
  return html`<span class="name">${label}</span>`;
}

/** `number`: aligned to the right. */
export type Column<Row> = { title: string; cell: (row: Row) => Cell; number?: true };

/** On a narrow screen each row becomes a card, whose lines begin with the title of the column. */
export function table<Row>(caption: string, columns: readonly Column<Row>[], rows: readonly Row[]): Html {
  if (rows.length === 0) return html`<p class="none">${caption}: none.</p>`;
  const kind = ({ number }: Column<Row>) => raw(number === true ? 'class="number"' : '');
  return html`<table>
    <caption>
      ${caption}
    </caption>
    <thead>
      <tr>
        ${columns.map((column) => html`<th scope="col" ${kind(column)}>${column.title}</th>`)}
      </tr>
    </thead>
    <tbody>
      ${rows.map(
        (row) =>
          html`<tr>
            ${columns.map(
              (column) =>
                html`<td ${kind(column)} data-title="${column.title}"><span>${column.cell(row)}</span></td>`,
            )}
          </tr>`,
      )}
    </tbody>
  </table>`;
}

/** Links that choose one of several values, of which one is shown now. */
export function choice(label: string, links: readonly { text: string; href: string; now: boolean }[]): Html {
  return html`<nav class="choice" aria-label="${label}">
    ${links.map(({ text, href, now }) => html`<a href="${href}" ${raw(now ? 'aria-current="true"' : '')}>${text}</a>`)}
  </nav>`;
}
