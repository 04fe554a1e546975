/** Connections to the API's host, direct and through the proxy of the host. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer as createSecureServer } from 'node:https';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Duplex } from 'node:stream';
import { afterEach, describe, test } from 'node:test';
import { getCACertificates, setDefaultCACertificates } from 'node:tls';
import { startConnectProxy } from '../../../test/support/connect-proxy.ts';
import { closedPort, listenOn } from '../../../test/support/ports.ts';
import { credentialsFor, dial, proxyFor } from './dial.ts';

const open: (() => Promise<void> | void)[] = [];
afterEach(async () => {
  for (const close of open.splice(0).toReversed()) await close();
});

/** A connection that stands for that of the process. */
async function child(): Promise<Socket> {
  const server = createServer((socket) => socket.on('error', () => {}));
  const socket = connect(await listenOn('127.0.0.1', server), '127.0.0.1');
  await once(socket, 'connect');
  open.push(() => {
    socket.destroy();
    server.close();
  });
  return socket;
}

async function echo(host = '127.0.0.1'): Promise<number> {
  const server = createServer((socket) => void socket.on('error', () => {}).pipe(socket));
  open.push(() => void server.close());
  return listenOn(host, server);
}

async function answered(socket: Socket): Promise<string> {
  socket.write('ping');
  const [bytes] = (await once(socket, 'data')) as [Buffer];
  socket.destroy();
  return bytes.toString();
}

test('an IPv4 and an IPv6 address are reached', async () => {
  for (const host of ['127.0.0.1', '::1']) {
    const place = host.includes(':') ? `[${host}]` : host;
    const url = new URL(`https://${place}:${await echo(host)}`);
    assert.equal(await answered(await dial(url, undefined, await child())), 'ping');
  }
});

test('a host that nothing listens on is reported with the reason', async () => {
  const url = new URL(`https://127.0.0.1:${closedPort}`);
  await assert.rejects(dial(url, undefined, await child()), /ECONNREFUSED/);
});

test('a host proxy gets the place and the credentials, and connects', async () => {
  const proxy = await startConnectProxy();
  open.push(() => proxy.close());
  const port = await echo();
  const via = new URL(proxy.url.replace('//', '//us%40er:p%3Aw@'));
  assert.equal(await answered(await dial(new URL(`https://api.test:${port}`), via, await child())), 'ping');
  const credentials = `Basic ${Buffer.from('us@er:p:w').toString('base64')}`;
  assert.deepEqual(proxy.tunnels, [{ place: `api.test:${port}`, credentials }]);
});

test('a host proxy with TLS is known by its own name', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'dial-'));
  const before = getCACertificates();
  const [key, cert] = [join(folder, 'key.pem'), join(folder, 'cert.pem')];
  const subject = ['-subj', '/CN=proxy', '-addext', 'subjectAltName=DNS:localhost'];
  const curve = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'];
  execFileSync('openssl', ['req', '-x509', ...curve, ...subject, '-keyout', key, '-out', cert], {
    stdio: 'pipe',
  });
  const proxy = createSecureServer({ key: readFileSync(key), cert: readFileSync(cert) });
  proxy.on('connect', (_request, client: Duplex) => client.end('HTTP/1.1 200 OK\r\n\r\nhello'));
  open.push(() => {
    setDefaultCACertificates(before);
    proxy.close();
    rmSync(folder, { recursive: true });
  });
  setDefaultCACertificates([...before, readFileSync(cert, 'utf8')]);
  const via = new URL(`https://localhost:${await listenOn('127.0.0.1', proxy)}`);
  const socket = await dial(new URL('https://api.test'), via, await child());
  assert.equal(String((await once(socket, 'data'))[0]), 'hello');
  socket.destroy();
});

test('a host proxy of another kind is refused with the name of its variable', () => {
  for (const HTTPS_PROXY of ['socks5://127.0.0.1:1080', 'http://:0:']) {
    assert.throws(() => proxyFor(new URL('https://api.test'), { HTTPS_PROXY }), {
      message: 'HTTPS_PROXY is not an http or https URL',
    });
  }
});

test('the credentials of a host proxy are decoded, and a % that begins no escape stays', () => {
  for (const [user, password, plain] of [
    ['us%3Aer', 'p%40w', 'us:er:p@w'],
    ['user', '50%', 'user:50%'],
    ['user', '', 'user:'],
  ]) {
    assert.deepEqual(credentialsFor(new URL(`http://${user}:${password}@proxy.test`)), {
      'proxy-authorization': `Basic ${Buffer.from(plain ?? '').toString('base64')}`,
    });
  }
  assert.deepEqual(credentialsFor(new URL('http://proxy.test')), {});
});

test('the first bytes of the API are kept when they come with the answer of the host proxy', async () => {
  const proxy = await startConnectProxy((client) => client.write('HTTP/1.1 200 OK\r\n\r\nfirst'));
  open.push(() => proxy.close());
  const socket = await dial(new URL('https://api.test'), new URL(proxy.url), await child());
  assert.equal(String((await once(socket, 'data'))[0]), 'first');
  socket.destroy();
});

test('the refusal of a host proxy is reported with its status', async () => {
  const proxy = await startConnectProxy((client) => client.end('HTTP/1.1 407 No\r\n\r\n'));
  open.push(() => proxy.close());
  await assert.rejects(dial(new URL('https://api.test'), new URL(proxy.url), await child()), {
    message: 'the proxy of the host answered 407',
  });
});

describe('an attempt ends when the process closes its connection', () => {
  test('while the host proxy says nothing', async () => {
    const proxy = await startConnectProxy(() => {});
    open.push(() => proxy.close());
    const waiting = await child();
    const dialled = dial(new URL('https://api.test'), new URL(proxy.url), waiting);
    setTimeout(() => waiting.destroy(), 50);
    await assert.rejects(dialled);
  });

  test('while the connection is being made', async () => {
    const server = createServer();
    open.push(() => void server.close());
    await listenOn('127.0.0.1', server);
    const { port } = server.address() as AddressInfo;
    const waiting = await child();
    const dialled = dial(new URL(`https://127.0.0.1:${port}`), undefined, waiting);
    waiting.emit('close');
    await assert.rejects(dialled, /given up/);
  });
});

const proxies: [url: string, env: Record<string, string>, proxy: string | undefined][] = [
  ['https://api.test', {}, undefined],
  ['https://api.test', { HTTP_PROXY: 'http://p:1' }, undefined],
  ['http://api.test', { HTTPS_PROXY: 'http://p:1' }, undefined],
  ['http://api.test', { HTTP_PROXY: 'http://p:1' }, 'http://p:1/'],
  ['https://api.test', { HTTPS_PROXY: 'p:1' }, 'http://p:1/'],
  ['https://api.test', { HTTPS_PROXY: 'https://p' }, 'https://p/'],
  ['https://api.test', { https_proxy: 'http://lower:1', HTTPS_PROXY: 'http://p:1' }, 'http://lower:1/'],
];
const exceptions: [url: string, noProxy: string, isException: boolean][] = [
  ['https://api.test', '*', true],
  ['https://api.test', 'other, api.test', true],
  ['https://api.test', 'API.test', true],
  ['https://api.test', '.test', true],
  ['https://api.test', '*.test', true],
  ['https://api.test', 'test', true],
  ['https://api.test', 'est', false],
  ['https://api.test', 'pi.test', false],
  ['https://api.test', '', false],
  ['https://api.test', ' , ', false],
  ['https://api.test', 'api.test:443', true],
  ['https://api.test', 'api.test:80', false],
  ['http://api.test', 'api.test:80', true],
  ['https://api.test:8443', 'api.test:8443', true],
  ['https://10.0.0.1', '10.0.0.1', true],
  ['https://[::1]:8443', '::1', true],
  ['https://[::1]:8443', '[::1]', true],
  ['https://[::1]:8443', '[::1]:8443', true],
  ['https://[::1]:8443', '[::1]:443', false],
  ['https://[fe80::1]', '::1', false],
];

test('the proxy of the host is the one for the scheme of the URL', () => {
  for (const [url, env, proxy] of proxies) {
    assert.equal(proxyFor(new URL(url), env)?.href, proxy, `${url} ${JSON.stringify(env)}`);
  }
  assert.throws(() => proxyFor(new URL('https://api.test'), { HTTPS_PROXY: 'http://:0:' }), {
    message: 'HTTPS_PROXY is not an http or https URL',
  });
});

test('NO_PROXY names hosts, their subdomains, addresses and ports', () => {
  for (const [url, noProxy, isException] of exceptions) {
    const env = { HTTPS_PROXY: 'http://p:1', HTTP_PROXY: 'http://p:1', NO_PROXY: noProxy };
    assert.equal(proxyFor(new URL(url), env) === undefined, isException, `${url} and ${noProxy}`);
  }
});
