/** POST /v1/fetch: validate -> reserve, with its own limits -> fetch through the guard -> answer. */
import type { PageResponse } from '../../api.ts';
import { fieldProblem } from '../../dialects/native.ts';
import { parseBody } from '../../dialects/problem.ts';
import { RelayError } from '../../errors.ts';
import type { PageFetcher } from '../../pages/fetch.ts';
import { pageRequest } from '../../pages/request.ts';
import { readJson } from '../body.ts';
import { respond, type KeyedExchange } from '../exchange.ts';
import { reserve, whileWanted, type ReservationParts } from '../reservation.ts';

export type FetchPageParts = ReservationParts & { pages: Pick<PageFetcher, 'fetchPage'> };

/** A URL and a few options need no more. */
export const pageBodyLimits = { maxInputBytes: 32 * 1024, maxAttachmentBytes: 0, fixed: true } as const;

export async function fetchPage(
  request: Request,
  exchange: KeyedExchange,
  parts: FetchPageParts,
): Promise<Response> {
  const body = await readJson(request, pageBodyLimits);
  exchange.bytesIn = body.bytes;
  return answerPage(body.value, request.signal, exchange, parts);
}

export async function answerPage(
  body: unknown,
  clientSignal: AbortSignal,
  exchange: KeyedExchange,
  parts: FetchPageParts,
): Promise<Response> {
  const asked = parseBody(pageRequest, body, fieldProblem);
  // For the log line: never the path or the query.
  if (URL.canParse(asked.url)) exchange.targetHost = new URL(asked.url).hostname;

  return whileWanted(clientSignal, exchange, parts.inFlight, async (signal) => {
    // The caller's time includes the wait for a slot.
    const late = AbortSignal.timeout(asked.timeout_ms);
    const either = AbortSignal.any([signal, late]);
    using _ticket = await reserve({ lane: 'fetch' }, either, exchange, parts).catch((error: unknown) => {
      if (error !== late.reason) throw error;
      throw new RelayError('timeout', 'No slot for the fetch was free in time.', { cause: error });
    });
    const startedAt = performance.now();
    try {
      const left = Math.max(1, Math.floor(asked.timeout_ms - exchange.queueMs));
      const page = await parts.pages.fetchPage({ ...asked, timeout_ms: left }, signal, exchange.key.id);
      return respond(exchange, 200, { ok: true, ...page } satisfies PageResponse);
    } finally {
      exchange.upstreamMs = performance.now() - startedAt;
    }
  });
}
