/** The composition root: Config (and overrides, for tests) -> a running relay with one `close()`. */
import type { Logger } from 'pino';
import { cliIdentity } from './claude/cli.ts';
import { sweepDirectories } from './claude/process.ts';
import { createUsageReader, type UsageReader } from './claude/usage-windows.ts';
import { proveLock, type Proof } from './claude/proof/proof.ts';
import { startReadiness, type Readiness, type ReadinessState } from './claude/proof/readiness.ts';
import { createRunner, type Runner } from './claude/runner.ts';
import type { Config } from './config.ts';
import { RelayError } from './errors.ts';
import { createApp, type AppContext } from './http/app.ts';
import { Connections } from './http/connections.ts';
import { connectionsFor, fileLimit } from './http/file-limit.ts';
import { recordOf } from './http/record.ts';
import { Jobs } from './http/async/jobs.ts';
import { LargeBodies } from './http/body-budget.ts';
import { Repeats } from './http/async/repeats.ts';
import { planCheck } from './http/plan-closings.ts';
import { createRunning } from './http/reservation.ts';
import { listen } from './http/server.ts';
import { defaultTimes, type Times } from './http/times.ts';
import type { ReadyCheck } from './http/routes/health.ts';
import { createIdleMemory } from './idle-memory.ts';
import { openKeys } from './keys/store.ts';
import { auditLine } from './ledger/audit.ts';
import { openLedger } from './ledger/ledger.ts';
import { openUsage } from './ledger/usage.ts';
import { createAdmission } from './limits/admission.ts';
import { trustedProxies } from './limits/client-address.ts';
import { systemClock, type Clock } from './limits/clock.ts';
import { FailedKeyLimiter } from './limits/failed-keys.ts';
import { createFetcher } from './pages/fetch.ts';
import { publicNames } from './service/public-names.ts';
import { openDailyCounts } from './store/daily.ts';
import { storeFailure } from './store/errors.ts';
import { openStore } from './store/sqlite.ts';

export type Relay = {
  /** `http://<address>:<port>`, as bound. */
  readonly url: string;
  readonly readiness: Readiness;
  /** Refuses new work, lets what runs or waits finish for DRAIN_TIMEOUT, ends the rest, and leaves nothing behind. */
  close(): Promise<void>;
  /** Ends what runs now; for an owner in a hurry. */
  hurry(): void;
};

export type RelayOptions = {
  config: Config;
  /** The CLI that was found (`findCli`). */
  claudeBin: string;
  log: Logger;
  overrides?: RelayOverrides;
};

/** What a test or the benchmark replaces. No setting and no request reaches it. */
export type RelayOverrides = {
  runner?: Runner;
  /** In place of the proof of the lock, which starts the CLI. */
  prove?: (signal: AbortSignal) => Promise<Proof>;
  /** In place of the question to the CLI how much of the plan is used. */
  plan?: UsageReader;
  /** The time of the limits, the ledger and the usage. */
  clock?: Clock;
  times?: Partial<Times & Pick<Config, 'requestTimeoutMs' | 'jobTtlMs' | 'drainTimeoutMs'>>;
};

/** Wrong keys of one address in five minutes before it is slowed down, and the addresses remembered. */
const wrongKeys = { limit: 20, windowMs: 300_000, maxAddresses: 10_000 };

/** Throws StoreError; rejects when the address is taken. */
export async function startRelay({ claudeBin, log, overrides = {}, ...given }: RelayOptions): Promise<Relay> {
  const config = { ...given.config, ...overrides.times };
  const times = { ...defaultTimes, ...overrides.times };
  const clock = overrides.clock ?? systemClock;
  const trusted = trustedProxies(config.trustProxy);
  const pages = createFetcher({
    ...config.fetch,
    get selfNames() {
      return publicNames(config);
    },
  });
  sweepDirectories();
  const store = openStore(config.dataDir);
  const keys = openKeys(store);
  const ledger = openLedger(store, { days: config.ledgerDays, now: () => clock.wall() });
  const admission = createAdmission({
    ...config.limits,
    counts: openDailyCounts(store),
    clock,
  });
  let tendSpares = (): void => {};
  const readiness = startReadiness({
    identity: () => cliIdentity(claudeBin),
    prove: overrides.prove ?? ((signal) => proveLock({ claudeBin, hostEnv: config.hostEnv, signal })),
    onChange: (state) => {
      logReadiness(log, state);
      tendSpares();
    },
  });
  const running = createRunning();
  const memory = createIdleMemory({
    isIdle: () => running.count() === 0 && readiness.state().phase !== 'proving',
  });
  let draining = false;
  let loginRefused = false;
  let lastAnswerAt: number | undefined;

  const readyChecks = (): ReadyCheck[] => {
    const disk = store.writable();
    const records = ledger.health();
    return [
      { name: 'accepting', ok: !draining, ...(draining ? { detail: 'the relay is being stopped' } : {}) },
      {
        name: 'login',
        ok: !loginRefused,
        ...(loginRefused
          ? { detail: 'the login was refused at its last use: log in again on the host, or fix its account' }
          : {}),
      },
      planCheck(admission.planClosings()),
      { name: 'database', ok: disk.ok, ...(disk.ok ? {} : { detail: disk.reason }) },
      { name: 'ledger', ok: records.ok, ...(records.ok ? {} : { detail: records.reason }) },
      {
        name: 'last_answer',
        ok: true,
        detail: lastAnswerAt === undefined ? 'none since the start' : new Date(lastAnswerAt).toISOString(),
      },
    ];
  };

  const runner =
    overrides.runner ??
    createRunner({
      claudeBin,
      hostEnv: config.hostEnv,
      readiness,
      timeoutMs: config.requestTimeoutMs,
      spares: { max: config.warmSpares, maxAgeMs: config.spareMaxAgeMs, defaultModel: config.defaultModel },
      queued: () => admission.queued('complete'),
    });
  const plan =
    overrides.plan ??
    createUsageReader({
      claudeBin,
      hostEnv: config.hostEnv,
      provedIdentity: () => readiness.provedIdentity(),
      onLockBroken: (breach) => readiness.lockBroken(breach),
    });
  tendSpares = () => runner.reconcile();
  tendSpares();
  const connections = new Connections(
    connectionsFor(fileLimit(), {
      concurrency: config.limits.lanes.complete.concurrency,
      spares: config.warmSpares,
      fetches: config.limits.lanes.fetch.concurrency,
    }),
  );
  const context: AppContext = {
    pages,
    config,
    keys,
    admission,
    usage: openUsage(store, () => clock.wall()),
    plan,
    readiness,
    running,
    runner,
    jobs: new Jobs({ ttlMs: config.jobTtlMs }),
    repeats: new Repeats(),
    connections,
    largeBodies: new LargeBodies(config.maxInputBytes + config.maxAttachmentBytes),
    trusted,
    times,
    clock,
    failedKeys: new FailedKeyLimiter({ ...wrongKeys, clock }),
    readyChecks,
    onFinished: (exchange, status, error) => {
      memory.touch();
      if (error?.details.loginLost === true) loginRefused = true;
      if (status === 200 && exchange.stopReason !== undefined) {
        loginRefused = false;
        lastAnswerAt = Date.now();
      }
      const record = recordOf(exchange, status, error);
      if (record.keyId !== undefined) ledger.record(record);
      log[record.route === 'other' && status === 200 ? 'debug' : 'info'](auditLine(record), 'request');
      if (error !== undefined) logCause(log, exchange.requestId, error);
    },
  };

  const closeParts = async (): Promise<void> => {
    memory.close();
    await Promise.all([readiness.close(), runner.close(), plan.close(), pages.close()]);
    ledger.close();
    keys.close();
    store.close();
  };
  const server = await listen(createApp(context), {
    host: config.host,
    port: config.port,
    longestAnswerMs: config.requestTimeoutMs + config.limits.queueTimeoutMs,
    connections,
    times,
  }).catch(async (error: unknown) => {
    await closeParts();
    throw error;
  });
  log.info({ url: server.url, connections: connections.most }, 'listening');

  const close = async (): Promise<void> => {
    draining = true;
    const bound = setTimeout(() => running.abortAll(), config.drainTimeoutMs);
    await admission.drain();
    await running.idle();
    clearTimeout(bound);
    await server.close();
    await closeParts();
  };
  let closing: Promise<void> | undefined;
  return {
    url: server.url,
    readiness,
    close: () => (closing ??= close()),
    hurry: () => running.abortAll(),
  };
}

function logReadiness(log: Logger, state: ReadinessState): void {
  switch (state.phase) {
    case 'proving':
      log.info({ reason: state.reason }, 'proving the lock');
      return;
    case 'proved':
      log.info({ cli: state.proof.cliVersion, ms: state.proof.durationMs }, 'the lock is proved');
      return;
    case 'failed': {
      const failed = state.proof?.checks.filter((check) => !check.ok) ?? [];
      log.error({ failed }, `not ready: ${state.reason}`);
    }
  }
}

/** For the owner: what is wrong with the database, or where a defect is, without its message, which could hold content. */
function logCause(log: Logger, requestId: string, { code, details: { cause } }: RelayError): void {
  if (cause instanceof RelayError) return logCause(log, requestId, cause);
  const reason = code === 'not_ready' ? storeFailure(cause) : undefined;
  if (reason !== undefined) return log.error({ request_id: requestId, reason }, 'not ready');
  if (code !== 'internal' && (code !== 'not_ready' || cause === undefined)) return;
  const frames =
    cause instanceof Error ? (cause.stack ?? '').split('\n').filter((line) => /^\s+at /.test(line)) : [];
  log.error(
    { request_id: requestId, error: cause instanceof Error ? cause.name : typeof cause, frames },
    'defect',
  );
}
