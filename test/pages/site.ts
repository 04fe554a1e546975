/** The ordinary web server of the test internet: each path is one kind of page. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { brotliCompressSync, deflateRawSync, deflateSync, gzipSync } from 'node:zlib';

/** Text in each encoding under test, as bytes and as text. */
export const encodings: Readonly<
  Record<string, { readonly bytes: readonly number[]; readonly text: string }>
> = {
  'windows-1252': { bytes: [0x80, 0x92, 0xe9], text: '€’é' },
  'windows-1254': { bytes: [0xfd, 0xfe, 0xf0], text: 'ışğ' },
  shift_jis: { bytes: [0x93, 0xfa, 0x96, 0x7b], text: '日本' },
  'euc-jp': { bytes: [0xc6, 0xfc, 0xcb, 0xdc], text: '日本' },
  'iso-2022-jp': { bytes: [0x1b, 0x24, 0x42, 0x46, 0x7c, 0x1b, 0x28, 0x42], text: '日' },
  gbk: { bytes: [0xc4, 0xe3, 0xba, 0xc3], text: '你好' },
  gb18030: { bytes: [0xc4, 0xe3, 0x81, 0x30, 0x81, 0x30], text: '你\u0080' },
  big5: { bytes: [0xa7, 0x41, 0x87, 0x40], text: '你䏰' },
  'euc-kr': { bytes: [0xc7, 0xd1, 0xb1, 0xdb], text: '한글' },
  'koi8-r': { bytes: [0xcd, 0xc9, 0xd2], text: 'мир' },
  'iso-8859-2': { bytes: [0xb1, 0xe6], text: 'ąć' },
};

const jsonLd = '{"@type":"Article","name":"<b>x</b>"}';
export const article = `<!doctype html><html lang="en"><head><title>A &amp; B</title>
<meta name="description" content="What it is">
<meta property="og:title" content="OG title"><meta property="og:image" content="/i.png">
<link rel="canonical" href="/article"><link rel="alternate" type="application/rss+xml" title="Feed" href="/feed.xml">
<script>var tracking = 1</script><style>p { color: red }</style><script type="application/ld+json">${jsonLd}</script>
</head><body><nav><a href="/">Home</a></nav><!-- a comment --><svg><path d="M0 0"/></svg><article><h1>Heading</h1>
${'<p>A paragraph, long enough, with <b>bold</b> words and a <a href="/link">link</a>, for a reader to take it for the article of the page, which it is.</p>'.repeat(6)}
</article><footer>Footer</footer></body></html>`;

type Page = {
  readonly status?: number;
  readonly headers?: Record<string, string | string[]>;
  readonly body?: string | Buffer;
};

const html = { 'content-type': 'text/html; charset=utf-8' } as const;
const page = (body: string | Buffer, headers: Record<string, string | string[]> = html): Page => ({
  body,
  headers,
});
const coded = (coding: string, body: Buffer): Page => page(body, { ...html, 'content-encoding': coding });

const pages: Readonly<Record<string, () => Page>> = {
  '/': () => page('<p>hello</p>'),
  '/article': () => page(article),
  '/emoji': () => page('🎉'.repeat(200)),
  '/long': () => page(`<p>${'x'.repeat(500_001)}</p>`),
  '/script-then-text': () => coded('gzip', gzipSync(`<script>${'x'.repeat(9_900_000)}</script><p>after</p>`)),
  '/deep': () => coded('gzip', gzipSync('<div>'.repeat(380_000))),
  '/endless-tag': () => coded('gzip', gzipSync(`<a b="${'\0\r\n'.repeat(3_300_000)}`)),
  '/json-ld-last': () =>
    page(`<p>${'x'.repeat(600_000)}</p><script type="application/ld+json">${jsonLd}</script>`),
  '/identity': () => coded('identity', Buffer.from('abc')),
  '/gzip': () => coded('gzip', gzipSync('abc')),
  '/x-gzip': () => coded('x-gzip', gzipSync('abc')),
  '/br': () => coded('br', brotliCompressSync('abc')),
  '/deflate': () => coded('deflate', deflateSync('abc')),
  '/deflate-raw': () => coded('deflate', deflateRawSync('abc')),
  '/gzip-members': () => coded('gzip', Buffer.concat([gzipSync('abc'), gzipSync('def')])),
  '/gzip-garbage': () => coded('gzip', Buffer.concat([gzipSync('abc'), Buffer.from('garbage')])),
  '/gzip-no-trailer': () => coded('gzip', gzipSync('abc').subarray(0, -8)),
  '/gzip-cut': () => coded('gzip', gzipSync(article).subarray(0, -40)),
  '/json': () => page('{"a": 1, "b": "<script>"}', { 'content-type': 'application/json' }),
  '/feed.xml': () =>
    page('<?xml version="1.0"?><rss><!-- x --></rss>', { 'content-type': 'application/rss+xml' }),
  '/text': () => page('plain <script>', { 'content-type': 'text/plain' }),
  '/untyped-html': () => page('<!doctype html><p>x', {}),
  '/untyped-text': () => page('just text', {}),
  '/untyped-binary': () => page(Buffer.from([0x7f, 0x45, 0x4c, 0x46, 0, 1, 2]), {}),
  '/malformed-type': () => page('<html>x', { 'content-type': 'html' }),
  '/two-types': () => page('<p>x', { 'content-type': ['application/pdf', 'text/html'] }),
  '/refresh': () =>
    page('<meta http-equiv=refresh content="0;url=http://127.0.0.1/">', {
      ...html,
      refresh: '0;url=http://127.0.0.1/',
    }),
  '/set-cookie': () => ({
    status: 302,
    headers: { location: 'http://other.site.com/echo', 'set-cookie': 'a=b; Domain=site.com' },
  }),
  '/a': () => ({ status: 302, headers: { location: '/b' } }),
  '/b': () => ({ status: 302, headers: { location: '/a' } }),
  '/two-locations': () => ({
    status: 302,
    headers: { location: ['http://93.184.216.34/', 'http://127.0.0.1/'] },
  }),
  '/no-location': () => ({ status: 302, headers: html, body: 'moved' }),
  '/status-300': () => ({ status: 300, headers: { ...html, location: 'http://127.0.0.1/' }, body: 'choose' }),
  '/dir/up': () => ({ status: 302, headers: { location: '../emoji' } }),
  '/latin1': () => ({ status: 302, headers: { location: Buffer.from('/café').toString('latin1') } }),
  '/caf%C3%A9': () => page('café'),
};

export function serve(request: IncomingMessage, response: ServerResponse, onBody: () => void): void {
  const url = new URL(request.url ?? '/', 'http://x');
  const send = ({ status = 200, headers = {}, body = '' }: Page): void => {
    response.writeHead(status, headers);
    response.end(body);
  };
  const parameter = (name: string): string => url.searchParams.get(name) ?? '';
  switch (url.pathname) {
    case '/echo':
      return send(
        page(JSON.stringify({ ...request.headers, method: request.method }), {
          'content-type': 'application/json',
        }),
      );
    case '/redirect':
      // The way servers send UTF-8.
      return send({
        status: Number(parameter('status')),
        headers: { location: Buffer.from(parameter('to')).toString('latin1') },
      });
    case '/count': {
      const n = Number(parameter('n'));
      return send(n === 0 ? page('<p>end</p>') : { status: 302, headers: { location: `/count?n=${n - 1}` } });
    }
    case '/endless-redirect':
      response.writeHead(302, { location: '/' });
      response.write('x'.repeat(100_000));
      return;
    case '/silent':
      return;
    case '/charset': {
      const { bytes } = encodings[parameter('bytes')] ?? { bytes: [] };
      const type = parameter('header') === '' ? 'text/html' : `text/html; charset=${parameter('header')}`;
      const meta = parameter('meta') === '' ? '' : `<meta charset="${parameter('meta')}">`;
      return send(page(Buffer.concat([Buffer.from(meta), Buffer.from(bytes)]), { 'content-type': type }));
    }
    case '/bom': {
      const marks: Record<string, Buffer> = {
        'utf-8': Buffer.from('\ufeffé', 'utf8'),
        'utf-16le': Buffer.from('\ufeffé', 'utf16le'),
        'utf-16be': Buffer.from('\ufeffé', 'utf16le').swap16(),
      };
      return send(
        page(marks[parameter('mark')] ?? '', { 'content-type': 'text/html; charset=windows-1252' }),
      );
    }
    case '/type':
      // The body comes later, so that an early end of the connection shows.
      response.writeHead(200, { 'content-type': parameter('type') });
      response.flushHeaders();
      setTimeout(() => {
        if (!response.destroyed && !response.closed) onBody();
        response.end('body');
      }, 300);
      return;
    default:
      return send(pages[url.pathname]?.() ?? { status: 404, headers: html, body: '<p>not found</p>' });
  }
}
