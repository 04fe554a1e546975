/**
 * One locked CLI process: the only place that spawns.
 *
 * It lives in a process group of its own, and it holds a lifeline: a tiny watcher in the same group waits on a pipe whose other
 * end only the relay holds. When that end closes, for whatever reason (the relay let go, crashed, or was killed with SIGKILL), the
 * kernel tells the watcher and it kills the group, itself included. Because the watcher is a member, the group's id cannot be
 * reused before that kill; because it is a plain `sh`, it needs nothing that Linux and macOS do not have.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { homedir, tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';
import type { Duplex, Readable, Writable } from 'node:stream';
import { killStrays } from './strays.ts';

/** $0 is a name for the process list, "$@" the command. The command itself does not inherit the lifeline (3<&-). */
const withLifeline = `( trap '' TERM INT HUP; read -r _ <&3; kill -KILL -$$ ) </dev/null >/dev/null 2>&1 & exec "$@" 3<&-`;

/** An answer is at most some hundred kilobytes; a line beyond this is a process out of its mind. */
const maxLineBytes = 16 * 1024 * 1024;
const stderrTailBytes = 4096;
/** A process that has closed stdout can say nothing more; it gets this long to end by itself. */
const mutedGraceMs = 1000;
/** The watcher kills its group within milliseconds, unless it was stopped (SIGSTOP) together with it. */
const watcherGraceMs = 500;
const directoryPrefix = 'relay-';

/** How a process ended, before anybody asked it to or after. */
export type Exit = { code: number | null; signal: NodeJS.Signals | null };

export type ProcessListener = {
  /** Each line of stdout, without its newline. An error thrown here is a defect. */
  onLine: (text: string) => void;
  /** stdout cannot be read further: a line too long, or bytes that are not UTF-8. */
  onGarbage: (reason: 'line_too_long' | 'invalid_utf8') => void;
  /** The process ended; everything it printed has been delivered to `onLine`. */
  onExit: (exit: Exit) => void;
};

export type ProcessOptions = {
  /** The CLI's path. */
  command: string;
  args: readonly string[];
  /** The whole environment, given the process's own temporary directory. */
  env: (tmpDir: string) => Record<string, string>;
  listener: ProcessListener;
  /** Fills the working directory, which is empty otherwise, before the process starts. */
  prepareCwd?: (cwd: string) => void;
  /** Milliseconds between SIGTERM and SIGKILL. */
  killGraceMs?: number;
};

export type ClaudeProcess = {
  /** The process's id, which is its group's too; undefined when it could not be started (then `onExit` follows). */
  readonly pid: number | undefined;
  /** Who is told. A spare changes hands when a request claims it. */
  listener: ProcessListener;
  /** Writes to stdin. Errors of a process that is gone are silent: `onExit` tells. */
  write(text: string): void;
  /** Ends stdin: an idle CLI exits by itself within some 30 ms, with its files in order. */
  finish(): void;
  /** SIGTERM to the group, SIGKILL after the grace. May be called at any time and more than once. */
  terminate(): void;
  /** SIGKILL to the group, at once: for a process that must not do one thing more. */
  kill(): void;
  /** Resolves once, when no process of the group is left (nor, on Linux, one that left it) and its directory is removed. Never rejects. */
  readonly gone: Promise<void>;
  /** The last bytes of stderr. For the owner's eyes (doctor, the proof), never a caller's. */
  stderrTail(): string;
};

/** Starts a process in a new, empty directory that goes when it goes. Never throws: what fails is told by `onExit`. */
export function startProcess(options: ProcessOptions): ClaudeProcess {
  let home: string | undefined;
  let tmp: string;
  let child: ChildProcess;
  try {
    // The CLI tells the model its working directory: a neutral path that names no user.
    home = mkdtempSync(join(neutralDirectory(), `${directoryPrefix}${process.pid}-`));
    const cwd = join(home, 'work');
    tmp = join(home, 'tmp');
    mkdirSync(cwd);
    mkdirSync(tmp);
    options.prepareCwd?.(cwd);
    child = spawn(
      '/bin/sh',
      ['-c', withLifeline, 'claude-relay-lifeline', options.command, ...options.args],
      {
        cwd,
        env: options.env(tmp),
        detached: true,
        stdio: ['pipe', 'pipe', 'pipe', 'pipe'],
      },
    );
  } catch {
    return neverStarted(options, home);
  }
  if (child.pid === undefined) {
    child.on('error', () => {});
    return neverStarted(options, home);
  }

  const { pid } = child;
  const [stdin, stdout, stderr, lifeline] = child.stdio as unknown as [Writable, Readable, Readable, Duplex];
  let exit: Exit | undefined;
  let terminating = false;
  let killTimer: NodeJS.Timeout | undefined;
  let mutedTimer: NodeJS.Timeout | undefined;
  let stoppedTimer: NodeJS.Timeout | undefined;

  // Until the lifeline is closed on both sides the watcher lives, so the group's id is still this group's.
  const signalGroup = (signal: NodeJS.Signals): void => {
    if (lifeline.destroyed && exit !== undefined) return;
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
    if (terminating) return;
    terminating = true;
    signalGroup('SIGTERM');
    killTimer = setTimeout(cutLifeline, options.killGraceMs ?? 2000);
  };

  for (const stream of [stdin, stdout, stderr, lifeline]) stream.on('error', () => {});
  const readChunk = lineReader(
    (text) => handle.listener.onLine(text),
    (reason) => {
      stdout.destroy();
      handle.listener.onGarbage(reason);
    },
  );
  stdout.on('data', readChunk);
  stdout.on('end', () => {
    if (exit === undefined) mutedTimer = setTimeout(terminate, mutedGraceMs);
  });
  const tail = keepTail(stderr);
  lifeline.resume();

  const strays = new Promise<unknown>((resolve) => {
    lifeline.on('close', () => {
      clearTimeout(stoppedTimer);
      // Also when somebody killed the watcher alone: without it, nothing holds the group.
      if (exit === undefined) signalGroup('SIGKILL');
      resolve(killStrays(tmp));
      // A grandchild that is beyond reach could hold the pipes open for ever.
      setTimeout(() => {
        stdout.destroy();
        stderr.destroy();
      }, 250).unref();
    });
  });
  const gone = new Promise<void>((resolve) => {
    child.on('exit', (code, signal) => {
      exit = { code, signal };
      cutLifeline();
    });
    child.on('close', () => {
      clearTimeout(killTimer);
      clearTimeout(mutedTimer);
      handle.listener.onExit(exit ?? { code: null, signal: null });
      void strays.then(() => {
        removeDirectory(home);
        resolve();
      });
    });
  });

  const handle: ClaudeProcess = {
    pid,
    listener: options.listener,
    write: (text) => {
      if (stdin.writable) stdin.write(text);
    },
    finish: () => {
      if (stdin.writable) stdin.end();
    },
    terminate,
    kill: () => {
      signalGroup('SIGKILL');
    },
    gone,
    stderrTail: tail,
  };
  return handle;
}

/** The same shape for a process that the system refused (no memory, no process or file descriptor left, disk full). */
function neverStarted(options: ProcessOptions, home: string | undefined): ClaudeProcess {
  const gone = new Promise<void>((resolve) => {
    setImmediate(() => {
      removeDirectory(home);
      handle.listener.onExit({ code: null, signal: null });
      resolve();
    });
  });
  const nothing = (): void => {};
  const handle: ClaudeProcess = {
    pid: undefined,
    listener: options.listener,
    write: nothing,
    finish: nothing,
    terminate: nothing,
    kill: nothing,
    gone,
    stderrTail: () => '',
  };
  return handle;
}

function removeDirectory(path: string | undefined): void {
  if (path === undefined) return;
  try {
    rmSync(path, { recursive: true, force: true });
  } catch {
    // Swept at the next start.
  }
}

/** The system's directory for temporary files; /tmp where that one names the user. */
function neutralDirectory(): string {
  const directory = tmpdir();
  const named = directory.startsWith(homedir()) || directory.split('/').includes(userName());
  return named ? '/tmp' : directory;
}

function userName(): string {
  try {
    return userInfo().username;
  } catch {
    // A user id without a name, as in some containers.
    return '';
  }
}

/** Removes the directories of relays that were killed before they could. */
export function sweepDirectories(): void {
  const directory = neutralDirectory();
  for (const name of readdirSync(directory)) {
    const owner = new RegExp(`^${directoryPrefix}(\\d+)-`).exec(name)?.[1];
    if (owner !== undefined && !isAlive(Number(owner))) removeDirectory(join(directory, name));
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

/** Drains a stream for good, keeping its last bytes. */
function keepTail(stream: Readable): () => string {
  let kept: Buffer = Buffer.alloc(0);
  stream.on('data', (chunk: Buffer) => {
    kept = Buffer.concat([kept, chunk.subarray(-stderrTailBytes)]).subarray(-stderrTailBytes);
  });
  return () => kept.toString('utf8');
}

/** Cuts chunks into lines; a line is decoded whole, so that no character is cut. */
function lineReader(
  onLine: (text: string) => void,
  onGarbage: (reason: 'line_too_long' | 'invalid_utf8') => void,
): (chunk: Buffer) => void {
  const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
  let held: Buffer[] = [];
  let heldBytes = 0;
  let broken = false;
  return (chunk) => {
    let start = 0;
    while (!broken) {
      const end = chunk.indexOf(0x0a, start);
      const part = chunk.subarray(start, end === -1 ? undefined : end);
      heldBytes += part.length;
      if (heldBytes > maxLineBytes) {
        broken = true;
        held = [];
        onGarbage('line_too_long');
        return;
      }
      if (end === -1) {
        if (part.length > 0) held.push(part);
        return;
      }
      const bytes = held.length === 0 ? part : Buffer.concat([...held, part]);
      held = [];
      heldBytes = 0;
      start = end + 1;
      if (bytes.length === 0) continue;
      let text: string;
      try {
        text = decoder.decode(bytes);
      } catch {
        broken = true;
        onGarbage('invalid_utf8');
        return;
      }
      onLine(text);
    }
  };
}
