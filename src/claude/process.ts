/**
 * One locked CLI process: the only place that spawns.
 *
 * The process has its own group and a lifeline: a tiny watcher in the same group reads a pipe whose other end only the relay holds.
 * When that end closes (the relay closed it, crashed, or was killed with SIGKILL), the watcher kills the group, itself included.
 * Because the watcher is a member, the group's id cannot be reused before that kill; because it is a plain `sh`, it needs nothing
 * that Linux and macOS do not have.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Duplex, Readable, Writable } from 'node:stream';
import { makeDirectory, removeDirectory } from './directories.ts';
import { killStrays } from './strays.ts';

/** $0 is a name for the process list, "$@" the command. The command itself does not inherit the lifeline (3<&-). */
const withLifeline = `( trap '' TERM INT HUP; read -r _ <&3; kill -KILL -$$ ) </dev/null >/dev/null 2>&1 & exec "$@" 3<&-`;

/** An answer has at most a few hundred kilobytes. A longer line means that the process is broken. */
const maxLineBytes = 16 * 1024 * 1024;
const stderrTailBytes = 4096;
/** A process that has closed stdout can say nothing more; it gets this long to exit. */
const mutedGraceMs = 1000;
/** The watcher kills its group within milliseconds, unless it was stopped (SIGSTOP) together with it. */
const watcherGraceMs = 500;

export type Exit = { code: number | null; signal: NodeJS.Signals | null };

export type ProcessListener = {
  /** Each line of stdout, without its newline. Must not throw. */
  onLine: (text: string) => void;
  /** stdout cannot be read further. Without this function, the process is terminated. */
  onGarbage?: (reason: 'line_too_long' | 'invalid_utf8') => void;
  /** The process ended; everything it printed has been delivered to `onLine`. */
  onExit?: (exit: Exit) => void;
};

export type ProcessOptions = {
  command: string;
  args: readonly string[];
  /** The words before the command, given the process's directory. */
  seal?: (directory: string) => readonly string[];
  /** The whole environment, given the process's own temporary directory. */
  env: (tmpDir: string) => Record<string, string>;
  listener: ProcessListener;
  /** Fills the working directory, which is empty otherwise, before the process starts. */
  prepareCwd?: (cwd: string) => void;
  /** Milliseconds between SIGTERM and SIGKILL. */
  killGraceMs?: number;
};

export type ClaudeProcess = {
  /** Also the id of its group; undefined when the process could not be started (then `onExit` follows). */
  readonly pid: number | undefined;
  /** Replaced when a request claims a spare. */
  listener: ProcessListener;
  /** Writes to stdin; does nothing once the process is gone. */
  write: (text: string) => void;
  /** Ends stdin: an idle CLI then exits within about 30 ms, with its files in order. */
  finish: () => void;
  /** SIGTERM to the group, SIGKILL after the grace. May be called at any time and more than once. */
  terminate: () => void;
  /** SIGKILL to the group, at once: for a process that must do nothing more. */
  kill: () => void;
  /** Resolves once its group and directory are gone; on Linux, after an abnormal exit, also what had left the group. Never rejects. */
  readonly gone: Promise<void>;
  /** The last bytes of stderr. For the owner's eyes (doctor, the proof), never a caller's. */
  stderrTail: () => string;
};

/** Starts a process in a new, empty directory that is removed after it. Never throws: `onExit` reports a failure. */
export function startProcess(options: ProcessOptions): ClaudeProcess {
  let home: string | undefined;
  try {
    home = makeDirectory();
    const cwd = join(home, 'work');
    const tmp = join(home, 'tmp');
    mkdirSync(cwd);
    mkdirSync(tmp);
    options.prepareCwd?.(cwd);
    const words = [...(options.seal?.(home) ?? []), options.command, ...options.args];
    const child = spawn('/bin/sh', ['-c', withLifeline, 'claude-relay-lifeline', ...words], {
      cwd,
      env: options.env(tmp),
      detached: true,
      stdio: ['pipe', 'pipe', 'pipe', 'pipe'],
    });
    if (child.pid !== undefined) return supervise(child, child.pid, options, home, tmp);
    child.on('error', () => {});
  } catch {
    // No memory, process or file descriptor is left, or the disk is full.
  }
  return neverStarted(options, home);
}

function supervise(
  child: ChildProcess,
  pid: number,
  options: ProcessOptions,
  home: string,
  tmp: string,
): ClaudeProcess {
  const [stdin, stdout, stderr, lifeline] = child.stdio as unknown as [Writable, Readable, Readable, Duplex];
  let exited = false;
  let signalled = false;
  let killTimer: NodeJS.Timeout | undefined;
  let mutedTimer: NodeJS.Timeout | undefined;
  let stoppedTimer: NodeJS.Timeout | undefined;

  // Until the lifeline is closed on both sides the watcher lives, so the group's id is still this group's.
  const signalGroup = (signal: NodeJS.Signals): void => {
    if (lifeline.destroyed && exited) return;
    signalled = true;
    try {
      process.kill(-pid, signal);
    } catch {
      // Gone already.
    }
  };
  /** The watcher reads the end of the pipe, kills the group, and dies with it: then our side closes, too. */
  const cutLifeline = (): void => {
    lifeline.end();
    stoppedTimer ??= setTimeout(() => signalGroup('SIGKILL'), watcherGraceMs);
  };
  const terminate = (): void => {
    if (killTimer !== undefined) return;
    signalGroup('SIGTERM');
    killTimer = setTimeout(cutLifeline, options.killGraceMs ?? 2000);
  };

  // A write to a process that is gone fails, too.
  for (const stream of [stdin, stdout, stderr, lifeline]) stream.on('error', () => {});
  const onGarbage: LineListener['onGarbage'] = (reason) => {
    stdout.destroy();
    const { onGarbage: end = terminate } = handle.listener;
    end(reason);
  };
  stdout.on('data', lineReader({ onLine: (text) => handle.listener.onLine(text), onGarbage }));
  stdout.on('end', () => {
    if (!exited) mutedTimer = setTimeout(terminate, mutedGraceMs);
  });
  let stderrTail: Buffer = Buffer.alloc(0);
  stderr.on('data', (chunk: Buffer) => {
    stderrTail = Buffer.concat([stderrTail, chunk]).subarray(-stderrTailBytes);
  });
  lifeline.resume();

  lifeline.on('close', () => {
    clearTimeout(stoppedTimer);
    // Also when somebody killed the watcher alone: without it, nothing holds the group.
    if (!exited) signalGroup('SIGKILL');
    // A grandchild that is beyond reach could hold the pipes open for ever.
    setTimeout(() => {
      stdout.destroy();
      stderr.destroy();
    }, 250).unref();
  });
  child.on('exit', () => {
    exited = true;
    cutLifeline();
  });
  const { promise: gone, resolve } = Promise.withResolvers<void>();
  // After the exit, and after stdout, stderr and the lifeline have closed.
  child.on('close', (code, signal) => {
    clearTimeout(killTimer);
    clearTimeout(mutedTimer);
    handle.listener.onExit?.({ code, signal });
    // A turn that ended as it should has left nothing to look for.
    const strays = signalled || code !== 0 ? killStrays(tmp) : Promise.resolve();
    void strays.then(() => {
      removeDirectory(home);
      resolve();
    });
  });

  const handle: ClaudeProcess = {
    pid,
    listener: options.listener,
    write: (text) => void stdin.write(text),
    finish: () => void stdin.end(),
    terminate,
    kill: () => signalGroup('SIGKILL'),
    gone,
    stderrTail: () => stderrTail.toString('utf8'),
  };
  return handle;
}

/** The same shape for a process that the system refused. */
function neverStarted({ listener }: ProcessOptions, home: string | undefined): ClaudeProcess {
  const nothing = (): void => {};
  const { promise: gone, resolve } = Promise.withResolvers<void>();
  const handle: ClaudeProcess = {
    pid: undefined,
    listener,
    write: nothing,
    finish: nothing,
    terminate: nothing,
    kill: nothing,
    gone,
    stderrTail: () => '',
  };
  setImmediate(() => {
    removeDirectory(home);
    handle.listener.onExit?.({ code: null, signal: null });
    resolve();
  });
  return handle;
}

/** Terminates the process after `timeoutMs` or when the signal is aborted. Resolves to the one that did, once the process is gone. */
export async function goneWithin(
  child: ClaudeProcess,
  timeoutMs: number,
  signal?: AbortSignal,
): Promise<'timeout' | 'aborted' | undefined> {
  const timeout = AbortSignal.timeout(timeoutMs);
  const end = AbortSignal.any(signal === undefined ? [timeout] : [timeout, signal]);
  end.addEventListener('abort', child.terminate);
  if (end.aborted) child.terminate();
  await child.gone;
  end.removeEventListener('abort', child.terminate);
  if (!end.aborted) return undefined;
  return end.reason === timeout.reason ? 'timeout' : 'aborted';
}

type LineListener = Required<Omit<ProcessListener, 'onExit'>>;

/** Cuts chunks into lines, empty ones left out; a line is decoded whole, so that no character is cut. No chunk follows `onGarbage`. */
function lineReader({ onLine, onGarbage }: LineListener): (chunk: Buffer) => void {
  const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
  let held: Buffer[] = [];
  let heldBytes = 0;
  return (chunk) => {
    for (let start = 0; start < chunk.length;) {
      const newline = chunk.indexOf(0x0a, start);
      const part = chunk.subarray(start, newline === -1 ? undefined : newline);
      heldBytes += part.length;
      if (heldBytes > maxLineBytes) return onGarbage('line_too_long');
      held.push(part);
      if (newline === -1) return;
      start = newline + 1;
      const line = Buffer.concat(held);
      held = [];
      heldBytes = 0;
      let text: string;
      try {
        text = decoder.decode(line);
      } catch {
        return onGarbage('invalid_utf8');
      }
      if (text !== '') onLine(text);
    }
  };
}
