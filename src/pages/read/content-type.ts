/** The type of a reply, and whether it can be returned. Media types: RFC 9110 section 8.3. */
import { MIMEType } from 'node:util';

/**
 * `html` is stripped and can be read as an article; `text` comes back unchanged. The first bytes decide the other two:
 * `file` is text or refused, `unknown` can also be HTML.
 */
export type ContentKind = 'html' | 'text' | 'file' | 'unknown' | 'unsupported';

/** Where a page of this type can name its encoding, and what its default is. */
export type EncodingRule = 'html' | 'xml' | 'json' | 'text';

export type ContentType = {
  readonly kind: ContentKind;
  readonly encoding: EncodingRule;
  /** The header as sent, or '' without a valid one. */
  readonly value: string;
  /** The label in the charset parameter, not yet checked. */
  readonly charset?: string;
};

/** One of the comma-separated values of a header: a comma in quotes does not end it. */
const oneValue = /(?:[^",]|"(?:[^"\\]|\\.)*"?)+/g;
/** Sent for a file of unknown type, and to make a browser save a file. */
const fileType = /^(?:(?:application|binary)\/octet-stream|application\/(?:x-|force-)?download)$/;
/** MIME Sniffing section 7: no type at all. */
const unknownType = /^(?:unknown|application)\/unknown$/;

/** Structured syntax suffixes (RFC 6839 and the IANA registry) whose syntax is text. */
const suffix = /^(application|chemical|message|model)\/[^+]+\+(json|xml|yaml|json-seq)$/;

/** Subtypes of `application/` that hold text, with and without `x-`: the registry and servers have many. */
const subtypes = new Set(
  `json json5 json-seq ndjson jsonl jsonlines json-lines xml xml-dtd xml-external-parsed-entity yaml toml
  csv tab-separated-values sql edn www-form-urlencoded n-triples n-quads trig turtle sparql-query
  sparql-update openapi vnd.oai.openapi graphql javascript ecmascript typescript node sh shellscript csh
  bash zsh python ruby perl php httpd-php httpd-php-source lua tcl powershell markdown tex latex texinfo
  bibtex research-info-systems troff troff-man rtf subrip mpegurl vnd.apple.mpegurl mbox diff patch
  pem-file pgp-keys pgp-signature`.match(/\S+/g),
);

/** The last of several media types applies, with the charset of an earlier value of the same type. */
export function readContentType(header: string | string[] | undefined): ContentType {
  let type: Omit<ContentType, 'charset'> = { kind: 'unknown', encoding: 'text', value: '' };
  let essence = '';
  let charset: string | undefined;
  for (const value of [header ?? []].flat().flatMap((value) => value.match(oneValue) ?? [])) {
    const parsed = parse(value);
    if (parsed === undefined || parsed.essence === '*/*') continue;
    if (parsed.essence !== essence) charset = undefined;
    essence = parsed.essence;
    charset = parsed.params.get('charset') ?? charset;
    type = { kind: kindOf(essence), encoding: encodingRule(essence), value: value.trim() };
  }
  // Some servers quote the label with apostrophes, which are part of it by the standard.
  const label = charset?.replace(/^'(.*)'$/, '$1');
  return { ...type, ...(label === undefined ? {} : { charset: label }) };
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
  if (unknownType.test(essence)) return 'unknown';
  if (fileType.test(essence)) return 'file';
  return isTextual(essence) ? 'text' : 'unsupported';
}

function encodingRule(essence: string): EncodingRule {
  if (essence === 'text/html') return 'html';
  if (/[/+]json$/.test(essence)) return 'json';
  return /[/+]xml$/.test(essence) ? 'xml' : 'text';
}

/** Whether a media type, in lower case and without parameters, holds text. */
function isTextual(essence: string): boolean {
  const [type, subtype = ''] = essence.split('/');
  // A stream has no end.
  if (type === 'text') return subtype !== 'event-stream';
  if (type === 'application' && subtypes.has(subtype.replace(/^x-/, ''))) return true;
  return type === 'message' || suffix.test(essence);
}
