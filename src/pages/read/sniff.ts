/** The kind of a page, by its first bytes. */

/** As many as Chromium reads. */
export const sniffBytes = 1024;

/** How HTML without a type can begin: MIME Sniffing section 7.1. As in Chromium, anything can follow the name. */
const htmlStart =
  /^[\t\n\f\r ]*<(?:!doctype html|!--|html|head|script|iframe|h1|div|font|table|a|style|title|b|p)/i;
/** Section 7.1: documents that can begin with only printable bytes. */
const documentStart = /^(?:%PDF-|%!PS-Adobe-)/;
const binaryByte = /[\x00-\x08\x0b\x0e-\x1a\x1c-\x1f]/;
/** UTF-16 with a byte order mark, and XML in UTF-16 without one. Their letters have zero bytes. */
const utf16Start = /^(?:\xfe\xff|\xff\xfe|<\0\?\0|\0<\0\?)/;
const utf8Mark = '\xef\xbb\xbf';

/** The kind of a page without a type: MIME Sniffing section 7.1. */
export function sniffKind(start: Buffer): 'html' | 'text' | 'unsupported' {
  const text = start.toString('latin1', 0, sniffBytes);
  if (isBinary(start) || documentStart.test(text)) return 'unsupported';
  return htmlStart.test(text.startsWith(utf8Mark) ? text.slice(utf8Mark.length) : text) ? 'html' : 'text';
}

/** MIME Sniffing section 7.2: bytes that no text has. */
export function isBinary(start: Buffer): boolean {
  const text = start.toString('latin1', 0, sniffBytes);
  return !utf16Start.test(text) && binaryByte.test(text);
}
