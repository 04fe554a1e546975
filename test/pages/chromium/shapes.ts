/** Pages in which something late, quoted or misplaced could change an earlier decision. */

export type Shape = {
  /** The Content-Type header, once or more often. */
  readonly type?: string | readonly string[];
  readonly bytes: Buffer;
  /** Why the relay differs from Chromium, and what it returns instead; null if it refuses the page. */
  readonly differs?: {
    readonly why: string;
    readonly returns: { readonly text: string } | null;
  };
};

const html = 'text/html';
const ascii = (text: string): Buffer => Buffer.from(text, 'latin1');
const utf8 = (text: string): Buffer => Buffer.from(text, 'utf8');
const utf16 = (text: string): Buffer => Buffer.from(text, 'utf16le');
const join = (...parts: readonly (string | Buffer)[]): Buffer =>
  Buffer.concat(parts.map((part) => (typeof part === 'string' ? ascii(part) : part)));
const filler = (length: number): string => 'x'.repeat(length);

/** Letters that windows-1252, macintosh and koi8-r read differently. */
const letters = Buffer.from([0xe9, 0x74, 0xe9, 0x20, 0x63, 0x61, 0x66, 0xe9]);
const meta = '<meta charset=macintosh>';
const pragma = (content: string, equivalent = 'content-type'): string =>
  `<meta http-equiv="${equivalent}" content="${content}">`;
const page = (start: string, type: Shape['type'] = html): Shape => ({
  type,
  bytes: join(start, '<p>', letters, '</p>'),
});

const undeclared = 'Chromium never guesses UTF-8, so that authors declare it. A reader wants the letters.';

/** Where a page names its encoding. */
const named = {
  'windows-1252 without a declaration': page('<!doctype html><title>t</title>'),
  'meta at once': page(meta),
  'meta after a comment of 3 kB': page(`<!doctype html><!--${filler(3000)}--><html><head>${meta}`),
  'meta after a comment of 70 kB': page(`<html><head><!--${filler(70_000)}-->${meta}`),
  'meta after a script of 3 kB': page(`<head><script>var a = "${filler(3000)}"</script>${meta}`),
  'meta after a style sheet of 3 kB': page(`<head><style>/*${filler(3000)}*/</style>${meta}`),
  'meta after links of 3 kB': page(`<head>${'<link rel=x href=/x>'.repeat(150)}${meta}`),
  'meta after text of 3 kB': page(`${filler(3000)}${meta}`),
  'meta in the body, early': page(`<body><div>${filler(500)}</div>${meta}`),
  'meta in the body, late': page(`<body><div>${filler(3000)}</div>${meta}`),
  'meta that starts before 1024 bytes and ends after': page(`<body>${filler(1010)}${meta}`),
  'meta after the end of the head': page(`<head></head>${filler(3000)}${meta}`),
  'meta in a comment': page(`<!-- ${meta} -->`),
  'meta in a script': page(`<script>var a = '${meta}'</script>`),
  'meta in a style sheet': page(`<style>/* ${meta} */</style>`),
  'meta in a title': page(`<title>${meta}</title>`),
  'meta in a text area': page(`<textarea>${meta}</textarea>`),
  'meta in an iframe': page(`<iframe>${meta}</iframe>`),
  'meta in a noscript': page(`<noscript>${meta}</noscript>`),
  'meta in a template': page(`<template>${meta}</template>`),
  'meta in an svg': page(`<svg>${meta}</svg>`),
  'meta in CDATA': page(`<svg><![CDATA[${meta}]]></svg>`),
  'meta in an attribute': page(`<p title="${meta}">`),
  'meta in an attribute without quotes': page(`<p title=${meta}>`),
  'meta in JSON-LD': page(`<script type="application/ld+json">{"a":"${meta}"}</script>`),
  'meta as text': page('&lt;meta charset=macintosh&gt;'),
  'meta that the page breaks off in': {
    type: html,
    bytes: join('<p>', letters, '</p><meta charset=macintosh'),
  },
  'meta as an end tag': page('</meta charset=macintosh>'),
  'meta with a slash': page('<meta/charset=macintosh/>'),
  'meta with spaces and a reference': page('<meta charset=" mac&#105;ntosh ">'),
  'two metas': page(`<meta charset=koi8-r>${meta}`),
  'meta of an unknown encoding, then another': page(`<meta charset=klingon>${meta}`),
  'meta of UTF-16': { type: html, bytes: utf8('<meta charset=utf-16><p>été €</p>') },
  'meta of x-user-defined': page('<meta charset=x-user-defined>'),
  'meta of UTF-8 on a page in another encoding': page('<meta charset=utf-8>'),
  'meta http-equiv': page(pragma('text/html; charset=macintosh')),
  'meta http-equiv after its content': page('<meta content="a; charset=macintosh" http-equiv=Content-Type>'),
  'meta http-equiv in quotes': page(pragma("text/html; charset='macintosh'")),
  'meta http-equiv with another charset before': page(pragma('charset macintosh; charset = koi8-r')),
  'meta content without http-equiv': page('<meta content="text/html; charset=macintosh">'),
  'meta refresh': page(pragma('900; charset=macintosh', 'refresh')),
  'meta http-equiv and charset': page(
    '<meta http-equiv=content-type content="text/html; charset=macintosh" charset=koi8-r>',
  ),
  'an XML declaration': page('<?xml version="1.0" encoding="macintosh"?>'),
  'an XML declaration with apostrophes': page("<?xml version='1.0' encoding = 'macintosh'?>"),
  'an XML declaration after a space': page(' <?xml version="1.0" encoding="macintosh"?>'),
  'an XML declaration of UTF-16': { type: html, bytes: utf8('<?xml encoding="utf-16"?><p>été €</p>') },
  'an XML declaration and meta': page(`<?xml version="1.0" encoding="koi8-r"?>${meta}`),
} satisfies Record<string, Shape>;

/** A header and a byte order mark that contradict the page. */
const outside = {
  'a header against meta': page(meta, 'text/html; charset=koi8-r'),
  'a header of an unknown encoding': page(meta, 'text/html; charset=klingon'),
  'a header with an empty charset': page(meta, 'text/html; charset='),
  'a header in quotes': page('', 'text/html; charset="macintosh"'),
  'a header with a quote that does not end': page('', 'text/html; charset="macintosh'),
  'a header that quotes another charset': page('', 'text/html; a="b; charset=koi8-r"; charset=macintosh'),
  'a header with two charsets': page('', 'text/html; charset=macintosh; charset=koi8-r'),
  'a header with spaces around the sign': page('', 'text/html ; charset = macintosh'),
  'a header with two types': page('', 'text/plain;charset=koi8-r, text/html;charset=macintosh'),
  'a header that repeats its type': page('', 'text/html;charset=macintosh, text/html'),
  'two headers': page('', ['text/plain;charset=koi8-r', 'text/html;charset=macintosh']),
  'a header of ISO-2022-KR': page('', 'text/html; charset=iso-2022-kr'),
  'a header of GB2312 with letters of GB18030': {
    type: 'text/html; charset=gb2312',
    bytes: join('<p>', Buffer.from([0xc4, 0xe3, 0x81, 0x30, 0x81, 0x30, 0x80]), '</p>'),
  },
  'a mark against header and meta': {
    type: 'text/html; charset=koi8-r',
    bytes: utf8(`\ufeff${meta}<p>été €</p>`),
  },
  'a mark of UTF-16 against a header': {
    type: 'text/html; charset=utf-8',
    bytes: utf16('\ufeff<p>été €</p>'),
  },
  'two marks': { type: html, bytes: utf8('\ufeff\ufeff<p>été</p>') },
  'a mark in the middle': { type: 'text/html; charset=utf-8', bytes: utf8('<p>a\ufeffb</p>') },
  'UTF-16 by header': { type: 'text/html; charset=utf-16', bytes: utf16('<p>été €</p>') },
  'UTF-16 without mark or header': { type: html, bytes: utf16('été €') },
  'UTF-16 that shows by its XML declaration': {
    type: html,
    bytes: utf16('<?xml version="1.0"?><p>été €</p>'),
  },
  'UTF-16 of the other order': { type: html, bytes: utf16('<?xml version="1.0"?><p>été €</p>').swap16() },
  'UTF-8 that breaks off in a letter': {
    type: 'text/html; charset=utf-8',
    bytes: utf8('<p>ét€').subarray(0, -1),
  },
} satisfies Record<string, Shape>;

/** Letters that come late, or show their own encoding. */
const late = {
  'letters after 70 kB': { type: html, bytes: join(`<p>${filler(70_000)}`, letters) },
  'letters of UTF-8 after 70 kB': {
    type: html,
    bytes: join(`<p>${filler(70_000)}`, utf8('été €')),
    differs: { why: undeclared, returns: { text: `[70000 x]été €` } },
  },
  'UTF-8 without a declaration': {
    type: html,
    bytes: utf8('<p>été €'),
    differs: { why: undeclared, returns: { text: 'été €' } },
  },
  'windows-1251 without a declaration': {
    type: html,
    // "Привет" in windows-1251.
    bytes: join('<p>', Buffer.from([0xcf, 0xf0, 0xe8, 0xe2, 0xe5, 0xf2])),
    differs: {
      why: 'Chromium guesses the language. A few more letters can change a guess, so the relay does not guess.',
      returns: { text: 'Ïðèâåò' },
    },
  },
  'one UTF-8 letter among letters of windows-1252': {
    type: html,
    bytes: join('<p>', utf8('é'), ' ', letters),
  },
} satisfies Record<string, Shape>;

/** The kind of a page: HTML, text, or not shown. */
const kinds = {
  'text that holds HTML and meta': { type: 'text/plain', bytes: join(`<html>${meta}<p>`, letters) },
  'text with line ends of all kinds': { type: 'text/plain; charset=utf-8', bytes: utf8('\n\na\r\nb\rc\nd') },
  'text with control bytes after 1 kB': {
    type: 'text/plain; charset=utf-8',
    bytes: join(filler(1100), Buffer.from([0, 1]), ' end'),
  },
  'text that holds binary data': { type: 'text/plain; charset=utf-8', bytes: join('PK\x03\x04', filler(50)) },
  'text in UTF-16 with a mark': { type: 'text/plain', bytes: utf16('\ufeffété €') },
  'text in UTF-16 without a mark': { type: 'text/plain', bytes: utf16('a text') },
  'text in UTF-16 by header': {
    type: 'text/plain; charset=utf-16le',
    bytes: utf16('été €'),
    differs: {
      why: 'Chromium saves it because it holds zero bytes. The header explains them.',
      returns: { text: 'été €' },
    },
  },
  'text with an XML declaration': {
    type: 'text/plain',
    bytes: join('<?xml version="1.0" encoding="macintosh"?><a>', letters, '</a>'),
    differs: {
      why: 'Chromium ignores the declaration. Git forges send XML files as text.',
      returns: { text: '<?xml version="1.0" encoding="macintosh"?><a>ÈtÈ cafÈ</a>' },
    },
  },
  'JSON that quotes meta': { type: 'application/json', bytes: utf8(`{"a":"${meta} été €"}`) },
  'JSON that is not UTF-8': { type: 'application/problem+json', bytes: join('{"a":"', letters, '"}') },
  'JSON with a header': { type: 'application/json; charset=macintosh', bytes: join('{"a":"', letters, '"}') },
  'JavaScript with a header': {
    type: 'application/javascript; charset=utf-8',
    bytes: utf8('a = "<p>été €"'),
  },
  'YAML as text': { type: 'text/yaml; charset=utf-8', bytes: utf8('a: "<p>été €"') },
  'XML that quotes meta': {
    type: 'application/xml',
    bytes: utf8('<a><!--<meta charset="gbk"/>-->été €</a>'),
  },
  'XML that names its encoding': {
    type: 'text/xml',
    bytes: join('<?xml version="1.0" encoding="macintosh"?><a>', letters, '</a>'),
  },
  'XML in UTF-16 without a mark': { type: 'text/xml', bytes: utf16('<?xml version="1.0"?><a>été €</a>') },
  'XHTML with meta': {
    type: 'application/xhtml+xml',
    bytes: utf8(
      '<html xmlns="http://www.w3.org/1999/xhtml"><head><meta charset="macintosh"/></head><body>été €</body></html>',
    ),
  },
  'no type, HTML': { bytes: ascii('\n <!doctype html><p>a</p>') },
  'no type, an article': { bytes: ascii('<article>a</article>') },
  'no type, HTML after text': { bytes: ascii('a <html><p>b</p>') },
  'no type, HTML after 2 kB of spaces': { bytes: ascii(`${' '.repeat(2000)}<html><p>b</p>`) },
  'no type, a tag that shows nothing': { bytes: ascii('<nav>a</nav>') },
  'no type, XML': { bytes: utf8('<?xml version="1.0"?><a>été €</a>') },
  'no type, binary data': { bytes: Buffer.from([0x50, 0x4b, 3, 4, 0, 0]) },
  'no type, a mark before HTML': {
    bytes: utf8('\ufeff<p>été</p>'),
    differs: {
      why: 'Chromium shows the tags. A mark says nothing about what follows it.',
      returns: { text: 'été' },
    },
  },
  'an invalid type': { type: 'html', bytes: ascii('<html><p>a</p>') },
  'a type that means unknown': { type: 'unknown/unknown', bytes: ascii('<html><p>a</p>') },
  'a text file': {
    type: 'application/octet-stream',
    bytes: utf8('<p>été €'),
    differs: {
      why: 'Chromium saves it. Git forges send source files like this.',
      returns: { text: '<p>été €' },
    },
  },
  'a binary file': { type: 'application/octet-stream', bytes: join('PK\x03\x04', filler(50)) },
  'a language in a comment, a title and a text': {
    type: html,
    bytes: ascii('<!-- <html lang=fr> --><title><html lang=it></title><p>&lt;html lang=es><html lang=de>a'),
  },
} satisfies Record<string, Shape>;

export const shapes: Readonly<Record<string, Shape>> = { ...named, ...outside, ...late, ...kinds };
