/**
 * One turn under a ticket. Whatever happens, the ticket ends exactly once, and only when no process of the turn is left: settled when
 * the turn may have cost tokens, released (its daily count given back) when it cannot have.
 */
import type { Runner, RunRequest, RunningTurn } from '../claude/runner.ts';
import type { Readiness } from '../claude/proof/readiness.ts';
import type { Answer } from '../conversation.ts';
import type { AnswerFacts, ParsedRequest } from '../dialects/dialect.ts';
import type { Admission } from '../limits/admission.ts';
import { RelayError } from '../errors.ts';
import { fallbackLogin } from '../limits/plan-limit.ts';
import type { Metrics } from '../metrics/metrics.ts';
import { completeUsage, type Reckoning } from './reckoning.ts';
import { nothing } from '../limits/spending.ts';
import { asRelayError, type KeyedExchange } from './exchange.ts';
import { withFallback, type Fallback, type FallbackParts } from './fallback.ts';
import type { KeptItems } from './async/kept-items.ts';
import { reserve, whileWanted, type ReservationParts } from './reservation.ts';

export type RunParts = ReservationParts &
  FallbackParts & {
    admission: Pick<Admission, 'reserve' | 'modelResolved'>;
    readiness: Pick<Readiness, 'check'>;
    runner: Pick<Runner, 'run'>;
    keptItems: Pick<KeptItems, 'keep' | 'recall'>;
    reckoning: Reckoning;
    metrics: Pick<Metrics, 'started'>;
  };

export type UnderstoodRequest = {
  /** What the run uses is recorded here. */
  exchange: KeyedExchange;
  parsed: ParsedRequest;
  run: RunRequest;
  fallback?: Fallback | undefined;
  facts: () => AnswerFacts;
};

export type Wait = {
  /** Aborted when nobody waits for the answer any more. */
  clientSignal: AbortSignal;
  /** Called when the request has its slot. */
  onSlot?: () => void;
};

/** Resolves to the body of the answer. */
export async function runToBody(request: UnderstoodRequest, wait: Wait, parts: RunParts): Promise<object> {
  const { exchange, parsed, facts } = request;
  const answer = await withFallback(request, parts, (run) => runTurnUnderTicket(run, wait, exchange, parts));
  parts.keptItems.keep(exchange.key.id, parsed.responder.kept?.(answer, facts()));
  return parsed.responder.body(answer, facts());
}

/** Sends each event as it comes, and the events that end the answer. */
export async function runToEvents(
  request: UnderstoodRequest,
  wait: Wait,
  parts: RunParts,
  send: (events: string) => void,
): Promise<void> {
  const { exchange, parsed, facts } = request;
  const responder = parsed.responder.stream(facts);
  let defect: unknown;
  const onEvent: RunRequest['onEvent'] = (event) => {
    if (defect !== undefined) return;
    try {
      send(responder.event(event));
    } catch (error) {
      defect = error;
    }
  };
  try {
    const answer = await withFallback(request, parts, (run) =>
      runTurnUnderTicket({ ...run, onEvent }, wait, exchange, parts),
    );
    if (defect !== undefined) throw defect;
    parts.keptItems.keep(exchange.key.id, parsed.responder.kept?.(answer, facts()));
    send(responder.end(answer));
  } catch (thrown) {
    if (responder.fail === undefined) throw thrown;
    const failure = asRelayError(thrown);
    const details = { ...failure.details, events: responder.fail(failure) };
    throw new RelayError(failure.code, failure.message, details);
  }
}

/** Resolves to the answer; rejects with a RelayError. */
async function runTurnUnderTicket(
  run: RunRequest,
  { clientSignal, onSlot }: Wait,
  exchange: KeyedExchange,
  parts: RunParts,
): Promise<Answer> {
  const { admission, readiness, reckoning, runner, inFlight } = parts;
  readiness.check();
  return whileWanted(clientSignal, exchange, inFlight, async (signal, holdUntil) => {
    const most = () => reckoning.most(run.model, run);
    const model = run.login === undefined ? run.model : fallbackLogin;
    const ticket = await reserve({ lane: 'complete', model, most }, signal, exchange, parts);
    onSlot?.();
    const onEvent: RunRequest['onEvent'] = (event) => {
      ticket.planWorks();
      run.onEvent?.(event);
    };
    let turn: RunningTurn;
    try {
      turn = runner.run({ ...run, onEvent }, signal);
      exchange.start = turn.start;
    } catch (error) {
      ticket.release();
      throw error;
    }
    const { outcome, times, mayHaveSpent, unreported, resolvedModel, start, ...finished } =
      await turn.finished;
    const isPartial = mayHaveSpent && unreported !== undefined;
    const usage = isPartial ? completeUsage(finished.usage, run, unreported) : finished.usage;
    const reported = outcome.ok ? outcome.answer.costUsd : null;
    const used = mayHaveSpent ? reckoning.used(run.model, usage, reported) : nothing;
    const usedUp = !outcome.ok && outcome.error.details.usedUp === true;
    const end = (): boolean => {
      if (mayHaveSpent) return ticket.settle(used);
      return usedUp ? ticket.refuse() : ticket.release();
    };
    holdUntil(turn.gone.then(() => void end()));
    exchange.costUsd = used.usd;
    if (resolvedModel !== undefined) admission.modelResolved(run.model, resolvedModel);
    exchange.spent = mayHaveSpent;
    exchange.start = start;
    parts.metrics.started(start);
    exchange.spawnMs = (times.initAt ?? times.endedAt) - times.startedAt;
    exchange.upstreamMs += times.endedAt - (times.initAt ?? times.endedAt);
    if (times.firstTextAt !== undefined) exchange.firstTextMs = times.firstTextAt - exchange.startedAt;
    exchange.usage = usage;
    if (!outcome.ok) {
      const { untilMs = 0, closesModel } = outcome.error.details;
      // The next requests are refused at once: none of them starts a process to find out again.
      if (usedUp) {
        admission.planUsedUp(untilMs, run.login === undefined ? closesModel : fallbackLogin);
        // A fallback needs the slot.
        await turn.gone;
      }
      throw outcome.error;
    }
    const { answer } = outcome;
    exchange.stopReason = answer.stopReason;
    // Should the API have answered with another model than the CLI asked: a whole answer's headers can still say so.
    run.onModel?.(answer.resolvedModel);
    return answer;
  });
}
