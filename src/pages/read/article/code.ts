/**
 * Writes every code block as `<pre data-language="...">text</pre>`. It comes first, because Readability removes class names and
 * line structure.
 */
import { codeLanguage } from './code-language.ts';
import { codeText, isGutter, isSkipped } from './code-text.ts';
import {
  all,
  around,
  attribute,
  create,
  type DomElement,
  type DomNode,
  first,
  isElement,
  lineOf,
  named,
  parentsOf,
  replaceWrapped,
} from './dom.ts';

/** Names for which Readability drops a block, code or not. */
const elsewhere = /banner|comment|footer|related|sidebar|sponsor/i;
/** Names for which it drops a block although they do not describe its content. */
const meaningless = /hidden|media|promo|scroll|share|shopping|tags|tool|widget/i;

export function readCode(body: DomElement): void {
  const done = new Set<DomElement>();
  const replace = (block: DomElement): unknown => done.add(writeCode(block));
  // Numbered code in a table: the numbers in one cell, the lines in another.
  for (const cell of all(body, named('TD'))) {
    const table = isGutter(cell) ? around(cell, named('TABLE')) : undefined;
    if (table !== undefined && !inPre(table) && looksLikeCode(table)) replace(table);
  }
  for (const pre of all(body, isPre)) {
    if (!done.has(pre) && !inPre(pre)) replace(pre);
  }
  for (const code of all(body, named('CODE'))) {
    if (inPre(code)) continue;
    const preformatted = /white-space:\s*pre/i.test(attribute(code, 'style'));
    const text = preformatted || code.children.length > 0 ? codeText(code) : '';
    const hasLines = preformatted || first(code, named('BR DIV LI P')) !== undefined;
    if (hasLines && text.includes('\n')) replace(code);
    else if (code.children.length > 0 || /\s\s|[\n\t]/.test(code.textContent)) {
      code.replaceWith(create(code, 'code', {}, lineOf(code.textContent)));
    }
  }
}

function writeCode(block: DomElement): DomElement {
  const language = codeLanguage(block);
  const pre = create(block, 'pre', { 'data-language': language }, codeText(block));
  const isLabel = (node: DomNode): boolean =>
    (isElement(node) && isSkipped(node)) ||
    /^copy( code)?$/i.test(node.textContent.trim()) ||
    (language !== '' && node.textContent.trim().toLowerCase() === language.toLowerCase());
  replaceWrapped(block, pre, (element) => !elsewhere.test(namesOf(element)), isLabel);
  for (const parent of parentsOf(pre)) {
    const names = namesOf(parent);
    if (parent.nodeName !== 'DIV' || elsewhere.test(names)) break;
    if (!meaningless.test(names) || parent.textContent.length > 3 * pre.textContent.length + 200) continue;
    parent.removeAttribute('class');
    parent.removeAttribute('id');
  }
  return pre;
}

function namesOf(element: DomElement): string {
  return `${attribute(element, 'class')} ${attribute(element, 'id')}`;
}

function looksLikeCode(table: DomElement): boolean {
  const isCode = (element: DomElement): boolean => /highlight|code/i.test(attribute(element, 'class'));
  return (
    first(table, named('CODE PRE')) !== undefined || isCode(table) || around(table, isCode) !== undefined
  );
}

const isPre = named('LISTING PRE');

function inPre(element: DomElement): boolean {
  return around(element, isPre) !== undefined;
}
