/**
 * The recipe of one request: a process, the system prompt, the prompt, the check of what the process lists, one message of the
 * model, and the end of the process, in this order and whatever goes wrong.
 */
import type { ClaudeProcess } from './process.ts';
import { judge, mayHaveSpent, type TurnEvidence, type Outcome, type TurnEnd } from './outcome.ts';
import type { Conversation, ModelEvent, TokenUsage } from '../conversation.ts';
import type { RelayError } from '../errors.ts';
import { asksAgain, countFurtherRequests, mayHaveAskedAgain } from './asks-again.ts';
import { breachIn, type Breach } from './breach.ts';
import { MalformedEvent, ModelMessage } from './message.ts';
import { interruptLine, parseLine, type CliEvent } from './protocol.ts';
import type { JsonSchema } from './schema.ts';
import { satisfied, structuredBy } from './structured.ts';
import { turnLines } from './turn-lines.ts';
import { blockFurtherRequests } from './blackhole-proxy.ts';

export type TurnOptions = {
  request: Conversation;
  /** A locked process that has had no turn; the turn owns it from now on, to its end. */
  process: ClaudeProcess;
  /** Milliseconds until the turn is given up. */
  timeoutMs: number;
  /** Whose limit that is. */
  timeoutOf?: 'relay' | 'request';
  /** Aborted when the client has gone or the relay stops; `reason` is the error of `endings.ts`. */
  signal: AbortSignal;
  /** Called once, when the process is about to ask the model. */
  onAsking?: () => void;
  /** The version of the CLI that was proved; undefined for any. */
  provedVersion?: string | undefined;
  onLockBroken: (breach: Breach) => void;
  /** Called when the model begins to answer. */
  onAnswering?: () => void;
  /**
   * Called with each event of the model's message as it arrives, `message_start` first. `message_delta`, `message_stop` and `ping`
   * are not passed on: the outcome stands for them. Must not throw.
   */
  onEvent?: (event: ModelEvent) => void;
  /** Why a value does not satisfy a schema; needed for a conversation that has one. */
  unsatisfied: (schema: JsonSchema, value: unknown) => Promise<string | undefined>;
};

/** When things happened, in milliseconds of `performance.now()`. */
export type TurnTimes = { startedAt: number; initAt?: number; firstTextAt?: number; endedAt: number };

export type FinishedTurn = {
  outcome: Outcome;
  times: TurnTimes;
  /** What the upstream had reported by then, also of a turn that failed, with the requests that the CLI made by itself. */
  usage: TokenUsage;
  /** Requests to the model, as far as the process reported them. */
  requests: number;
  mayHaveSpent: boolean;
  /** The model that the CLI made of the one asked for; absent when it had not said by then. */
  resolvedModel?: string;
  /** The process ended by itself before it was about to ask the model. */
  exitedBeforeRequest: boolean;
};

export type Turn = {
  /** Resolves when it is decided what the caller is told; never rejects. The process may still be ending. */
  finished: Promise<FinishedTurn>;
  /** Resolves when no process of the turn is left: only then is its slot free. */
  gone: Promise<void>;
};

/** An idle CLI ends by itself some 30 ms after its stdin does; a login it was refreshing gets this long to be saved. */
const exitGraceMs = 2000;

/** By then an interrupted process has closed its connection (6 to 60 ms on 2.1.197 and 2.1.330). */
const interruptGraceMs = 100;

/** A process that was killed has closed its output by then. */
const killGraceMs = 500;

/** The events that are for the relay alone. */
const keptEvents = new Set(['message_delta', 'message_stop', 'ping']);

export function runTurn(options: TurnOptions): Turn {
  const { process: cli, request } = options;
  const structured = structuredBy(request);
  const seen: TurnEvidence = {
    message: new ModelMessage(),
    initSeen: false,
    initModel: '',
    tools: structured !== undefined || (request.tools ?? []).length > 0,
    failure: undefined,
    planResetsAt: undefined,
    planLimit: undefined,
  };
  const { message } = seen;
  const times: TurnTimes = { startedAt: performance.now(), endedAt: 0 };
  const { promise: finished, resolve } = Promise.withResolvers<FinishedTurn>();
  const further = countFurtherRequests();
  let ended = false;
  let onPrinted = (): void => {};

  const finish = (end: TurnEnd, stop: () => void): void => {
    if (ended) return;
    ended = true;
    clearTimeout(timer);
    options.signal.removeEventListener('abort', onAbort);
    stop();
    times.endedAt = performance.now();
    if (further.ruledOut || !mayHaveAskedAgain(end, message)) return conclude(end);
    // What it printed before the kill says whether it has asked again.
    const late = setTimeout(() => conclude(end), killGraceMs);
    onPrinted = () => {
      clearTimeout(late);
      conclude(end);
    };
  };
  const conclude = (end: TurnEnd): void => {
    const judged = judge(end, seen, Date.now());
    const usage = further.addTo(message.usage);
    const told = {
      times,
      mayHaveSpent: mayHaveSpent(end, seen),
      usage,
      requests: 1 + further.count,
      ...(seen.initModel === '' ? {} : { resolvedModel: seen.initModel }),
      exitedBeforeRequest: end.cause === 'exit' && !seen.initSeen,
    };
    if (!judged.ok) return resolve({ outcome: judged, ...told });
    const answer = { ...judged.answer, usage };
    if (structured === undefined) return resolve({ outcome: { ok: true, answer }, ...told });
    void satisfied(answer, structured, options).then((outcome) => resolve({ outcome, ...told }));
  };
  const terminate = (): void => cli.terminate();
  const kill = (): void => cli.kill();
  const letExit = (): void => {
    cli.finish();
    const late = setTimeout(terminate, exitGraceMs);
    void cli.gone.then(() => clearTimeout(late));
  };
  /** An interrupt closes the connection to the model some 100 ms sooner than a process that ends does. */
  const interrupt = (): void => {
    if (!seen.initSeen) return terminate();
    cli.write(interruptLine('interrupt'));
    const late = setTimeout(terminate, interruptGraceMs);
    void cli.gone.then(() => clearTimeout(late));
  };
  const onAbort = (): void => {
    finish({ cause: 'aborted', error: options.signal.reason as RelayError }, interrupt);
  };
  const lockBroken = (breach: Breach): void => {
    if (ended) return;
    finish({ cause: 'lock_broken', breach }, kill);
    options.onLockBroken(breach);
  };

  const onStream = (event: ModelEvent): void => {
    if (event.type === 'message_start') {
      // Nothing of the model's passes before the process has said what it offers.
      if (!seen.initSeen) return lockBroken({ kind: 'listing', found: ['no init event before the answer'] });
      if (message.started) return finish({ cause: 'broken_off' }, kill);
      cli.write(blockFurtherRequests.line);
    }
    let told: readonly ModelEvent[];
    try {
      message.add(event);
      told = structured?.event(event) ?? [event];
    } catch (error) {
      if (!(error instanceof MalformedEvent)) throw error;
      return finish({ cause: 'garbage', reason: error.message }, kill);
    }
    if (event.type === 'content_block_start') {
      options.onAnswering?.();
    } else if (event.type === 'content_block_delta' && isVisible(event)) {
      times.firstTextAt ??= performance.now();
    }
    for (const one of told) if (!keptEvents.has(one.type)) options.onEvent?.(one);
    const { stopReason } = message;
    // Where the CLI gives up instead, it has said why by now.
    if (event.type === 'message_stop' && stopReason === undefined && seen.failure === undefined)
      finish({ cause: 'broken_off' }, kill);
    if (event.type === 'message_delta' && stopReason !== undefined && asksAgain(stopReason, message))
      finish({ cause: 'stopped' }, kill);
  };

  const onEvent = (event: CliEvent): void => {
    const breach = breachIn(event, options.provedVersion);
    if (breach !== undefined) return lockBroken(breach);
    switch (event.kind) {
      case 'init': {
        seen.initSeen = true;
        seen.initModel = event.init.model;
        times.initAt ??= performance.now();
        options.onAsking?.();
        return;
      }
      case 'stream':
        return onStream(event.event);
      case 'failure':
        seen.failure ??= event.failure;
        return;
      case 'rate_limit':
        if (event.refused) {
          seen.planResetsAt = event.resetsAt;
          seen.planLimit = event.type;
        }
        return;
      case 'result':
        return finish({ cause: 'result', result: event.result }, letExit);
      case 'control_response':
        // A build that does not take that one is still killed in time, nearly always.
        if (event.requestId === blockFurtherRequests.id) return;
        if (!event.ok) finish({ cause: 'garbage', reason: 'initialize was refused' }, kill);
        return;
      case 'hook':
      case 'requesting':
      case 'other':
    }
  };

  cli.listener = {
    onLine: (text) => {
      let event: CliEvent;
      try {
        event = parseLine(text);
      } catch {
        finish({ cause: 'garbage', reason: 'not the protocol' }, kill);
        return;
      }
      if (message.started) further.note(event);
      if (!ended) onEvent(event);
    },
    onGarbage: (reason) => finish({ cause: 'garbage', reason }, kill),
    onExit: () => {
      finish({ cause: 'exit', started: seen.initSeen }, () => {});
      onPrinted();
    },
  };
  const timer = setTimeout(
    () =>
      finish(
        { cause: 'timeout', afterMs: options.timeoutMs, limit: options.timeoutOf ?? 'relay' },
        terminate,
      ),
    options.timeoutMs,
  );
  options.signal.addEventListener('abort', onAbort);
  if (options.signal.aborted) onAbort();
  else cli.write(turnLines(structured?.conversation ?? request));

  return { finished, gone: cli.gone };
}

/** What a caller reads, and not the model's thoughts before it. */
function isVisible({ delta }: ModelEvent): boolean {
  const type = (delta as { type?: unknown } | undefined)?.type;
  return type === 'text_delta' || type === 'input_json_delta';
}
