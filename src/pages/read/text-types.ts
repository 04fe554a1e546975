/** Media types that hold text. The IANA registry and servers have many outside `text/`. */

/** Structured syntax suffixes (RFC 6839 and the IANA registry) whose syntax is text. */
const suffix = /^(application|chemical|message|model)\/[^+]+\+(json|xml|yaml|json-seq)$/;

/** Subtypes of `application/`, with and without `x-`. */
const subtypes = new Set([
  // Data.
  ...'json json5 json-seq ndjson jsonl jsonlines json-lines xml xml-dtd xml-external-parsed-entity'.split(
    ' ',
  ),
  ...'yaml toml csv tab-separated-values sql edn www-form-urlencoded'.split(' '),
  ...'n-triples n-quads trig turtle sparql-query sparql-update'.split(' '),
  // Descriptions of interfaces, in YAML or their own language.
  ...'openapi vnd.oai.openapi graphql'.split(' '),
  // Programs.
  ...'javascript ecmascript typescript node sh shellscript csh bash zsh python ruby perl'.split(' '),
  ...'php httpd-php httpd-php-source lua tcl powershell'.split(' '),
  // Documents and lists.
  ...'markdown tex latex texinfo bibtex research-info-systems troff troff-man rtf subrip mpegurl'.split(' '),
  ...'vnd.apple.mpegurl mbox diff patch pem-file pgp-keys pgp-signature'.split(' '),
]);

/** Whether a media type, in lower case and without parameters, holds text. */
export function isTextual(essence: string): boolean {
  const [type = '', subtype = ''] = essence.split('/');
  switch (type) {
    case 'text':
      // A stream has no end.
      return subtype !== 'event-stream';
    case 'message':
      return true;
    case 'application':
      return subtypes.has(subtype.replace(/^x-/, '')) || suffix.test(essence);
    default:
      return suffix.test(essence);
  }
}
