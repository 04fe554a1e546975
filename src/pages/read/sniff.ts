/** What the first bytes of a page show it to be (pure). */

/** How many of them are looked at, as many as Chromium does. */
export const sniffBytes = 1024;

/** How HTML without a type can begin: MIME Sniffing section 7.1, and as in Chromium whatever follows the name. */
const htmlStart =
  /^[\t\n\f\r ]*<(?:!doctype html|!--|html|head|script|iframe|h1|div|font|table|a|style|title|b|p)/i;
/** Section 7.1 again: documents that can begin with nothing but printable bytes. */
const documentStart = /^(?:%PDF-|%!PS-Adobe-)/;
const binaryByte = /[\x00-\x08\x0b\x0e-\x1a\x1c-\x1f]/;
/** Marks of UTF-16, and XML in UTF-16 without one: bytes that are zero are of its letters. */
const utf16Start = /^(?:\xfe\xff|\xff\xfe|<\0\?\0|\0<\0\?)/;
const utf8Mark = '\xef\xbb\xbf';

/** What a page without a type is: MIME Sniffing section 7.1. */
export function sniffKind(start: Uint8Array): 'html' | 'text' | 'unsupported' {
  const text = latin1(start);
  if (isBinary(start) || documentStart.test(text)) return 'unsupported';
  return htmlStart.test(text.startsWith(utf8Mark) ? text.slice(utf8Mark.length) : text) ? 'html' : 'text';
}

/** MIME Sniffing section 7.2: bytes that no text has. */
export function isBinary(start: Uint8Array): boolean {
  const text = latin1(start);
  return !utf16Start.test(text) && binaryByte.test(text);
}

function latin1(start: Uint8Array): string {
  return Buffer.from(start.buffer, start.byteOffset, Math.min(start.byteLength, sniffBytes)).toString(
    'latin1',
  );
}
