/** The recipe of every route that asks the model. The dialect knows what is particular to an API. */
import type { Runner } from '../../claude/runner.ts';
import type { Config } from '../../config.ts';
import type { Dialect, ParsedRequest } from '../../dialects/dialect.ts';
import { ignoredHeader } from '../../dialects/unread.ts';
import { RelayError } from '../../errors.ts';
import {
  answerIdempotent,
  answerWithJob,
  idempotentRequest,
  type AnswerParts,
} from '../async/answer-with-job.ts';
import { requireRoom } from '../attachments.ts';
import type { BodyBudget } from '../body-budget.ts';
import { readJson, type Body, type BodyLimits } from '../body.ts';
import { answerWithEvents } from '../event-stream.ts';
import { elapsedMs, respond, type KeyedExchange } from '../exchange.ts';
import type { Handler } from '../route.ts';
import { runToBody, runToEvents, type UnderstoodRequest } from '../run.ts';
import { chooseModel, noteModel, type ModelSettings } from './models.ts';

export type GenerateParts = AnswerParts & {
  config: ModelSettings & BodyLimits & Pick<Config, 'requestTimeoutMs' | 'strictModels'>;
  runner: Pick<Runner, 'run' | 'checkSchema'>;
  bodyBudget: Pick<BodyBudget, 'reserve'>;
};

/** A route that asks the model, in the API of the dialect. */
export function asks(dialect: Dialect) {
  return { method: 'POST', scope: 'complete', dialect, handler: generate(dialect) } as const;
}

function generate(dialect: Dialect): Handler<KeyedExchange, GenerateParts> {
  return async (request, exchange, parts) => {
    const { headers, signal } = request;
    const body = await readJson(request, parts.config, {
      digest: headers.has('idempotency-key'),
      onLarge: (bytes) => {
        exchange.onEnd = parts.bodyBudget.reserve(exchange.key.id, bytes);
      },
    });
    exchange.bytesIn = body.bytes;
    return answerBody(dialect, { body, headers, signal }, exchange, parts);
  };
}

export type ReadRequest = { body: Body } & Pick<Request, 'headers' | 'signal'>;

export async function answerBody(
  dialect: Dialect,
  request: ReadRequest,
  exchange: KeyedExchange,
  parts: GenerateParts,
): Promise<Response> {
  const { config } = parts;
  const { key } = exchange;
  const { body } = request;
  const parsed = dialect.parse(body.value, (group, id) => parts.keptItems.recall(key.id, group, id));
  const { conversation, ignored } = parsed;
  requireRoom(conversation, body.bytes, config);
  const unknown = dialect.unknownModel ?? 'not_found';
  const choice = chooseModel(parsed.model, key, config, unknown);
  exchange.model = choice.listed;
  if (conversation.schema !== undefined) await parts.runner.checkSchema(conversation.schema, key.id);
  if (ignored.length > 0) exchange.headers['x-relay-ignored-params'] = ignoredHeader(ignored);
  const understood: UnderstoodRequest = {
    exchange,
    parsed,
    run: {
      ...conversation,
      keyId: key.id,
      model: choice.model,
      ...timeLimit(parsed, config),
      onModel: (resolved) => noteModel(choice, resolved, exchange, config, unknown),
    },
    facts: () => ({
      requestId: exchange.requestId,
      model: choice.asked,
      at: exchange.at,
      durationMs: elapsedMs(exchange),
    }),
  };

  if (parsed.reply !== undefined) return respond(exchange, 200, parsed.reply(understood.facts()));
  const asJob = wantsJob(request, parsed);
  const idempotent = idempotentRequest(request, exchange, body, asJob);
  if (asJob) return answerWithJob(understood, idempotent, parts);
  if (idempotent !== undefined) return answerIdempotent(understood, idempotent, request, parts);
  const wait = { clientSignal: request.signal };
  if (!parsed.stream) return respond(exchange, 200, await runToBody(understood, wait, parts));
  return answerWithEvents(exchange, parts.times, ({ send }) => runToEvents(understood, wait, parts, send));
}

function timeLimit(
  { timeoutS }: ParsedRequest,
  { requestTimeoutMs }: Pick<Config, 'requestTimeoutMs'>,
): { timeoutMs?: number } {
  if (timeoutS === undefined) return {};
  if (timeoutS * 1000 > requestTimeoutMs) {
    throw new RelayError(
      'bad_request',
      `Field "timeout" must be at most ${requestTimeoutMs / 1000} (REQ_TIMEOUT).`,
    );
  }
  return { timeoutMs: timeoutS * 1000 };
}

/** By a field of the body, or by the preference of RFC 7240, which a stream ignores. */
function wantsJob({ headers }: ReadRequest, parsed: ParsedRequest): boolean {
  if (parsed.async === true) return true;
  return !parsed.stream && /(?:^|[,;\s])respond-async(?:$|[,;\s])/i.test(headers.get('prefer') ?? '');
}
