/** Raw TCP servers: one for each way in which a reply can be wrong, and the expected outcome. */
import type { Socket } from 'node:net';
import { setTimeout } from 'node:timers/promises';
import { brotliCompressSync, constants, deflateSync, gzipSync } from 'node:zlib';

export type RawReply = {
  readonly send: (socket: Socket) => void | Promise<void>;
  /** The expected error code. */
  readonly code?: string;
  readonly html?: string;
  readonly truncated?: boolean;
  readonly status?: number;
  readonly timeoutMs?: number;
  /** The reply goes on as long as it is read, or decodes to much more. Its memory is measured. */
  readonly endless?: true;
};

const text = (reply: string) => (socket: Socket) => void socket.end(Buffer.from(reply, 'latin1'));
const open = (reply: string) => (socket: Socket) => void socket.write(Buffer.from(reply, 'latin1'));
const html = 'HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\n';

/** Writes for as long as the other side reads. */
const flood = (head: string, piece: () => Buffer | string, everyMs?: number) => async (socket: Socket) => {
  socket.write(head);
  while (!socket.destroyed) {
    const drained = socket.write(piece());
    if (everyMs !== undefined) await setTimeout(everyMs);
    else if (!drained)
      await Promise.race([
        new Promise((r) => socket.once('drain', r)),
        new Promise((r) => socket.once('close', r)),
      ]);
    else await setTimeout(0);
  }
};

const block = Buffer.alloc(65_536, 'x');
const chunkOf = (data: Buffer): Buffer =>
  Buffer.concat([Buffer.from(`${data.length.toString(16)}\r\n`), data, Buffer.from('\r\n')]);
const encoded = (coding: string, make: () => Buffer) => (socket: Socket) => {
  const body = make();
  socket.write(`${html}Content-Encoding: ${coding}\r\nContent-Length: ${body.length}\r\n\r\n`);
  socket.end(body);
};

const protocol = { code: 'upstream_protocol' } as const;
const late = { code: 'timeout', timeoutMs: 1500 } as const;

export const rawReplies = {
  'HTTP/0.9': { send: text('<html>hello</html>'), ...protocol },
  'SSH banner': { send: text('SSH-2.0-OpenSSH_9.7 secret-banner\r\n'), ...protocol },
  'SSH banner, left open': { send: open('SSH-2.0-OpenSSH_9.7 secret-banner\r\n'), ...protocol },
  'SMTP banner': { send: text('220 mail.internal secret-banner ESMTP\r\n'), ...protocol },
  'Redis error': { send: text('-ERR unknown command secret-banner\r\n'), ...protocol },
  'close at once': { send: text(''), ...protocol },
  'reset at once': { send: (socket) => void socket.resetAndDestroy(), ...protocol },
  'no reply': { send: () => {}, ...late },
  'half a status line': { send: open('HTTP/1.1 20'), ...late },
  'half a header': { send: text('HTTP/1.1 200 OK\r\nContent-Ty'), ...protocol },
  'endless headers': {
    endless: true,
    send: flood('HTTP/1.1 200 OK\r\n', () => 'X-A: aaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n'),
    code: 'headers_too_large',
  },
  'one endless header': {
    endless: true,
    send: flood('HTTP/1.1 200 OK\r\nX-A: ', () => block),
    code: 'headers_too_large',
  },
  'one endless status line': { endless: true, send: flood('HTTP/1.1 200 ', () => block) },
  'NUL in a header': { send: text(`${html}X: a\0b\r\n\r\nx`), ...protocol },
  'folded header': { send: text(`${html}X: a\r\n b\r\n\r\nx`), ...protocol },
  'space before the colon': { send: text('HTTP/1.1 200 OK\r\nContent-Length : 1\r\n\r\nx'), ...protocol },
  'negative length': { send: text(`${html}Content-Length: -1\r\n\r\nx`), ...protocol },
  'an invalid length': { send: text(`${html}Content-Length: 1x\r\n\r\nx`), ...protocol },
  'two lengths': { send: text(`${html}Content-Length: 1\r\nContent-Length: 2\r\n\r\nxx`), ...protocol },
  'length and chunked': {
    send: text(`${html}Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`),
    ...protocol,
  },
  'an invalid chunk size': {
    send: text(`${html}Transfer-Encoding: chunked\r\n\r\nzz\r\nx\r\n0\r\n\r\n`),
    ...protocol,
  },
  'chunk size that overflows': {
    send: text(`${html}Transfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\nx`),
    ...protocol,
  },
  'status 000': { send: text('HTTP/1.1 000 X\r\n\r\n'), ...protocol },
  'status 99': { send: text('HTTP/1.1 99 X\r\n\r\n'), ...protocol },
  'status of four digits': { send: text('HTTP/1.1 2000 X\r\n\r\n'), ...protocol },
  '101 Switching Protocols': {
    send: text('HTTP/1.1 101 X\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n'),
    ...protocol,
  },
  'HTTP/9.9': { send: text('HTTP/9.9 200 OK\r\n\r\nx'), ...protocol },
  '103 every 50 ms': { send: flood('', () => 'HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n', 50), ...late },
  '103 as fast as it goes': {
    endless: true,
    send: flood('', () => 'HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n'.repeat(500)),
  },
  'a byte of the body every 50 ms': { send: flood(`${html}\r\n`, () => 'x', 50), ...late },
  'a byte of a header every 50 ms': { send: flood('HTTP/1.1 200 OK\r\nX: ', () => 'x', 50), ...late },
  'length of a terabyte, three bytes': {
    send: open(`${html}Content-Length: 999999999999\r\n\r\nabc`),
    ...late,
  },
  'length of a terabyte, closed': {
    send: text(`${html}Content-Length: 999999999999\r\n\r\nabc`),
    html: 'abc',
    truncated: true,
  },
  'shorter than its length': {
    send: text(`${html}Content-Length: 10\r\n\r\nabc`),
    html: 'abc',
    truncated: true,
  },
  'chunked, closed early': {
    send: text(`${html}Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n`),
    html: 'abc',
    truncated: true,
  },
  'longer than its length': {
    send: text(`${html}Content-Length: 3\r\n\r\nabcdef`),
    html: 'abc',
    truncated: false,
  },
  'no length, closed': { send: text(`${html}\r\nabc`), html: 'abc', truncated: false },
  'HTTP/1.0': {
    send: text('HTTP/1.0 200 OK\r\nContent-Type: text/html\r\n\r\nabc'),
    html: 'abc',
    truncated: false,
  },
  'reset in the middle of the body': {
    send: async (socket) => {
      socket.write(`${html}Content-Length: 10\r\n\r\nabc`);
      await setTimeout(300);
      socket.resetAndDestroy();
    },
    html: 'abc',
    truncated: true,
  },
  'line feeds alone': { send: text('HTTP/1.1 200 OK\nContent-Type: text/html\n\nabc'), ...protocol },
  'two lengths that agree': {
    send: text(`${html}Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc`),
    ...protocol,
  },
  'a length twice in one': { send: text(`${html}Content-Length: 3, 3\r\n\r\nabc`), ...protocol },
  'length with a sign': { send: text(`${html}Content-Length: +3\r\n\r\nabc`), ...protocol },
  'chunked twice': {
    send: text(`${html}Transfer-Encoding: chunked, chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n`),
    ...protocol,
  },
  'transfer coding that was not asked for': {
    send: text(`${html}Transfer-Encoding: gzip\r\n\r\nabc`),
    ...protocol,
  },
  'gzip as a transfer coding': {
    send: text(`${html}Transfer-Encoding: gzip, chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n`),
    ...protocol,
  },
  '103 Early Hints, then a page': {
    send: text(`HTTP/1.1 103 X\r\nLink: </a>\r\n\r\n${html}Content-Length: 3\r\n\r\nabc`),
    html: 'abc',
    truncated: false,
  },
  'two replies': {
    send: text(`${html}Content-Length: 3\r\n\r\nabc${html}Content-Length: 3\r\n\r\ndef`),
    html: 'abc',
    truncated: false,
  },
  '304 with a length': { send: text('HTTP/1.1 304 X\r\nContent-Length: 5\r\n\r\n'), html: '', status: 304 },
  '205 and a body': { send: text('HTTP/1.1 205 X\r\nContent-Length: 3\r\n\r\nabc'), status: 205 },
  'no reason phrase': { send: text(`HTTP/1.1 200\r\nContent-Type: text/html\r\n\r\nabc`), html: 'abc' },
  'an invalid status': { send: text('HTTP/1.1 2x0 OK\r\n\r\nx'), ...protocol },
  'HTTP/2 preface': { send: text('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'), ...protocol },
  'an ICY stream': { send: text('ICY 200 OK\r\nContent-Type: text/html\r\n\r\nabc'), ...protocol },
  'TLS to who speaks HTTP': { send: text('\x15\x03\x01\x00\x02\x02\x46'), ...protocol },
  'a body of NUL': {
    endless: true,
    send: (socket) => void socket.end(Buffer.concat([Buffer.from(`${html}\r\n`), Buffer.alloc(3_000_000)])),
    truncated: true,
  },
  '204 No Content': {
    send: text('HTTP/1.1 204 No Content\r\n\r\n'),
    html: '',
    truncated: false,
    status: 204,
  },
  '200 and empty': { send: text(`${html}Content-Length: 0\r\n\r\n`), html: '', truncated: false },
  '404 and empty, untyped': {
    send: text('HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n'),
    html: '',
    status: 404,
  },
  'status 999': {
    send: text('HTTP/1.1 999 X\r\nContent-Type: text/html\r\n\r\nabc'),
    html: 'abc',
    status: 999,
  },
  '503 with Retry-After': {
    send: text('HTTP/1.1 503 X\r\nRetry-After: 9\r\nContent-Type: text/html\r\n\r\nabc'),
    html: 'abc',
    status: 503,
  },
  'endless trailers': {
    endless: true,
    send: flood(`${html}Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n`, () =>
      'X-A: aaaaaaaaaaaaaaaa\r\n'.repeat(50),
    ),
    code: 'headers_too_large',
  },
  'chunk extension of 200 KB': {
    endless: true,
    send: text(`${html}Transfer-Encoding: chunked\r\n\r\n3;${'x'.repeat(200_000)}\r\nabc\r\n0\r\n\r\n`),
  },
  'endless chunk extension': {
    endless: true,
    send: flood(`${html}Transfer-Encoding: chunked\r\n\r\n3;`, () => block),
  },
  'endless body, at full speed': {
    endless: true,
    send: flood(`${html}Transfer-Encoding: chunked\r\n\r\n`, () => chunkOf(block)),
    truncated: true,
  },
  'gzip bomb of 200 MiB': {
    endless: true,
    send: encoded('gzip', () => gzipSync(Buffer.alloc(200 << 20, 'a'))),
    truncated: true,
  },
  'brotli bomb of 200 MiB': {
    endless: true,
    send: encoded('br', () =>
      brotliCompressSync(Buffer.alloc(200 << 20, 'a'), { params: { [constants.BROTLI_PARAM_QUALITY]: 1 } }),
    ),
    truncated: true,
  },
  'deflate bomb of 200 MiB': {
    endless: true,
    send: encoded('deflate', () => deflateSync(Buffer.alloc(200 << 20, 'a'))),
    truncated: true,
  },
  'gzip bomb of one endless tag': {
    endless: true,
    send: encoded('gzip', () => gzipSync(Buffer.concat([Buffer.from('<a b="'), Buffer.alloc(20 << 20)]))),
    truncated: true,
    html: '',
  },
  'gzip with an endless name': {
    endless: true,
    send: async (socket) => {
      socket.write(`${html}Content-Encoding: gzip\r\n\r\n`);
      socket.write(Buffer.from([0x1f, 0x8b, 8, 8, 0, 0, 0, 0, 0, 0]));
      await flood('', () => block)(socket);
    },
    html: '',
    truncated: true,
  },
  'gzip in gzip': {
    send: encoded('gzip, gzip', () => gzipSync(gzipSync('abc'))),
    code: 'unsupported_encoding',
  },
  'two coding headers': {
    send: encoded('gzip\r\nContent-Encoding: br', () => gzipSync('abc')),
    code: 'unsupported_encoding',
  },
  'gzip in br': {
    send: encoded('gzip, br', () => brotliCompressSync(gzipSync('abc'))),
    code: 'unsupported_encoding',
  },
  'a coding that nobody knows': {
    send: encoded('rot13', () => Buffer.from('abc')),
    code: 'unsupported_encoding',
  },
  'invalid brotli': { send: encoded('br', () => Buffer.from('<p>plain')), ...protocol },
  'invalid deflate': { send: encoded('deflate', () => Buffer.from('<p>plain')), ...protocol },
  zstd: { send: encoded('zstd', () => Buffer.from('abc')), code: 'unsupported_encoding' },
  'invalid gzip': { send: encoded('gzip', () => Buffer.from('<p>plain')), ...protocol },
  'gzip of nothing': { send: encoded('gzip', () => Buffer.alloc(0)), html: '', truncated: false },
} as const satisfies Record<string, RawReply>;

export const rawHost = (name: keyof typeof rawReplies): string =>
  `raw-${Object.keys(rawReplies).indexOf(name)}.site.com`;
