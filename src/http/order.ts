/** A request that was understood and may be run, and the two ways of running it. */
import type { RunRequest } from '../claude/runner.ts';
import type { AnswerFacts, Ask } from '../dialects/dialect.ts';
import type { Key } from '../keys/key.ts';
import type { AppContext } from './app.ts';
import type { Exchange } from './exchange.ts';
import { runReserved } from './run-reserved.ts';

export type Order = { key: Key; ask: Ask; run: RunRequest; facts: () => AnswerFacts };

export type Waiting = {
  /** Aborted when nobody waits for the answer any more. */
  leaving: AbortSignal;
  /** Called when the request has its slot. */
  onStart?: () => void;
};

/** Resolves to the body of the answer. */
export async function runWhole(
  { run, key, ask, facts }: Order,
  waiting: Waiting,
  exchange: Exchange,
  context: AppContext,
): Promise<object> {
  const answer = await runReserved({ run, key, ...waiting }, exchange, context);
  return ask.voice.whole(answer, facts());
}

/** Sends each event as it comes, and those that end the answer. */
export async function runStreamed(
  { run, key, ask, facts }: Order,
  waiting: Waiting,
  exchange: Exchange,
  context: AppContext,
  send: (events: string) => void,
): Promise<void> {
  const voice = ask.voice.stream(facts);
  let defect: unknown;
  const onEvent: RunRequest['onEvent'] = (event) => {
    if (defect !== undefined) return;
    try {
      send(voice.event(event));
    } catch (error) {
      defect = error;
    }
  };
  const answer = await runReserved({ run: { ...run, onEvent }, key, ...waiting }, exchange, context);
  if (defect !== undefined) throw defect;
  send(voice.end(answer));
}
