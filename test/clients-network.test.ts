/** Our own clients on the way to a relay: proxies, redirects, TLS and time are alike in each of their runtimes. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after } from 'node:test';
import { makeCertificates } from './pages/certificates.ts';
import { checkCases, clientKey, type ClientCase } from './support/client-cases.ts';
import { clientRuntimes } from './support/clients.ts';
import { startConnectProxy, type ConnectProxy } from './support/connect-proxy.ts';
import { serveHttp, serveTcp, type Answering, type Faulty } from './support/faulty-server.ts';
import { closedPort } from './support/ports.ts';

const project = mkdtempSync(join(tmpdir(), 'relay-clients-'));
const certificates = makeCertificates(project, 'DNS:relay.invalid,DNS:localhost,IP:127.0.0.1');
/** Where a redirect leads, and a proxy that no client has a reason to use. */
const elsewhere = await serveHttp((_request, response) => response.end());
const trap = await startConnectProxy();
/** It accepts no connection, and the kernel answers no more of them when enough wait. */
const silentHost = spawn(process.execPath, [
  '--eval',
  `const server = require('node:net').createServer().listen(0, '127.0.0.1', 1, () => {
     require('node:fs').writeSync(1, String(server.address().port));
     Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
   });`,
]);
const silentPort = String((await once(silentHost.stdout, 'data'))[0]);
const unanswered = Array.from({ length: 4 }, () => connect(Number(silentPort), '127.0.0.1'));
after(async () => {
  for (const each of unanswered) each.destroy();
  silentHost.kill('SIGKILL');
  await elsewhere.close();
  await trap.close();
  rmSync(project, { recursive: true, force: true });
  assert.equal(elsewhere.count(), 0, 'the key went where a redirect leads');
  assert.deepEqual([trap.plain, trap.tunnels], [[], []], 'the proxy of the environment was used');
});

const done = JSON.stringify({
  type: 'done',
  ok: true,
  model: 'opus',
  resolved_model: 'claude-opus-5-5',
  duration_ms: 1,
  result: 'hello',
  stop_reason: 'end_turn',
  usage: {},
});
const answers: Answering = (_request, response) => response.end(done);
const calls = ['complete', 'stream', 'models'] as const;

const redirects: ClientCase[] = [301, 302, 303, 307, 308].flatMap((status) =>
  calls.map((call): ClientCase => ({
    name: `${call} does not follow a redirect with ${status}, and names its target`,
    call,
    serve: () =>
      serveHttp(({ url }, response) =>
        response.writeHead(status, { location: `${elsewhere.url}${url}` }).end(),
      ),
    expect: {
      code: 'not_a_relay',
      status,
      attempts: 1,
      says: new RegExp(
        `It redirects to ${elsewhere.url}: if the relay is there, set CLAUDE_RELAY_URL to that`,
      ),
    },
  })),
);
const places: Record<string, (url: string) => [location: string, place: string]> = {
  'to https': (url) => [`https://relay.invalid${url}`, 'https://relay.invalid'],
  'to a login page': () => [`${elsewhere.url}/login?next=secret`, `${elsewhere.url}/login`],
  'to itself, for ever': (url) => [url, 'http://127.0.0.1:\\d+'],
  'to another path of the host': () => ['/login', 'http://127.0.0.1:\\d+/login'],
  'to an invalid URL': () => ['http://[', 'http://\\['],
};
for (const [name, placed] of Object.entries(places)) {
  redirects.push({
    name: `a redirect ${name} is not followed, and its target is named`,
    serve: () =>
      serveHttp(({ url }, response) => response.writeHead(308, { location: placed(String(url))[0] }).end()),
    expect: {
      code: 'not_a_relay',
      status: 308,
      attempts: 1,
      says: new RegExp(`It redirects to ${placed('')[1]}: if`),
    },
  });
}

/** No proxy at all. */
const off = { https_proxy: '', HTTPS_PROXY: '', all_proxy: '', ALL_PROXY: '' };
const secure = (tls: { key: string; cert: string }) => () => serveHttp(answers, { tls });
const tls: ClientCase[] = [
  {
    name: 'a certificate of a private authority is accepted',
    serve: secure(certificates.good),
    expect: { value: 'hello' },
  },
  ...Object.entries({
    'of an unknown authority': certificates.selfSigned,
    'for another name': certificates.wrongName,
    'that has expired': certificates.expired,
  }).flatMap(([name, certificate]) =>
    calls.map((call): ClientCase => ({
      name: `${call} with a certificate ${name} is tls_failed without a retry`,
      call,
      serve: () => countConnections(secure(certificate)),
      expect: {
        code: 'tls_failed',
        attempts: 1,
        says: /^No secure connection to the relay at https:\/\/127\.0\.0\.1:\d+: .* (NODE_EXTRA_CA_CERTS|SSL_CERT_FILE) /,
      },
    })),
  ),
  ...(['complete', 'stream'] as const).flatMap((call) =>
    [`https://127.0.0.1:${closedPort}`, 'https://relay.invalid'].map((url): ClientCase => ({
      name: `${call} without a connection for TLS is connection_failed: ${url}`,
      call,
      client: { url },
      env: off,
      expect: { code: 'connection_failed', says: /^No connection to the relay at https:/ },
    })),
  ),
  {
    name: 'https to an http server is tls_failed',
    serve: () => countConnections(() => serveHttp(answers)),
    url: (server) => `https://127.0.0.1:${server?.port}`,
    expect: { code: 'tls_failed', attempts: 1 },
  },
  {
    name: 'http to an https server is connection_failed',
    serve: secure(certificates.good),
    url: (server) => `http://127.0.0.1:${server?.port}`,
    expect: { code: 'connection_failed', attempts: 0 },
  },
  {
    name: 'a connection that ends in the handshake is retried',
    serve: () => serveTcp({ atFirst: (socket) => socket.end() }, 'https'),
    expect: { code: 'connection_failed', attempts: 2 },
  },
];

/** A server whose attempts are its connections, for what never becomes a request. */
async function countConnections(serve: () => Promise<Faulty>): Promise<Faulty> {
  const behind = await serve();
  const { connect } = await import('node:net');
  const front = await serveTcp(
    {
      atOnce: (socket) => {
        const on = connect(behind.port, '127.0.0.1');
        socket.pipe(on).pipe(socket);
        on.on('error', () => {}).on('close', () => socket.destroy());
        socket.on('close', () => on.destroy());
      },
    },
    behind.url.split(':')[0],
  );
  return {
    ...front,
    requests: behind.requests,
    close: async () => {
      await Promise.all([front.close(), behind.close()]);
    },
  };
}

type Proxied = Faulty & { proxy: ConnectProxy };
const isProxied = (server: Faulty): server is Proxied => 'proxy' in server;
const proxyOf = (server: Faulty): ConnectProxy => {
  assert.ok(isProxied(server));
  return server.proxy;
};
/** A relay with TLS that only the proxy can find; the attempts are the tunnels. */
const proxied =
  (answer?: (client: Socket) => void, certificate = certificates.good) =>
  async (): Promise<Proxied> => {
    const [proxy, relay] = [await startConnectProxy(answer), await serveHttp(answers, { tls: certificate })];
    return {
      ...relay,
      url: `https://relay.invalid:${relay.port}`,
      proxy,
      count: () => proxy.tunnels.length,
      close: async () => {
        await Promise.all([proxy.close(), relay.close()]);
      },
    };
  };
const through = (server: Faulty): Record<string, string> => ({ https_proxy: proxyOf(server).url });
const withCredentials = (url: string): string => url.replace('//', '//me:p%40ss@');

const proxies: ClientCase[] = [
  ...calls.slice(0, 2).map((call): ClientCase => ({
    name: `${call} over https uses a tunnel of the proxy, which sees no key`,
    call,
    serve: proxied(),
    env: through,
    expect: { attempts: 1 },
    check: (server, { value, error }) => {
      assert.equal(error, undefined);
      assert.ok(value === 'hello' || (value as { value: string }).value === 'hello');
      const { tunnels, text } = proxyOf(server);
      assert.deepEqual(tunnels, [{ place: `relay.invalid:${server.port}`, credentials: undefined }]);
      assert.ok(text().length > 500 && !text().includes(clientKey) && !text().includes('v1/complete'));
      assert.equal(server.requests[0]?.headers.host, `relay.invalid:${server.port}`);
      assert.equal(server.requests[0]?.headers['proxy-authorization'], undefined);
    },
  })),
  ...Object.entries({
    'HTTPS_PROXY in capitals': (url: string) => ({ ...off, HTTPS_PROXY: url }),
    ALL_PROXY: (url: string) => ({ ...off, ALL_PROXY: url }),
    'a proxy without its scheme': (url: string) => ({ https_proxy: url.slice('http://'.length) }),
    'a proxy for a host that only resembles NO_PROXY': (url: string) => ({
      https_proxy: url,
      no_proxy: 'elay.invalid, relay.invalid:1,relay.invalid.org',
    }),
  }).map(([name, env]): ClientCase => ({
    name: `${name} is used`,
    serve: proxied(),
    env: (server) => env(proxyOf(server).url),
    expect: { value: 'hello', attempts: 1 },
  })),
  {
    name: "the proxy's user name and password are sent to the proxy only",
    serve: proxied(),
    env: (server) => ({ https_proxy: withCredentials(proxyOf(server).url) }),
    expect: { value: 'hello', attempts: 1 },
    check: (server) => {
      assert.equal(proxyOf(server).tunnels[0]?.credentials, `Basic ${btoa('me:p@ss')}`);
      assert.equal(server.requests[0]?.headers['proxy-authorization'], undefined);
    },
  },
  ...[403, 407, 500, 502, 503].map((status): ClientCase => ({
    name: `a proxy that refuses with ${status} is connection_failed`,
    call: 'stream',
    serve: proxied((client) => client.end(`HTTP/1.1 ${status} No\r\ncontent-length: 0\r\n\r\n`)),
    env: (server) => ({ https_proxy: withCredentials(proxyOf(server).url) }),
    expect: {
      code: 'connection_failed',
      status,
      attempts: status > 500 ? 2 : 1,
      says: new RegExp(
        `^The proxy 127\\.0\\.0\\.1:\\d+ answered ${status} .* https://relay\\.invalid:\\d+\\. .*NO_PROXY`,
      ),
    },
  })),
  {
    name: 'a proxy that is down is named without its password',
    serve: proxied(),
    env: () => ({ https_proxy: `http://me:secret@127.0.0.1:${closedPort}` }),
    expect: {
      code: 'connection_failed',
      attempts: 0,
      says: /relay\.invalid:\d+ \(through the proxy 127\.0\.0\.1:\d+\): (?!.*secret)/,
    },
  },
  {
    name: 'a proxy that hangs up is retried',
    serve: proxied((client) => client.destroy()),
    env: through,
    expect: { code: 'connection_failed', attempts: 2 },
  },
  {
    name: 'a proxy that does not speak HTTP is not_a_relay',
    serve: proxied((client) => client.end('SSH-2.0-OpenSSH_9.2\r\n')),
    env: through,
    expect: { code: 'not_a_relay', attempts: 1, says: /through the proxy/ },
  },
  {
    name: 'a silent proxy ends in client_timeout',
    serve: proxied(() => {}),
    env: through,
    client: { timeoutMs: 5000 },
    expect: { code: 'client_timeout', attempts: 1 },
  },
  {
    name: 'a proxy with an endless header is connection_failed',
    serve: proxied((client) => drip(client, 'HTTP/1.1 200 OK\r\nx-slow: ')),
    env: through,
    client: { maxRetries: 0 },
    shortConnectLimit: true,
    expect: { code: 'connection_failed', attempts: 1, says: /no connection within \d+ s/ },
  },
  {
    name: 'the certificate of the relay is checked through a proxy',
    serve: proxied(undefined, certificates.wrongName),
    env: through,
    expect: { code: 'tls_failed', attempts: 1 },
  },
  ...['*', 'relay.invalid', 'other.org, .invalid', '*.invalid other.org', 'RELAY.invalid', 'PORT'].map(
    (list): ClientCase => ({
      name: `NO_PROXY=${list} bypasses the proxy`,
      serve: proxied(),
      env: (server) => ({
        ...through(server),
        no_proxy: list.replace('PORT', `relay.invalid:${server.port}`),
      }),
      // Without the proxy there is no such name.
      expect: { code: 'connection_failed', attempts: 0, says: /at https:\/\/relay\.invalid:\d+: / },
    }),
  ),
  {
    name: 'http uses no proxy, which would see the key',
    serve: proxied(),
    env: through,
    url: () => 'http://relay.invalid',
    expect: { code: 'connection_failed', attempts: 0, says: /at http:\/\/relay\.invalid: / },
  },
  ...['localhost', '127.0.0.1'].map((host): ClientCase => ({
    name: `https to ${host} uses no proxy`,
    serve: secure(certificates.good),
    url: (server) => `https://${host}:${server?.port}`,
    expect: { value: 'hello', attempts: 1 },
  })),
  ...['socks5://me:secret@127.0.0.1:9', 'https://127.0.0.1:9', 'http://', 'http://127.0.0.1:99999'].map(
    (proxy): ClientCase => ({
      name: `the unsupported proxy ${proxy} is bad_config`,
      serve: proxied(),
      env: () => ({ https_proxy: proxy }),
      expect: {
        code: 'bad_config',
        attempts: 0,
        says: /^The proxy in HTTPS_PROXY or ALL_PROXY is not an http:\/\/ URL\. .* relay\.invalid to NO_PROXY\.$/,
      },
    }),
  ),
  {
    name: 'an unsupported proxy is ignored for a relay on this host',
    serve: secure(certificates.good),
    env: () => ({ https_proxy: 'socks5://127.0.0.1:9' }),
    expect: { value: 'hello' },
  },
];

/** Sends a byte now and then, without end. */
function drip(socket: Socket, begin: string): void {
  socket.write(begin);
  const timer = setInterval(() => socket.write('0'), 100);
  socket.on('error', () => {}).on('close', () => clearInterval(timer));
}

const half = 'data: {"type":"delta","text":"half"}\n\n';
const silent: Answering = (_request, response) =>
  void response.writeHead(200, { 'content-type': 'text/event-stream' }).write(half);
const busy: Answering = (_request, response) =>
  response.writeHead(503, { 'retry-after': '20' }).end('{"ok":false,"error":"not_ready","message":"Soon."}');

const times: ClientCase[] = [
  {
    name: 'a host that does not answer a connection is connection_failed',
    client: { url: `http://127.0.0.1:${silentPort}`, maxRetries: 0 },
    shortConnectLimit: true,
    expect: { code: 'connection_failed', says: /no connection within \d+ s/ },
  },
  {
    name: 'a host that does not answer within a short timeout ends in client_timeout',
    client: { url: `http://127.0.0.1:${silentPort}`, timeoutMs: 5000 },
    expect: { code: 'client_timeout', says: /5000 ms|5(?:\.0)? s/ },
  },
  {
    name: 'a stream is retried after a handshake without an answer',
    call: 'stream',
    serve: () => serveTcp({}, 'https'),
    shortConnectLimit: true,
    expect: { code: 'connection_failed', attempts: 2, says: /no connection within \d+ s/ },
  },
  {
    name: 'a handshake without an answer within a short timeout ends in client_timeout',
    serve: () => serveTcp({}, 'https'),
    client: { timeoutMs: 5000 },
    expect: { code: 'client_timeout', attempts: 1 },
  },
  {
    name: 'the time limit of a connection does not apply to the answer',
    serve: () => serveHttp(() => {}),
    client: { timeoutMs: 5000 },
    shortConnectLimit: true,
    expect: { code: 'client_timeout', attempts: 1 },
  },
  ...Object.entries({
    'the status line': 'HTTP/1.1 200 ',
    headers: 'HTTP/1.1 200 OK\r\nx-slow: ',
    'the size of a chunk': 'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n',
    'a body': 'HTTP/1.1 200 OK\r\ncontent-length: 9999\r\n\r\n',
    'the body of an error': 'HTTP/1.1 503 No\r\ncontent-length: 9999\r\n\r\n',
  }).map(([where, begin]): ClientCase => ({
    name: `an endless trickle of bytes in ${where} ends in client_timeout`,
    serve: () => serveTcp({ atFirst: (socket) => drip(socket, begin) }),
    client: { timeoutMs: 5000 },
    expect: { code: 'client_timeout', attempts: 1 },
  })),
  {
    name: 'a stream that falls silent ends in client_timeout',
    call: 'stream',
    serve: () => serveHttp(silent),
    client: { timeoutMs: 5000 },
    expect: { code: 'client_timeout', deltas: ['half'], attempts: 1 },
  },
  {
    name: 'the timeout covers all attempts',
    serve: () =>
      serveHttp((_request, response, count) => {
        if (count === 1)
          response.writeHead(503, { 'retry-after': '0' }).end('{"ok":false,"error":"not_ready"}');
      }),
    client: { timeoutMs: 10_000 },
    expect: { code: 'client_timeout', attempts: 2 },
  },
  {
    name: "a call's timeout replaces the client's",
    serve: () => serveHttp(() => {}),
    client: { timeoutMs: 60_000 },
    options: { prompt: 'hi', timeoutMs: 5000 },
    expect: { code: 'client_timeout', attempts: 1, says: /5000 ms|5(?:\.0)? s/ },
  },
  {
    name: 'leaving a stream closes its connection',
    call: 'stream',
    serve: () => serveHttp(silent),
    leaveAfter: 1,
    expect: { code: 'aborted', deltas: ['half'], attempts: 1 },
  },
  ...Object.entries({
    'a handshake': () => serveTcp({}, 'https'),
    'an answer': () => serveHttp(() => {}),
    'the rest of an answer': () => serveHttp(silent),
    'a retry': () => serveHttp(busy),
  }).map(([what, serve]): ClientCase => ({
    name: `an abort during ${what} ends the call`,
    serve,
    abortWhen: (server) => server.count() === 1,
    expect: { code: 'aborted', attempts: 1 },
  })),
  {
    name: 'an abort ends a stream that has begun',
    call: 'stream',
    serve: () => serveHttp(silent),
    abortWhen: (server) => server.count() === 1,
    expect: { code: 'aborted', deltas: ['half'], attempts: 1 },
  },
];

checkCases(clientRuntimes(project), [...redirects, ...tls, ...proxies, ...times], {
  ...Object.fromEntries(
    ['http_proxy', 'https_proxy', 'all_proxy', 'HTTP_PROXY', 'HTTPS_PROXY', 'ALL_PROXY'].map((name) => [
      name,
      trap.url,
    ]),
  ),
  NODE_USE_ENV_PROXY: '1',
  NODE_EXTRA_CA_CERTS: certificates.authority,
  SSL_CERT_FILE: certificates.authority,
  NODE_TLS_REJECT_UNAUTHORIZED: '0',
});
