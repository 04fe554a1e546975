/** Writes the content as Markdown: CommonMark with GitHub's tables, task lists, strikethrough and formulas. */
import TurndownService from 'turndown';

import { all, attribute, type DomElement, first, having, named } from './dom.ts';
import { readTables } from './tables.ts';

export function toMarkdown(content: DomElement): string {
  readTables(content, { header: true });
  const turndown = new TurndownService({
    headingStyle: 'atx',
    codeBlockStyle: 'fenced',
    bulletListMarker: '-',
    // The white space that is left in code is significant.
    preformattedCode: true,
  });
  turndown.remove(['script', 'style', 'noscript', 'title']);
  const rule = (
    name: string,
    filter: (node: DomElement) => boolean,
    replacement: (words: string, node: DomElement) => string,
  ) => turndown.addRule(name, { filter, replacement });
  rule('paragraph', named('P'), (words) => `\n\n${words.trim()}\n\n`);
  rule('code', named('PRE'), (_words, block) => {
    const code = block.textContent;
    const fence = '`'.repeat(Math.max(3, longestRun(code) + 1));
    return `\n\n${fence}${attribute(block, 'data-language')}\n${code}\n${fence}\n\n`;
  });
  rule('task', having('data-task'), (_words, { textContent: box }) => box);
  rule('formula', having('data-tex'), (_words, formula) => {
    const tex = formula.textContent;
    return attribute(formula, 'data-tex') === 'display' ? `\n\n$$\n${tex}\n$$\n\n` : `$${tex}$`;
  });
  for (const list of all(content, named('OL'))) {
    const start = Number(list.getAttribute('start') ?? 1) || 1;
    for (const [index, item] of list.children.entries()) item.setAttribute('value', `${start + index}`);
  }
  rule('item', named('LI'), (words, item) => {
    const marker = item.parentNode?.nodeName === 'OL' ? `${attribute(item, 'value')}.  ` : '-   ';
    const apart = words.endsWith('\n') ? '\n' : '';
    const lines = words.replace(/^\n+|\n+$/g, '').replace(/\n(?=[^\n])/g, `\n${' '.repeat(marker.length)}`);
    return `${marker}${lines}${apart}${item.nextSibling === null ? '' : '\n'}`;
  });
  const marks = { '~~': 'DEL S STRIKE', _: 'EM I', '**': 'STRONG B' };
  for (const [mark, names] of Object.entries(marks)) {
    // A mark cannot reach around a list, a table or code.
    rule(mark, named(names), (words, node) =>
      first(node, isBlockOfLines) === undefined ? eachLine(words, mark) : words,
    );
  }
  rule('cell', named('TD TH'), (words) => ` ${oneLine(words)} |`);
  rule('row', named('TR'), (cells, row) => {
    const delimiters = `|${' --- |'.repeat(row.children.length)}\n`;
    return `|${cells}\n${row.previousSibling === null ? delimiters : ''}`;
  });
  rule('table', named('TABLE'), (rows) => `\n\n${rows.trim()}\n\n`);
  return turndown.turndown(content).trim();
}

const isBlockOfLines = named('BLOCKQUOTE DL HR OL PRE TABLE UL');

function longestRun(text: string): number {
  return text.matchAll(/`+/g).reduce((longest, [run]) => Math.max(longest, run.length), 0);
}

/** Puts the mark around the words of each paragraph in an element. */
function eachLine(words: string, delimiter: string): string {
  return words.replace(/[^\n]*\S[^\n]*/g, (line) => {
    const [, before = '', text = '', after = ''] = /^(\s*)(.*?)(\s*)$/.exec(line) ?? [];
    return `${before}${delimiter}${text}${delimiter}${after}`;
  });
}

/** A cell's content: `<br>` between its lines, and escaped bars. */
function oneLine(words: string): string {
  return words
    .trim()
    .replace(/\s*\n\s*/g, '<br>')
    .replaceAll('|', String.raw`\|`);
}
