/** 202 for a request that became a job; GET and DELETE /v1/jobs/<id>. */
import type { ParsedRequest } from '../../dialects/dialect.ts';
import type { AppContext } from '../app.ts';
import { respond, type Exchange } from '../exchange.ts';
import { identify } from '../identify.ts';
import type { Job } from '../async/jobs.ts';

/** Seconds after which it is worth asking again. */
const retryAfter = '2';

export function respondAccepted(
  exchange: Exchange,
  job: Job,
  ask: ParsedRequest,
  { jobs }: AppContext,
): Response {
  if (ask.async !== true) exchange.headers['preference-applied'] = 'respond-async';
  const body = jobs.describe(job, false);
  exchange.headers['location'] = body.url;
  exchange.headers['retry-after'] = retryAfter;
  return respond(exchange, 202, { ok: true, job: body });
}

export function showJob(request: Request, exchange: Exchange, context: AppContext): Response {
  const job = jobOf(request, exchange, context);
  if (job.ended === undefined) exchange.headers['retry-after'] = retryAfter;
  return respond(exchange, 200, { ok: true, job: context.jobs.describe(job, true) });
}

/** Cancels one that has not ended; forgets one that has. */
export async function deleteJob(
  request: Request,
  exchange: Exchange,
  context: AppContext,
): Promise<Response> {
  const job = jobOf(request, exchange, context);
  if (job.ended === undefined) {
    job.run.cancel();
    await job.run.answer.result;
  } else context.jobs.forget(job);
  return respond(exchange, 200, { ok: true, job: context.jobs.describe(job, false) });
}

function jobOf(request: Request, exchange: Exchange, context: AppContext): Job {
  const key = identify(request, exchange, 'complete', context);
  const id = /\/v1\/jobs\/([^/?#]+)/.exec(request.url)?.[1] ?? '';
  return context.jobs.get(id, key.id);
}
