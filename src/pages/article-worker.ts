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

/** With an empty line around them. */
const paragraphs = new Set('BLOCKQUOTE DL FIGURE H1 H2 H3 H4 H5 H6 HR P PRE TABLE'.split(' '));
/** On lines of their own. */
const blocks = new Set([
  ...'ADDRESS ARTICLE ASIDE DD DIV DT FIGCAPTION FOOTER FORM HEADER LI MAIN NAV OL SECTION TR UL'.split(' '),
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

const skipped = new Set(['SCRIPT', 'STYLE', 'NOSCRIPT', 'IFRAME', 'TEMPLATE', 'TITLE']);

/**
 * The text as a browser shows it: paragraphs apart, a line for each item and row, cells with a tab between them, and the
 * lines of `<pre>` as they are. Walked without recursion, and each character is looked at a fixed number of times.
 */
function toText(content: DomNode): string {
  const pieces: string[] = [];
  /** What is due before the next words: so many line ends, or a gap. */
  let lines = 0;
  let gap = '';
  let preformatted = 0;

  const add = (text: string): void => {
    const last = pieces.at(-1);
    if (last !== undefined) {
      const had = last.endsWith('\n\n') ? 2 : last.endsWith('\n') ? 1 : 0;
      pieces.push(lines > 0 ? '\n'.repeat(Math.max(0, lines - had)) : gap);
    }
    pieces.push(text);
    lines = 0;
    gap = '';
  };
  const addWords = (text: string): void => {
    const words = text.replace(/\s+/g, ' ');
    if (words.startsWith(' ')) gap ||= ' ';
    if (words.trim() !== '') add(words.trim());
    if (words.endsWith(' ')) gap ||= ' ';
  };
  const enter = (node: DomNode): void => {
    const text = node.nodeType === 3 ? (node.nodeValue ?? '') : '';
    if (preformatted > 0 && text !== '') add(text);
    else if (text !== '') addWords(text);
    if (node.nodeName === 'PRE') preformatted += 1;
    if (node.nodeName === 'BR') lines = Math.min(2, lines + 1);
    if (node.nodeName === 'TD' || node.nodeName === 'TH') gap = '\t';
    lines = Math.max(lines, linesAround(node));
  };
  const leave = (node: DomNode): void => {
    if (node.nodeName === 'PRE') preformatted -= 1;
    lines = Math.max(lines, linesAround(node));
  };

  let node: DomNode | null = content;
  while (node !== null) {
    enter(node);
    if (node.firstChild !== null && !skipped.has(node.nodeName)) {
      node = node.firstChild;
      continue;
    }
    leave(node);
    while (node !== null && node !== content && node.nextSibling === null) {
      node = node.parentNode;
      if (node !== null) leave(node);
    }
    node = node === content ? null : (node?.nextSibling ?? null);
  }
  return pieces.join('').trim();
}

function linesAround({ nodeName }: DomNode): number {
  return paragraphs.has(nodeName) ? 2 : blocks.has(nodeName) ? 1 : 0;
}

const { html, url, format } = workerData as ArticleJob;
const content = mainContent();
// oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread's port has no origin
parentPort?.postMessage(format === 'markdown' ? toMarkdown(content) : toText(content));
