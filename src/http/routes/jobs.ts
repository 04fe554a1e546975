/** GET and DELETE /v1/jobs/<id>. */
import { respond, type KeyedExchange } from '../exchange.ts';
import { pollAfterS, type Jobs } from '../async/jobs.ts';

export type JobParts = { jobs: Jobs };

export function showJob(_request: Request, exchange: KeyedExchange, { jobs }: JobParts): Response {
  const job = jobs.get(exchange.pathId ?? '', exchange.key.id);
  if (job.ended === undefined) exchange.headers['retry-after'] = pollAfterS;
  return respond(exchange, 200, { ok: true, job: jobs.describe(job, true) });
}

/** Cancels a job that has not ended; forgets one that has. */
export async function deleteJob(
  _request: Request,
  exchange: KeyedExchange,
  { jobs }: JobParts,
): Promise<Response> {
  const job = jobs.get(exchange.pathId ?? '', exchange.key.id);
  if (job.ended === undefined) {
    job.run.cancel();
    await job.run.answer.result;
  } else jobs.forget(job);
  return respond(exchange, 200, { ok: true, job: jobs.describe(job, false) });
}
