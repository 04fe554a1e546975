/** A run that does not end with the connection that asked for it: its answer is kept for every client that joins. */
import { answerWithEvents, type StreamTimes } from '../event-stream.ts';
import { asRelayError, respondText, type Exchange } from '../exchange.ts';
import { runToBody, runToEvents, type RunParts, type UnderstoodRequest } from '../run.ts';
import type { Times } from '../times.ts';
import { KeptAnswer } from './kept-answer.ts';

export type DetachedParts = RunParts & { times: Pick<Times, 'graceMs' | keyof StreamTimes> };

export type DetachedRun = ReturnType<typeof startDetached>;

export function startDetached(
  request: UnderstoodRequest,
  parts: DetachedParts,
  onSlot: () => void = () => {},
) {
  const answer = new KeptAnswer();
  const abandoned = new AbortController();
  const wait = { clientSignal: abandoned.signal, onSlot };
  const { stream } = request.parsed;
  let joined = 0;
  let over = false;
  let grace: NodeJS.Timeout | undefined;

  const run = async (): Promise<string> => {
    if (!stream) return JSON.stringify(await runToBody(request, wait, parts));
    await runToEvents(request, wait, parts, (events) => answer.add(events));
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
    streamed: stream,
    /** A client waits for the answer. Returns the function to call when it stops waiting. */
    join: () => {
      joined += 1;
      clearTimeout(grace);
      return () => {
        joined -= 1;
        if (joined > 0 || over) return;
        grace = setTimeout(() => abandoned.abort(), parts.times.graceMs).unref();
      };
    },
    cancel: () => abandoned.abort(),
  };
}

/** Gives the run's answer to one connection, from its beginning. */
export async function deliver(
  { answer, streamed, join }: DetachedRun,
  { signal }: Pick<Request, 'signal'>,
  exchange: Exchange,
  times: StreamTimes,
): Promise<Response> {
  const leave = join();
  try {
    answer.requireWhole();
    if (!streamed) return respondText(exchange, 200, await answer.whole(signal));
    return await answerWithEvents(exchange, times, async (stream) => {
      await answer.follow(stream, signal);
    });
  } finally {
    leave();
    if (signal.aborted) exchange.clientGone = true;
  }
}
