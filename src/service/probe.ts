/** Asks the relay one question from outside: over loopback, or by the public URL that its owner has just given it. */
import { request as requestHttp } from 'node:http';
import { request as requestHttps } from 'node:https';
import { setTimeout as delay } from 'node:timers/promises';
import type { Config } from '../config.ts';

/** Enough for any answer of the relay's that is asked for here. */
const maxBytes = 64 * 1024;

export type Probed =
  | { ok: true; status: number; body: unknown }
  /** `reason` is the system's own: `ECONNREFUSED`, `ENOTFOUND`, `timeout`. */
  | { ok: false; reason: string };

/** One GET, no redirect followed. `body` is the parsed JSON, or the text. Never rejects. */
export function probe(
  url: string,
  { headers = {}, timeoutMs = 5000 }: { headers?: Record<string, string>; timeoutMs?: number } = {},
): Promise<Probed> {
  return new Promise((resolve) => {
    const send = url.startsWith('https:') ? requestHttps : requestHttp;
    const signal = AbortSignal.timeout(timeoutMs);
    const failed = (error: Error): void => {
      resolve({
        ok: false,
        reason: signal.aborted ? 'timeout' : ((error as NodeJS.ErrnoException).code ?? error.message),
      });
    };
    // A connection of its own: one that is kept would say nothing about whether a new one is accepted.
    const call = send(url, { headers, signal, agent: false }, (response) => {
      const chunks: Buffer[] = [];
      let bytes = 0;
      response.on('data', (chunk: Buffer) => {
        bytes += chunk.length;
        if (bytes > maxBytes) response.destroy(new Error('answer too long'));
        else chunks.push(chunk);
      });
      response.on('error', failed);
      response.on('end', () => {
        resolve({
          ok: true,
          status: response.statusCode ?? 0,
          body: parsed(Buffer.concat(chunks).toString()),
        });
      });
    });
    call.on('error', failed);
    call.end();
  });
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

export type ReadyAnswer = {
  ok: boolean;
  /** What is not right, one sentence each. */
  wrong: string[];
};

/** What the relay of this machine says to GET /ready; undefined when nothing like it came back. */
export async function askReady(url: string, timeoutMs?: number): Promise<ReadyAnswer | undefined> {
  const answer = await probe(new URL('/ready', url).href, {
    // A relay that listens on every address gives details to a caller that names this machine.
    headers: { host: 'localhost' },
    ...(timeoutMs === undefined ? {} : { timeoutMs }),
  });
  if (!answer.ok || typeof answer.body !== 'object' || answer.body === null) return undefined;
  const { ok, checks } = answer.body as { ok?: unknown; checks?: unknown };
  if (typeof ok !== 'boolean' || !Array.isArray(checks)) return undefined;
  const wrong = (checks as { name?: string; ok?: boolean; detail?: string }[])
    .filter((check) => check.ok !== true)
    .map(({ name, detail }) => (detail === undefined ? String(name) : `${name}: ${detail}`));
  return { ok, wrong };
}

/** What the service manager says of the relay's service. */
export type ServiceState = 'starting' | 'running' | 'failed';

export type Awaited = { state: 'ready' } | { state: 'failed' } | { state: 'not-ready'; wrong: string[] };

/** The relay's own address, for programs of this machine. */
export function localUrl({ host, port }: Pick<Config, 'host' | 'port'>): string {
  const address = host === '0.0.0.0' ? '127.0.0.1' : host === '::' ? '::1' : host;
  return `http://${address.includes(':') ? `[${address}]` : address}:${port}`;
}

/**
 * Resolves when the service runs and is ready, when it failed, or after `waitMs`. Both are asked: a relay in some terminal
 * may answer at the same port, and is not the service.
 */
export async function awaitReady(
  url: string,
  service: () => Promise<ServiceState>,
  waitMs: number,
): Promise<Awaited> {
  const until = Date.now() + waitMs;
  let wrong = ['nothing answers there'];
  for (;;) {
    const state = await service();
    if (state === 'failed') return { state: 'failed' };
    const answer = state === 'running' ? await askReady(url) : undefined;
    if (answer?.ok === true) return { state: 'ready' };
    if (answer !== undefined) wrong = answer.wrong;
    if (Date.now() > until) return { state: 'not-ready', wrong };
    await delay(300);
  }
}
