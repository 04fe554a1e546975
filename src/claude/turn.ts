/**
 * The recipe of one request: a process, the system prompt, the prompt, the check of what the process lists, one message of the
 * model, and the end of the process, in this order and whatever goes wrong.
 */
import type { ClaudeProcess } from './process.ts';
import { judge, mayHaveSpent, type Collected, type Outcome, type TurnEnd } from './outcome.ts';
import type { Effort } from '../api.ts';
import { unexpectedInInit } from './lock.ts';
import {
  effortLine,
  initializeLine,
  parseLine,
  readUsage,
  userLine,
  type CliEvent,
  type StreamEvent,
  type TokenUsage,
} from './protocol.ts';

export type TurnRequest = { prompt: string; system: string; effort?: Effort | undefined };

export type TurnOptions = {
  request: TurnRequest;
  /** A locked process that has had no turn; the turn owns it from now on, to its end. */
  process: ClaudeProcess;
  /** Milliseconds until the turn is given up. */
  timeoutMs: number;
  /** Aborted when the client has gone or the relay stops; `reason` is one of the two. */
  signal: AbortSignal;
  /** Called once, when the process is about to ask the model. */
  onAsking?: () => void;
  /** A turn listed what the relay did not put there. */
  onLockBroken: (found: readonly string[]) => void;
  /** Called with each piece of the model's text as it arrives. */
  onText?: (text: string) => void;
};

/** When things happened, in milliseconds of `performance.now()`. */
export type TurnTimes = { startedAt: number; initAt?: number; firstTextAt?: number; endedAt: number };

export type FinishedTurn = {
  outcome: Outcome;
  times: TurnTimes;
  /** What the upstream had reported by then, also of a turn that failed. */
  usage: TokenUsage;
  mayHaveSpent: boolean;
  /** The process ended by itself before it was about to ask the model. */
  diedUnasked: boolean;
};

export type Turn = {
  /** Resolves when it is decided what the caller is told; never rejects. The process may still be ending. */
  finished: Promise<FinishedTurn>;
  /** Resolves when no process of the turn is left: only then is its slot free. */
  gone: Promise<void>;
};

/** Reasons of `TurnOptions.signal`. */
export const clientGone = 'client_gone';
export const shutdown = 'shutdown';

/** An idle CLI ends by itself some 30 ms after its stdin does; a login it was refreshing gets this long to be saved. */
const exitGraceMs = 2000;

/** After any other stop reason, and after an answer with nothing to see, the CLI would ask the model again by itself. */
const finalStops = new Set(['end_turn', 'stop_sequence']);

function isBlank(pieces: readonly string[]): boolean {
  return pieces.every((piece) => piece.trim() === '');
}

export function runTurn(options: TurnOptions): Turn {
  const { process: cli } = options;
  const seen: Collected = {
    text: '',
    stopReason: undefined,
    resolvedModel: '',
    usage: readUsage(undefined),
    messageStarted: false,
    initSeen: false,
    assistantError: undefined,
    planResetsAt: undefined,
  };
  const pieces: string[] = [];
  const times: TurnTimes = { startedAt: performance.now(), endedAt: 0 };
  const { promise: finished, resolve } = Promise.withResolvers<FinishedTurn>();
  let ended = false;

  const finish = (end: TurnEnd, stop: () => void): void => {
    if (ended) return;
    ended = true;
    clearTimeout(timer);
    options.signal.removeEventListener('abort', onAbort);
    stop();
    times.endedAt = performance.now();
    seen.text = pieces.join('');
    resolve({
      outcome: judge(end, seen, Date.now()),
      times,
      mayHaveSpent: mayHaveSpent(end, seen),
      usage: seen.usage,
      diedUnasked: end.cause === 'exit' && !seen.initSeen,
    });
  };
  const terminate = (): void => cli.terminate();
  const kill = (): void => cli.kill();
  const letExit = (): void => {
    cli.finish();
    const late = setTimeout(terminate, exitGraceMs);
    void cli.gone.then(() => clearTimeout(late));
  };
  const onAbort = (): void => {
    finish({ cause: options.signal.reason === shutdown ? 'shutdown' : 'client_gone' }, terminate);
  };
  const lockBroken = (found: readonly string[]): void => {
    if (ended) return;
    finish({ cause: 'lock_broken', found }, kill);
    options.onLockBroken(found);
  };

  const onStream = (event: StreamEvent): void => {
    switch (event.type) {
      case 'message_start':
        // Nothing of the model's passes before the process has said what it offers.
        if (!seen.initSeen) lockBroken(['no init event before the answer']);
        else if (seen.messageStarted) finish({ cause: 'second_message' }, kill);
        else {
          seen.messageStarted = true;
          seen.resolvedModel = event.message?.model ?? seen.resolvedModel;
          seen.usage = readUsage(event.message?.usage);
        }
        return;
      case 'content_block_delta':
        if (event.delta?.type !== 'text_delta' || event.delta.text === undefined) return;
        times.firstTextAt ??= performance.now();
        pieces.push(event.delta.text);
        options.onText?.(event.delta.text);
        return;
      case 'message_delta':
        seen.usage = readUsage(event.usage, seen.usage);
        seen.stopReason = event.delta?.stop_reason ?? seen.stopReason;
        if (seen.stopReason !== undefined && (!finalStops.has(seen.stopReason) || isBlank(pieces)))
          finish({ cause: 'stopped' }, kill);
        return;
      default:
    }
  };

  const onEvent = (event: CliEvent): void => {
    switch (event.kind) {
      case 'init': {
        const found = unexpectedInInit(event.init);
        if (found.length > 0) return lockBroken(found);
        seen.initSeen = true;
        seen.resolvedModel = event.init.model;
        times.initAt ??= performance.now();
        options.onAsking?.();
        return;
      }
      case 'hook':
        return lockBroken([`hook: ${event.name}`]);
      case 'stream':
        return onStream(event.event);
      case 'assistant':
        seen.assistantError ??= event.error;
        return;
      case 'rate_limit':
        if (event.status === 'rejected') seen.planResetsAt = event.resetsAt;
        return;
      case 'result':
        return finish({ cause: 'result', result: event.result }, letExit);
      case 'control_response':
        if (!event.ok) finish({ cause: 'garbage', reason: 'initialize was refused' }, kill);
        return;
      case 'other':
    }
  };

  cli.listener = {
    onLine: (text) => {
      if (ended) return;
      let event: CliEvent;
      try {
        event = parseLine(text);
      } catch {
        finish({ cause: 'garbage', reason: 'not the protocol' }, kill);
        return;
      }
      onEvent(event);
    },
    onGarbage: (reason) => finish({ cause: 'garbage', reason }, kill),
    onExit: () => finish({ cause: 'exit', started: seen.initSeen }, () => {}),
  };
  const timer = setTimeout(
    () => finish({ cause: 'timeout', afterMs: options.timeoutMs }, terminate),
    options.timeoutMs,
  );
  options.signal.addEventListener('abort', onAbort);
  if (options.signal.aborted) onAbort();
  else cli.write(linesOf(options.request));

  return { finished, gone: cli.gone };
}

/** One write: the CLI reads them in order, and what belongs before the turn is before it. */
function linesOf({ prompt, system, effort }: TurnRequest): string {
  const first = effort === undefined ? '' : effortLine('effort', effort);
  return first + initializeLine('initialize', system) + userLine(prompt);
}
