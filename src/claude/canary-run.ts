/** One run of the installed CLI under the lock against a stand-in: what it asked the model, said, and left behind. */
import { readdirSync } from 'node:fs';
import { homedir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { startStandIn, type ReplyFunction, type SeenRequest } from '../standin/server.ts';
import { lockedArgs, standInEnv, type HostEnv } from './lock.ts';
import { startProcess, type Exit } from './process.ts';
import { initializeLine, parseLine, userLine, type CliInit, type CliResult } from './protocol.ts';

export type CanaryRun = {
  system: string;
  prompt: string;
  /** What reached the model, in order. */
  requests: readonly SeenRequest[];
  /** The CLI answered `initialize`. */
  started: boolean;
  init: CliInit | undefined;
  result: CliResult | undefined;
  /** The model's answer came as events. */
  streamed: boolean;
  /** What it keeps of sessions that ran in the run's working directory, by name. */
  sessions: readonly string[];
  /** The names of the hooks that ran. */
  hooks: readonly string[];
  /** stdout as far as it is kept. */
  stdout: string;
  /** Why stdout could not be understood, if so. */
  garbage: string | undefined;
  exit: Exit | undefined;
  /** The run was ended from outside: by its deadline, or by the caller's signal. */
  cut: 'timeout' | 'aborted' | undefined;
  stderrTail: string;
};

export type CanaryRunOptions = {
  claudeBin: string;
  hostEnv: HostEnv;
  system: string;
  prompt: string;
  /** What is written when the first turn is over: a second one of the same process. */
  further?: string;
  reply: ReplyFunction;
  plant: (cwd: string) => void;
  timeoutMs: number;
  signal: AbortSignal | undefined;
};

const maxStdoutCharacters = 4 * 1024 * 1024;

/** Never rejects for what the CLI does. */
export async function runCanary(options: CanaryRunOptions): Promise<CanaryRun> {
  const standIn = await startStandIn({ reply: options.reply });
  try {
    return { ...(await runProcess(options, standIn.url)), requests: [...standIn.requests] };
  } finally {
    await standIn.close();
  }
}

async function runProcess(options: CanaryRunOptions, url: string): Promise<CanaryRun> {
  const { system, prompt, signal } = options;
  const hooks: string[] = [];
  const run: CanaryRun = {
    system,
    prompt,
    requests: [],
    started: false,
    init: undefined,
    result: undefined,
    streamed: false,
    sessions: [],
    hooks,
    stdout: '',
    garbage: undefined,
    exit: undefined,
    cut: undefined,
    stderrTail: '',
  };

  const onLine = (text: string): void => {
    if (run.stdout.length < maxStdoutCharacters) run.stdout += `${text}\n`;
    let event;
    try {
      event = parseLine(text);
    } catch {
      run.garbage ??= 'a line that is no message';
      child.terminate();
      return;
    }
    if (event.kind === 'control_response') run.started ||= event.ok;
    else if (event.kind === 'init') run.init ??= event.init;
    else if (event.kind === 'stream') run.streamed ||= event.event.type === 'message_start';
    else if (event.kind === 'hook') hooks.push(event.name);
    else if (event.kind === 'result') {
      const isFirst = run.result === undefined;
      run.result ??= event.result;
      if (isFirst && options.further !== undefined) return child.write(options.further);
      child.finish();
      // It has had its time to end by itself: what it left behind is looked at when it is gone.
      setTimeout(() => {
        child.terminate();
      }, 1000).unref();
    }
  };
  let workingDirectory = '';
  const child = startProcess({
    command: options.claudeBin,
    // The default model, as any: the lock's flags do not depend on it.
    args: lockedArgs('opus', 2),
    env: (tmpDir) => standInEnv(options.hostEnv, tmpDir, url),
    prepareCwd: (cwd) => {
      workingDirectory = cwd;
      options.plant(cwd);
    },
    listener: {
      onLine,
      onGarbage: (reason) => {
        run.garbage ??= reason;
        child.terminate();
      },
      onExit: (exit) => {
        run.exit = exit;
      },
    },
    killGraceMs: 500,
  });
  const cut = (why: 'timeout' | 'aborted') => (): void => {
    run.cut ??= why;
    child.terminate();
  };
  const timer = setTimeout(cut('timeout'), options.timeoutMs);
  const onAbort = cut('aborted');
  signal?.addEventListener('abort', onAbort, { once: true });
  if (signal?.aborted === true) onAbort();

  child.write(initializeLine('canary', [system]));
  child.write(userLine([{ type: 'text', text: prompt }]));
  await child.gone;
  clearTimeout(timer);
  signal?.removeEventListener('abort', onAbort);
  run.stderrTail = child.stderrTail();
  run.sessions = keptSessions(options.hostEnv, workingDirectory);
  return run;
}

/** The CLI names the directory of a session's file after its working directory (2.1.197, 2.1.330). */
function keptSessions(host: HostEnv, cwd: string): string[] {
  const config = host['CLAUDE_CONFIG_DIR'] ?? join(host['HOME'] ?? homedir(), '.claude');
  const name = basename(dirname(cwd)).replaceAll(/[^0-9A-Za-z]/g, '-');
  try {
    return readdirSync(join(config, 'projects')).filter((directory) => directory.includes(name));
  } catch {
    return [];
  }
}
