/**
 * The relay's fetch without its guard, to measure the guard: one connection for one request through undici, with the same caps,
 * codings, charsets and strip. It judges no URL and no address, lets the system resolve the name, and does not check the socket.
 */
import { once } from 'node:events';
import { connect } from 'node:net';
import { defaultCaps } from '../src/pages/caps.ts';
import { acceptEncoding } from '../src/pages/read/decode.ts';
import { readPage } from '../src/pages/read/read.ts';
import type { PageRequest } from '../src/pages/request.ts';
import { secure, send } from '../src/pages/guard/transport.ts';

export async function fetchUnguarded(request: PageRequest, userAgent: string): Promise<string> {
  const { href, origin, hostname, pathname, search, protocol, port } = new URL(request.url);
  const target = {
    url: href,
    origin,
    path: pathname + search,
    secure: protocol === 'https:',
    host: hostname,
    literal: false,
    port: port === '' ? (protocol === 'https:' ? 443 : 80) : Number(port),
  };
  const headers = {
    'user-agent': userAgent,
    accept: 'text/html,application/xhtml+xml;q=0.9,*/*;q=0.1',
    'accept-encoding': acceptEncoding,
  };
  const deadline = new AbortController();
  const timer = setTimeout(() => deadline.abort(), request.timeout_ms);
  const { signal } = deadline;
  try {
    const socket = connect({ host: target.host, port: target.port, noDelay: true });
    socket.on('error', () => {});
    await once(socket, 'connect', { signal });
    const channel = target.secure ? await secure(socket, target, signal) : socket;
    return await send(channel, target, { headers }, defaultCaps, signal, async (reply) => {
      if (reply.status !== 200) throw new Error(`the page has status ${reply.status}`);
      return (await readPage(reply, target.url, request, defaultCaps, signal)).text;
    });
  } finally {
    clearTimeout(timer);
  }
}
