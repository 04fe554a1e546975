/** A played process of the relay, with raw connections through its valve, and an API of raw bytes. */
import { once } from 'node:events';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { startValveProxy, type ValveProxy } from '../../src/claude/valve/proxy.ts';
import type { Valve } from '../../src/claude/valve/valve.ts';
import { listenOn } from './ports.ts';

/** A connection, and the text that came on it. */
export type Line = { socket: Socket; text: () => string };

export type Play = {
  /** The API as `https` URLs name it. */
  place: string;
  valves: ValveProxy;
  valve: Valve;
  /** What the API got: its connections, in order. */
  api: Server & { lines: Line[] };
  /** The value of `proxy-authorization`. */
  credentials: string;
  proxy: { host: string; port: number };
  /** Ends the process. */
  end: () => void;
  dial: () => Promise<Line>;
  /** A connection that asked for a tunnel: to the API by default. Resolves when it is answered. */
  tunnel: (place?: string, credentials?: string) => Promise<Line>;
  close: () => Promise<void>;
};

/** `scheme`: that of the API. It answers each connection with `answer`. */
export async function startPlay(
  options: {
    scheme?: 'http' | 'https';
    answer?: (socket: Socket) => void;
    env?: (place: string) => Record<string, string>;
  } = {},
): Promise<Play> {
  const lines: Line[] = [];
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    const line = record(socket);
    lines.push(line);
    options.answer?.(socket);
  });
  const place = `127.0.0.1:${await listenOn('127.0.0.1', server)}`;
  const valves = await startValveProxy({
    ANTHROPIC_BASE_URL: `${options.scheme ?? 'https'}://${place}`,
    ...options.env?.(place),
  });
  const { valve, env, end } = valves.begin();
  const { port, username, password } = new URL(env?.['HTTPS_PROXY'] ?? '');
  const credentials = `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`;
  const proxy = { host: '127.0.0.1', port: Number(port) };
  const clients = new Set<Socket>();
  const dial = async (): Promise<Line> => {
    const socket = connect({ ...proxy, allowHalfOpen: true });
    clients.add(socket);
    const line = record(socket);
    await once(socket, 'connect');
    return line;
  };
  return {
    place,
    valves,
    valve,
    api: Object.assign(server, { lines }),
    credentials,
    proxy,
    end,
    dial,
    tunnel: async (to = place, as = credentials) => {
      const { socket, text } = await dial();
      socket.write(`CONNECT ${to} HTTP/1.1\r\nhost: ${to}\r\nproxy-authorization: ${as}\r\n\r\n`);
      await once(socket, 'readable');
      return { socket, text };
    },
    close: async () => {
      for (const socket of clients) socket.destroy();
      await valves.close();
      for (const { socket } of lines) socket.destroy();
      server.close();
    },
  };
}

function record(socket: Socket): Line {
  let text = '';
  socket.on('error', () => {});
  socket.on('data', (bytes: Buffer) => (text += bytes.toString('latin1')));
  return { socket, text: () => text };
}
