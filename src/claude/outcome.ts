/**
 * How a turn ended -> an answer or an error. Pure: the one place that decides what a caller gets.
 *
 * Facts of the CLI (2.1.197, 2.1.330): a `result` of subtype `success` with `is_error` is a failure whose text is an error
 * sentence, never an answer; after `max_tokens`, `refusal` or a cut stream the CLI would ask the model again, up to three times, which
 * the valve does not let it, so the relay ends the turn at the first stop reason of that kind.
 */
import type { Answer } from '../conversation.ts';
import { RelayError, type ErrorDetails } from '../errors.ts';
import type { Breach } from './breach.ts';
import { errorOf } from './failure/errors.ts';
import { causeOf, type Refusal } from './failure/causes.ts';
import { familyOf } from '../model-family.ts';
import { MalformedEvent, type ModelMessage } from './message.ts';
import { proxyFailure } from './valve/dial.ts';
import type { CliFailure, CliResult, PlanRefusal } from './protocol.ts';

/** What ended the turn; the first cause wins. */
export type TurnEnd =
  | { cause: 'result'; result: CliResult }
  /** The model stopped for a reason after which the CLI would ask it again. */
  | { cause: 'stopped' }
  /** The stream ended without a stop reason, or a second message began: the answer was lost on the way, and the CLI asks for it again. */
  | { cause: 'broken_off' }
  | { cause: 'lock_broken'; breach: Breach }
  | { cause: 'exit' }
  | { cause: 'garbage' }
  | { cause: 'timeout'; afterMs: number; limit: 'relay' | 'request' }
  /** The client left or the relay stops (an error of `endings.ts`), or the model is not the one that was asked for. */
  | { cause: 'aborted'; error: RelayError };

/** What the process reported before the end of the turn. */
export type TurnEvidence = {
  /** The model's message, as far as it came. */
  message: ModelMessage;
  /** The id of the model that the CLI is about to ask; undefined until it has checked in. */
  initModel: string | undefined;
  /** False: nothing went out to the API. */
  asked: boolean;
  /** Why no connection to the API could be made. */
  dialFailure: string | undefined;
  /** The request offers tools: a call of one is an answer. */
  tools: boolean;
  /** What the CLI counts as the cost of earlier turns. */
  costBefore: number;
  failure: CliFailure | undefined;
  planRefusal: PlanRefusal | undefined;
};

export type Outcome = { ok: true; answer: Answer } | { ok: false; error: RelayError };

/**
 * `nowMs`: the wall clock, for the seconds until a reset time. SDKs must not retry a turn that may have cost tokens: that would cost
 * as much again, without the caller's decision.
 */
export function judge(end: TurnEnd, evidence: TurnEvidence, nowMs: number): Outcome {
  const judged = judgeEnd(end, evidence, nowMs);
  if (!(judged instanceof RelayError)) return { ok: true, answer: judged };
  if (!mayHaveSpent(end, evidence)) return { ok: false, error: judged };
  const { code, message, details } = judged;
  return { ok: false, error: new RelayError(code, message, { ...details, shouldRetry: false }) };
}

function judgeEnd(end: TurnEnd, evidence: TurnEvidence, nowMs: number): Answer | RelayError {
  const { message, tools } = evidence;
  switch (end.cause) {
    case 'result':
      return judgeResult(end.result, evidence, nowMs);
    case 'stopped':
      return (message.stopReason === 'tool_use' || message.usesTool) && !tools
        ? upstreamError('The model called a tool that the request does not offer.')
        : answered(evidence, null);
    case 'broken_off':
      return upstreamError(lostOnTheWay);
    case 'lock_broken':
      return lockBroken(end.breach);
    case 'exit':
      return (
        unreached(evidence, nowMs) ??
        upstreamError(
          evidence.initModel === undefined
            ? 'Claude Code could not be started. The owner of the host can run `claude-relay doctor` for the reason.'
            : 'Claude Code exited before it answered. Try again.',
        )
      );
    case 'garbage':
      return upstreamError(garbage);
    case 'timeout': {
      const advice =
        end.limit === 'relay'
          ? ' (REQ_TIMEOUT). Ask for less, or raise the limit on the host.'
          : ', the timeout of the request. Ask for less, or raise the timeout.';
      const seconds = Math.round(end.afterMs / 1000);
      return new RelayError('upstream_timeout', `No complete answer within ${seconds} seconds${advice}`);
    }
    case 'aborted':
      return end.error;
  }
}

function lockBroken({ kind }: Breach): RelayError {
  switch (kind) {
    case 'version':
      return new RelayError(
        'not_ready',
        'This version of Claude Code is not proved yet. The relay is proving it. Try again in a few seconds.',
        { retryAfter: 5 },
      );
    case 'hook':
      return upstreamError(
        'Claude Code ran a hook, so the request was stopped. The relay accepts no requests until its owner has removed the hook and restarted the relay.',
        { shouldRetry: false },
      );
    case 'listing':
      return upstreamError(
        'Claude Code offered something that the relay did not allow, so the request was stopped. The relay accepts no requests until the lock is proved again.',
      );
  }
}

function judgeResult(result: CliResult, evidence: TurnEvidence, nowMs: number): Answer | RelayError {
  const { message, failure } = evidence;
  // Rounded: the difference of two sums would be 0.30000000000000004 where a new process reports 0.3.
  const costUsd = Number(Math.max(0, result.total_cost_usd - evidence.costBefore).toFixed(9));
  // The CLI runs no tool, and may not ask again: it reports the limit of its turns.
  if (message.stopReason === 'tool_use' && evidence.tools && result.subtype === 'error_max_turns')
    return answered(evidence, costUsd);
  if (!result.is_error && result.subtype === 'success') {
    // A result without a message of the model is the CLI's own text: it took the prompt for a command.
    if (!message.started) return upstreamError('Claude Code answered without asking the model.');
    // The stream broke off, and the CLI got another answer in another way.
    if (message.stopReason === undefined) return upstreamError(lostOnTheWay);
    return answered(evidence, costUsd);
  }
  const unreachable = unreached(evidence, nowMs);
  if (unreachable !== undefined) return unreachable;
  const refusal: Refusal = {
    status: result.api_error_status ?? undefined,
    ...(failure ?? { kind: undefined, code: undefined, apiType: undefined, typed: false }),
    // The result of a turn whose message had a tool call lacks the sentence.
    text: failure?.text || (result.result ?? ''),
  };
  const { cause, reason } = causeOf(refusal);
  if (cause === 'rate_limited') return rateLimited(evidence, nowMs);
  return errorOf(cause, reason, refusal.text, nowMs);
}

/** The error if no connection to the API was opened. A new process can try for 18 s to open one before it begins (2.1.332). */
function unreached({ asked, dialFailure }: TurnEvidence, nowMs: number): RelayError | undefined {
  if (asked || dialFailure === undefined) return undefined;
  return errorOf(dialFailure.startsWith(proxyFailure) ? 'network' : 'unreachable', undefined, '', nowMs);
}

const lostOnTheWay = 'The connection to the model was lost in the middle of the answer. Try again.';
const garbage = 'Claude Code printed unexpected output. Try again.';

function upstreamError(message: string, details?: ErrorDetails): RelayError {
  return new RelayError('upstream_error', message, details);
}

/**
 * The limits of all models. Any other closes only the family of the model that was refused: those of a family (`seven_day_opus`,
 * `seven_day_sonnet`, `seven_day_overage_included`), those of usage credits (`overage`), and unknown ones. If an unknown one is for
 * all models, each other family learns it by one refused request; the wrong way round, working models would be refused for days.
 * (2.1.197 and 2.1.330 pass the provider's name on as it is.)
 */
const limitsOfAllModels: ReadonlySet<string | undefined> = new Set(['five_hour', 'seven_day']);

function rateLimited({ planRefusal, initModel }: TurnEvidence, nowMs: number): RelayError {
  const waitMs = (planRefusal?.resetsAt ?? 0) * 1000 - nowMs;
  if (waitMs <= 0) {
    return new RelayError(
      'rate_limited',
      'Too many requests to the model at the moment. Try again in a moment.',
      {
        retryAfter: 30,
        limit: 'plan',
      },
    );
  }
  const until = new Date(nowMs + waitMs).toISOString();
  const closesModel = limitsOfAllModels.has(planRefusal?.type) ? undefined : initModel;
  const message =
    closesModel === undefined
      ? `The plan of the host is used up until ${until}.`
      : `The plan of the host is used up for ${familyOf(closesModel)} models until ${until}. Ask for another model, or wait.`;
  return new RelayError('rate_limited', message, {
    ...(closesModel === undefined ? {} : { closesModel }),
    retryAfter: Math.ceil(waitMs / 1000),
    limit: 'plan',
    usedUp: true,
    untilMs: nowMs + waitMs,
    shouldRetry: waitMs < 60_000,
  });
}

function answered({ message, initModel }: TurnEvidence, costUsd: number | null): Answer | RelayError {
  let content;
  try {
    content = message.content();
  } catch (error) {
    if (!(error instanceof MalformedEvent)) throw error;
    return upstreamError(garbage);
  }
  return {
    messageId: message.id,
    content,
    text: message.text(),
    stopReason: message.stopReason ?? 'end_turn',
    stopSequence: message.stopSequence,
    ...(message.stopDetails === undefined ? {} : { stopDetails: message.stopDetails }),
    resolvedModel: message.model || (initModel ?? ''),
    usage: message.usage,
    rawUsage: message.rawUsage,
    costUsd,
  };
}

/**
 * Whether the turn may have cost tokens. False only for a turn that provably did not reach the model: it ended before the CLI was
 * about to ask, or with an upstream error and no message. A lost connection may have lost the beginning of a message with it.
 */
export function mayHaveSpent(end: TurnEnd, evidence: TurnEvidence): boolean {
  if (evidence.message.started) return true;
  if (!evidence.asked) return false;
  if (end.cause === 'result') return lostAfterAsking(end.result);
  return evidence.initModel !== undefined && end.cause !== 'lock_broken';
}

/** As 2.1.197 and 2.1.330 word it. A refused connection or an unknown host name asked nothing. */
function lostAfterAsking({ is_error: failed, api_error_status: status, result = '' }: CliResult): boolean {
  const lost =
    /\b(?:ECONNRESET|ECONNABORTED|EPIPE|ETIMEDOUT)\b|connection [\w ]{0,30}(?:lost|dropped|closed)|timed out|no response from|idle timeout/i;
  return failed && (status ?? undefined) === undefined && lost.test(result.slice(0, 300));
}
