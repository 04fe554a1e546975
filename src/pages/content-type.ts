/** What a reply says it is, and whether that can be returned (pure). Media types: RFC 9110 section 8.3. */
import { MIMEType } from 'node:util';

/** `html` is cleaned and can be read as an article; `text` comes back as it is; `unknown` is decided by its first bytes. */
export type ContentKind = 'html' | 'text' | 'unknown' | 'unsupported';

/** Where a page of this type names its encoding, and which one it has if it names none. */
export type EncodingRule = 'html' | 'xml' | 'json' | 'text';

export type ContentType = {
  readonly kind: ContentKind;
  readonly encoding: EncodingRule;
  /** The header as sent, or '' when there was none that is a media type. */
  readonly value: string;
  /** The label of the charset parameter, not yet checked. */
  readonly charset?: string;
};

/** One of the comma-separated values of a header: a comma in quotes does not end it. */
const oneValue = /(?:[^",]|"(?:[^"\\]|\\.)*"?)+/g;
/** MIME Sniffing section 7: no type at all. */
const unknownTypes = new Set(['*/*', 'unknown/unknown', 'application/unknown']);

/** Of several values the last media type counts, and keeps the charset of one before it that names the same type. */
export function readContentType(header: string | string[] | undefined): ContentType {
  let found: Omit<ContentType, 'charset'> = { kind: 'unknown', encoding: 'text', value: '' };
  let essence = '';
  let charset: string | undefined;
  for (const value of [header ?? []].flat().flatMap((value) => value.match(oneValue) ?? [])) {
    const type = parse(value);
    if (type === undefined || type.essence === '*/*') continue;
    if (type.essence !== essence) charset = undefined;
    essence = type.essence;
    charset = type.params.get('charset') ?? charset;
    found = { kind: kindOf(essence), encoding: encodingRule(essence), value: value.trim() };
  }
  // Some servers quote the label with apostrophes, which the standard takes for a part of it.
  const label = charset?.replace(/^'(.*)'$/, '$1');
  return { ...found, ...(label === undefined ? {} : { charset: label }) };
}

function parse(value: string): MIMEType | undefined {
  try {
    return new MIMEType(value);
  } catch {
    return undefined;
  }
}

function kindOf(essence: string): ContentKind {
  if (essence === 'text/html' || essence === 'application/xhtml+xml') return 'html';
  if (unknownTypes.has(essence)) return 'unknown';
  // An event stream has no end, and is text in name only.
  if (essence === 'text/event-stream') return 'unsupported';
  if (essence.startsWith('text/')) return 'text';
  return /^application\/([\w.+-]+\+)?(json|xml)$/.test(essence) ? 'text' : 'unsupported';
}

function encodingRule(essence: string): EncodingRule {
  if (essence === 'text/html') return 'html';
  return /[/+](json|xml)$/.exec(essence)?.[1] === 'json' ? 'json' : /[/+]xml$/.test(essence) ? 'xml' : 'text';
}
