/** A run that does not end with the connection that asked for it: its answer is kept, for whoever joins. */
import type { AppContext } from '../app.ts';
import { asRelayError, respondText, type Exchange } from '../exchange.ts';
import { answerWithEvents, type StreamTimes } from '../event-stream.ts';
import { KeptAnswer } from './kept-answer.ts';
import { runStreamed, runWhole, type Order } from '../run.ts';

export type Detached = {
  readonly answer: KeptAnswer;
  readonly streamed: boolean;
  /** Somebody waits for the answer; what is returned says that they do not any more. */
  join: () => () => void;
  cancel: () => void;
};

/** `exchange` is that of the request that asked first: what the run uses is recorded with it. */
export function startDetached(
  order: Order,
  exchange: Exchange,
  context: AppContext,
  onStart: () => void = () => {},
): Detached {
  const answer = new KeptAnswer();
  const leaving = new AbortController();
  const waiting = { leaving: leaving.signal, onStart };
  let joined = 0;
  let over = false;
  let grace: NodeJS.Timeout | undefined;

  const run = async (): Promise<string> => {
    if (!order.ask.stream) return JSON.stringify(await runWhole(order, waiting, exchange, context));
    await runStreamed(order, waiting, exchange, context, (events) => answer.add(events));
    return '';
  };
  void run()
    .then((text) => answer.end({ ok: true, text }))
    .catch((thrown: unknown) => answer.end({ ok: false, error: asRelayError(thrown) }))
    .finally(() => {
      over = true;
      clearTimeout(grace);
    });

  return {
    answer,
    streamed: order.ask.stream,
    join: () => {
      joined += 1;
      clearTimeout(grace);
      return () => {
        joined -= 1;
        if (joined === 0 && !over) grace = setTimeout(() => leaving.abort(), context.times.graceMs).unref();
      };
    },
    cancel: () => leaving.abort(),
  };
}

/** Gives the run's answer to one connection, from its beginning. */
export async function deliver(
  { answer, streamed, join }: Detached,
  request: Request,
  exchange: Exchange,
  times: StreamTimes,
): Promise<Response> {
  const leave = join();
  const onGone = (): void => {
    exchange.clientGone = true;
  };
  request.signal.addEventListener('abort', onGone);
  if (request.signal.aborted) onGone();
  try {
    answer.requireWhole();
    if (streamed) {
      return await answerWithEvents(exchange, times, (stream) => answer.follow(stream, request.signal));
    }
    return respondText(exchange, 200, await answer.whole(request.signal));
  } finally {
    leave();
  }
}
