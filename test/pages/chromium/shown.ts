/** The text of a page for the comparison. Only differences that HTML itself removes are removed. */
import { readFileSync } from 'node:fs';
import { type DefaultTreeAdapterTypes as Dom, parse } from 'parse5';

/** Null: not shown. */
export type Shown = {
  readonly type: string;
  readonly language: string;
  readonly text: string;
} | null;

export const recordFile = new URL('shown.json', import.meta.url);

/** Written by `npm run record:chromium`. */
export function readRecord(): Record<string, Shown> {
  return JSON.parse(readFileSync(recordFile, 'utf8')) as Record<string, Shown>;
}

/** Long fillers as their length. */
export function shorten(text: string): string {
  return text.replace(/([ x])\1{99,}/g, (run, letter: string) => `[${run.length} ${letter}]`);
}

const skipped = new Set(['script', 'style', 'svg', 'noscript', 'iframe']);

/** The text of HTML or XML, as the expression in browser.ts gathers it. */
export function textOfMarkup(source: string): string {
  const textOf = (node: Dom.Node): string => {
    if ('value' in node) return node.value;
    if (skipped.has(node.nodeName) || !('childNodes' in node)) return '';
    return node.childNodes.map(textOf).join('');
  };
  return textOf(parse(source));
}

/** A text as a browser reads it: HTML standard, sections 7.5.4, 13.2.3.5 and 13.2.5.5. */
export function textOfText(source: string): string {
  return source.replace(/\r\n?/g, '\n').replaceAll('\0', '\ufffd');
}
