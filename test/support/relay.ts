/** A relay as a user starts it: a separate process, settings in its environment, HTTP from outside. */
import assert from 'node:assert/strict';
import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { chownSync, mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { fileURLToPath } from 'node:url';
import type { KeyGrants } from '../../src/keys/key.ts';
import { openKeys } from '../../src/keys/store.ts';
import { openStore } from '../../src/store/sqlite.ts';
import { type FailingModel, type ReplyFunction, startFailingModel } from './failing-model.ts';
import { descendants } from './processes.ts';
import { newest } from './real-cli.ts';

export { descendants, processTable } from './processes.ts';
export { clis, newest } from './real-cli.ts';

/** A little less than a test's time limit, so that a failure names the awaited event and a slow machine does not fail. */
const hopelessMs = 250_000;

export const root = fileURLToPath(new URL('../..', import.meta.url));

/** Any port, no limit, no spare, no hot process and no seal. */
export const unlimited = {
  PORT: '0',
  PER_KEY_RPM: '0',
  PER_KEY_DAILY: '0',
  GLOBAL_DAILY: '0',
  WARM_SPARES: '0',
  HOT_PROCESSES: '0',
  ADMIN_PORT: '0',
  // Its tests turn it on. A scripted CLI calls programs that a sealed one cannot see.
  SEAL: 'off',
};

export type TestRelayOptions = {
  /** The CLI; the newest real one by default. */
  claudeBin?: string;
  /** Settings, as environment variables. Limits are off and no spare is kept unless given. */
  settings?: Record<string, string>;
  /** Further environment of the relay (a login, a proxy); replaces the dummy key's variables of the same name. */
  env?: Record<string, string | undefined>;
  /** What the stand-in model answers; `hello` by default. */
  reply?: ReplyFunction;
  /** Home directory of the relay's user, with whatever the test put there. A new, empty one by default. */
  home?: string;
  /** A file or directory that the relay's starter leaves open for it. */
  leftOpen?: string;
  /** The relay's own working directory. */
  cwd?: string;
  /** Requests that the stand-in keeps; 64 by default. */
  keep?: number;
  /** The test's own directory for the relay's files, to start a second relay on the same data. It is not removed. */
  scratch?: string;
  /** A key of an earlier relay on the same data; a new one by default. */
  key?: string;
  /** Open files that the system allows the relay; as many as this process by default. */
  fileLimit?: number;
  /** Whether to wait until the lock is proved (the default) or only until the relay listens. */
  until?: 'ready' | 'listening';
  /** The user of the relay; the test's own by default. Needs root. */
  uid?: number;
  /** Whether the relay proves the lock; false if the test is about something else (see unproved.ts). */
  proof?: boolean;
};

export type Post = {
  post: (
    body: unknown,
    init?: Omit<RequestInit, 'headers'> & { path?: string; headers?: Record<string, string> },
  ) => Promise<Response>;
  complete: (
    body: Record<string, unknown>,
  ) => Promise<{ status: number; body: Record<string, unknown>; headers: Headers }>;
};

export type TestRelay = Post & {
  url: string;
  key: string;
  process: ChildProcess;
  model: FailingModel;
  home: string;
  dataDir: string;
  /** The relay's TMPDIR. */
  scratch: string;
  /** Everything the relay has printed so far. */
  output: () => { stdout: string; stderr: string };
  /** Runs `bin/<command>` with the relay's settings; resolves to its stdout, trimmed. */
  command: (file: string, ...args: string[]) => string;
  /** The relay's processes: its children, and every process in a group of its children. */
  children: () => number[];
  stop: (signal?: NodeJS.Signals) => Promise<void>;
};

export async function startTestRelay(options: TestRelayOptions = {}): Promise<TestRelay> {
  const scratch = options.scratch ?? mkdtempSync(join(tmpdir(), 'relay-test-'));
  const home = options.home ?? join(scratch, 'home');
  mkdirSync(home, { recursive: true });
  const dataDir = join(scratch, 'data');
  const model = await startFailingModel({
    reply: options.reply ?? (() => ({ kind: 'text', text: 'hello' })),
    ...(options.keep === undefined ? {} : { keep: options.keep }),
  });
  const env: Record<string, string> = {
    HOME: home,
    PATH: process.env['PATH'] ?? '',
    TMPDIR: scratch,
    ...(process.env['NODE_COMPILE_CACHE'] === undefined
      ? {}
      : { NODE_COMPILE_CACHE: process.env['NODE_COMPILE_CACHE'] }),
    ANTHROPIC_API_KEY: 'sk-ant-stub',
    ANTHROPIC_BASE_URL: model.url,
    CLAUDE_BIN: options.claudeBin ?? newest,
    DATA_DIR: dataDir,
    ...unlimited,
    ...options.settings,
  };
  for (const [name, value] of Object.entries(options.env ?? {})) {
    if (value === undefined) delete env[name];
    else env[name] = value;
  }
  const noFile = join(scratch, 'no-config.env');
  const command = commandIn(env);
  const limited =
    options.fileLimit === undefined
      ? []
      : ['/bin/sh', '-c', `ulimit -n ${options.fileLimit}; exec "$@"`, 'sh'];
  const open =
    options.leftOpen === undefined ? [] : ['bash', '-c', 'exec 200<"$0"; exec "$@"', options.leftOpen];
  const serve =
    options.proof === false
      ? [process.execPath, join(root, 'test/support/unproved.ts'), noFile]
      : [join(root, 'bin/claude-relay'), '--config', noFile, 'serve'];
  const [program = '', ...args] = [...limited, ...open, ...serve];
  const { uid } = options;
  if (uid !== undefined) for (const path of [scratch, home]) chownSync(path, uid, uid);
  const child = spawn(program, args, {
    env,
    stdio: ['ignore', 'pipe', 'pipe'],
    ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
    ...(uid === undefined ? {} : { uid, gid: uid }),
  });
  let stdout = '';
  let stderr = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
  const exited = once(child, 'exit');

  const stop = async (signal: NodeJS.Signals = 'SIGTERM'): Promise<void> => {
    if (child.exitCode === null && child.signalCode === null) child.kill(signal);
    await exited;
    await model.close();
    if (options.scratch === undefined) rmSync(scratch, { recursive: true, force: true });
  };
  try {
    const listening = await waitFor(
      () => /"url":"(http:[^"]+)"/.exec(stdout)?.[1],
      child,
      () => stdout + stderr,
    );
    const key = options.key ?? mintKey(env['DATA_DIR'] ?? dataDir);
    const relay: TestRelay = {
      ...poster(listening, key),
      url: listening,
      key,
      process: child,
      model,
      home,
      dataDir,
      scratch,
      output: () => ({ stdout, stderr }),
      command,
      children: () => descendants(child.pid ?? 0),
      stop,
    };
    if (options.until !== 'listening') {
      await waitFor(
        () => (/"msg":"the lock is proved"/.test(stdout) ? true : undefined),
        child,
        () => stdout + stderr,
      );
    }
    return relay;
  } catch (error) {
    await stop('SIGKILL');
    throw error;
  }
}

/** Runs `bin/<file>` in this environment. */
export function commandIn(env: Record<string, string>): (file: string, ...args: string[]) => string {
  return (file, ...args) =>
    execFileSync(join(root, 'bin', file), args, {
      env,
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'pipe'],
    }).trim();
}

/** Sends requests to a relay with a key. */
export function poster(url: string, key: string): Post {
  const post: Post['post'] = (body, { path = '/v1/complete', headers, ...init } = {}) =>
    fetch(`${url}${path}`, {
      method: 'POST',
      body: typeof body === 'string' ? body : JSON.stringify(body),
      ...init,
      headers: {
        authorization: `Bearer ${key}`,
        'content-type': 'application/json',
        ...Object.fromEntries(new Headers(headers)),
      },
    });
  return {
    post,
    complete: async (body) => {
      const response = await post(body);
      return {
        status: response.status,
        body: (await response.json()) as Record<string, unknown>,
        headers: response.headers,
      };
    },
  };
}

/** Creates a key as `bin/genkey` does, without starting a process. */
export function mintKey(dataDir: string, label = 'test', grants: KeyGrants = {}): string {
  const store = openStore(dataDir, { waitMs: 5000 });
  try {
    return openKeys(store).create(label, grants, 'test').token;
  } finally {
    store.close();
  }
}

/** Lets a key expire now, however long the steps before took. */
export function expireKey(dataDir: string, label: string): void {
  const db = new DatabaseSync(join(dataDir, 'relay.db'), { timeout: 5000 });
  try {
    const { changes } = db.prepare('UPDATE keys SET expires_at = ? WHERE label = ?').run(Date.now(), label);
    assert.equal(changes, 1);
  } finally {
    db.close();
  }
}

/** Polls until there is a value; fails after the time limit, or if the relay has ended. */
async function waitFor<T>(probe: () => T | undefined, child: ChildProcess, output: () => string): Promise<T> {
  const until = Date.now() + hopelessMs;
  for (;;) {
    const value = probe();
    if (value !== undefined) return value;
    if (child.exitCode !== null || child.signalCode !== null || Date.now() > until) {
      throw new Error(`The relay did not come up:\n${output()}`);
    }
    await sleep(20);
  }
}

/** Polls until the condition holds; fails with `what` after the time limit. */
export async function eventually(what: string, condition: () => boolean | Promise<boolean>): Promise<void> {
  const until = Date.now() + hopelessMs;
  while (!(await condition())) {
    if (Date.now() > until) throw new Error(`not within ${hopelessMs / 1000} s: ${what}`);
    await sleep(20);
  }
}

export function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, ms);
  });
}

/** The directories of the relay's processes, which are removed with them. */
export function throwaways(relay: { scratch: string }): string[] {
  return readdirSync(relay.scratch).filter((name) => /^relay-\d+-/.test(name));
}

/** One row of the relay's ledger, once it is written. */
export async function ledgerRow(
  relay: { dataDir: string },
  requestId: string,
): Promise<Record<string, unknown>> {
  let row: Record<string, unknown> | undefined;
  await eventually(`a ledger row of ${requestId}`, () => {
    row = query(relay, 'SELECT * FROM requests WHERE request_id = ?', requestId)[0];
    return row !== undefined;
  });
  return row ?? {};
}

/** Reads the relay's database from outside, while it runs or after. */
export function query(
  { dataDir }: { dataDir: string },
  sql: string,
  ...values: string[]
): Record<string, unknown>[] {
  const db = new DatabaseSync(join(dataDir, 'relay.db'), { readOnly: true });
  try {
    return db.prepare(sql).all(...values);
  } finally {
    db.close();
  }
}
