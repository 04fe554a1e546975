/**
 * A page through this host's address, for a caller who chooses the URL: the list of steps that every hop of every fetch
 * goes through, and nothing else in the program leads out. docs/fetch.md says what each step answers.
 */
import { shuttingDown } from '../endings.ts';
import { RelayError } from '../errors.ts';
import { readArticle } from './read/article/article.ts';
import { defaultCaps, type PageCaps } from './caps.ts';
import { acceptEncoding } from './read/decode.ts';
import { visit, type HopRules, readRedirect } from './guard/hop.ts';
import { createHostJudge } from './guard/address.ts';
import type { PageAbout, PageMetadata } from './read/metadata.ts';
import { Output } from './read/output.ts';
import { readPage, type PageText } from './read/read.ts';
import type { PageRequest } from './request.ts';
import { createSlots } from './guard/slots.ts';
import { parseTarget, type Target, type UrlRules } from './guard/url.ts';

export type PageConfig = {
  readonly ports: readonly number[];
  /** Networks or addresses that are denied besides the special ones and the host's own. */
  readonly denyCidrs: readonly string[];
  /** The relay's own public host names. Read at each hop, as a tunnel can come while the relay runs. */
  readonly selfNames: readonly string[];
  /** The /96 through which this host reaches IPv4 by NAT64, if it does. */
  readonly nat64?: string | undefined;
  readonly ipv6: boolean;
  /** Name servers in place of the system's. */
  readonly nameServers?: readonly string[] | undefined;
  readonly userAgent: string;
  readonly caps?: Partial<PageCaps>;
};

export type PageResult = {
  /** Of the last reply, whatever it is. */
  readonly status: number;
  readonly final_url: string;
  readonly truncated: boolean;
  /** As sent by the host; '' when it sent none. */
  readonly content_type: string;
  readonly charset: string;
  /** Each redirect that was followed: its status, and where it led. */
  readonly redirects: readonly { readonly status: number; readonly url: string }[];
  /** Bytes of the body as sent, decoded, and as returned. */
  readonly bytes: { readonly wire: number; readonly decoded: number; readonly output: number };
  readonly elapsed_ms: number;
  /** The page's JSON-LD blocks as they stand there, also those after a cut. */
  readonly json_ld: readonly string[];
  readonly about: PageAbout;
} & PageContent;

/** `body`: what is not HTML comes back as it is, whatever the format. */
type PageContent =
  | { readonly html: string }
  | { readonly body: string }
  | { readonly text: string }
  | { readonly markdown: string }
  | { readonly metadata: PageMetadata & { readonly json_ld: readonly string[] } };

export type PageFetcher = {
  /**
   * Rejects with a RelayError, or with the signal's reason when the caller has gone. `keyId`: for whom, so that the lines of hosts
   * and articles are fair.
   */
  fetchPage(request: PageRequest, signal: AbortSignal, keyId?: string): Promise<PageResult>;
  /** Ends what is under way; resolves when it has ended. */
  close(): Promise<void>;
};

/** Throws a RangeError for a network of the configuration that is none. */
export function createFetcher(config: PageConfig): PageFetcher {
  const caps = { ...defaultCaps, ...config.caps };
  const currentJudge = createHostJudge({ deny: config.denyCidrs, nat64: config.nat64 });
  /** As they are at this moment. */
  const rules = (): UrlRules & HopRules => ({
    ...config,
    caps,
    selfNames: config.selfNames.map((name) => name.toLowerCase().replace(/\.$/, '')),
    denied: currentJudge(),
  });
  const hosts = createSlots({ each: caps.perHost, waiting: caps.waiting });
  const articles = createSlots({ each: caps.articles, waiting: caps.waiting });
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
        hosts.use(here.host, keyId, signal, () =>
          visit(here, headers, rules(), signal, async (reply) => {
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
        const { content, truncated, about, output } = await present(page, here.url, request, signal, keyId);
        return {
          status,
          final_url: here.url,
          truncated,
          ...content,
          content_type: page.contentType,
          charset: page.charset,
          redirects,
          bytes: { wire: page.wireBytes, decoded: page.decodedBytes, output },
          elapsed_ms: Math.round(performance.now() - started),
          json_ld: page.jsonLd,
          about,
        };
      }
      target = await atHop(redirects.length + 1, () => parseRedirect(outcome.location, rules(), here));
      redirects.push({ status: outcome.status, url: target.url });
    }
  };

  /** What is returned of a page, and what becomes of its fields by that. `output`: its bytes. */
  const present = async (
    page: PageText,
    url: string,
    { format, max_bytes: maxBytes }: PageRequest,
    signal: AbortSignal,
    keyId: string,
  ): Promise<{ content: PageContent; output: number } & Pick<PageText, 'truncated' | 'about'>> => {
    const { about, truncated, text } = page;
    const output = Buffer.byteLength(text);
    if (page.kind === 'text') return { content: { body: text }, output, truncated, about };
    if (format === 'html') return { content: { html: text }, output, truncated, about };
    if (format === 'metadata') {
      const metadata = { ...page.metadata, json_ld: page.jsonLd };
      return { content: { metadata }, output: 0, truncated, about };
    }
    const job = { html: text, url, format, title: about.title ?? '' };
    const { text: article, ...found } = await readArticle(job, caps.articleMs, articles, signal, keyId);
    const cut = new Output(maxBytes);
    cut.addText(article);
    const content = format === 'text' ? { text: cut.toString() } : { markdown: cut.toString() };
    return { content, output: cut.length, truncated: truncated || cut.full, about: { ...found, ...about } };
  };

  return {
    async fetchPage(request, caller, keyId = '') {
      const deadline = new AbortController();
      const timer = setTimeout(
        () => deadline.abort(new RelayError('timeout', 'The page did not arrive in time.')),
        request.timeout_ms,
      );
      const signal = AbortSignal.any([caller, deadline.signal, closing.signal]);
      const work = run(request, signal, keyId).finally(() => underWay.delete(work));
      underWay.add(work);
      try {
        // Every step obeys the signal; the answer does not depend on it.
        return await Promise.race([work, rejection(signal)]);
      } finally {
        clearTimeout(timer);
      }
    },
    async close() {
      closing.abort(shuttingDown());
      await Promise.allSettled(underWay);
    },
  };
}

function rejection(signal: AbortSignal): Promise<never> {
  return new Promise((_resolve, reject) => {
    const abort = (): void => reject(signal.reason as Error);
    if (signal.aborted) abort();
    else signal.addEventListener('abort', abort, { once: true });
  });
}

/** A redirect's URL is the page's, not the caller's: one that is none is the page's mistake. */
function parseRedirect(location: string, rules: UrlRules, from: Target): Target {
  try {
    return parseTarget(location, rules, from.url);
  } catch (error) {
    if (!(error instanceof RelayError) || error.code !== 'invalid_url') throw error;
    throw new RelayError('bad_redirect', 'The page redirects to what is not a URL.', { cause: error });
  }
}

/** Says of an error after a redirect which one it was. */
async function atHop<T>(hop: number, step: () => T | Promise<T>): Promise<T> {
  try {
    return await step();
  } catch (error) {
    if (hop === 0 || !(error instanceof RelayError)) throw error;
    throw new RelayError(error.code, `After redirect ${hop}: ${error.message}`, { ...error.details, hop });
  }
}

/** The whole of what a page learns: no cookie, no credential, no referrer, nothing of the caller's own request. */
function requestHeaders(request: PageRequest, userAgent: string): Readonly<Record<string, string>> {
  return {
    'user-agent': request.user_agent ?? userAgent,
    accept: 'text/html,application/xhtml+xml;q=0.9,*/*;q=0.1',
    'accept-encoding': acceptEncoding,
    ...(request.accept_language === undefined ? {} : { 'accept-language': request.accept_language }),
  };
}
