/** An answer that leaves as server-sent events, and what becomes of one that fails on the way. */
import { RESPONSE_ALREADY_SENT } from '@hono/node-server/utils/response';
import { openEventStream, type EventStream } from './event-stream.ts';
import { asRelayError, type Exchange } from './exchange.ts';

/**
 * `source` sends what it has and resolves at its end. What it throws before anything was sent passes through, to be answered like any
 * other error; later it is told as the dialect's error events. Resolves when the client has all of it, or is gone.
 */
export async function answerWithEvents(
  exchange: Exchange,
  source: (stream: Pick<EventStream, 'send' | 'room'>) => Promise<void>,
): Promise<Response> {
  const { outgoing } = exchange;
  if (outgoing === undefined) throw new Error('there is no connection to stream to');
  const stream = openEventStream(exchange, outgoing);
  try {
    await source(stream);
  } catch (thrown) {
    if (!stream.begun) {
      stream.forget();
      throw thrown;
    }
    exchange.failure = asRelayError(thrown);
    stream.send(exchange.dialect.errorEvents(exchange.failure, exchange.requestId));
  }
  await stream.end();
  if (!outgoing.writableFinished) exchange.clientGone = true;
  return RESPONSE_ALREADY_SENT;
}
