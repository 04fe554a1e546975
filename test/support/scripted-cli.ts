/**
 * Claude Code as a script in this process: it reads the lines that the relay writes to a locked process, and prints what the CLI would
 * print for a reply of the model. Everything above the process (turn, runner, HTTP) is the relay's own code.
 */
import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import type { LockedProcess } from '../../src/claude/locked-process.ts';
import { answerEvents, parseMessagesRequest, type ApiEvent } from '../../src/claude/proof/stand-in.ts';
import { createRunner, type Runner, type RunnerOptions } from '../../src/claude/runner.ts';
import { Valve } from '../../src/claude/valve/valve.ts';
import type { RelayError } from '../../src/errors.ts';
import { answerOf, type Reply, type SeenRequest } from './failing-model.ts';

export type ScriptedReply =
  | Exclude<Reply, { kind: 'raw' }>
  /** Lines of the CLI after `init`; then the process waits to be ended, unless `last` says more. */
  | { kind: 'lines'; lines: readonly object[]; last?: 'exit' | 'garbage' }
  /** The turn fails with this error, after these pieces of text. */
  | { kind: 'relay_error'; error: RelayError; afterText?: string | readonly string[]; deltaDelayMs?: number };

/** `index` counts the requests from 0. */
export type ScriptedReplyFunction = (
  request: SeenRequest,
  index: number,
) => ScriptedReply | Promise<ScriptedReply>;

export type ScriptedModel = {
  /** The requests that reached the model, oldest first, with the login and the number of the process as headers. Live. */
  readonly requests: readonly SeenRequest[];
  setReply: (reply: ScriptedReplyFunction) => void;
  /** The replies to the next requests; the last one stays. */
  say: (...replies: ScriptedReply[]) => void;
  /** Turns that have not ended. */
  running: () => number;
};

export type ScriptedRunnerOptions = Omit<RunnerOptions, 'claudeBin' | 'hostEnv' | 'start' | 'valves'>;

/** The version that the scripted CLI reports. */
export const scriptedVersion = '0.0.0-scripted';

/** The relay's runner on scripted processes, and the model that replies in them. */
export function scriptedRunner(
  options: ScriptedRunnerOptions,
  reply: ScriptedReplyFunction = () => ({ kind: 'text', text: 'hello' }),
): { runner: Runner; model: ScriptedModel } {
  const requests: SeenRequest[] = [];
  let replyTo = reply;
  let count = 0;
  let running = 0;
  let processes = 0;
  let started: Script | undefined;
  const runner = createRunner({
    ...options,
    claudeBin: '',
    hostEnv: {},
    valves: { exact: true, begin: () => assert.fail('no real process is started') },
    start: (name, login) => {
      const pid = ++processes;
      started = scriptedProcess(name, (seen) => {
        const request = { ...seen, headers: { process: String(pid), login: login ?? 'host' } };
        requests.push(request);
        return replyTo(request, count++);
      });
      return started.process;
    },
  });
  const model: ScriptedModel = {
    requests,
    setReply: (next) => (replyTo = next),
    say: (...replies) => {
      const queue = [...replies];
      replyTo = () => (queue.length > 1 ? queue.shift() : queue[0]) ?? { kind: 'text', text: 'hello' };
    },
    running: () => running,
  };
  return {
    model,
    runner: {
      ...runner,
      run: (request, signal) => {
        started = undefined;
        running += 1;
        const turn = runner.run(request, signal);
        const script = started as Script | undefined;
        const finished = turn.finished.then((ended) => {
          running -= 1;
          const error = ended.outcome.ok || signal.aborted ? undefined : script?.error();
          return error === undefined ? ended : { ...ended, outcome: { ok: false as const, error } };
        });
        return { ...turn, finished };
      },
    },
  };
}

type Script = { process: LockedProcess; error: () => RelayError | undefined };

function scriptedProcess(
  model: string,
  replyTo: (request: SeenRequest) => ScriptedReply | Promise<ScriptedReply>,
): Script {
  const gone = Promise.withResolvers<void>();
  const stop = new AbortController();
  const settings: { effort?: unknown; env: Record<string, string> } = { env: {} };
  let system: string[] = [];
  let error: RelayError | undefined;
  let exited = false;

  const end = (): void => {
    if (stop.signal.aborted) return;
    stop.abort();
    setImmediate(() => {
      exited = true;
      process.listener.onExit?.({ code: 0, signal: null });
      gone.resolve();
    });
  };
  /** What was printed before the end of the process is still read. */
  const print = (line: object): void => {
    if (!exited) process.listener.onLine(JSON.stringify(line));
  };
  const stream = async (
    events: readonly ApiEvent[],
    delayMs = 0,
    before?: (index: number) => Promise<void> | void,
  ): Promise<void> => {
    let deltas = 0;
    for (const event of events) {
      if (event.type === 'content_block_delta') {
        if (deltas > 0 && delayMs > 0) await sleep(delayMs, undefined, { signal: stop.signal });
        await before?.(deltas);
        deltas += 1;
      }
      print({ type: 'stream_event', event });
    }
  };

  const play = async (request: SeenRequest): Promise<void> => {
    const reply = await replyTo(request);
    switch (reply.kind) {
      case 'lines':
        for (const line of reply.lines) print(line);
        if (reply.last === 'garbage') process.listener.onLine('not JSON');
        if (reply.last === 'exit') end();
        return;
      case 'events': {
        await stream(
          reply.events.filter(({ type }) => type !== 'error'),
          reply.eventDelayMs,
        );
        const failed = reply.events.find(({ type }) => type === 'error')?.['error'] as ApiError | undefined;
        if (failed !== undefined) return printFailure(failed);
        return reply.cut === true ? printFailure(lost) : print(success);
      }
      case 'error':
        for (const line of planLines(reply.headers)) print(line);
        return printFailure(reply, reply.status);
      case 'relay_error':
        error = reply.error;
        if (reply.afterText !== undefined) {
          await stream(start(request, { kind: 'text', text: reply.afterText }, true), reply.deltaDelayMs);
        }
        return printFailure({ type: 'api_error', message: 'scripted' });
      case 'stream_error':
        await stream(start(request, reply, true));
        return printFailure(reply);
      case 'hang':
      case 'drop':
        if (reply.after === 'text') await stream(start(request, reply, true));
        return reply.kind === 'drop' ? printFailure(lost) : undefined;
      case 'text':
      case 'tool_use':
      case 'blocks': {
        await stream(start(request, reply), reply.deltaDelayMs, reply.beforeDelta);
        return print(success);
      }
    }
  };
  const printFailure = ({ type, message }: ApiError, status?: number): void => {
    const text = status === undefined ? `API Error: ${message}` : `API Error: ${status} ${message}`;
    print({
      type: 'assistant',
      error: 'unknown',
      is_api_error_message: true,
      api_error_type: type,
      message: { content: [{ type: 'text', text }] },
    });
    print({ ...success, is_error: true, result: text, api_error_status: status ?? null });
  };

  const seen = (): SeenRequest => {
    const { CLAUDE_CODE_EXTRA_BODY: extra = '{}', CLAUDE_CODE_MAX_OUTPUT_TOKENS: max = '32000' } =
      settings.env;
    const body = JSON.stringify({
      model: fullName(model),
      max_tokens: Number(max || 32_000),
      stream: true,
      system: system.map((text) => ({ type: 'text', text })),
      ...(settings.effort === undefined ? {} : { output_config: { effort: settings.effort } }),
      ...(JSON.parse(extra || '{}') as object),
    });
    return {
      headers: {},
      body,
      json: parseMessagesRequest(body),
      receivedAt: Date.now(),
      closed: gone.promise,
    };
  };

  const read = (line: InputLine): void => {
    if (line.type === 'user') {
      print({
        type: 'system',
        subtype: 'init',
        tools: [],
        mcp_servers: [],
        model: fullName(model),
        claude_code_version: scriptedVersion,
      });
      if (stop.signal.aborted) return;
      valve.passedBytes += 1000;
      // The process ended while the reply was sent: there is no caller for its error.
      void play(seen()).catch((reason: unknown) => {
        if (!stop.signal.aborted) throw reason;
      });
      return;
    }
    const { request_id: id, request } = line;
    switch (request.subtype) {
      case 'initialize':
        system = (request.systemPrompt ?? []).filter((text) => text !== '');
        break;
      case 'apply_flag_settings':
        Object.assign(settings.env, request.settings?.env);
        settings.effort = request.settings?.effortLevel ?? undefined;
        break;
      default:
    }
    print({ type: 'control_response', response: { subtype: 'success', request_id: id } });
  };

  const valve = new Valve();
  const process: LockedProcess = {
    valve,
    pid: undefined,
    listener: { onLine: () => {}, onGarbage: () => {}, onExit: () => {} },
    write: (text) => {
      for (const line of text.split('\n').filter((each) => each !== '')) {
        setImmediate(() => read(JSON.parse(line) as InputLine));
      }
    },
    finish: end,
    terminate: end,
    kill: end,
    gone: gone.promise,
    stderrTail: () => '',
  };
  return { process, error: () => error };
}

type InputLine =
  | { type: 'user' }
  | {
      type: 'control_request';
      request_id: string;
      request: {
        subtype: string;
        systemPrompt?: string[];
        settings?: { effortLevel?: string | null; env?: Record<string, string> };
      };
    };

type ApiError = { type: string; message: string };
type AnswerReply = Extract<
  Reply,
  { kind: 'text' | 'tool_use' | 'blocks' | 'stream_error' | 'hang' | 'drop' }
>;

const success = { type: 'result', subtype: 'success', is_error: false, result: '', total_cost_usd: 0.001 };
const lost: ApiError = { type: 'api_error', message: 'Connection lost' };

/** The events of an answer; one that is `cut` stops inside its last block. */
function start(request: SeenRequest, reply: AnswerReply, cut = false): ApiEvent[] {
  const events = answerEvents(answerOf(reply, 'msg_scripted', request));
  return cut ? events.slice(0, -3) : events;
}

/** The CLI reports a used-up plan by the headers of the API's answer. */
function planLines(headers: Record<string, string> = {}): object[] {
  const resetsAt = headers['anthropic-ratelimit-unified-reset'];
  if (resetsAt === undefined) return [];
  const rateLimitType = headers['anthropic-ratelimit-unified-representative-claim'];
  return [
    {
      type: 'rate_limit_event',
      rate_limit_info: { status: 'rejected', resetsAt: Number(resetsAt), rateLimitType },
    },
  ];
}

/** The id of the model that the CLI asks for a name. It maps some older ids to the newest of their family (2.1.332). */
function fullName(model: string): string {
  if (model === 'claude-opus-4-1') return 'claude-opus-5-5';
  return model.startsWith('claude-') ? model : `claude-${model}-5`;
}
