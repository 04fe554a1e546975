/** Reads what the installed Chromium shows of pages, over its pipe, with one start for all pages. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Readable, Writable } from 'node:stream';

import type { Shape } from './shapes.ts';
import { shorten, type Shown } from './shown.ts';

const flags = [
  ...'--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking'.split(
    ' ',
  ),
  ...'--disable-component-update --disable-sync --remote-debugging-pipe --lang=en-US'.split(' '),
];

/** The page's text nodes in order, without those of elements that are not shown as text. */
const expression = `(() => {
  const skipped = new Set(['script', 'style', 'svg', 'noscript', 'iframe']);
  const text = (node) => node.nodeType === 3 || node.nodeType === 4 ? node.data
    : skipped.has(node.localName) ? '' : [...node.childNodes].map(text).join('');
  const root = document.getElementById('webkit-xml-viewer-source-xml') ?? document.documentElement;
  return { type: document.contentType, language: document.documentElement.lang ?? '', text: text(root) };
})()`;

export async function showInChromium(
  shapes: Readonly<Record<string, Shape>>,
): Promise<Record<string, Shown>> {
  const names = Object.keys(shapes);
  const server = createServer((request, response) => {
    const shape = shapes[names[Number(request.url?.slice(1))] ?? ''];
    if (shape === undefined) return response.writeHead(404).end();
    if (shape.type !== undefined) response.setHeader('content-type', [shape.type].flat());
    return response.end(shape.bytes);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const profile = await mkdtemp(join(tmpdir(), 'chromium-'));
  const browser = spawn('chromium', [...flags, `--user-data-dir=${profile}`, 'about:blank'], {
    stdio: ['ignore', 'ignore', 'ignore', 'pipe', 'pipe'],
    // The language decides the default encoding.
    env: { ...process.env, LANG: 'C.UTF-8', LANGUAGE: 'en', TMPDIR: profile },
  });
  const exit = once(browser, 'exit');
  try {
    const pipe = new Pipe(browser.stdio[3] as Writable, browser.stdio[4] as Readable);
    const { targetId } = await pipe.send('Target.createTarget', { url: 'about:blank' });
    const { sessionId } = await pipe.send('Target.attachToTarget', { targetId, flatten: true });
    await pipe.send('Page.enable', {}, sessionId);
    await pipe.send('Page.setLifecycleEventsEnabled', { enabled: true }, sessionId);
    const shown: Record<string, Shown> = {};
    for (const [index, name] of names.entries()) {
      const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/${index}`;
      const { errorText, loaderId } = await pipe.send('Page.navigate', { url }, sessionId);
      if (errorText !== undefined) {
        shown[name] = null;
        continue;
      }
      await pipe.loaded(loaderId);
      const { result } = await pipe.send('Runtime.evaluate', { expression, returnByValue: true }, sessionId);
      const { text, ...rest } = (result as { value: NonNullable<Shown> }).value;
      shown[name] = { ...rest, text: shorten(text) };
    }
    return shown;
  } finally {
    browser.kill('SIGKILL');
    await exit;
    server.close();
    server.closeAllConnections();
    // Its helpers may still write for a moment.
    await rm(profile, { recursive: true, force: true, maxRetries: 10, retryDelay: 100 });
  }
}

type Message = {
  id?: number;
  method?: string;
  params?: { name?: string; loaderId?: string };
  result?: Record<string, unknown>;
  error?: { message: string };
};

/** The DevTools protocol: JSON with a zero byte after each message. */
class Pipe {
  readonly #to: Writable;
  readonly #answers = new Map<number, (message: Message) => void>();
  /** The load of each page, for its waiter. */
  readonly #loads = new Map<unknown, PromiseWithResolvers<void>>();
  #last = 0;
  #ended = false;

  constructor(to: Writable, from: Readable) {
    this.#to = to;
    let waiting = '';
    from.setEncoding('utf8');
    from.on('data', (piece: string) => {
      const messages = (waiting + piece).split('\0');
      waiting = messages.pop() ?? '';
      for (const message of messages) this.#take(JSON.parse(message) as Message);
    });
    from.on('close', () => {
      this.#ended = true;
      for (const answer of this.#answers.values()) answer({ error: { message: 'Chromium has ended' } });
      for (const { resolve } of this.#loads.values()) resolve();
    });
    to.on('error', () => {});
  }

  send(method: string, params: object, sessionId?: unknown): Promise<Record<string, unknown>> {
    if (this.#ended) throw new Error(`${method}: Chromium has ended`);
    this.#last += 1;
    const id = this.#last;
    return new Promise((resolve, reject) => {
      this.#answers.set(id, ({ result, error }) => {
        if (result === undefined) reject(new Error(`${method}: ${error?.message}`));
        else resolve(result);
      });
      this.#to.write(`${JSON.stringify({ id, method, params, sessionId })}\0`);
    });
  }

  /** Also resolves when Chromium has ended; then the next `send` throws. */
  loaded(loaderId: unknown): Promise<void> {
    return this.#ended ? Promise.resolve() : this.#load(loaderId).promise;
  }

  #load(loaderId: unknown): PromiseWithResolvers<void> {
    const load = this.#loads.get(loaderId) ?? Promise.withResolvers<void>();
    this.#loads.set(loaderId, load);
    return load;
  }

  #take(message: Message): void {
    if (message.id !== undefined) {
      this.#answers.get(message.id)?.(message);
      this.#answers.delete(message.id);
    } else if (message.method === 'Page.lifecycleEvent' && message.params?.name === 'load') {
      this.#load(message.params.loaderId).resolve();
    }
  }
}
