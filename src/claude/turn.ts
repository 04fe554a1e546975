/**
 * One turn: the lines of a request go to a process, its valve opens, what the process lists is checked, the valve shuts when the model
 * begins to answer, and the model sends one message. After a clean end the process can rest; after any other it ends.
 */
import type { LockedProcess } from './locked-process.ts';
import { judge, mayHaveSpent, type Outcome, type TurnEnd, type TurnEvidence } from './outcome.ts';
import type { Conversation, ModelEvent, TokenUsage } from '../conversation.ts';
import { RelayError } from '../errors.ts';
import { isOtherFamily } from '../model-family.ts';
import { breachIn, type Breach } from './breach.ts';
import { MalformedEvent, ModelMessage } from './message.ts';
import type { Readiness } from './proof/readiness.ts';
import { parseLine, type CliEvent, type CliResult } from './protocol.ts';
import type { Schemas } from './schemas.ts';
import { satisfied, structuredBy } from './structured.ts';
import { turnLines } from './turn-lines.ts';

export type TurnOptions = {
  request: Conversation;
  /** The turn owns it from now on, until it rests or is gone. */
  process: LockedProcess;
  /** What the process has done before. */
  past?: ProcessPast;
  /** The process has waited, and may have hung unnoticed: it must check in soon. */
  waited?: boolean;
  /**
   * Called at a clean end, with what the process has done by now. Resolves when it rests and its slot can be free; undefined: it must
   * end.
   */
  rest?: (past: ProcessPast) => Promise<void> | undefined;
  /** Milliseconds until the turn is given up. */
  timeoutMs: number;
  /** Whether `timeoutMs` is the relay's limit or the request's. */
  timeoutOf?: 'relay' | 'request';
  /** Aborted when the client has gone or the relay stops; `reason` is the error of `endings.ts`. */
  signal: AbortSignal;
  /** Called once, when the process is about to ask the model. */
  onAsking?: () => void;
  /** Called with the id of the model that the process is about to ask. An error ends the turn. Must not throw. */
  onModel?: (resolved: string) => RelayError | undefined;
  readiness: Pick<Readiness, 'provedVersion' | 'lockBroken'>;
  /** Called when the model begins to answer. */
  onAnswering?: () => void;
  /**
   * Called with each event of the model's message as it arrives, `message_start` first. `message_delta`, `message_stop` and `ping`
   * are not passed on: the outcome stands for them. Must not throw.
   */
  onEvent?: (event: ModelEvent) => void;
  unsatisfied: Schemas['unsatisfied'];
};

/** `costUsd`: of all its turns. */
export type ProcessPast = { turns: number; costUsd: number };

/** When things happened, in milliseconds of `performance.now()`. */
export type TurnTimes = { startedAt: number; initAt?: number; firstTextAt?: number; endedAt: number };

export type FinishedTurn = {
  outcome: Outcome;
  times: TurnTimes;
  /** What the upstream reported, also of a turn that failed. */
  usage: TokenUsage;
  mayHaveSpent: boolean;
  /** What the model wrote in a turn that ended before `usage` was complete, and the milliseconds before its first text. */
  unreported?: { text: string; hiddenMs: number };
  /** The id of the model that the CLI chose for the name in the request; absent when it had not reported one. */
  resolvedModel?: string;
  /** The process failed without asking the model: another one can take the request. */
  failedUnasked: boolean;
  /** What ended the process; undefined: it rests. */
  endedBy: TurnEnd['cause'] | undefined;
};

export type Turn = {
  /** Resolves when the outcome is decided; never rejects. The process may still be ending. */
  finished: Promise<FinishedTurn>;
  /** Resolves when no process of the turn is left, or it rests: only then is its slot free. */
  gone: Promise<void>;
};

/** An idle CLI exits about 30 ms after its stdin ends; a login it was refreshing gets this long to be saved. */
const exitGraceMs = 2000;

/** A process that waited checks in within some milliseconds; even on a busy machine it has by then. */
const checkInMs = 5000;

/** Events that are not passed on: the outcome replaces them. */
const notPassedOn = new Set(['message_delta', 'message_stop', 'ping']);

/** After these the model is done, and the CLI asks nothing more by itself. */
const cleanStops: ReadonlySet<string | undefined> = new Set(['end_turn', 'stop_sequence', 'tool_use']);

export function runTurn(options: TurnOptions): Turn {
  const { process: cli, request, readiness, past = { turns: 0, costUsd: 0 } } = options;
  const { valve } = cli;
  const provedVersion = readiness.provedVersion();
  const structured = structuredBy(request);
  const evidence: TurnEvidence = {
    message: new ModelMessage(),
    initModel: undefined,
    asked: true,
    dialFailure: undefined,
    tools: structured !== undefined || (request.tools ?? []).length > 0,
    costBefore: past.costUsd,
    failure: undefined,
    planRefusal: undefined,
  };
  const { message } = evidence;
  const times: TurnTimes = { startedAt: performance.now(), endedAt: 0 };
  const { promise: finished, resolve } = Promise.withResolvers<FinishedTurn>();
  const settingsId = `settings-${past.turns + 1}`;
  /** Only a process without a past can print nothing that belongs to another turn. */
  let confirmed = past.turns === 0;
  let ended = false;
  let gone: Promise<void> = cli.gone;
  let checkIn: NodeJS.Timeout | undefined;

  const finish = (end: TurnEnd, stop: (outcome: Outcome) => void): void => {
    if (ended) return;
    ended = true;
    clearTimeout(timer);
    clearTimeout(checkIn);
    options.signal.removeEventListener('abort', onAbort);
    valve.onHeld = undefined;
    evidence.asked = valve.exact ? valve.passedBytes > 0 : evidence.initModel !== undefined;
    evidence.dialFailure = valve.dialFailure;
    const judged = judge(end, evidence, Date.now());
    stop(judged);
    times.endedAt = performance.now();
    void conclude(end, judged);
  };
  const conclude = async (end: TurnEnd, judged: Outcome): Promise<void> => {
    let outcome = judged;
    if (outcome.ok && structured !== undefined)
      outcome = await satisfied(outcome.answer, structured, options);
    const failed = ['exit', 'garbage', 'result'].includes(end.cause) && !message.started;
    resolve({
      outcome,
      times,
      usage: message.usage,
      mayHaveSpent: mayHaveSpent(end, evidence),
      ...(message.stopReason === undefined && { unreported: unreported() }),
      ...(evidence.initModel ? { resolvedModel: evidence.initModel } : {}),
      failedUnasked: failed && !evidence.asked && evidence.dialFailure === undefined,
      endedBy: gone === cli.gone ? end.cause : undefined,
    });
  };
  const unreported = (): NonNullable<FinishedTurn['unreported']> => {
    const { initAt = times.endedAt, firstTextAt = times.endedAt } = times;
    return { text: message.written(), hiddenMs: message.started ? firstTextAt - initAt : 0 };
  };
  const { terminate } = cli;
  /** Ends its connections to the API first: no signal is as fast. */
  const giveUp = (): void => {
    valve.cut();
    terminate();
  };
  const kill = (): void => {
    valve.cut();
    cli.kill();
  };
  /** It asks nothing more: what has not gone out by now could have been given to another process. */
  const letExit = (): void => {
    valve.cut();
    cli.finish();
    const late = setTimeout(terminate, exitGraceMs);
    void cli.gone.then(() => clearTimeout(late));
  };
  const onResult = (result: CliResult): void => {
    finish({ cause: 'result', result }, ({ ok }) => {
      const isClean = ok && cleanStops.has(message.stopReason) && !valve.holdsRequest;
      const costUsd = Math.max(past.costUsd, result.total_cost_usd);
      const rested = isClean ? options.rest?.({ turns: past.turns + 1, costUsd }) : undefined;
      if (rested === undefined) letExit();
      else gone = rested;
    });
  };
  const onAbort = (): void =>
    finish({ cause: 'aborted', error: options.signal.reason as RelayError }, giveUp);
  const garbage = (): void => finish({ cause: 'garbage' }, kill);
  const lockBroken = (breach: Breach): void => {
    if (ended) return;
    finish({ cause: 'lock_broken', breach }, kill);
    readiness.lockBroken(breach);
  };
  /** The CLI asks the model again: after its stop, or because the answer was lost on the way. */
  const asksAgain = (): void =>
    finish({ cause: message.stopReason === undefined ? 'broken_off' : 'stopped' }, kill);
  /** What is held while the model answers can be something else, which waits. */
  const onHeld = (): void => {
    if (message.stopReason !== undefined) asksAgain();
  };

  const onStream = (event: ModelEvent): void => {
    if (event.type === 'message_start') {
      // Nothing that the model sends passes before the process has listed what it offers.
      if (evidence.initModel === undefined)
        return lockBroken({ kind: 'listing', found: ['no init event before the answer'] });
      if (message.started) return finish({ cause: 'broken_off' }, kill);
      valve.shut();
    }
    let passedOn: readonly ModelEvent[];
    try {
      message.add(event);
      passedOn = structured?.event(event) ?? [event];
    } catch (error) {
      if (!(error instanceof MalformedEvent)) throw error;
      return garbage();
    }
    if (event.type === 'message_start' && isOtherFamily(evidence.initModel ?? '', message.model))
      return finish({ cause: 'aborted', error: otherModel(message.model) }, kill);
    if (event.type === 'content_block_start') {
      options.onAnswering?.();
    } else if (event.type === 'content_block_delta' && isVisible(event)) {
      times.firstTextAt ??= performance.now();
    }
    for (const each of passedOn) if (!notPassedOn.has(each.type)) options.onEvent?.(each);
    const { stopReason } = message;
    // A CLI that gives up instead has reported why by now.
    if (event.type === 'message_stop' && stopReason === undefined && evidence.failure === undefined)
      finish({ cause: 'broken_off' }, kill);
    if (event.type !== 'message_delta' || stopReason === undefined) return;
    // The CLI's own end of the turn is worth the wait for its cost, and because the process can rest after it.
    const isUsual = cleanStops.has(stopReason) && (evidence.tools || !message.usesTool);
    if (!isUsual || valve.holdsRequest || (!valve.exact && isFollowed(message)))
      finish({ cause: 'stopped' }, kill);
  };

  const onEvent = (event: CliEvent): void => {
    const breach = breachIn(event, provedVersion);
    if (breach !== undefined) return lockBroken(breach);
    if (!confirmed && event.kind !== 'control_response' && event.kind !== 'other') return garbage();
    switch (event.kind) {
      case 'init': {
        evidence.initModel = event.init.model;
        clearTimeout(checkIn);
        times.initAt ??= performance.now();
        const error = options.onModel?.(event.init.model);
        if (error !== undefined) return finish({ cause: 'aborted', error }, giveUp);
        return options.onAsking?.();
      }
      case 'stream':
        return onStream(event.event);
      case 'requesting':
        if (message.started) asksAgain();
        return;
      case 'failure':
        evidence.failure ??= event.failure;
        return;
      case 'plan_refusal':
        evidence.planRefusal = event;
        return;
      case 'result':
        return onResult(event.result);
      case 'control_response':
        confirmed ||= event.requestId === settingsId;
        if (!event.ok) garbage();
        return;
      case 'hook':
      case 'other':
    }
  };

  cli.listener = {
    onLine: (text) => {
      if (ended) return;
      const event = parseLine(text);
      if (event === undefined) garbage();
      else onEvent(event);
    },
    onGarbage: garbage,
    onExit: () => finish({ cause: 'exit' }, () => valve.cut()),
  };
  const { timeoutMs, timeoutOf: limit = 'relay' } = options;
  const timer = setTimeout(() => finish({ cause: 'timeout', afterMs: timeoutMs, limit }, giveUp), timeoutMs);
  options.signal.addEventListener('abort', onAbort);
  if (options.signal.aborted) onAbort();
  else {
    if (options.waited === true) checkIn = setTimeout(() => finish({ cause: 'exit' }, kill), checkInMs);
    valve.onHeld = onHeld;
    valve.open();
    cli.write(turnLines(structured?.conversation ?? request, settingsId, past.turns === 0));
  }
  return { finished, gone: finished.then(() => gone) };
}

/** Whether the CLI would ask again: after a tool call, and an answer with nothing to see. */
function isFollowed(message: ModelMessage): boolean {
  return message.usesTool || message.stopReason === 'tool_use' || message.text().trim() === '';
}

function otherModel(answered: string): RelayError {
  const message = `Another model (${answered.slice(0, 80)}) answered than the one that was asked, so the answer was not passed on.`;
  return new RelayError('upstream_error', message);
}

/** What a caller reads; not the model's thinking before it. */
function isVisible({ delta }: ModelEvent): boolean {
  const type = (delta as { type?: unknown } | undefined)?.type;
  return type === 'text_delta' || type === 'input_json_delta';
}
