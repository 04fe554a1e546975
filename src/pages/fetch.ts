/**
 * Fetches a page whose URL the caller chooses, through this host's address. Every hop of every fetch takes the same steps, and
 * nothing else in the program connects to a page. docs/fetch.md describes the steps. `guard/` decides where a connection may
 * go; `read/` reads the reply.
 */
import { addAbortListener } from 'node:events';
import type { PageResponse } from '../api.ts';
import { shuttingDown } from '../endings.ts';
import { RelayError } from '../errors.ts';
import { readArticle } from './read/article/article.ts';
import { defaultCaps, type PageCaps } from './caps.ts';
import { acceptEncoding } from './read/decode.ts';
import { visit, type HopRules, readRedirect } from './guard/hop.ts';
import { createHostJudge } from './guard/address.ts';
import { Output } from './read/output.ts';
import { readPage, type PageText } from './read/read.ts';
import type { PageRequest } from './request.ts';
import { createSlots } from './guard/slots.ts';
import { parseTarget, type Target, type UrlRules } from './guard/url.ts';

export type PageConfig = {
  readonly ports: readonly number[];
  /** Networks or addresses that are denied in addition to the special ones and the host's own. */
  readonly denyCidrs: readonly string[];
  /** The relay's own public host names. Read at each hop, because a tunnel can start while the relay runs. */
  readonly selfNames: readonly string[];
  /** The /96 through which this host reaches IPv4 by NAT64, if it does. */
  readonly nat64?: string | undefined;
  readonly ipv6: boolean;
  /** Name servers in place of the system's. */
  readonly nameServers?: readonly string[] | undefined;
  readonly userAgent: string;
  readonly caps?: Partial<PageCaps>;
};

/** The answer. A page that is not HTML is unchanged, and in `body`, in every format. */
export type PageResult = Omit<PageResponse, 'ok'>;

export type PageFetcher = {
  /**
   * Rejects with a RelayError, or with the signal's reason when the caller has left. `keyId` makes the queues of hosts and articles
   * fair.
   */
  fetchPage(request: PageRequest, signal: AbortSignal, keyId?: string): Promise<PageResult>;
  /** The URL of a webhook, in one spelling. Throws as the first step of a fetch does, and `blocked_scheme` for http. No address is looked up. */
  webhookUrl(text: string): string;
  /**
   * Sends the JSON `body` to a webhook, through the guard, and resolves to the status of the reply. It follows no redirect and
   * reads no body. Rejects like `fetchPage`.
   */
  readonly post: (webhook: Webhook, signal: AbortSignal) => Promise<number>;
  /** Ends the fetches under way; resolves when they have ended. */
  close(): Promise<void>;
};

export type Webhook = {
  url: string;
  headers: Readonly<Record<string, string>>;
  body: string;
  timeoutMs: number;
};

/** Throws a RangeError for an invalid network in the configuration. */
export function createFetcher(config: PageConfig): PageFetcher {
  const caps = { ...defaultCaps, ...config.caps };
  const currentJudge = createHostJudge({ deny: config.denyCidrs, nat64: config.nat64 });
  /** The rules of this moment: interfaces and public names change. */
  const rules = (): UrlRules & HopRules => ({
    ...config,
    caps,
    selfNames: config.selfNames.map((name) => name.toLowerCase().replace(/\.$/, '')),
    denied: currentJudge(),
  });
  const useHost = createSlots({ each: caps.perHost, waiting: caps.waiting });
  const useWorker = createSlots({ each: caps.articles, waiting: caps.waiting });
  const closing = new AbortController();
  const underWay = new Set<Promise<unknown>>();

  const run = async (request: PageRequest, signal: AbortSignal, keyId: string): Promise<PageResult> => {
    const started = performance.now();
    const headers = requestHeaders(request, config.userAgent);
    const redirects: { status: number; url: string }[] = [];
    let target = parseTarget(request.url, rules());
    for (;;) {
      const here = target;
      const outcome = await atHop(redirects.length, () =>
        useHost(here.host, keyId, signal, () =>
          visit(here, { headers }, rules(), signal, async (reply) => {
            const location = readRedirect(reply.status, reply.headers['location']);
            if (location === undefined) {
              return { page: await readPage(reply, here.url, request, caps, signal), status: reply.status };
            }
            if (redirects.length < caps.redirects) return { location, status: reply.status };
            const message = `The page redirects more than ${caps.redirects} times.`;
            throw new RelayError('too_many_redirects', message);
          }),
        ),
      );
      if (outcome.page !== undefined) {
        const { page, status } = outcome;
        const presented = await present(page, here.url, request, signal, keyId);
        const elapsed_ms = Math.round(performance.now() - started);
        return { status, final_url: here.url, ...presented, redirects, elapsed_ms };
      }
      target = await atHop(redirects.length + 1, () => parseRedirect(outcome.location, rules(), here));
      redirects.push({ status: outcome.status, url: target.url });
    }
  };

  /** The page in the requested format. */
  const present = async (
    page: PageText,
    url: string,
    { format, max_bytes: maxBytes }: PageRequest,
    signal: AbortSignal,
    keyId: string,
  ): Promise<Omit<PageResult, 'status' | 'final_url' | 'redirects' | 'elapsed_ms'>> => {
    const { about, truncated, text, charset, jsonLd } = page;
    const bytes = { wire: page.wireBytes, decoded: page.decodedBytes, output: Buffer.byteLength(text) };
    const facts = { truncated, content_type: page.contentType, charset, bytes, json_ld: jsonLd, about };
    if (page.kind === 'text') return { ...facts, body: text };
    if (format === 'html') return { ...facts, html: text };
    if (format === 'metadata') {
      const metadata = { ...page.metadata, json_ld: jsonLd };
      return { ...facts, metadata, bytes: { ...bytes, output: 0 } };
    }
    const job = { html: text, url, format, title: about.title ?? '' };
    const { text: article, ...found } = await readArticle(job, caps.articleMs, useWorker, signal, keyId);
    const cut = new Output(maxBytes);
    cut.addText(article);
    return {
      ...facts,
      ...(format === 'text' ? { text: cut.toString() } : { markdown: cut.toString() }),
      truncated: truncated || cut.full,
      bytes: { ...bytes, output: cut.length },
      about: { ...found, ...about },
    };
  };

  const inTime = async <T>(
    timeoutMs: number,
    caller: AbortSignal,
    begin: (signal: AbortSignal) => Promise<T>,
  ): Promise<T> => {
    const deadline = new AbortController();
    const timer = setTimeout(
      () => deadline.abort(new RelayError('timeout', 'The page did not arrive in time.')),
      timeoutMs,
    );
    const signal = AbortSignal.any([caller, deadline.signal, closing.signal]);
    const work = begin(signal).finally(() => underWay.delete(work));
    underWay.add(work);
    // Every step obeys the signal. The race makes sure that the answer does too.
    const { promise: ended, reject } = Promise.withResolvers<never>();
    // Removed at the end: Node keeps a combined signal with a listener, and so the answer, until it aborts.
    using _listener = addAbortListener(signal, () => reject(signal.reason as Error));
    try {
      return await Promise.race([work, ended]);
    } finally {
      clearTimeout(timer);
    }
  };

  const webhookTarget = (text: string): Target => {
    const target = parseTarget(text, rules());
    if (!target.secure) throw new RelayError('blocked_scheme', 'Only https URLs can be called.');
    return target;
  };

  return {
    fetchPage: (request, caller, keyId = '') =>
      inTime(request.timeout_ms, caller, (signal) => run(request, signal, keyId)),
    webhookUrl: (text) => webhookTarget(text).url,
    post: ({ url, headers, body, timeoutMs }, caller) =>
      inTime(timeoutMs, caller, async (signal) => {
        const sent = { headers: { ...headers, 'user-agent': config.userAgent }, body };
        return visit(webhookTarget(url), sent, rules(), signal, async ({ status }) => status);
      }),
    async close() {
      closing.abort(shuttingDown());
      await Promise.allSettled(underWay);
    },
  };
}

/** An invalid URL in a redirect is the page's mistake, not the caller's. */
function parseRedirect(location: string, rules: UrlRules, from: Target): Target {
  try {
    return parseTarget(location, rules, from.url);
  } catch (error) {
    if (!(error instanceof RelayError) || error.code !== 'invalid_url') throw error;
    throw new RelayError('bad_redirect', 'The page redirects to an invalid URL.', { cause: error });
  }
}

/** Adds the number of the redirect to an error after it. */
async function atHop<T>(hop: number, step: () => T | Promise<T>): Promise<T> {
  try {
    return await step();
  } catch (error) {
    if (hop === 0 || !(error instanceof RelayError)) throw error;
    throw new RelayError(error.code, `After redirect ${hop}: ${error.message}`, { ...error.details, hop });
  }
}

/** All that a page learns: no cookie, no credential, no referrer, and no header of the caller's request. */
function requestHeaders(request: PageRequest, userAgent: string): Readonly<Record<string, string>> {
  return {
    'user-agent': request.user_agent ?? userAgent,
    accept: 'text/html,application/xhtml+xml;q=0.9,*/*;q=0.1',
    'accept-encoding': acceptEncoding,
    ...(request.accept_language === undefined ? {} : { 'accept-language': request.accept_language }),
  };
}
