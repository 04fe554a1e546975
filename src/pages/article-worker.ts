/**
 * The main content of a page, as text or Markdown: runs in a worker thread that the relay can end at any time, because
 * trees of hostile pages take time and memory that no rule bounds beforehand. See article.ts.
 */
import { parentPort, workerData } from 'node:worker_threads';
import { Readability } from '@mozilla/readability';
import { parseHTML } from 'linkedom';
import { parse, serialize } from 'parse5';
import TurndownService from 'turndown';

export type ArticleJob = {
  readonly html: string;
  readonly url: string;
  readonly format: 'text' | 'markdown';
};

/** The part of the DOM that is used here: linkedom's own types stand for a browser's, which Node's lack. */
type DomNode = {
  readonly nodeType: number;
  readonly nodeName: string;
  readonly nodeValue: string | null;
  readonly firstChild: DomNode | null;
  readonly nextSibling: DomNode | null;
  readonly parentNode: DomNode | null;
};

const blocks = new Set([
  ...'ADDRESS ARTICLE ASIDE BLOCKQUOTE BR DD DIV DL DT FIGCAPTION FIGURE FOOTER FORM H1 H2 H3 H4'.split(' '),
  ...'H5 H6 HEADER HR LI MAIN NAV OL P PRE SECTION TABLE TD TH TR UL'.split(' '),
]);

/** What Readability takes for the article; where it finds none, the whole body. */
function mainContent(): DomNode {
  // linkedom's parser knows no implied tags and no misnested ones; what parse5 writes has neither.
  const { document } = parseHTML(serialize(parse(html)));
  // Links are resolved against the page they were on, whatever `<base>` it claims beyond http and https.
  const base = document.createElement('base');
  base.setAttribute('href', baseOf(document.querySelector('base')?.getAttribute('href') ?? ''));
  document.head.prepend(base);
  const whole = document.body.cloneNode(true) as unknown as DomNode;
  const article = new Readability<DomNode>(document, {
    serializer: (node) => node,
  }).parse();
  return article?.content ?? whole;
}

function baseOf(href: string): string {
  const base = URL.parse(href, url);
  return base !== null && /^https?:$/.test(base.protocol) ? base.href : url;
}

function toMarkdown(content: DomNode): string {
  const turndown = new TurndownService({
    headingStyle: 'atx',
    codeBlockStyle: 'fenced',
    bulletListMarker: '-',
  });
  turndown.remove(['script', 'style', 'noscript', 'iframe', 'title']);
  return turndown.turndown(content).trim();
}

/** The text with a line for each block, walked without recursion. */
function toText(content: DomNode): string {
  const pieces: string[] = [];
  for (let node: DomNode | null = content; node !== null; node = following(node, content, pieces)) {
    if (node.nodeType === 3) pieces.push((node.nodeValue ?? '').replace(/\s+/g, ' '));
    else if (blocks.has(node.nodeName)) pieces.push('\n');
  }
  return pieces
    .join('')
    .replace(/[ \t]*\n[ \t]*/g, '\n')
    .replace(/ {2,}/g, ' ')
    .replace(/\n{3,}/g, '\n\n')
    .trim();
}

const skipped = new Set(['SCRIPT', 'STYLE', 'NOSCRIPT', 'IFRAME', 'TEMPLATE', 'TITLE']);

function following(node: DomNode, root: DomNode, pieces: string[]): DomNode | null {
  if (node.firstChild !== null && !skipped.has(node.nodeName)) return node.firstChild;
  for (let at: DomNode | null = node; at !== null && at !== root; at = at.parentNode) {
    if (blocks.has(at.nodeName)) pieces.push('\n');
    if (at.nextSibling !== null) return at.nextSibling;
  }
  return null;
}

const { html, url, format } = workerData as ArticleJob;
const content = mainContent();
// oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread's port has no origin
parentPort?.postMessage(format === 'markdown' ? toMarkdown(content) : toText(content));
