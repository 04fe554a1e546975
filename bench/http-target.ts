/** Starts what the load is run against, and measures one run of it. */
import { execFileSync, fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, mkdirSync, mkdtempSync, openSync } from 'node:fs';
import { join } from 'node:path';
import { openKeys } from '../src/keys/store.ts';
import { openStore } from '../src/store/sqlite.ts';
import { root } from '../test/support/relay.ts';
import type { Bench } from './bare.ts';
import { runLoad } from './load.ts';
import { ownCpuSeconds } from './proc.ts';

export type HttpTarget = { url: string; pid: number; keys: string[]; stop: () => Promise<void> };

export type Run = {
  perSecond: number;
  p50Ms: number;
  p99Ms: number;
  /** CPU time of the server's process, all its threads. */
  cpuMicrosPerRequest: number;
};

const file = (name: string): string => join(import.meta.dirname, name);

export async function startPlainServer(): Promise<HttpTarget> {
  return started(fork(file('plain-server.ts'), { execArgv: [] }), ['none']);
}

/** A relay over a data directory with this many keys and, of an earlier time, this many rows in its ledger. */
export async function startHttpRelay(
  bench: Bench,
  keys: number,
  rows: number,
  settings: Record<string, string> = {},
): Promise<HttpTarget & { dataDir: string }> {
  const home = mkdtempSync(join(bench.scratch, 'http-'));
  const dataDir = join(home, 'data');
  mkdirSync(dataDir, { mode: 0o700 });
  const tokens = fill(dataDir, keys, rows);
  // The log goes to a file, as under a service manager; a pipe would make its reader share the processors.
  // As `bin/claude-relay` does, and as if it had been started before.
  const compiled = { NODE_COMPILE_CACHE: join(root, 'node_modules/.cache/compiled') };
  const flags = process.env['BENCH_NODE_FLAGS']?.split(' ') ?? [];
  execFileSync(process.execPath, [...flags, file('http-relay.ts')], { env: { ...process.env, ...compiled } });
  const log = openSync(join(home, 'log'), 'w');
  const child = fork(file('http-relay.ts'), {
    // Such as --cpu-prof: where a request's time goes.
    execArgv: flags,
    stdio: ['ignore', log, 'inherit', 'ipc'],
    env: {
      HOME: home,
      ...compiled,
      ...runtimeSettings(),
      PATH: process.env['PATH'],
      ANTHROPIC_API_KEY: 'sk-ant-stub',
      CLAUDE_BIN: bench.claudeBin,
      DATA_DIR: dataDir,
      PORT: '0',
      ADMIN_PORT: '0',
      GLOBAL_CONCURRENCY: '64',
      PER_KEY_CONCURRENCY: '64',
      // On, and so high that none refuses.
      PER_KEY_RPM: '1000000',
      PER_KEY_DAILY: '1000000',
      GLOBAL_DAILY: '1000000',
      ...settings,
    },
  });
  closeSync(log);
  return { ...(await started(child, tokens)), dataDir };
}

/** What the environment sets for the runtime and its memory goes on to the relay, so that it can be compared. */
function runtimeSettings(): Record<string, string> {
  const names = Object.keys(process.env).filter((name) => name.startsWith('MALLOC_'));
  return Object.fromEntries(names.map((name) => [name, process.env[name] ?? '']));
}

async function started(child: ChildProcess, keys: string[]): Promise<HttpTarget> {
  const [{ url, ready }] = (await once(child, 'message')) as [{ url: string; ready: boolean }];
  if (!ready) throw new Error('the relay did not become ready');
  return {
    url,
    keys,
    pid: child.pid ?? 0,
    stop: async () => {
      const exited = once(child, 'exit');
      child.disconnect();
      await exited;
    },
  };
}

export async function measureRun(target: HttpTarget, connections: number, seconds: number): Promise<Run> {
  const before = ownCpuSeconds(target.pid);
  const { url, keys } = target;
  const result = await runLoad({ url, keys, connections, seconds });
  if (result.failed > 0) throw new Error(`${result.failed} of ${result.requests} requests failed`);
  return {
    perSecond: result.requests / result.seconds,
    p50Ms: result.p50Ms,
    p99Ms: result.p99Ms,
    cpuMicrosPerRequest: ((ownCpuSeconds(target.pid) - before) / result.requests) * 1e6,
  };
}

function fill(dataDir: string, keys: number, rows: number): string[] {
  const store = openStore(dataDir);
  try {
    store.db.exec('PRAGMA synchronous = OFF');
    if (rows > 0) store.db.exec(ledgerRows(rows));
    const made = openKeys(store);
    return Array.from({ length: keys }, (_, i) => made.create(`key-${i}`, {}, 'bench').token);
  } finally {
    store.close();
  }
}

/** Spread over the last 80 days, 100 keys and 5 models, as LEDGER_DAYS keeps them. One in 50 failed, and each of the last tenth. */
function ledgerRows(rows: number): string {
  const spanMs = 80 * 86_400_000;
  const first = Date.now() - spanMs;
  const failed = `(i % 50 = 0 OR i > ${rows * 0.9})`;
  return `
    WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < ${rows - 1})
    INSERT INTO requests (at, request_id, key_id, route, model, status, tokens_in, tokens_out, cache_read, cache_write,
      cost_usd, total_ms, bytes_in, bytes_out, client_gone, error)
    SELECT ${first} + i * ${Math.floor(spanMs / rows)}, 'req_' || i, 'old' || (i % 100), 'complete', 'model-' || (i / 100 % 5), iif(${failed}, 504, 200), 1, 1, 1, 1,
      0.1, 1, 1, 1, 0, iif(${failed}, 'timeout', NULL) FROM n;
    INSERT INTO daily_usage (key_id, day, model, requests, errors, tokens_in, tokens_out, cache_read, cache_write, cost_usd)
    SELECT owner.value, date(at / 1000, 'unixepoch'), model, count(*), 0, 1, 1, 1, 1, 0.1
      FROM requests, json_each(json_array(key_id, '*')) AS owner GROUP BY 1, 2, 3`;
}
