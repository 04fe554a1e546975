/**
 * The recipe of every route that asks the model: identify -> read -> understand -> choose the model -> reserve, run, settle -> answer,
 * whole, as events, or as a job. What is particular to an API is its dialect's.
 */
import type { Config } from '../../config.ts';
import type { ParsedRequest, Dialect } from '../../dialects/dialect.ts';
import { RelayError } from '../../errors.ts';
import type { Handler } from '../app.ts';
import { requireRoom } from '../attachments.ts';
import { readJson } from '../body.ts';
import { answerWithEvents } from '../event-stream.ts';
import { elapsedMs, respond } from '../exchange.ts';
import { identify } from '../identify.ts';
import { answerLater, answerRepeatable, repeatableOf } from '../async/answer-with-job.ts';
import { chooseModel } from './models.ts';
import { runStreamed, runWhole, type Order } from '../run.ts';

export function generate(dialect: Dialect): Handler {
  return async (request, exchange, context) => {
    const { config } = context;
    const key = identify(request, exchange, 'complete', context);
    const room = context.largeBodies.enter(key.id);
    exchange.onEnd = room.leave;
    const body = await readJson(request, config, { digest: request.headers.has('idempotency-key'), room });
    exchange.bytesIn = body.bytes;
    const ask = dialect.parse(body.value);
    requireRoom(ask.conversation, body.bytes, config);
    const choice = chooseModel(ask.model, key, config, dialect.unknownModel ?? 'not_found');
    exchange.model = choice.listed;
    if (ask.conversation.schema !== undefined)
      await context.runner.checkSchema(ask.conversation.schema, key.id);
    if (ask.ignored.length > 0) exchange.headers['x-relay-ignored-params'] = ask.ignored.join(', ');
    const order: Order = {
      key,
      ask,
      run: { ...ask.conversation, model: choice.model, ...timeLimit(ask, config) },
      facts: () => ({
        requestId: exchange.requestId,
        model: choice.asked,
        at: exchange.at,
        durationMs: elapsedMs(exchange),
      }),
    };

    const later = wantsJob(request, ask);
    const repeatable = repeatableOf(request, exchange, key, body, later);
    if (later) return answerLater(order, repeatable, exchange, context);
    if (repeatable !== undefined) return answerRepeatable(order, repeatable, request, exchange, context);
    const waiting = { leaving: request.signal };
    if (!ask.stream) return respond(exchange, 200, await runWhole(order, waiting, exchange, context));
    return answerWithEvents(exchange, context.times, ({ send }) =>
      runStreamed(order, waiting, exchange, context, send),
    );
  };
}

function timeLimit({ timeoutS }: ParsedRequest, { requestTimeoutMs }: Config): { timeoutMs?: number } {
  if (timeoutS === undefined) return {};
  if (timeoutS * 1000 > requestTimeoutMs) {
    throw new RelayError(
      'bad_request',
      `Field "timeout" must be at most ${requestTimeoutMs / 1000} (REQ_TIMEOUT).`,
    );
  }
  return { timeoutMs: timeoutS * 1000 };
}

/** By a field of its body, or by the preference of RFC 7240. A preference may be passed over, and a stream is one of its own. */
function wantsJob({ headers }: Request, ask: ParsedRequest): boolean {
  if (ask.async === true) return true;
  const preferred = headers.get('prefer');
  return preferred !== null && !ask.stream && /(?:^|[,;\s])respond-async(?:$|[,;\s])/i.test(preferred);
}
