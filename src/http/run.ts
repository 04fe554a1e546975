/**
 * One turn under a reservation. Whatever happens, the ticket ends exactly once, and only when no process of the turn is left:
 * settled when the turn may have cost tokens, released (its daily count given back) when it cannot have.
 */
import type { RunRequest, RunningTurn } from '../claude/runner.ts';
import type { Answer } from '../conversation.ts';
import type { AnswerFacts, ParsedRequest } from '../dialects/dialect.ts';
import type { RelayError } from '../errors.ts';
import type { Key } from '../keys/key.ts';
import type { Admission } from '../limits/admission.ts';
import type { AppContext } from './app.ts';
import type { Exchange } from './exchange.ts';
import { reserve, withWork } from './reservation.ts';

export type Reserved = {
  run: RunRequest;
  key: Key;
  /** Aborted when nobody waits for the answer any more. */
  leaving: AbortSignal;
  /** Called when the request has its slot. */
  onStart?: () => void;
};

/** Resolves to the answer; rejects with a RelayError. */
async function runReserved(
  { run, key, leaving, onStart }: Reserved,
  exchange: Exchange,
  context: AppContext,
): Promise<Answer> {
  const { admission, runner, running } = context;
  context.readiness.check();
  return withWork(leaving, exchange, running, async (work) => {
    const ticket = await reserve({ lane: 'complete', model: run.model }, key, work.signal, exchange, context);
    onStart?.();
    let turn: RunningTurn;
    try {
      turn = runner.run(run, work.signal);
    } catch (error) {
      ticket.release();
      throw error;
    }
    const { outcome, times, usage, mayHaveSpent, resolvedModel } = await turn.finished;
    if (resolvedModel !== undefined) admission.modelResolved(run.model, resolvedModel);
    work.until(
      turn.gone.then(() => {
        if (mayHaveSpent) ticket.settle();
        else ticket.release();
      }),
    );
    exchange.spent = mayHaveSpent;
    exchange.warm = turn.warm;
    exchange.spawnMs = (times.initAt ?? times.endedAt) - times.startedAt;
    exchange.upstreamMs = times.endedAt - (times.initAt ?? times.endedAt);
    if (times.firstTextAt !== undefined) exchange.firstTextMs = times.firstTextAt - exchange.startedAt;
    exchange.usage = usage;
    exchange.costUsd = outcome.ok ? (outcome.answer.costUsd ?? 0) : 0;
    if (!outcome.ok) {
      notePlan(outcome.error, admission);
      throw outcome.error;
    }
    ticket.planWorks();
    const { answer } = outcome;
    exchange.stopReason = answer.stopReason;
    return answer;
  });
}

/** A plan that is used up until a time refuses what comes next at once, instead of each starting a process to learn it again. */
function notePlan({ details }: RelayError, admission: Admission): void {
  if (details.limit !== 'plan' || details.untilMs === undefined) return;
  admission.planUsedUp(details.untilMs, details.closesModel);
}

export type Order = { key: Key; ask: ParsedRequest; run: RunRequest; facts: () => AnswerFacts };

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
  return ask.responder.body(answer, facts());
}

/** Sends each event as it comes, and those that end the answer. */
export async function runStreamed(
  { run, key, ask, facts }: Order,
  waiting: Waiting,
  exchange: Exchange,
  context: AppContext,
  send: (events: string) => void,
): Promise<void> {
  const responder = ask.responder.stream(facts);
  let defect: unknown;
  const onEvent: RunRequest['onEvent'] = (event) => {
    if (defect !== undefined) return;
    try {
      send(responder.event(event));
    } catch (error) {
      defect = error;
    }
  };
  const answer = await runReserved({ run: { ...run, onEvent }, key, ...waiting }, exchange, context);
  if (defect !== undefined) throw defect;
  send(responder.end(answer));
}
