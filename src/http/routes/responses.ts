/** GET and DELETE /v1/responses/<id>, and POST .../cancel: responses that were asked for with `background`. */
import { RelayError } from '../../errors.ts';
import { respondOwn } from '../async/answer-with-job.ts';
import type { Job } from '../async/jobs.ts';
import { respond, type KeyedExchange } from '../exchange.ts';
import type { JobParts } from './jobs.ts';

type OwnJob = Job & { ownBody: NonNullable<Job['ownBody']> };

export function showResponse({ url }: Request, exchange: KeyedExchange, { jobs }: JobParts): Response {
  // A client that waits for events would find none in the answer, and no error.
  if (new URL(url).searchParams.get('stream') === 'true') {
    throw new RelayError(
      'bad_request',
      "'stream' is not supported for a response with background: ask again until its status is final, or stream the request itself.",
    );
  }
  const job = jobOf(exchange, jobs);
  return respondOwn(exchange, job, job.ownBody);
}

export async function cancelResponse(
  _request: Request,
  exchange: KeyedExchange,
  { jobs }: JobParts,
): Promise<Response> {
  const job = jobOf(exchange, jobs);
  await end(job);
  return respondOwn(exchange, job, job.ownBody);
}

export async function deleteResponse(
  _request: Request,
  exchange: KeyedExchange,
  { jobs }: JobParts,
): Promise<Response> {
  const job = jobOf(exchange, jobs);
  await end(job);
  jobs.forget(job);
  return respond(exchange, 200, { id: job.id, object: 'response', deleted: true });
}

async function end(job: Job): Promise<void> {
  if (job.ended !== undefined) return;
  job.run.cancel();
  await job.run.answer.result;
}

function jobOf({ pathId = '', key }: KeyedExchange, jobs: JobParts['jobs']): OwnJob {
  const job = jobs.find(pathId, key.id);
  if (job?.ownBody === undefined) {
    throw new RelayError(
      'not_found',
      'This key has no such response. The relay keeps only responses with "background": true, and only for a while.',
    );
  }
  return job as OwnJob;
}
