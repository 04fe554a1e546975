/**
 * From bytes to text. The encoding is chosen in the order of the HTML standard: byte order mark, header, the page itself.
 *
 * Node 24's own TextDecoder is right for windows-1252 and the other single-byte encodings, but not for all pairs of
 * Shift_JIS, EUC-JP, EUC-KR and Big5; `@exodus/bytes` is.
 */
import { isAscii } from 'node:buffer';
import { getBOMEncoding, normalizeEncoding, TextDecoder } from '@exodus/bytes/encoding.js';

import type { ByteSource } from './bytes.ts';
import type { EncodingRule } from './content-type.ts';
import { findMetaCharset, readableEncoding } from './meta-charset.ts';

/** How far an XML declaration is read. Bytes. */
const declarationBytes = 1024;
/** How much of a page without a declared encoding is tested for UTF-8, from its first letter outside ASCII. Bytes. */
const utf8TestBytes = 65_536;

/** The text of a page while it is read. */
export type TextReader = {
  /** The name of the encoding, in lower case. Without a declaration it is known once the text has been read. */
  readonly charset: string;
  /** The text without a byte order mark. Bytes that are invalid in the encoding become U+FFFD. */
  pieces(): AsyncGenerator<string>;
};

/** `label` is the charset parameter of the Content-Type header. */
export async function openText(
  source: ByteSource,
  label: string | undefined,
  rule: EncodingRule,
): Promise<TextReader> {
  const start = await source.peek(declarationBytes);
  const outside = getBOMEncoding(start) ?? normalizeEncoding(label ?? '') ?? undefined;
  const declared = outside ?? (await namedInside(source, start, rule));
  let charset = declared ?? 'utf-8';
  return {
    get charset() {
      return charset;
    },
    async *pieces() {
      if (declared === undefined) {
        yield* asciiOf(source);
        charset = isUtf8(await source.peek(utf8TestBytes)) ? 'utf-8' : 'windows-1252';
      }
      if (charset === 'replacement') {
        // Encodings that are only used for attacks decode to one U+FFFD: Encoding standard, section 14.1.
        if ((await source.next()) !== undefined) yield '\ufffd';
        return;
      }
      // Without a byte order mark, U+FEFF after the first letters is a letter.
      const decoder = new TextDecoder(charset, { ignoreBOM: declared === undefined });
      for await (const bytes of source) yield decoder.decode(bytes, { stream: true });
      yield decoder.decode();
    },
  };
}

/** The text before the first letter that shows the encoding: it reads the same in every possible encoding. */
async function* asciiOf(source: ByteSource): AsyncGenerator<string> {
  for await (const bytes of source) {
    const end = isAscii(bytes) ? bytes.length : bytes.findIndex((byte) => byte >= 0x80);
    yield bytes.toString('latin1', 0, end);
    if (end === bytes.length) continue;
    source.putBack(bytes.subarray(end));
    return;
  }
}

/** JSON is always UTF-8, XML is by default: RFC 8259 section 8.1, XML 1.0 section 4.3.3. */
async function namedInside(
  source: ByteSource,
  start: Buffer,
  rule: EncodingRule,
): Promise<string | undefined> {
  if (rule === 'json') return 'utf-8';
  const inMeta = rule === 'html' ? await findMetaCharset(source) : undefined;
  return inMeta ?? xmlDeclaration(start) ?? (rule === 'xml' ? 'utf-8' : undefined);
}

function xmlDeclaration(start: Buffer): string | undefined {
  const text = start.toString('latin1');
  if (text.startsWith('<\0?\0x\0')) return 'utf-16le';
  if (text.startsWith('\0<\0?\0x')) return 'utf-16be';
  const [, double, single] =
    /^<\?xml[^>]*?encoding[\t\n\r ]*=[\t\n\r ]*(?:"([^">]*)"|'([^'>]*)')[^>]*>/.exec(text) ?? [];
  return readableEncoding(double ?? single);
}

/** A few wrong bytes do not make a page another encoding. */
function isUtf8(sample: Uint8Array): boolean {
  if (sample.length === 0) return true;
  // As a stream: a letter that the end of the sample cuts is not a wrong byte.
  const text = new TextDecoder('utf-8').decode(sample, { stream: true });
  const wrong = text.match(/\ufffd/g)?.length ?? 0;
  const letters = (text.match(/[^\0-\x7f]/gu)?.length ?? 0) - wrong;
  return letters > 0 && wrong * 10 <= letters;
}
