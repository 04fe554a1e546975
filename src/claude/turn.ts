/**
 * One turn: the lines of a request go to a process, what the process lists is checked, the model sends one message, and the process
 * ends, whatever goes wrong.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { ClaudeProcess } from './process.ts';
import { judge, mayHaveSpent, type Outcome, type TurnEnd, type TurnEvidence } from './outcome.ts';
import type { Conversation, ModelEvent, TokenUsage } from '../conversation.ts';
import type { RelayError } from '../errors.ts';
import { breachIn, type Breach } from './breach.ts';
import { asksAgain, FurtherRequests, mayHaveAskedAgain } from './further-requests.ts';
import { MalformedEvent, ModelMessage } from './message.ts';
import type { Readiness } from './proof/readiness.ts';
import { interruptLine, parseLine, type CliEvent } from './protocol.ts';
import type { Schemas } from './schemas.ts';
import { satisfied, structuredBy } from './structured.ts';
import { turnLines } from './turn-lines.ts';
import { blockFurtherRequests } from './blackhole-proxy.ts';

export type TurnOptions = {
  request: Conversation;
  /** A locked process that has had no turn; the turn owns it from now on, to its end. */
  process: ClaudeProcess;
  /** Milliseconds until the turn is given up. */
  timeoutMs: number;
  /** Whether `timeoutMs` is the relay's limit or the request's. */
  timeoutOf?: 'relay' | 'request';
  /** Aborted when the client has gone or the relay stops; `reason` is the error of `endings.ts`. */
  signal: AbortSignal;
  /** Called once, when the process is about to ask the model. */
  onAsking?: () => void;
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

/** When things happened, in milliseconds of `performance.now()`. */
export type TurnTimes = { startedAt: number; initAt?: number; firstTextAt?: number; endedAt: number };

export type FinishedTurn = {
  outcome: Outcome;
  times: TurnTimes;
  /** What the upstream reported, also of a turn that failed, with further requests of the CLI. */
  usage: TokenUsage;
  /** Requests to the model, as far as the process reported them. */
  requests: number;
  mayHaveSpent: boolean;
  /** The id of the model that the CLI chose for the name in the request; absent when it had not reported one. */
  resolvedModel?: string;
  /** The process exited before it was about to ask the model. */
  exitedBeforeRequest: boolean;
};

export type Turn = {
  /** Resolves when the outcome is decided; never rejects. The process may still be ending. */
  finished: Promise<FinishedTurn>;
  /** Resolves when no process of the turn is left: only then is its slot free. */
  gone: Promise<void>;
};

/** An idle CLI exits about 30 ms after its stdin ends; a login it was refreshing gets this long to be saved. */
const exitGraceMs = 2000;

/** By then an interrupted process has closed its connection (6 to 60 ms on 2.1.197 and 2.1.330). */
const interruptGraceMs = 100;

/** A process that was killed has closed its output by then. */
const killGraceMs = 500;

/** Events that are not passed on: the outcome replaces them. */
const notPassedOn = new Set(['message_delta', 'message_stop', 'ping']);

export function runTurn(options: TurnOptions): Turn {
  const { process: cli, request, readiness } = options;
  const provedVersion = readiness.provedVersion();
  const structured = structuredBy(request);
  const evidence: TurnEvidence = {
    message: new ModelMessage(),
    initModel: undefined,
    tools: structured !== undefined || (request.tools ?? []).length > 0,
    failure: undefined,
    planRefusal: undefined,
  };
  const { message } = evidence;
  const times: TurnTimes = { startedAt: performance.now(), endedAt: 0 };
  const { promise: finished, resolve } = Promise.withResolvers<FinishedTurn>();
  const further = new FurtherRequests();
  const exited = Promise.withResolvers<void>();
  let ended = false;

  const finish = (end: TurnEnd, stop: () => void): void => {
    if (ended) return;
    ended = true;
    clearTimeout(timer);
    options.signal.removeEventListener('abort', onAbort);
    stop();
    times.endedAt = performance.now();
    void conclude(end);
  };
  const conclude = async (end: TurnEnd): Promise<void> => {
    // What it printed before the kill says whether it has asked again.
    if (!further.ruledOut && mayHaveAskedAgain(end, message))
      await Promise.race([exited.promise, sleep(killGraceMs, undefined, { ref: false })]);
    const usage = further.addTo(message.usage);
    const requests = 1 + further.count;
    let outcome = judge(end, evidence, Date.now());
    if (outcome.ok) outcome = { ok: true, answer: { ...outcome.answer, usage } };
    if (outcome.ok && structured !== undefined)
      outcome = await satisfied(outcome.answer, structured, options);
    resolve({
      outcome,
      times,
      usage,
      requests,
      mayHaveSpent: mayHaveSpent(end, evidence),
      ...(evidence.initModel ? { resolvedModel: evidence.initModel } : {}),
      exitedBeforeRequest: end.cause === 'exit' && evidence.initModel === undefined,
    });
  };
  const { terminate, kill } = cli;
  const terminateAfter = (ms: number): void => {
    const late = setTimeout(terminate, ms);
    void cli.gone.then(() => clearTimeout(late));
  };
  const letExit = (): void => {
    cli.finish();
    terminateAfter(exitGraceMs);
  };
  /** An interrupt closes the connection to the model about 100 ms sooner than the end of the process does. */
  const interrupt = (): void => {
    if (evidence.initModel === undefined) return terminate();
    cli.write(interruptLine('interrupt'));
    terminateAfter(interruptGraceMs);
  };
  const onAbort = (): void =>
    finish({ cause: 'aborted', error: options.signal.reason as RelayError }, interrupt);
  const garbage = (): void => finish({ cause: 'garbage' }, kill);
  const lockBroken = (breach: Breach): void => {
    if (ended) return;
    finish({ cause: 'lock_broken', breach }, kill);
    readiness.lockBroken(breach);
  };

  const onStream = (event: ModelEvent): void => {
    if (event.type === 'message_start') {
      // Nothing that the model sends passes before the process has listed what it offers.
      if (evidence.initModel === undefined)
        return lockBroken({ kind: 'listing', found: ['no init event before the answer'] });
      if (message.started) return finish({ cause: 'broken_off' }, kill);
      cli.write(blockFurtherRequests.line);
    }
    let passedOn: readonly ModelEvent[];
    try {
      message.add(event);
      passedOn = structured?.event(event) ?? [event];
    } catch (error) {
      if (!(error instanceof MalformedEvent)) throw error;
      return garbage();
    }
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
    if (event.type === 'message_delta' && stopReason !== undefined && asksAgain(stopReason, message))
      finish({ cause: 'stopped' }, kill);
  };

  const onEvent = (event: CliEvent): void => {
    const breach = breachIn(event, provedVersion);
    if (breach !== undefined) return lockBroken(breach);
    switch (event.kind) {
      case 'init':
        evidence.initModel = event.init.model;
        times.initAt ??= performance.now();
        return options.onAsking?.();
      case 'stream':
        return onStream(event.event);
      case 'failure':
        evidence.failure ??= event.failure;
        return;
      case 'plan_refusal':
        evidence.planRefusal = event;
        return;
      case 'result':
        return finish({ cause: 'result', result: event.result }, letExit);
      case 'control_response':
        // A build that refuses that setting is still killed in time, nearly always.
        if (event.requestId !== blockFurtherRequests.id && !event.ok) garbage();
        return;
      case 'hook':
      case 'requesting':
      case 'other':
    }
  };

  cli.listener = {
    onLine: (text) => {
      const event = parseLine(text);
      if (event === undefined) return garbage();
      if (message.started) further.note(event);
      if (!ended) onEvent(event);
    },
    onGarbage: garbage,
    onExit: () => {
      finish({ cause: 'exit' }, () => {});
      exited.resolve();
    },
  };
  const { timeoutMs, timeoutOf: limit = 'relay' } = options;
  const timer = setTimeout(
    () => finish({ cause: 'timeout', afterMs: timeoutMs, limit }, terminate),
    timeoutMs,
  );
  options.signal.addEventListener('abort', onAbort);
  if (options.signal.aborted) onAbort();
  else cli.write(turnLines(structured?.conversation ?? request));

  return { finished, gone: cli.gone };
}

/** What a caller reads; not the model's thinking before it. */
function isVisible({ delta }: ModelEvent): boolean {
  const type = (delta as { type?: unknown } | undefined)?.type;
  return type === 'text_delta' || type === 'input_json_delta';
}
