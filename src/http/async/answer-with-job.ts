/** Requests whose answer does not hang on one connection: jobs, and those that can be repeated. */
import { setImmediate } from 'node:timers/promises';
import { RelayError } from '../../errors.ts';
import type { Key } from '../../keys/key.ts';
import type { AppContext } from '../app.ts';
import type { Body } from '../body.ts';
import { deliver, startDetached } from './detached.ts';
import { statusOf, type Exchange } from '../exchange.ts';
import { respondAccepted } from '../routes/jobs.ts';
import type { Job } from './jobs.ts';
import type { Order } from '../run.ts';
import type { First, Repeatable } from './repeats.ts';

/** What makes a request one that can be repeated; undefined without an Idempotency-Key. */
export function repeatableOf(
  { headers }: Request,
  { route }: Exchange,
  { id: keyId }: Key,
  { digest = '' }: Body,
  job: boolean,
): Repeatable | undefined {
  const name = headers.get('idempotency-key');
  if (name === null) return undefined;
  if (!/^[\x21-\x7e]{1,255}$/.test(name)) {
    throw new RelayError(
      'bad_request',
      'Header "idempotency-key" must be 1 to 255 printable ASCII characters.',
    );
  }
  return { name: `${keyId} ${route} ${name}`, keyId, fingerprint: job ? `job ${digest}` : digest };
}

/** The first of its kind runs; its repeats are given its answer, and use nothing. */
export async function answerRepeatable(
  order: Order,
  repeatable: Repeatable,
  request: Request,
  exchange: Exchange,
  context: AppContext,
): Promise<Response> {
  const known = context.repeats.find(repeatable);
  if (known !== undefined) {
    exchange.headers['idempotent-replayed'] = 'true';
    return deliver(known.run, request, exchange, context.times);
  }
  const begin = (): First => ({ run: startDetached(order, exchange, context) });
  const { run } = context.repeats.start(repeatable, begin, () => exchange.spent);
  try {
    return await deliver(run, request, exchange, context.times);
  } finally {
    // Its record is written when it is known what it used, also when its client did not wait.
    await run.answer.result;
  }
}

/** 202 with a job. What is refused at once is refused as any other request. */
export async function answerLater(
  order: Order,
  repeatable: Repeatable | undefined,
  exchange: Exchange,
  context: AppContext,
): Promise<Response> {
  const { jobs, repeats } = context;
  const { requestId, dialect } = exchange;
  const keyId = order.key.id;
  const known = repeatable === undefined ? undefined : repeats.find(repeatable)?.id;
  if (known !== undefined) {
    exchange.headers['idempotent-replayed'] = 'true';
    return respondAccepted(exchange, jobs.get(known, keyId), order.ask, context);
  }
  const begin = (): Job =>
    jobs.start({ keyId, requestId, dialect }, (onStart) => startDetached(order, exchange, context, onStart));
  const job = repeatable === undefined ? begin() : repeats.start(repeatable, begin, () => exchange.spent);
  await setImmediate();
  if (job.ended !== undefined && !job.ended.result.ok && !exchange.spent) {
    jobs.forget(job);
    throw job.ended.result.error;
  }
  exchange.later = job.run.answer.result.then((result) =>
    result.ok
      ? { status: 200, error: undefined }
      : { status: statusOf(dialect, result.error), error: result.error },
  );
  return respondAccepted(exchange, job, order.ask, context);
}
