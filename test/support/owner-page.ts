/** A relay in the test's process with the owner's listener. */
import { request } from 'node:http';
import { codeLifeMs, openCodes } from '../../src/owner/codes.ts';
import { ownHeader } from '../../src/owner/guard.ts';
import { openStore } from '../../src/store/sqlite.ts';
import { startInProcess, type InProcessOptions, type InProcessRelay } from './in-process.ts';
import { freePort } from './ports.ts';

export type OwnerRelay = InProcessRelay & {
  port: number;
  /** A new code, as `claude-relay dashboard` makes it. */
  code: (now?: () => number, forPort?: number) => string;
  /** Sends one request to the owner's listener, with exactly these headers and a Host. */
  send: (path: string, options?: SendOptions) => Promise<Sent>;
  /** Exchanges a new code. */
  session: (now?: () => number) => Promise<Session>;
};

type SendOptions = {
  method?: string;
  headers?: Record<string, string>;
  body?: string;
  /** Of the public listener, or of this one by default. */
  port?: number;
};
export type Sent = { status: number; headers: Record<string, string>; text: string };
export type Session = { path: string; cookie: string };

export { codeLifeMs };

export async function startOwnerRelay(options: InProcessOptions = {}): Promise<OwnerRelay> {
  const port = Number(options.settings?.['ADMIN_PORT'] ?? (await freePort()));
  const relay = await startInProcess({
    ...options,
    settings: { ...options.settings, ADMIN_PORT: String(port) },
  });
  const code = (now: () => number = Date.now, forPort = port): string => {
    const store = openStore(relay.dataDir);
    try {
      return openCodes(store, forPort, now).make().code;
    } finally {
      store.close();
    }
  };
  const send = (path: string, sending: SendOptions = {}): Promise<Sent> => sendTo(port, path, sending);
  const session = async (now?: () => number): Promise<Session> => {
    const { headers, text } = await send(`/open?code=${code(now)}`);
    const [, path = ''] = /url=(\/s\/[^/]+\/)now"/.exec(text) ?? [];
    return { path, cookie: headers['set-cookie']?.split(';')[0] ?? '' };
  };
  return { ...relay, port, code, send, session };
}

/** The headers that the page's own script sends. */
export function ownHeaders(port: number, { cookie }: Session): Record<string, string> {
  return {
    cookie,
    origin: `http://127.0.0.1:${port}`,
    'sec-fetch-site': 'same-origin',
    'content-type': 'application/json',
    [ownHeader]: '1',
  };
}

function sendTo(own: number, path: string, { method = 'GET', headers, body, port = own }: SendOptions) {
  return new Promise<Sent>((resolve, reject) => {
    const sent = request(
      { host: '127.0.0.1', port, path, method, headers: { host: `127.0.0.1:${port}`, ...headers } },
      (response) => {
        let text = '';
        response.setEncoding('utf8');
        response.on('data', (part: string) => (text += part));
        response.on('end', () =>
          resolve({
            status: response.statusCode ?? 0,
            headers: Object.fromEntries(
              Object.entries(response.headers).map(([name, value]) => [name, String(value)]),
            ),
            text,
          }),
        );
      },
    );
    sent.on('error', reject);
    sent.end(body);
  });
}
