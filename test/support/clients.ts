/** Our clients as programs, one for each runtime. A program makes many calls at once, and reports the outcome of each. */
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { copyFileSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { needs, runsInCi } from './needs.ts';
import { root } from './relay.ts';

/** Names and times as in TypeScript; the Python program translates them. */
export type ClientCall = {
  /** Absent: the functions that read the environment. */
  client?: { url?: string; key?: string; timeoutMs?: number; maxRetries?: number; maxRetryWaitMs?: number };
  /** Variables that are set while the client is made. */
  env?: Record<string, string>;
  call: 'complete' | 'completeWithDetails' | 'stream' | 'fetchPage' | 'models';
  options?: string | Record<string, unknown>;
  /** Leaves the loop over a stream after so many pieces. */
  leaveAfter?: number;
  /** Only one such call can run at a time: in Python an interrupt ends the call of the main thread. */
  abortable?: boolean;
};

export type ClientError = {
  code: string;
  message: string;
  status?: number | null;
  requestId?: string | null;
  retryAfter?: number | null;
  limit?: string | null;
  shouldRetry?: boolean | null;
  hop?: number | null;
  text?: string | null;
  stopReason?: string | null;
};

export type ClientOutcome = { deltas: string[]; value?: unknown; error?: ClientError };

export type ClientRun = {
  /** Rejects if the program fails with anything but an error of the client. */
  outcome: Promise<ClientOutcome>;
  /** Resolves with the first piece of a stream. */
  begun: Promise<void>;
  abort: () => void;
};

export type ClientProgram = {
  run: (call: ClientCall) => ClientRun;
  /** Resolves when the program has ended by itself; rejects if it left or printed anything. */
  end: () => Promise<void>;
};

export type ClientRuntime = {
  name: string;
  /** Why it cannot run here. */
  skip: string | false;
  start: (env?: Record<string, string>) => ClientProgram;
};

const fixtures = join(root, 'test/fixtures/clients');
const file = join(root, 'clients/ts/claudeRelay.ts');
export const node18 = join(root, 'node_modules/node-18/bin/node');
export const bun = join(root, 'node_modules/bun/bin/bun.exe');
export const deno = join(root, 'node_modules/deno/deno');

/**
 * One runtime for each client; in CI every supported runtime, including the oldest and our own Node.js. The package is installed into
 * `project`.
 */
export function clientRuntimes(project: string): ClientRuntime[] {
  const python = { PYTHONPATH: join(root, 'clients/python'), PYTHONDONTWRITEBYTECODE: '1' };
  const driver = join(fixtures, 'driver.mjs');
  const runtime = (
    name: string,
    command: string,
    args: string[],
    settings: Record<string, string> = {},
  ): ClientRuntime => ({
    name,
    skip: needs(command),
    start: (env = {}) => start(name, command, args, { ...settings, ...env }),
  });
  const strict = ['-X', 'dev', '-W', 'error', join(fixtures, 'driver.py')];
  // The oldest Python is not on every machine. Set PYTHON to its path to test it.
  const interpreter = process.env['PYTHON'] ?? 'python3';
  const file24 = runtime('Node.js 24, the file', process.execPath, [driver, file]);
  const sync = runtime('Python', interpreter, [...strict, 'sync'], python);
  if (!runsInCi) return [file24, sync];
  installPackage(project);
  return [
    file24,
    runtime('Node.js 18, the package', node18, [join(project, 'driver.mjs'), 'claude-relay-client']),
    runtime('Bun, the file', bun, [driver, file]),
    runtime(
      'Deno, the file',
      deno,
      ['run', '--quiet', '--allow-read', '--allow-net', '--allow-env', driver, file],
      {
        DENO_NO_UPDATE_CHECK: '1',
      },
    ),
    sync,
    runtime('Python, asyncio', interpreter, [...strict, 'async'], python),
  ];
}

/** A project with the packed TypeScript client in its node_modules, and the program that calls it. */
export function installPackage(project: string): void {
  mkdirSync(project, { recursive: true });
  writeFileSync(join(project, 'package.json'), '{ "private": true, "type": "module" }\n');
  const [packed] = npm(join(root, 'clients/ts'), 'pack', '--silent', '--pack-destination', project)
    .trim()
    .split('\n')
    .slice(-1);
  npm(project, 'install', '--offline', '--no-audit', '--no-fund', '--ignore-scripts', `./${packed}`);
  copyFileSync(join(fixtures, 'driver.mjs'), join(project, 'driver.mjs'));
}

export function npm(cwd: string, ...args: string[]): string {
  return execFileSync('npm', args, { cwd, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
}

type Line = { id: number; delta?: string; value?: unknown; error?: ClientError };
type Open = { outcome: ClientOutcome; begun: () => void; done: (outcome: ClientOutcome) => void };

function start(name: string, command: string, args: string[], env: Record<string, string>): ClientProgram {
  const child = spawn(command, args, {
    // A key in the tests' environment must not reach them.
    env: { PATH: process.env['PATH'], HOME: process.env['HOME'], ...env },
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  const open = new Map<number, Open>();
  const failed = Promise.withResolvers<never>();
  failed.promise.catch(() => {});
  let stderr = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
  child.stdin.on('error', () => {});
  const send = (line: object): void => void child.stdin.write(`${JSON.stringify(line)}\n`);
  const take = ({ id, delta, value, error }: Line): void => {
    const call = open.get(id);
    if (call === undefined) return;
    if (delta !== undefined) {
      call.outcome.deltas.push(delta);
      call.begun();
      return;
    }
    if (error === undefined) call.outcome.value = value;
    else call.outcome.error = error;
    open.delete(id);
    call.done(call.outcome);
  };
  let rest = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    const lines = (rest + text).split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) take(JSON.parse(line) as Line);
  });
  const exited = once(child, 'close').then(([code]) => {
    // Python prints errors that it cannot raise.
    const printed = name.startsWith('Python') ? stderr : '';
    if (code === 0 && printed === '' && open.size === 0) return;
    const error = new Error(`${name} ended with ${code}, ${open.size} calls unanswered: ${stderr}`);
    failed.reject(error);
    throw error;
  });
  exited.catch(() => {});
  let id = 0;
  return {
    run: (call) => {
      const own = (id += 1);
      const begun = Promise.withResolvers<void>();
      const done = Promise.withResolvers<ClientOutcome>();
      open.set(own, { outcome: { deltas: [] }, begun: begun.resolve, done: done.resolve });
      send({ id: own, ...call });
      return {
        outcome: Promise.race([done.promise, failed.promise]),
        begun: begun.promise,
        abort: () => send({ id: own, abort: true }),
      };
    },
    end: () => {
      child.stdin.end();
      return exited;
    },
  };
}
