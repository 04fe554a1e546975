/** The composition root: Config (and overrides, for tests) -> a running relay with one `close()`. */
import type { Logger } from 'pino';
import { cliIdentity } from './claude/cli.ts';
import { sweepDirectories } from './claude/directories.ts';
import { createUsageReader, type UsageReader } from './claude/usage-windows.ts';
import { proveLock, type Proof } from './claude/proof/proof.ts';
import { startReadiness, type Readiness } from './claude/proof/readiness.ts';
import { createRunner, type Runner } from './claude/runner.ts';
import { sealReport, sealWords, type SealReport } from './claude/seal/report.ts';
import { chooseSeal } from './claude/seal/seal.ts';
import { startValveProxy } from './claude/valve/proxy.ts';
import type { Line } from './commands/doctor/line.ts';
import type { Config } from './config.ts';
import { native } from './dialects/native.ts';
import { ollamaErrors } from './dialects/ollama/ollama.ts';
import type { ErrorFormat } from './dialects/dialect.ts';
import { createApp, type AppParts } from './http/app.ts';
import type { Site } from './http/route.ts';
import { Connections } from './http/connections.ts';
import { connectionsFor, fileLimit } from './http/file-limit.ts';
import { openKeyPorts } from './http/key-ports.ts';
import { createMemory } from './http/memory.ts';
import { listen } from './http/server.ts';
import { defaultTimes, type Times } from './http/times.ts';
import { Health } from './http/routes/health.ts';
import { ollamaSite } from './http/routes/ollama.ts';
import { relaySite, routes } from './http/routes/table.ts';
import { openKeys } from './keys/store.ts';
import { openMetrics } from './metrics/metrics.ts';
import { openLedger } from './ledger/ledger.ts';
import { openUsage } from './ledger/usage.ts';
import { logReadiness } from './log.ts';
import { createAdmission } from './limits/admission.ts';
import { trustedProxies } from './limits/client-address.ts';
import { systemClock, type Clock } from './limits/clock.ts';
import { FailedKeyLimiter } from './limits/failed-keys.ts';
import { openOwnerListener } from './owner/listener.ts';
import { createFetcher, type PageFetcher } from './pages/fetch.ts';
import { publicNames } from './service/public-names.ts';
import { openDailyCounts } from './store/daily.ts';
import { openStore } from './store/sqlite.ts';
import { openOutbox } from './webhooks/outbox.ts';
import { openWebhooks } from './webhooks/webhooks.ts';

export type Relay = {
  /** `http://<address>:<port>`, as bound. */
  readonly url: string;
  readonly readiness: Readiness;
  readonly seal: SealReport;
  /** Refuses new work, lets what runs or waits finish for DRAIN_TIMEOUT, ends the rest, and leaves nothing behind. */
  close(): Promise<void>;
  /** Ends what runs now; for an owner in a hurry. */
  hurry(): void;
};

export type RelayOptions = {
  config: Config;
  /** Runs the checks of `claude-relay doctor`, for the owner's page. */
  doctor?: (signal: AbortSignal) => AsyncIterable<Line>;
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
  /** What posts to webhooks. */
  post?: PageFetcher['post'];
  /** The time of the keys, the limits, the ledger and the usage. */
  clock?: Clock;
  times?: Partial<Times & Pick<Config, 'requestTimeoutMs' | 'jobTtlMs' | 'drainTimeoutMs'>>;
};

async function* noChecks(): AsyncGenerator<Line> {}

const nearlySpent = 'four fifths of a daily budget are used, as Claude Code reckons';

/** Throws StoreError; rejects when the address is taken. */
export async function startRelay({
  claudeBin,
  log,
  doctor = noChecks,
  overrides = {},
  ...given
}: RelayOptions): Promise<Relay> {
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
  const { hostEnv } = config;
  const seal = await chooseSeal({ mode: config.seal, claudeBin, hostEnv });
  const sealed = sealReport(config.seal, seal);
  const store = openStore(config.dataDir);
  const keys = openKeys(store, { now: () => clock.wall() });
  const metrics = openMetrics(config.allowedModels);
  const ledger = openLedger(store, {
    days: config.ledgerDays,
    now: () => clock.wall(),
    onRefused: metrics.ledgerFailed,
  });
  const outbox = openOutbox(store, () => clock.wall());
  const webhooks = openWebhooks({
    outbox,
    keys,
    post: overrides.post ?? pages.post,
    clock,
    log,
  });
  const admission = createAdmission({
    ...config.limits,
    counts: openDailyCounts(store),
    clock,
    onNearlySpent: ({ keyId, ...budget }) => log.warn({ ...budget, key_id: keyId }, nearlySpent),
  });
  const readiness = startReadiness({
    identity: () => cliIdentity(claudeBin),
    prove: overrides.prove ?? ((signal) => proveLock({ claudeBin, hostEnv, seal, signal })),
  });
  readiness.onChange((state) => logReadiness(log, state));
  readiness.onChange(({ proof }) => metrics.proved(proof?.checks));
  const valves = await startValveProxy(hostEnv, seal);
  const runner =
    overrides.runner ??
    createRunner({
      claudeBin,
      hostEnv,
      valves,
      readiness,
      timeoutMs: config.requestTimeoutMs,
      pool: { ...config.pool, defaultModel: config.defaultModel },
      standingOf: (keyId) => keys.standing(keyId),
      queued: () => admission.queued('complete'),
      onProcessEnd: metrics.processEnded,
    });
  readiness.onChange(() => runner.reconcile());
  const plan = overrides.plan ?? createUsageReader({ claudeBin, hostEnv, valves, readiness });
  const connections = new Connections(
    connectionsFor(fileLimit(), {
      concurrency: config.limits.lanes.complete.concurrency,
      waiting: config.pool.spares + config.pool.hot,
      fetches: config.limits.lanes.fetch.concurrency,
    }),
  );
  const memory = createMemory(config, clock);
  const { inFlight } = memory;
  const health = new Health({ readiness, admission, store, ledger });
  const parts = {
    ...memory,
    config,
    times,
    clock,
    log,
    keys,
    failedKeys: new FailedKeyLimiter(clock, metrics.authFailed),
    trusted,
    connections,
    admission,
    readiness,
    runner,
    pages,
    plan,
    usage: openUsage(store, () => clock.wall()),
    ledger,
    metrics,
    health,
    seal: sealed,
    webhooks,
    routes,
  } satisfies AppParts;

  const hurried = new AbortController();
  const hurry = (): void => {
    inFlight.abortAll();
    hurried.abort();
  };
  const closeParts = async (): Promise<void> => {
    await Promise.all([readiness.close(), runner.close(), plan.close(), webhooks.close(hurried.signal)]);
    await pages.close();
    await valves.close();
    seal.close();
    ledger.close();
    keys.close();
    store.close();
  };
  const serve = (site: Site<AppParts>, { host, port }: Pick<Config, 'host' | 'port'>, errors: ErrorFormat) =>
    listen(createApp(parts, site), {
      host,
      port,
      longestAnswerMs: config.requestTimeoutMs + config.limits.queueTimeoutMs,
      connections,
      times,
      errorFormat: errors,
    });
  const server = await serve(relaySite, config, native).catch(async (error: unknown) => {
    await closeParts();
    throw error;
  });
  log.info({ ...sealed, reasons: seal.missing.flatMap(({ reason = [] }) => reason) }, sealWords(sealed));
  webhooks.resume();
  log.info({ url: server.url, connections: connections.most }, 'listening');
  const owner = await openOwnerListener({ ...parts, store, doctor });
  const keyPorts = await openKeyPorts({
    keys: () => keys.withOllama(),
    open: (keyId, address) => serve(ollamaSite(keyId, address), address, ollamaErrors),
    log,
    times,
  });

  const close = async (): Promise<void> => {
    health.stopping = true;
    const bound = setTimeout(hurry, config.drainTimeoutMs);
    await admission.drain();
    await inFlight.idle();
    await Promise.all([server.close(), keyPorts.close(), owner?.close()]);
    await closeParts();
    clearTimeout(bound);
  };
  let closing: Promise<void> | undefined;
  return {
    url: server.url,
    readiness,
    seal: sealed,
    close: () => (closing ??= close()),
    hurry,
  };
}
