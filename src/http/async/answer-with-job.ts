/** Requests whose run does not end with their connection: jobs, and requests with an Idempotency-Key. */
import { setImmediate } from 'node:timers/promises';
import { RelayError } from '../../errors.ts';
import type { Body } from '../body.ts';
import type { JobState, ParsedRequest } from '../../dialects/dialect.ts';
import { respond, respondText, statusOf, type KeyedExchange } from '../exchange.ts';
import type { UnderstoodRequest } from '../run.ts';
import { deliver, startDetached, type DetachedParts } from './detached.ts';
import { pollAfterS, type Job, type Jobs } from './jobs.ts';
import type { IdempotentRequest, RememberedRun, RememberedRuns } from './remembered-runs.ts';
import { endOf, webhookUrl, type WebhookParts } from './webhook.ts';

export type AnswerParts = DetachedParts & WebhookParts & { jobs: Jobs; rememberedRuns: RememberedRuns };

/** By a field of the body, or by the preference of RFC 7240, which a stream ignores. */
export function wantsJob({ headers }: Pick<Request, 'headers'>, parsed: ParsedRequest): boolean {
  if (parsed.async === true) return true;
  return !parsed.stream && /(?:^|[,;\s])respond-async(?:$|[,;\s])/i.test(headers.get('prefer') ?? '');
}

/** Undefined without an Idempotency-Key. */
export function idempotentRequest(
  { headers }: Pick<Request, 'headers'>,
  { route, key }: KeyedExchange,
  { digest = '' }: Body,
  asJob: boolean,
): IdempotentRequest | undefined {
  const name = headers.get('idempotency-key');
  if (name === null) return undefined;
  if (!/^[\x21-\x7e]{1,255}$/.test(name)) {
    throw new RelayError(
      'bad_request',
      'Header "idempotency-key" must be 1 to 255 printable ASCII characters.',
    );
  }
  const keyId = key.id;
  return { name: `${keyId} ${route.path} ${name}`, keyId, fingerprint: asJob ? `job ${digest}` : digest };
}

/** The first request runs; its repeats get its answer, and use nothing. */
export async function answerIdempotent(
  understood: UnderstoodRequest,
  idempotent: IdempotentRequest,
  request: Pick<Request, 'signal'>,
  parts: AnswerParts,
): Promise<Response> {
  const { exchange } = understood;
  const { rememberedRuns, times } = parts;
  const known = rememberedRuns.find(idempotent);
  if (known !== undefined) {
    exchange.headers['idempotent-replayed'] = 'true';
    return deliver(known.run, request, exchange, times);
  }
  const begin = (): RememberedRun => ({ run: startDetached(understood, parts) });
  const { run } = rememberedRuns.start(idempotent, begin, () => exchange.spent);
  try {
    return await deliver(run, request, exchange, times);
  } finally {
    // The record needs to know what the run used, also when the client did not wait.
    await run.answer.result;
  }
}

/** 202 with a job. A request that is refused at once is refused like any other. */
export async function answerWithJob(
  understood: UnderstoodRequest,
  idempotent: IdempotentRequest | undefined,
  parts: AnswerParts,
): Promise<Response> {
  const { jobs, rememberedRuns, webhooks } = parts;
  const { exchange } = understood;
  const { requestId, errorFormat, key } = exchange;
  const known = idempotent === undefined ? undefined : rememberedRuns.find(idempotent)?.id;
  if (known !== undefined) {
    exchange.headers['idempotent-replayed'] = 'true';
    return respondAccepted(understood, jobs.get(known, key.id), jobs);
  }
  const { parsed, facts } = understood;
  const url = webhookUrl(parsed.webhook, key, parts);
  if (url !== undefined) webhooks.requireRoom(key.id);
  const own = parsed.async === true ? parsed.responder.job : undefined;
  const given = {
    keyId: key.id,
    requestId,
    errorFormat,
    id: own?.id(facts()),
    ownBody: own && ((state: JobState) => own.body(state, facts())),
  };
  const begin = (): Job => jobs.start(given, (onSlot) => startDetached(understood, parts, onSlot));
  const job =
    idempotent === undefined ? begin() : rememberedRuns.start(idempotent, begin, () => exchange.spent);
  await setImmediate();
  if (job.ended !== undefined && !job.ended.result.ok && !exchange.spent) {
    jobs.forget(job);
    throw job.ended.result.error;
  }
  if (url !== undefined) {
    // Before the 202, because a restart must not lose what is accepted. A request that was refused at once writes nothing.
    try {
      const webhook = webhooks.add(job.id, key.id, url);
      job.webhook = webhook;
      void job.run.answer.result.then(() => webhook.end(endOf(job)));
    } catch (error) {
      job.run.cancel();
      await job.run.answer.result;
      jobs.forget(job);
      throw error;
    }
  }
  exchange.settled = job.run.answer.result.then((result) =>
    result.ok
      ? { status: 200, error: undefined }
      : { status: statusOf(errorFormat, result.error), error: result.error },
  );
  return respondAccepted(understood, job, jobs);
}

function respondAccepted({ exchange, parsed }: UnderstoodRequest, job: Job, jobs: Jobs): Response {
  if (job.ownBody !== undefined) return respondOwn(exchange, job, job.ownBody);
  if (parsed.async !== true) exchange.headers['preference-applied'] = 'respond-async';
  const body = jobs.describe(job, false);
  exchange.headers['location'] = body.url;
  exchange.headers['retry-after'] = pollAfterS;
  return respond(exchange, 202, { ok: true, job: body });
}

/** The answer of the job, or how it stands, in the form of its API. */
export function respondOwn(
  exchange: KeyedExchange,
  { status, ended }: Job,
  ownBody: NonNullable<Job['ownBody']>,
): Response {
  if (ended?.result.ok === true) return respondText(exchange, 200, ended.result.text);
  if (ended === undefined) exchange.headers['retry-after'] = pollAfterS;
  if (status === 'failed' && ended !== undefined) {
    return respond(exchange, 200, ownBody({ status, error: ended.result.error }));
  }
  return respond(exchange, 200, ownBody({ status: status === 'done' ? 'running' : status }));
}
