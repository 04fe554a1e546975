/**
 * From bytes to text: which encoding, by the order of the HTML standard (byte order mark, header, `<meta>`), and a
 * decoder that follows the Encoding standard.
 *
 * Node 24's own TextDecoder is right for windows-1252 and the other single-byte encodings, but not for all pairs of
 * Shift_JIS, EUC-JP, EUC-KR and Big5; `@exodus/bytes` is, and the sniffer brings it along.
 */
import { getBOMEncoding, normalizeEncoding, TextDecoder } from '@exodus/bytes/encoding.js';
import { getEncoding } from 'encoding-sniffer';

import type { ByteSource } from './bytes.ts';

/** How far the standard looks for `<meta charset>`. Bytes. */
const prescanBytes = 1024;
/** How far a page that names no encoding is tested for being UTF-8. Bytes. */
const utf8TestBytes = 65_536;

/** The name of the encoding, in lower case. `label` is the charset parameter of the Content-Type header. */
export async function detectCharset(
  source: ByteSource,
  label: string | undefined,
  kind: 'html' | 'text',
): Promise<string> {
  const start = await source.peek(prescanBytes);
  const inside = kind === 'html' ? prescan(start) : xmlDeclaration(start);
  const declared = getBOMEncoding(start) ?? normalizeEncoding(label ?? '') ?? normalizeEncoding(inside ?? '');
  return declared ?? (isUtf8(await source.peek(utf8TestBytes)) ? 'utf-8' : 'windows-1252');
}

/** What `<meta>` or an XML declaration says. The sniffer has no answer for "nothing": its default shows. */
function prescan(start: Uint8Array): string | undefined {
  const options = { maxBytes: prescanBytes };
  const found = getEncoding(start, { ...options, defaultEncoding: 'utf-8' });
  return found === getEncoding(start, { ...options, defaultEncoding: 'windows-1252' }) ? found : undefined;
}

/**
 * JSON or a text may speak of `<meta charset>` and mean another page; XML says it of itself in its first line. That this
 * could be read shows that it is not UTF-16, whatever it says.
 */
function xmlDeclaration(start: Buffer): string | undefined {
  const label = /^<\?xml\s[^>]*?\sencoding\s*=\s*["']([\w.:-]+)["']/.exec(start.toString('latin1'))?.[1];
  return label === undefined || /^utf-?16/i.test(label) ? undefined : label;
}

/** The text of the bytes, without a byte order mark. What is not of the encoding becomes U+FFFD. */
export async function* decodeText(source: ByteSource, charset: string): AsyncGenerator<string> {
  if (charset === 'replacement') {
    // Encodings that are only used for attacks decode to one U+FFFD: Encoding standard, section 14.1.
    if ((await source.next()) !== undefined) yield '\ufffd';
    return;
  }
  const decoder = new TextDecoder(charset);
  for await (const bytes of source) yield decoder.decode(bytes, { stream: true });
  yield decoder.decode();
}

function isUtf8(start: Uint8Array): boolean {
  try {
    // As a stream, where the page goes on: a sequence that the end of the sample cuts is not an error.
    new TextDecoder('utf-8', { fatal: true }).decode(start, { stream: start.length >= utf8TestBytes });
    return true;
  } catch {
    return false;
  }
}
