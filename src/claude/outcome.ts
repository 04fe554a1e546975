/**
 * How a turn ended -> an answer or an error. Pure: the one place that decides what a caller is told.
 *
 * Facts of the CLI (2.1.197, 2.1.330): a `result` of subtype `success` with `is_error` is a failure whose text is an error
 * sentence, never an answer; after `max_tokens`, `refusal` or a cut stream the CLI would ask the model again by itself, up to three
 * times, so that the relay ends the turn at the first stop reason of that kind.
 */
import type { Answer } from '../conversation.ts';
import { RelayError } from '../errors.ts';
import type { Breach } from './breach.ts';
import { errorOf } from './cause-errors.ts';
import { causeOf, type Refusal } from './causes.ts';
import { familyOf } from '../model-family.ts';
import { MalformedEvent, type ModelMessage } from './message.ts';
import type { CliFailure, CliResult } from './protocol.ts';

/** What ended the turn; the first cause wins. */
export type TurnEnd =
  | { cause: 'result'; result: CliResult }
  /** The model stopped for a reason after which the CLI would go on by itself. */
  | { cause: 'stopped' }
  /** The stream ended without a stop reason, or a second message began: the answer was lost on the way, and the CLI asks for it again. */
  | { cause: 'broken_off' }
  | { cause: 'lock_broken'; breach: Breach }
  | { cause: 'exit'; started: boolean }
  | { cause: 'garbage'; reason: string }
  | { cause: 'timeout'; afterMs: number; limit: 'relay' | 'request' }
  /** The client left or the relay stops: an error of `endings.ts`. */
  | { cause: 'aborted'; error: RelayError };

/** What was seen of the turn before its end. */
export type TurnEvidence = {
  /** The model's message, as far as it came. */
  message: ModelMessage;
  /** The CLI had checked in and was about to ask the model. */
  initSeen: boolean;
  /** The model that the CLI said it would ask. */
  initModel: string;
  /** Tools of the caller's own were on offer: asking for one is an answer. */
  tools: boolean;
  /** What the CLI said of a request that failed. */
  failure: CliFailure | undefined;
  /** Unix seconds at which a used-up plan is usable again. */
  planResetsAt: number | undefined;
  /** The provider's name of the limit that is used up, such as `five_hour` or `seven_day_opus`. */
  planLimit: string | undefined;
};

export type Outcome = { ok: true; answer: Answer } | { ok: false; error: RelayError };

/**
 * `nowMs` is the wall clock, to turn a reset time into seconds to wait. Of a turn that may have cost tokens an SDK shall not try again
 * by itself: that would cost as much once more, unasked.
 */
export function judge(end: TurnEnd, seen: TurnEvidence, nowMs: number): Outcome {
  const outcome = judgeEnd(end, seen, nowMs);
  if (outcome.ok || !mayHaveSpent(end, seen)) return outcome;
  const { code, message, details } = outcome.error;
  return failed(code, message, { ...details, shouldRetry: false });
}

function judgeEnd(end: TurnEnd, seen: TurnEvidence, nowMs: number): Outcome {
  switch (end.cause) {
    case 'result':
      return judgeResult(end.result, seen, nowMs);
    case 'stopped':
      if ((seen.message.stopReason === 'tool_use' || seen.message.usesTool) && !seen.tools) {
        return failed('upstream_error', 'The model asked for a tool, and none is on offer here.');
      }
      return answered(seen, null);
    case 'broken_off':
      return lostOnTheWay();
    case 'lock_broken':
      return lockBroken(end.breach);
    case 'exit':
      return failed(
        'upstream_error',
        end.started
          ? 'Claude Code ended before it had answered. Try again.'
          : 'Claude Code could not be started. The owner of the host can find out why with `claude-relay doctor`.',
      );
    case 'garbage':
      return garbage();
    case 'timeout':
      return failed(
        'upstream_timeout',
        end.limit === 'relay'
          ? `No complete answer within ${seconds(end.afterMs)} (REQ_TIMEOUT). Ask for less, or raise the limit on the host.`
          : `No complete answer within ${seconds(end.afterMs)}, which is what the request allowed. Ask for less, or allow more.`,
      );
    case 'aborted':
      return { ok: false, error: end.error };
  }
}

function lockBroken({ kind }: Breach): Outcome {
  switch (kind) {
    case 'version':
      return failed(
        'not_ready',
        'Claude Code is another version than the one that was proved. The relay is proving this one. Try again in a few seconds.',
        { retryAfter: 5 },
      );
    case 'hook':
      return failed(
        'upstream_error',
        'Claude Code ran a hook, so the request was stopped. The relay takes no requests until its owner has looked at it.',
        { shouldRetry: false },
      );
    case 'listing':
      return failed(
        'upstream_error',
        'Claude Code offered something that the relay did not allow, so the request was stopped. The relay takes no requests until the lock is proved again.',
      );
  }
}

function judgeResult(result: CliResult, seen: TurnEvidence, nowMs: number): Outcome {
  if (!result.is_error && result.subtype === 'success') {
    // An answer that no message of the model stands behind is the CLI talking for itself (a prompt taken for a command).
    if (!seen.message.started) {
      return failed('upstream_error', 'Claude Code answered without asking the model.');
    }
    // The stream broke off, and the CLI got its answer in another way: what was seen is a part of a different one.
    if (seen.message.stopReason === undefined) return lostOnTheWay();
    return answered(seen, result.total_cost_usd);
  }
  const refusal: Refusal = {
    status: result.api_error_status ?? undefined,
    ...(seen.failure ?? { kind: undefined, code: undefined, apiType: undefined, typed: false }),
    // A turn whose message had a tool call ends as one too many, without the sentence.
    text: seen.failure?.text || (result.result ?? ''),
  };
  const { cause, reason } = causeOf(refusal);
  if (cause === 'rate_limited') return rateLimited(seen, nowMs);
  return { ok: false, error: errorOf(cause, reason, refusal.text, nowMs) };
}

function lostOnTheWay(): Outcome {
  return failed(
    'upstream_error',
    'The connection to the model was lost in the middle of the answer. Try again.',
  );
}

/**
 * The limits that are of all models. Any other closes the family of the model that was refused, and no more: the limits of a family
 * (`seven_day_opus`, `seven_day_sonnet`, `seven_day_overage_included`), those of usage credits (`overage`), and those that are not
 * known yet. Were such a limit of all models, each other family would learn it by one refused request; taken for one of all, it
 * would refuse for days what works. (2.1.197 and 2.1.330 pass the provider's name on as it is.)
 */
const limitsOfAllModels: ReadonlySet<string | undefined> = new Set(['five_hour', 'seven_day']);

function rateLimited(seen: TurnEvidence, nowMs: number): Outcome {
  const waitMs = seen.planResetsAt === undefined ? undefined : seen.planResetsAt * 1000 - nowMs;
  if (waitMs !== undefined && waitMs > 0) {
    const until = new Date(nowMs + waitMs).toISOString();
    const closesModel = limitsOfAllModels.has(seen.planLimit) ? undefined : seen.initModel;
    const message =
      closesModel === undefined
        ? `The plan of the host is used up until ${until}.`
        : `The plan of the host is used up for ${familyOf(closesModel)} models until ${until}. Ask for another model, or wait.`;
    return failed('rate_limited', message, {
      ...(closesModel === undefined ? {} : { closesModel }),
      retryAfter: Math.ceil(waitMs / 1000),
      limit: 'plan',
      untilMs: nowMs + waitMs,
      shouldRetry: waitMs < 60_000,
    });
  }
  return failed('rate_limited', 'The model limits requests at the moment. Try again in a moment.', {
    retryAfter: 30,
    limit: 'plan',
  });
}

function answered({ message, initModel }: TurnEvidence, costUsd: number | null): Outcome {
  let content;
  try {
    content = message.content();
  } catch (error) {
    if (!(error instanceof MalformedEvent)) throw error;
    return garbage();
  }
  return {
    ok: true,
    answer: {
      messageId: message.id,
      content,
      text: message.text(),
      stopReason: message.stopReason ?? 'end_turn',
      stopSequence: message.stopSequence,
      ...(message.stopDetails === undefined ? {} : { stopDetails: message.stopDetails }),
      resolvedModel: message.model === '' ? initModel : message.model,
      usage: message.usage,
      rawUsage: message.rawUsage,
      costUsd,
    },
  };
}

function seconds(ms: number): string {
  return `${Math.round(ms / 1000)} seconds`;
}

function garbage(): Outcome {
  return failed('upstream_error', 'Claude Code printed something that is not its protocol. Try again.');
}

function failed(...[code, message, details]: ConstructorParameters<typeof RelayError>): Outcome {
  return { ok: false, error: new RelayError(code, message, details) };
}

/**
 * Whether the turn may have cost tokens. Only a turn that provably did not reach the model is not counted: it ended
 * before the CLI was about to ask, or with an upstream error and no message. A connection that was lost may have taken the
 * beginning of a message with it: what had arrived is gone with a reset.
 */
export function mayHaveSpent(end: TurnEnd, seen: TurnEvidence): boolean {
  if (seen.message.started) return true;
  if (end.cause === 'result') return lostAfterAsking(end.result);
  return seen.initSeen && end.cause !== 'lock_broken';
}

/** As 2.1.197 and 2.1.330 word it; a connection that was refused, or a name that does not resolve, is none of these. */
function lostAfterAsking({ is_error: failed, api_error_status: status, result = '' }: CliResult): boolean {
  const lost =
    /\b(?:ECONNRESET|ECONNABORTED|EPIPE|ETIMEDOUT)\b|connection [\w ]{0,30}(?:lost|dropped|closed)|timed out|no response from|idle timeout/i;
  return failed && (status ?? undefined) === undefined && lost.test(result.slice(0, 300));
}
