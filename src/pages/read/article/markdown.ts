/** The content as Markdown: CommonMark, with GitHub's tables, task lists, struck words and formulas. */
import TurndownService from 'turndown';

import { type DomElement, first, named } from './dom.ts';
import { readTables } from './tables.ts';

export function toMarkdown(content: DomElement): string {
  readTables(content, { header: true });
  const turndown = new TurndownService({
    headingStyle: 'atx',
    codeBlockStyle: 'fenced',
    bulletListMarker: '-',
    // What is left of white space in code is meant.
    preformattedCode: true,
  });
  turndown.remove(['script', 'style', 'noscript', 'title']);
  turndown.addRule('paragraph', { filter: 'p', replacement: (words) => `\n\n${words.trim()}\n\n` });
  turndown.addRule('codeBlock', {
    filter: (node) => node.nodeName === 'PRE',
    replacement: (_content, node) => {
      const { textContent } = node as unknown as DomElement;
      const fence = '`'.repeat(Math.max(3, longestRun(textContent) + 1));
      const language = (node as unknown as DomElement).getAttribute('data-language') ?? '';
      return `\n\n${fence}${language}\n${textContent}\n${fence}\n\n`;
    },
  });
  turndown.addRule('raw', {
    filter: (node) => has(node, 'data-tex') || has(node, 'data-task'),
    replacement: (_content, node) => {
      const { textContent } = node as unknown as DomElement;
      if (has(node, 'data-task')) return textContent;
      const display = (node as unknown as DomElement).getAttribute('data-tex') === 'display';
      return display ? `\n\n$$\n${textContent}\n$$\n\n` : `$${textContent}$`;
    },
  });
  const positions = new WeakMap<DomElement, ReadonlyMap<DomElement, number>>();
  const positionOf = (item: DomElement, list: DomElement): number => {
    const known = positions.get(list) ?? new Map(list.children.map((each, index) => [each, index]));
    positions.set(list, known);
    return known.get(item) ?? 0;
  };
  turndown.addRule('item', {
    filter: 'li',
    replacement: (words, node) => {
      const item = node as unknown as DomElement;
      const list = item.parentNode;
      const start = Number(list?.getAttribute('start') ?? 1) || 1;
      const marker = list?.nodeName === 'OL' ? `${start + positionOf(item, list)}.  ` : '-   ';
      const apart = words.endsWith('\n') ? '\n' : '';
      const lines = words.replace(/^\n+|\n+$/g, '').replace(/\n(?=[^\n])/g, `\n${' '.repeat(marker.length)}`);
      return `${marker}${lines}${apart}${item.nextSibling === null ? '' : '\n'}`;
    },
  });
  for (const [names, delimiter] of [
    [['del', 's', 'strike'], '~~'],
    [['em', 'i'], '_'],
    [['strong', 'b'], '**'],
  ] as const) {
    turndown.addRule(delimiter, {
      filter: (node) => (names as readonly string[]).includes(node.nodeName.toLowerCase()),
      // A mark cannot reach around a list, a table or code.
      replacement: (words, node) =>
        first(node, isBlockOfLines) === undefined ? eachLine(words, delimiter) : words,
    });
  }
  turndown.addRule('cell', {
    filter: ['td', 'th'],
    replacement: (words) => ` ${oneLine(words)} |`,
  });
  turndown.addRule('row', {
    filter: 'tr',
    replacement: (cells, node) => {
      const row = node as unknown as DomElement;
      const columns = row.children.length;
      return `|${cells}\n${row.previousSibling === null ? `|${' --- |'.repeat(columns)}\n` : ''}`;
    },
  });
  turndown.addRule('table', { filter: 'table', replacement: (rows) => `\n\n${rows.trim()}\n\n` });
  return turndown.turndown(content).trim();
}

const isBlockOfLines = named('BLOCKQUOTE DL HR OL PRE TABLE UL');

function has(node: unknown, attribute: string): boolean {
  return (node as DomElement).hasAttribute(attribute);
}

function longestRun(text: string): number {
  let longest = 0;
  for (const [run] of text.matchAll(/`+/g)) longest = Math.max(longest, run.length);
  return longest;
}

/** Around the words of each paragraph, where an element has several. */
function eachLine(words: string, delimiter: string): string {
  return words.replace(/[^\n]*\S[^\n]*/g, (line) => {
    const [, before = '', text = '', after = ''] = /^(\s*)(.*?)(\s*)$/.exec(line) ?? [];
    return `${before}${delimiter}${text}${delimiter}${after}`;
  });
}

/** A cell's content: its lines with `<br>` between them, and no bar that would end it. */
function oneLine(words: string): string {
  return words
    .trim()
    .replace(/\s*\n\s*/g, '<br>')
    .replaceAll('|', String.raw`\|`);
}
