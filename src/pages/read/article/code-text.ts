/** The text of a code block: the lines that a browser shows, without line numbers and buttons. */
import { attribute, classesOf, type DomElement, type DomNode, isElement, isText, nodesOf } from './dom.ts';

const skippedNames = new Set('BUTTON CLIPBOARD-COPY NOSCRIPT SCRIPT STYLE TEMPLATE'.split(' '));
const rowNames = new Set('BLOCKQUOTE DD DIV DT FIGURE LI OL P PRE SECTION TABLE TBODY TR UL'.split(' '));
/** Between their children, white space is only the page's formatting. */
const structureNames = new Set('OL TABLE TBODY THEAD TR UL'.split(' '));
const lineClass = /^(line|token-line|code-?line|view-line|highlight(ed)?-line|hll|[\w-]+-code-line)$/i;
const gutterClass = /gutter|line-?num|lineno|blob-num|^(ln|lnt|lntd)$/i;
const copyClass = /copy|clipboard|^(sr-only|visually-hidden)$/i;

/** Whether an element holds only line numbers. */
export function isGutter(element: DomElement): boolean {
  return (
    (classesOf(element).some((name) => gutterClass.test(name)) || element.hasAttribute('data-line-number')) &&
    /^[\s\d.:|+-]*$/.test(element.textContent)
  );
}

/** Reads each character a fixed number of times. */
export function codeText(block: DomElement): string {
  const pieces: string[] = [];
  let atLineStart = true;
  /** A line has ended, and its line end follows: in the page's text, or added here. */
  let lineEnded: 'span' | 'block' | false = false;

  const add = (text: string): void => {
    if (text === '') return;
    pieces.push(text);
    atLineStart = text.endsWith('\n');
  };
  const endLine = (): void => {
    if (lineEnded !== false || !atLineStart) add('\n');
    lineEnded = false;
  };
  const isRead = (node: DomNode): node is DomElement => isElement(node) && !isSkipped(node);
  const starts = new Map<DomElement, number>();
  const enter = (node: DomNode): void => {
    if (isText(node)) {
      const text = node.textContent;
      const written = structureNames.has(node.parentNode?.nodeName ?? '') && text.trim() === '';
      if (text === '' || written) return;
      if (lineEnded !== false && !/^\r?\n/.test(text)) add('\n');
      lineEnded = false;
      add(text);
    }
    if (!isRead(node)) return;
    if (node.nodeName === 'BR') {
      if (lineEnded === 'block') add('\n');
      lineEnded = false;
      add('\n');
    }
    if (isLine(node)) {
      endLine();
      starts.set(node, pieces.length);
    }
  };
  const leave = (node: DomNode): void => {
    const start = isElement(node) ? starts.get(node) : undefined;
    // A line with its own line end needs no other.
    if (start === undefined || lineEnded !== false || (pieces.length > start && atLineStart)) return;
    lineEnded = rowNames.has(node.nodeName) ? 'block' : 'span';
  };

  if (isSkipped(block)) return '';
  for (const node of nodesOf(block, isRead, leave)) enter(node);
  return pieces
    .join('')
    .replace(/^[ \t\u00a0]+/gm, (indent) => indent.replaceAll('\u00a0', ' '))
    .replace(/^(?:[ \t]*\n)+/, '')
    .trimEnd();
}

/** Line numbers, buttons, and texts for screen readers. */
export function isSkipped(element: DomElement): boolean {
  if (skippedNames.has(element.nodeName) || isGutter(element)) return true;
  return classesOf(element).some((name) => copyClass.test(name)) && element.textContent.trim().length < 40;
}

function isLine(element: DomElement): boolean {
  if (rowNames.has(element.nodeName)) return true;
  if (element.nodeName === 'CODE') {
    const siblings = element.parentNode?.nodeName === 'PRE' ? element.parentNode.children : [];
    return siblings.filter(({ nodeName }) => nodeName === 'CODE').length > 1;
  }
  return (
    element.hasAttribute('data-line') ||
    classesOf(element).some((name) => lineClass.test(name)) ||
    /display:\s*(block|flex|grid)/i.test(attribute(element, 'style'))
  );
}
