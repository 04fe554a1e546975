/**
 * The encoding that a page declares, found as Chromium finds it.
 *
 * The HTML standard searches 1024 bytes and ignores elements: it finds `<meta charset>` in a script or a title, and none after
 * a long comment. Browsers read tags, and go on to the end of the head.
 */
import { normalizeEncoding } from '@exodus/bytes/encoding.js';
import type { Token } from 'parse5';

import type { ByteSource } from './bytes.ts';
import { PageTokenizer } from './tokenizer.ts';

/** Up to here every `<meta>` applies, then only those in the head. Bytes. */
const everywhereBytes = 1024;
/** The largest head that is searched. Bytes. */
const headBytes = 524_288;

/** Tags that do not end the head. The start tags of html and head do not end it either. */
const headNames = new Set('script noscript style link meta object title base'.split(' '));

/** The name of the encoding, in lower case. The searched bytes stay in the source. */
export async function findMetaCharset(source: ByteSource): Promise<string | undefined> {
  const search: { charset?: string | undefined; inHead: boolean; done: boolean } = {
    inHead: true,
    done: false,
  };
  const isOver = ({ location }: Token.TagToken): boolean => {
    search.done ||= !search.inHead && (location?.startOffset ?? 0) >= everywhereBytes;
    return search.done;
  };
  const tokenizer = new PageTokenizer({
    onStartTag: (tag) => {
      const name = tag.tagName;
      if (isOver(tag)) return;
      tokenizer.readTextOf(name);
      if (name === 'meta') search.charset = charsetOf(tag);
      search.done = search.charset !== undefined;
      if (!headNames.has(name) && name !== 'html' && name !== 'head') search.inHead = false;
    },
    onEndTag: (tag) => {
      if (!isOver(tag) && !headNames.has(tag.tagName)) search.inHead = false;
    },
    onCharacter() {},
    onComment() {},
    onDoctype() {},
    onEof() {},
  });
  let looked = 0;
  for (let size = everywhereBytes; !search.done && size <= headBytes; size *= 2) {
    const start = await source.peek(size);
    tokenizer.read(start.toString('latin1', looked));
    looked = start.length;
    if (looked < size) break;
  }
  return search.charset;
}

/** HTML standard, section 13.2.3.2, the part on `<meta>`. */
function charsetOf({ attrs }: Token.TagToken): string | undefined {
  const value = (name: string): string | undefined => attrs.find((attr) => attr.name === name)?.value;
  const isPragma = value('http-equiv')?.toLowerCase() === 'content-type';
  const content = isPragma ? charsetInContent(value('content') ?? '') : undefined;
  const charset = readableEncoding(value('charset') ?? content);
  return charset === 'x-user-defined' ? 'windows-1252' : charset;
}

/** HTML standard, "extracting a character encoding from a meta element". */
function charsetInContent(content: string): string | undefined {
  const [, double, single, bare] =
    /charset[\t\n\f\r ]*=[\t\n\f\r ]*(?:"([^"]*)"|'([^']*)'|([^\t\n\f\r ;"'][^\t\n\f\r ;]*))/i.exec(
      content,
    ) ?? [];
  return double ?? single ?? bare;
}

/** The encoding of a label. A label that could be read shows that the page is not UTF-16. */
export function readableEncoding(label: string | undefined): string | undefined {
  const encoding = normalizeEncoding(label ?? '') ?? undefined;
  return encoding?.startsWith('utf-16') === true ? 'utf-8' : encoding;
}
