/** POST /v1/fetch: identify -> validate -> reserve, in a budget of its own -> fetch through the guard -> settle -> answer. */
import { fieldProblem } from '../../dialects/native.ts';
import { parseBody } from '../../dialects/problem.ts';
import { RelayError } from '../../errors.ts';
import type { Ticket } from '../../limits/ticket.ts';
import { pageRequest } from '../../pages/request.ts';
import type { AppContext } from '../app.ts';
import { readJson } from '../body.ts';
import { respond, type Exchange } from '../exchange.ts';
import { identify } from '../identify.ts';
import { reserve, withWork } from '../reservation.ts';

/** A URL and a few options: a larger body is no request for a page. */
const bodyLimits = { maxInputBytes: 32 * 1024, maxAttachmentBytes: 0 };

export async function fetchPage(
  request: Request,
  exchange: Exchange,
  context: AppContext,
): Promise<Response> {
  const key = identify(request, exchange, 'fetch', context);
  const body = await readJson(request, bodyLimits);
  exchange.bytesIn = body.bytes;
  const asked = parseBody(pageRequest, body.value, fieldProblem);
  exchange.targetHost = hostOf(asked.url);

  return withWork(request.signal, exchange, context.running, async (work) => {
    const { timeout_ms: timeoutMs } = asked;
    using ticket = await inTime(work.signal, timeoutMs);
    const startedAt = performance.now();
    try {
      const left = Math.max(1, Math.floor(timeoutMs - exchange.queueMs));
      const page = await context.pages.fetchPage({ ...asked, timeout_ms: left }, work.signal, key.id);
      return respond(exchange, 200, { ok: true, ...page });
    } finally {
      exchange.upstreamMs = performance.now() - startedAt;
      ticket.settle();
    }
  });

  /** The caller's time runs while they wait for a slot, too. */
  async function inTime(leaving: AbortSignal, timeoutMs: number): Promise<Ticket> {
    const late = AbortSignal.timeout(timeoutMs);
    const signal = AbortSignal.any([leaving, late]);
    try {
      return await reserve({ lane: 'fetch' }, key, signal, exchange, context);
    } catch (error) {
      if (leaving.aborted || !late.aborted || error instanceof RelayError) throw error;
      throw new RelayError('timeout', 'No slot for the fetch was free in time.', { cause: error });
    }
  }
}

/** For the log line: the host that was asked for, never the path or the query. */
function hostOf(url: string): string | undefined {
  return URL.canParse(url) ? new URL(url).hostname : undefined;
}
