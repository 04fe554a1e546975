/** Writes the content as plain text, laid out as in a browser. */
import { all, create, type DomElement, type DomNode, having, isElement, lineOf, nodesOf } from './dom.ts';
import { readTables } from './tables.ts';

/** Elements with an empty line around them. */
const paragraphs = new Set('BLOCKQUOTE DL FIGURE H1 H2 H3 H4 H5 H6 HR P PRE TABLE'.split(' '));
/** Elements on their own lines. */
const blocks = new Set([
  ...'ADDRESS ARTICLE ASIDE DD DIV DT FIGCAPTION FOOTER FORM HEADER LI MAIN NAV OL SECTION TR UL'.split(' '),
]);
const skipped = new Set(['SCRIPT', 'STYLE', 'NOSCRIPT', 'IFRAME', 'TEMPLATE', 'TITLE']);

/**
 * Paragraphs apart, a line for each item and row, cells with a tab between them, the lines of code as they are, and the
 * alt texts of images. Reads each character a fixed number of times.
 */
export function toText(content: DomElement): string {
  readTables(content, { header: false });
  for (const formula of all(content, having('data-tex'))) {
    const display = formula.getAttribute('data-tex') === 'display';
    const { textContent: tex } = formula;
    formula.replaceWith(display ? create(formula, 'pre', {}, `$$\n${tex}\n$$`) : `$${tex}$`);
  }
  const pieces: string[] = [];
  /** Line ends or a gap to add before the next words. */
  let lines = 0;
  let gap = '';
  let tabs = '';
  let preformatted = 0;
  let cells = 0;

  const add = (text: string): void => {
    const last = pieces.at(-1);
    if (last !== undefined) {
      const ends = last.endsWith('\n\n') ? 2 : last.endsWith('\n') ? 1 : 0;
      pieces.push(lines > 0 ? '\n'.repeat(Math.max(0, lines - ends)) : tabs === '' ? gap : '');
    }
    pieces.push(tabs, text);
    lines = 0;
    gap = '';
    tabs = '';
  };
  const addWords = (text: string): void => {
    const words = text.replace(/\s+/g, ' ');
    if (words.startsWith(' ')) gap ||= ' ';
    if (words.trim() !== '') add(words.trim());
    if (words.endsWith(' ')) gap ||= ' ';
  };
  const lineBreak = (count: number): void => {
    // A cell has one line.
    if (cells > 0 && count > 0) gap ||= ' ';
    else lines = Math.max(lines, count);
  };
  const enter = (node: DomNode): void => {
    const text = node.nodeType === 3 ? node.textContent : '';
    if (preformatted > 0 && text !== '') add(text);
    else addWords(text);
    if (node.nodeName === 'PRE') preformatted += 1;
    if (node.nodeName === 'BR') lineBreak(Math.min(2, lines + 1));
    if (node.nodeName === 'IMG' && isElement(node)) addWords(lineOf(node.getAttribute('alt')));
    lineBreak(linesAround(node));
    if (isCell(node)) {
      if (node.previousSibling !== null) tabs += '\t';
      cells += 1;
    }
  };
  const leave = (node: DomNode): void => {
    if (node.nodeName === 'PRE') preformatted -= 1;
    if (isCell(node)) cells -= 1;
    if (node.nodeName === 'TR') tabs = '';
    lineBreak(linesAround(node));
  };

  for (const node of nodesOf(content, ({ nodeName }) => !skipped.has(nodeName), leave)) enter(node);
  return pieces.join('').trim();
}

function isCell({ nodeName }: DomNode): boolean {
  return nodeName === 'TD' || nodeName === 'TH';
}

function linesAround({ nodeName }: DomNode): number {
  return paragraphs.has(nodeName) ? 2 : blocks.has(nodeName) ? 1 : 0;
}
