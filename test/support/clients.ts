/** Our clients as programs of their own, each in its runtime: one call, what came of it, and how to abort it on the way. */
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { copyFileSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { root } from './relay.ts';

/** Names and times as in TypeScript; the Python program translates them. */
export type ClientCall = {
  /** Absent: the functions that read the environment. */
  client?: { url?: string; key?: string; timeoutMs?: number; maxRetries?: number; maxRetryWaitMs?: number };
  call: 'complete' | 'completeWithDetails' | 'stream' | 'fetchPage' | 'models' | 'usage';
  options?: string | Record<string, unknown>;
  /** Leaves the loop over a stream after so many pieces. */
  leaveAfter?: number;
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
  /** Rejects when the program failed in a way that is not the client's error. */
  outcome: Promise<ClientOutcome>;
  /** Resolves with the first piece of a stream. */
  begun: Promise<void>;
  abort: () => void;
};

export type ClientRuntime = {
  name: string;
  run: (call: ClientCall, env?: Record<string, string>) => ClientRun;
};

const fixtures = join(root, 'test/fixtures/clients');
const file = join(root, 'clients/ts/claudeRelay.ts');
export const node20 = join(root, 'node_modules/node-20/bin/node');
export const bun = join(root, 'node_modules/bun/bin/bun.exe');

/** `project`: where `installPackage` put the package. */
export function clientRuntimes(project: string): ClientRuntime[] {
  const python = { PYTHONPATH: join(root, 'clients/python'), PYTHONDONTWRITEBYTECODE: '1' };
  const runtime = (
    name: string,
    command: string,
    args: string[],
    settings: Record<string, string> = {},
  ): ClientRuntime => ({
    name,
    run: (call, env = {}) => start(command, args, call, { ...settings, ...env }),
  });
  return [
    runtime('Node.js 24, the file', process.execPath, [join(fixtures, 'driver.mjs'), file]),
    runtime('Node.js 20, the package', node20, [join(project, 'driver.mjs'), 'claude-relay-client']),
    runtime('Bun, the file', bun, [join(fixtures, 'driver.mjs'), file]),
    runtime('Python', 'python3', ['-W', 'error', join(fixtures, 'driver.py'), 'sync'], python),
    runtime('Python, asyncio', 'python3', ['-W', 'error', join(fixtures, 'driver.py'), 'async'], python),
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

function start(command: string, args: string[], call: ClientCall, env: Record<string, string>): ClientRun {
  const child = spawn(command, args, {
    // A key of the tests' own environment is not meant for them.
    env: { PATH: process.env['PATH'], HOME: process.env['HOME'], ...env },
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  const outcome: ClientOutcome = { deltas: [] };
  const begun = Promise.withResolvers<void>();
  let stderr = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
  child.stdin.on('error', () => {});
  child.stdin.write(`${JSON.stringify(call)}\n`);
  const take = (line: string): void => {
    const { delta, value, error } = JSON.parse(line) as {
      delta?: string;
      value?: unknown;
      error?: ClientError;
    };
    if (delta !== undefined) {
      outcome.deltas.push(delta);
      begun.resolve();
    } else if (error === undefined) outcome.value = value;
    else outcome.error = error;
  };
  let rest = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    const lines = (rest + text).split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) take(line);
  });
  const ended = async (): Promise<ClientOutcome> => {
    const [code] = (await once(child, 'close')) as [number | null];
    if (code === 0) return outcome;
    throw new Error(`${command} ended with ${code}: ${stderr}`);
  };
  return {
    outcome: ended(),
    begun: begun.promise,
    abort: () => child.stdin.write('abort\n'),
  };
}
