/** What a reply says it is, and whether that can be returned (pure). Media types: RFC 9110 section 8.3. */

/** `html` is cleaned and can be read as an article; `text` comes back as it is; `unknown` is decided by its first bytes. */
export type ContentKind = 'html' | 'text' | 'unknown' | 'unsupported';

export type ContentType = {
  readonly kind: ContentKind;
  /** The header as sent, or '' when there was none that is a media type. */
  readonly value: string;
  /** The label of the charset parameter, not yet checked. */
  readonly charset?: string;
};

const mediaType = /^\s*([\w!#$&^.+-]+\/[\w!#$&^.+-]+)\s*(?:;|$)/;
const charsetParameter = /;\s*charset\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s;"']+))/i;

/** Of several headers the last that is a media type counts, as browsers do. */
export function readContentType(header: string | string[] | undefined): ContentType {
  const values = [header ?? []].flat();
  const value = values.findLast((value) => mediaType.test(value));
  const essence = mediaType.exec(value ?? '')?.[1]?.toLowerCase();
  if (value === undefined || essence === undefined) return { kind: 'unknown', value: '' };
  const [, double, single, bare] = charsetParameter.exec(value) ?? [];
  const charset = double ?? single ?? bare;
  return { kind: kindOf(essence), value: value.trim(), ...(charset === undefined ? {} : { charset }) };
}

function kindOf(essence: string): ContentKind {
  if (essence === 'text/html' || essence === 'application/xhtml+xml') return 'html';
  // An event stream has no end, and is text in name only.
  if (essence === 'text/event-stream') return 'unsupported';
  if (essence.startsWith('text/')) return 'text';
  return /^application\/([\w.+-]+\+)?(json|xml)$/.test(essence) ? 'text' : 'unsupported';
}

/** How the first bytes of a page without a usable type can begin: WHATWG MIME Sniffing section 7.1, the HTML tags. */
const htmlStart =
  /^[\t\n\f\r ]*<(?:!doctype html|html|head|script|iframe|h1|div|font|table|a|style|title|b|body|br|p)[\s>]|^[\t\n\f\r ]*<!--/i;
/** Section 7.1 again: documents that can begin with nothing but printable bytes. */
const documentStart = /^(?:%PDF-|%!PS-Adobe-)/;
// oxlint-disable-next-line no-control-regex
const binaryByte = /[\x00-\x08\x0b\x0e-\x1a\x1c-\x1f]/;

/** What an untyped body is, from its first bytes: WHATWG MIME Sniffing sections 7.1 and 7.2. */
export function sniffKind(start: Uint8Array): Exclude<ContentKind, 'unknown'> {
  const text = Buffer.from(start.buffer, start.byteOffset, Math.min(start.byteLength, 1445)).toString(
    'latin1',
  );
  const bom = /^(?:\xef\xbb\xbf|\xfe\xff|\xff\xfe)/.exec(text)?.[0] ?? '';
  if (bom.length === 2) return 'text';
  const rest = text.slice(bom.length);
  if (binaryByte.test(rest) || documentStart.test(rest)) return 'unsupported';
  return htmlStart.test(rest) ? 'html' : 'text';
}
