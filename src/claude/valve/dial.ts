/** A connection to the API's host, through the proxy of the host itself where it has one. */
import { request } from 'node:http';
import { request as requestTls } from 'node:https';
import { connect, isIP, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { HostEnv } from '../lock.ts';

/** How the reason begins when the host's own proxy refuses a connection. */
export const proxyFailure = 'the proxy of the host answered';

/** A hot process keeps its connection; a router forgets one that is silent for long. */
const keepAliveMs = 60_000;

/** Rejects with a sentence. The attempt ends when `child` closes: nobody waits for it. */
export async function dial(target: URL, proxy: URL | undefined, child: Duplex): Promise<Socket> {
  const port = Number(target.port || 443);
  const socket =
    proxy === undefined
      ? await direct(bare(target.hostname), port, child)
      : await throughProxy(proxy, `${target.hostname}:${port}`, child);
  return socket.setNoDelay(true).setKeepAlive(true, keepAliveMs);
}

async function direct(host: string, port: number, child: Duplex): Promise<Socket> {
  const socket = connect({ host, port });
  socket.on('error', () => {});
  child.once('close', () => socket.destroy());
  return connected(socket);
}

/** Rejects also when the socket is closed before. */
export async function connected(socket: Socket): Promise<Socket> {
  if (!socket.connecting) return socket;
  const { promise, resolve, reject } = Promise.withResolvers<Socket>();
  socket.once('connect', () => resolve(socket));
  socket.once('error', reject);
  socket.once('close', () => reject(new Error('the connection was given up')));
  return promise;
}

async function throughProxy(proxy: URL, place: string, child: Duplex): Promise<Socket> {
  const { protocol, hostname, port } = proxy;
  const secured = protocol === 'https:';
  const host = bare(hostname);
  const asked = (secured ? requestTls : request)({
    host,
    // Without it, a proxy with TLS would have to be the host that the header names.
    servername: isIP(host) === 0 ? host : '',
    port: port || (secured ? 443 : 80),
    method: 'CONNECT',
    path: place,
    agent: false,
    headers: {
      host: place,
      ...credentialsFor(proxy),
    },
  });
  const { promise, resolve, reject } = Promise.withResolvers<Socket>();
  child.once('close', () => asked.destroy());
  asked.on('error', reject);
  asked.on('connect', ({ statusCode = 0 }, socket: Socket, first) => {
    socket.on('error', () => {});
    if (statusCode < 200 || statusCode > 299) {
      socket.destroy();
      return reject(new Error(`${proxyFailure} ${statusCode}`));
    }
    if (first.length > 0) socket.unshift(first);
    return resolve(socket);
  });
  asked.end();
  return promise;
}

/** The header in which the host's proxy gets its user and password; none without a user. */
export function credentialsFor({ username, password }: URL): Record<string, string> {
  if (username === '') return {};
  const text = `${decoded(username)}:${decoded(password)}`;
  return { 'proxy-authorization': `Basic ${Buffer.from(text).toString('base64')}` };
}

/** A `%` that begins no escape stands for itself, as in curl. */
function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** The host's proxy for a URL; undefined without one, and for a host that `NO_PROXY` names. */
export function proxyFor({ protocol, hostname, port }: URL, hostEnv: HostEnv): URL | undefined {
  const variable = protocol === 'http:' ? 'HTTP_PROXY' : 'HTTPS_PROXY';
  const valueOf = (name: string): string => hostEnv[name.toLowerCase()] || hostEnv[name] || '';
  const proxy = valueOf(variable);
  if (proxy === '') return undefined;
  const ownPort = port || (protocol === 'http:' ? '80' : '443');
  const isException = valueOf('NO_PROXY')
    .toLowerCase()
    .split(/[\s,]+/)
    .some((exception) => {
      if (exception === '*') return true;
      // A name, an IPv4 address, or an IPv6 address in brackets, each with or without a port; or an IPv6 address.
      const [, name, only = ownPort] =
        /^(?:\*?\.)?(\[.+\]|[^:]+)(?::(\d+))?$/.exec(exception) ?? ([undefined, exception] as const);
      return name !== '' && only === ownPort && `.${bare(hostname)}`.endsWith(`.${bare(name ?? '')}`);
    });
  if (isException) return undefined;
  const url = URL.parse(proxy.includes('://') ? proxy : `http://${proxy}`);
  if (url === null || !/^https?:$/.test(url.protocol))
    throw new Error(`${variable} is not an http or https URL`);
  return url;
}

/** An IPv6 address without its brackets. */
function bare(hostname: string): string {
  return hostname.replaceAll(/^\[|\]$/g, '');
}
