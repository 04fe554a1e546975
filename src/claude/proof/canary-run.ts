/** One run of the installed CLI under the lock, through its valve, against a stand-in: what it asked, printed, and left behind. */
import { basename, dirname, join } from 'node:path';
import type { Conversation } from '../../conversation.ts';
import { configDirectory, namesIn } from './canary-home.ts';
import type { ToolUse } from './canary.ts';
import { startStandIn, textBlock, toolUseBlock, type SeenRequest } from './stand-in.ts';
import { standInHost, type DummyLogin, type HostEnv } from '../lock.ts';
import { startLocked } from '../locked-process.ts';
import { goneWithin, type Exit } from '../process.ts';
import { parseLine, type CliInit, type CliResult } from '../protocol.ts';
import { turnLines } from '../turn-lines.ts';
import { leaveOpen, type Seal } from '../seal/seal.ts';
import { startValveProxy, type ValveProxy } from '../valve/proxy.ts';

export class CanaryRun {
  readonly login: DummyLogin;
  /** In order, all in one process: the system prompt is that of the first. */
  readonly asked: readonly [Conversation, ...Conversation[]];
  /** What reached the model, in order. */
  readonly requests: SeenRequest[] = [];
  /** Requests of any kind that the stand-in got. */
  received = 0;
  /** Requests of any kind that the valve let out. */
  wentOut = 0;
  /** After the last answer, which is cut off at a limit, the CLI would have asked again. */
  held = false;
  /** The CLI answered `initialize`. */
  started = false;
  init: CliInit | undefined;
  /** The end of each turn. */
  readonly results: CliResult[] = [];
  /** The model's answer came as events. */
  streamed = false;
  /** The results of the tools that the model asked for. */
  readonly toolResults: ToolResult[] = [];
  /** Names of session files of the run's working directory. */
  sessions: readonly string[] = [];
  /** The names of the hooks that ran. */
  readonly hooks: string[] = [];
  /** stdout, up to a limit. */
  stdout = '';
  /** Why stdout could not be understood. */
  garbage: string | undefined;
  exit: Exit | undefined;
  /** What ended the run from outside. */
  cut: 'timeout' | 'aborted' | undefined;
  stderrTail = '';

  constructor({ login, asked }: Pick<CanaryRun, 'login' | 'asked'>) {
    this.login = login;
    this.asked = asked;
  }
}

export type ToolResult = { id: unknown; isError: boolean; text: string };

export type CanaryRunOptions = {
  claudeBin: string;
  /** Names the configuration directory; what it holds of a login is left out. */
  hostEnv: HostEnv;
  seal: Seal;
  /** What the lock must not touch. */
  directory: string;
  login: DummyLogin;
  asked: CanaryRun['asked'];
  /** What the stand-in asks for in each turn but the last of several. */
  toolUses: readonly ToolUse[];
  /** The model is overloaded, and answers nothing. */
  overloaded?: boolean;
  plant: (cwd: string) => void;
  timeoutMs: number;
  signal: AbortSignal | undefined;
};

const maxStdoutCharacters = 4 * 1024 * 1024;

/** Rejects only if the stand-in cannot start. */
export async function runCanary(options: CanaryRunOptions): Promise<CanaryRun> {
  const run = new CanaryRun(options);
  const askForTools = options.toolUses.map(({ id, name, input }) => toolUseBlock(id, name, input));
  const { asked } = run;
  const standIn = await startStandIn((request) => {
    const turn = run.requests.push(request);
    if (options.overloaded === true) return { overloaded: true, blocks: [] };
    if (turn < asked.length || asked.length === 1) return { blocks: askForTools };
    return {
      blocks: [textBlock(['cut off'])],
      stopReason: turn === asked.length ? 'max_tokens' : 'end_turn',
    };
  });
  const hostEnv = standInHost(options.hostEnv, standIn.url, run.login);
  const valves = await startValveProxy(hostEnv, leaveOpen(options.seal, options.directory));
  try {
    await runProcess(run, { ...options, hostEnv }, valves);
    run.received = standIn.received();
    return run;
  } finally {
    await valves.close();
    await standIn.close();
  }
}

async function runProcess(run: CanaryRun, options: CanaryRunOptions, valves: ValveProxy): Promise<void> {
  const end = (): void => {
    child.finish();
    // It has had its time to exit; what it left behind is looked at when it is gone.
    setTimeout(() => child.terminate(), 1000).unref();
  };
  const onGarbage = (reason: string): void => {
    run.garbage ??= reason;
    child.terminate();
  };
  const onLine = (text: string): void => {
    if (run.stdout.length < maxStdoutCharacters) run.stdout += `${text}\n`;
    const event = parseLine(text);
    if (event === undefined) return onGarbage('a line that is not a message');
    if (event.kind === 'control_response') run.started ||= event.ok;
    else if (event.kind === 'init') run.init ??= event.init;
    else if (event.kind === 'stream' && event.event.type === 'message_start') {
      run.streamed = true;
      child.valve.shut();
    } else if (event.kind === 'hook') run.hooks.push(event.name);
    else if (event.kind === 'other') run.toolResults.push(...toolResultsIn(text));
    else if (event.kind === 'result') {
      run.results.push(event.result);
      const turns = run.results.length;
      const next = run.asked[turns];
      if (next === undefined) return end();
      child.valve.open();
      child.write(turnLines(next, `settings-${turns}`, false));
    }
  };
  let workingDirectory = '';
  const child = startLocked({
    claudeBin: options.claudeBin,
    hostEnv: options.hostEnv,
    valves,
    // The flags of the lock do not depend on the model.
    model: 'opus',
    prepareCwd: (cwd) => {
      workingDirectory = cwd;
      options.plant(cwd);
    },
    listener: { onLine, onGarbage, onExit: (exit) => (run.exit = exit) },
    killGraceMs: 500,
  });
  child.valve.onHeld = () => {
    run.held = true;
    end();
  };
  child.write(turnLines(run.asked[0]));
  run.cut = await goneWithin(child, options.timeoutMs, options.signal);
  run.wentOut = child.valve.wentOut;
  run.stderrTail = child.stderrTail();
  run.sessions = keptSessions(options.hostEnv, workingDirectory);
}

/** The CLI prints what came of a tool as a message of the user. */
function toolResultsIn(line: string): ToolResult[] {
  const { type, message } = JSON.parse(line) as { type: unknown; message?: { content?: unknown } };
  const content = type === 'user' ? message?.content : undefined;
  if (!Array.isArray(content)) return [];
  return (content as Record<string, unknown>[])
    .filter((block) => block['type'] === 'tool_result')
    .map((block) => ({
      id: block['tool_use_id'],
      isError: block['is_error'] === true,
      text: typeof block['content'] === 'string' ? block['content'] : JSON.stringify(block['content'] ?? ''),
    }));
}

/** The CLI names the directory of a session's file after its working directory (2.1.197, 2.1.330). */
function keptSessions(host: HostEnv, cwd: string): string[] {
  const name = basename(dirname(cwd)).replaceAll(/[^0-9A-Za-z]/g, '-');
  return namesIn(join(configDirectory(host), 'projects')).filter((directory) => directory.includes(name));
}
