/**
 * The relay in the test's own process, with a script in place of Claude Code and no proof: HTTP, keys, limits, ledger and turns are the
 * relay's own. It starts in milliseconds; `relay.ts` starts the whole program with a real CLI.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pino from 'pino';
import type { Proof } from '../../src/claude/proof/proof.ts';
import { loadConfig } from '../../src/config.ts';
import type { KeyGrants } from '../../src/keys/key.ts';
import { startRelay, type Relay, type RelayOptions, type RelayOverrides } from '../../src/relay.ts';
import { commandIn, mintKey, poster, unlimited, type Post } from './relay.ts';
import {
  scriptedRunner,
  scriptedVersion,
  type ScriptedModel,
  type ScriptedReplyFunction,
} from './scripted-cli.ts';

export type InProcessOptions = {
  /** Settings, as environment variables. Limits are off unless given. */
  settings?: Record<string, string>;
  /** What the model answers; `hello` by default. `relay.model.say(...)` changes it. */
  reply?: ScriptedReplyFunction;
  /** A clock, shorter times, another proof. */
  overrides?: RelayOverrides;
  /** What the doctor reports; nothing by default. */
  doctor?: RelayOptions['doctor'];
  /** A directory with the data of an earlier relay. It is not removed. */
  scratch?: string;
  /** A key of an earlier relay on the same data; a new one by default. */
  key?: string;
};

export type InProcessRelay = Post & {
  url: string;
  key: string;
  dataDir: string;
  model: ScriptedModel;
  /** The log, as it would be on stdout. */
  log: () => string;
  mint: (label: string, grants?: KeyGrants) => string;
  /** Runs `bin/<file>` with the relay's settings; returns its stdout, trimmed. The relay waits meanwhile: not for a command that asks it. */
  command: (file: string, ...args: string[]) => string;
  /** Stops it as SIGTERM does. */
  stop: () => Promise<void>;
};

const proved: Proof = {
  proved: true,
  hotProblem: undefined,
  cliVersion: scriptedVersion,
  provedAt: '2026-01-01T00:00:00.000Z',
  durationMs: 0,
  checks: [],
  addedBytes: 0,
  addedTexts: [],
};

export async function startInProcess(options: InProcessOptions = {}): Promise<InProcessRelay> {
  const scratch = options.scratch ?? mkdtempSync(join(tmpdir(), 'relay-in-process-'));
  const dataDir = join(scratch, 'data');
  const env = {
    HOME: scratch,
    PATH: process.env['PATH'] ?? '',
    DATA_DIR: dataDir,
    ...unlimited,
    ...options.settings,
  };
  const config = loadConfig({ env, file: join(scratch, 'no-config.env') });
  let relay: Relay | undefined;
  const { runner, model } = scriptedRunner(
    {
      readiness: {
        check: () => relay?.readiness.check(),
        lockBroken: (breach) => relay?.readiness.lockBroken(breach),
        provedIdentity: () => relay?.readiness.provedIdentity(),
        provedVersion: () => relay?.readiness.provedVersion(),
        hotProblem: () => undefined,
      },
      timeoutMs: options.overrides?.times?.requestTimeoutMs ?? config.requestTimeoutMs,
      pool: { ...config.pool, defaultModel: config.defaultModel },
      standingOf: () => 'live',
      queued: () => 0,
    },
    options.reply,
  );
  let log = '';
  const started = await startRelay({
    config,
    // The file only has to exist: it is never started.
    claudeBin: process.execPath,
    ...(options.doctor && { doctor: options.doctor }),
    log: pino({ level: config.logLevel, base: null }, { write: (line: string) => (log += line) }),
    overrides: {
      runner,
      prove: () => Promise.resolve(proved),
      plan: { windows: () => Promise.resolve(null), close: () => Promise.resolve() },
      ...options.overrides,
    },
  });
  relay = started;
  await started.readiness.settled();
  const mint = (label: string, grants: KeyGrants = {}): string => mintKey(dataDir, label, grants);
  const key = options.key ?? mint('test');
  return {
    ...poster(started.url, key),
    url: started.url,
    key,
    dataDir,
    model,
    log: () => log,
    mint,
    command: commandIn(env),
    stop: async () => {
      await started.close();
      if (options.scratch === undefined) rmSync(scratch, { recursive: true, force: true });
    },
  };
}
