/** The recipe of every route that asks the model. The dialect knows what is particular to an API. */
import type { Runner, RunRequest } from '../../claude/runner.ts';
import type { Config } from '../../config.ts';
import type { Dialect } from '../../dialects/dialect.ts';
import { ignoredHeader } from '../../dialects/unread.ts';
import {
  answerIdempotent,
  answerWithJob,
  idempotentRequest,
  wantsJob,
  type AnswerParts,
} from '../async/answer-with-job.ts';
import { requireRoom } from '../attachments.ts';
import type { BodyBudget } from '../body-budget.ts';
import { readJson, type Body, type BodyLimits } from '../body.ts';
import { answerWithEvents } from '../event-stream.ts';
import { elapsedMs, respond, type KeyedExchange } from '../exchange.ts';
import { withProfile, type ProfileParts } from '../profile.ts';
import type { Handler } from '../route.ts';
import { runToBody, runToEvents, type UnderstoodRequest } from '../run.ts';
import { timeLimit } from '../time-limit.ts';
import { chooseFallback, chooseModel, noteModel, type Choice, type FallbackSettings } from './models.ts';

export type GenerateParts = AnswerParts &
  ProfileParts & {
    config: FallbackSettings & BodyLimits & Pick<Config, 'requestTimeoutMs' | 'strictModels'>;
    runner: Pick<Runner, 'run' | 'checkSchema'>;
    bodyBudget: Pick<BodyBudget, 'reserve'>;
  };

/** A route that asks the model, in the API of the dialect. */
export function asks(dialect: Dialect) {
  return { method: 'POST', scope: 'complete', dialect, handler: generate(dialect) } as const;
}

function generate(dialect: Dialect): Handler<KeyedExchange, GenerateParts> {
  return async (request, exchange, parts) => {
    const body = await readJson(request, parts.config, {
      digest: request.headers.has('idempotency-key'),
      onLarge: (bytes) => {
        exchange.onEnd = parts.bodyBudget.reserve(exchange.key.id, bytes);
      },
    });
    exchange.bytesIn = body.bytes;
    return answerBody(dialect, body, request, exchange, parts);
  };
}

/** `body` is what `request` asks for, however it came. */
export async function answerBody(
  dialect: Dialect,
  body: Body,
  request: Pick<Request, 'headers' | 'signal'>,
  exchange: KeyedExchange,
  parts: GenerateParts,
): Promise<Response> {
  const { config } = parts;
  const { key } = exchange;
  const said = dialect.parse(body.value, (group, id) => parts.keptItems.recall(key.id, group, id));
  const parsed = withProfile(said, key, parts);
  const { conversation, ignored, replaced } = parsed;
  requireRoom(conversation, body.bytes, config);
  const unknown = dialect.unknownModel ?? 'not_found';
  const choice = chooseModel(parsed.model, key, config, unknown);
  exchange.model = choice.listed;
  if (conversation.schema !== undefined) await parts.runner.checkSchema(conversation.schema, key.id);
  if (ignored.length > 0) exchange.headers['x-relay-ignored-params'] = ignoredHeader(ignored);
  if (replaced.length > 0) exchange.headers['x-relay-profile'] = replaced.join(', ');
  const runOf = (choice: Choice): RunRequest => ({
    ...conversation,
    keyId: key.id,
    model: choice.model,
    login: choice.login,
    ...timeLimit(parsed, config),
    onModel: (resolved) => noteModel(choice, resolved, exchange, config, unknown),
  });
  const second = chooseFallback(choice, key, config);
  const understood: UnderstoodRequest = {
    exchange,
    parsed,
    run: runOf(choice),
    fallback: second && { ...second, run: runOf(second) },
    facts: () => ({
      requestId: exchange.requestId,
      model: (exchange.fallbackFrom === undefined ? choice : (second ?? choice)).asked,
      fallbackFrom: exchange.fallbackFrom,
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
