/**
 * The API under its own name, on loopback: a proxy that connects each name to one TLS server, whose certificate is from an authority that
 * exists for the test only. The CLI treats it as the real host, and also asks for settings, limits and the profile.
 */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer, request as ask } from 'node:http';
import type { Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { TLSSocket } from 'node:tls';
import { type FailingModel, type ReplyFunction, startFailingModel } from './failing-model.ts';
import { listenOn } from './ports.ts';

export type ApiHost = {
  /** The variables that lead a CLI here, in place of `ANTHROPIC_BASE_URL`. */
  env: Record<string, string | undefined>;
  model: FailingModel;
  /** Every request, such as `GET api.anthropic.com/api/oauth/profile`. */
  asked: string[];
  /** The connections on which the model was asked. */
  messageSockets: Set<Socket>;
  /** How often the settings were sent whole. */
  settingsSent: () => number;
  close: () => Promise<void>;
};

const hello: ReplyFunction = () => ({ kind: 'text', text: 'hello' });

/** What the login becomes when the CLI renews it. */
export const renewed = {
  access_token: 'sk-ant-oat01-renewed',
  refresh_token: 'sk-ant-ort01-renewed',
} as const;
const renewedLogin = JSON.stringify({
  ...renewed,
  token_type: 'Bearer',
  expires_in: 28_800,
  scope: 'user:inference user:profile',
});

/**
 * `managedSettings` are those of the account's organisation; none by default. They are answered after `settingsDelayMs`.
 */
export async function startApiHost(
  managedSettings?: object,
  { settingsDelayMs = 0, reply = hello }: { settingsDelayMs?: number; reply?: ReplyFunction } = {},
): Promise<ApiHost> {
  const folder = mkdtempSync(join(tmpdir(), 'api-host-'));
  const [key, cert] = [join(folder, 'key.pem'), join(folder, 'cert.pem')];
  const names = 'subjectAltName=DNS:api.anthropic.com,DNS:platform.claude.com,DNS:gateway.test';
  const curve = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'];
  const files = ['-keyout', key, '-out', cert];
  execFileSync(
    'openssl',
    ['req', '-x509', ...curve, '-days', '2', '-subj', '/CN=api', '-addext', names, ...files],
    { stdio: 'pipe' },
  );
  const identity = { isServer: true, key: readFileSync(key), cert: readFileSync(cert) };
  const model = await startFailingModel({ reply });
  const asked: string[] = [];
  const messageSockets = new Set<Socket>();
  let settingsSent = 0;
  // The CLI keeps the settings, and takes an equal checksum for unchanged settings.
  const checksum = createHash('sha256')
    .update(JSON.stringify(managedSettings ?? {}))
    .digest('hex');
  const settings = JSON.stringify({ uuid: 'settings', checksum, settings: managedSettings });

  const api = createServer((incoming, outgoing) => {
    const path = new URL(incoming.url ?? '/', 'https://api').pathname;
    asked.push(`${incoming.method} ${incoming.headers.host}${path}`);
    if (path === '/api/claude_code/settings' && managedSettings !== undefined) {
      outgoing.on('finish', () => (settingsSent += 1));
      return setTimeout(() => {
        outgoing.writeHead(200, { 'content-type': 'application/json' }).end(settings);
      }, settingsDelayMs);
    }
    if (path === '/v1/oauth/token')
      return outgoing.writeHead(200, { 'content-type': 'application/json' }).end(renewedLogin);
    if (path === '/v1/messages') messageSockets.add(incoming.socket);
    const { method, headers, url = '/' } = incoming;
    const upstream = ask(new URL(url, model.url), { method, headers }, (response) => {
      outgoing.writeHead(response.statusCode ?? 502, response.headers);
      response.on('error', () => outgoing.destroy());
      response.pipe(outgoing);
    });
    upstream.on('error', () => outgoing.destroy());
    outgoing.on('close', () => upstream.destroy());
    return incoming.pipe(upstream);
  });
  const sockets = new Set<Socket>();
  const proxy = createServer((_request, response) => response.writeHead(502).end());
  proxy.on('connect', (_request, socket: Socket) => {
    sockets.add(socket);
    socket.write('HTTP/1.1 200 OK\r\n\r\n');
    const secured = new TLSSocket(socket, identity);
    for (const end of [socket, secured]) end.on('error', () => {});
    api.emit('connection', secured);
  });
  const port = await listenOn('127.0.0.1', proxy);
  return {
    env: {
      ANTHROPIC_BASE_URL: undefined,
      HTTPS_PROXY: `http://127.0.0.1:${port}`,
      NODE_EXTRA_CA_CERTS: cert,
    },
    model,
    asked,
    messageSockets,
    settingsSent: () => settingsSent,
    close: async () => {
      proxy.close();
      for (const socket of sockets) socket.destroy();
      await model.close();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
