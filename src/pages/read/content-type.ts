/** What a reply says it is, and whether that can be returned (pure). Media types: RFC 9110 section 8.3. */
import { MIMEType } from 'node:util';

import { isTextual } from './text-types.ts';

/**
 * `html` is cleaned and can be read as an article; `text` comes back as it is. The first bytes decide the other two:
 * `file` is text or refused, `unknown` can also be HTML.
 */
export type ContentKind = 'html' | 'text' | 'file' | 'unknown' | 'unsupported';

/** Where a page of this type can name its encoding, and which encoding is its default. */
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
/** What servers send for a file whose type they do not know, and to make a browser save it. */
const fileTypes = new Set([
  'application/octet-stream',
  'binary/octet-stream',
  'application/download',
  'application/force-download',
  'application/x-download',
]);
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
  if (fileTypes.has(essence)) return 'file';
  return isTextual(essence) ? 'text' : 'unsupported';
}

function encodingRule(essence: string): EncodingRule {
  if (essence === 'text/html') return 'html';
  return /[/+](json|xml)$/.exec(essence)?.[1] === 'json' ? 'json' : /[/+]xml$/.test(essence) ? 'xml' : 'text';
}
