/**
 * Whether the lock is proved for the CLI that is installed now. There is no setting that turns this off.
 *
 * The proof runs at start, when the CLI's file changes, after a process that broke the lock, and from time to time while it fails. It
 * uses dummy logins, so it cannot see the organisation's settings of the real one. If these break the lock, another proof would pass
 * and the next turn fail again: the relay then waits for its owner.
 */
import { RelayError } from '../../errors.ts';
import type { Breach } from '../breach.ts';
import type { Proof } from './proof.ts';

export type Readiness = ReturnType<typeof startReadiness>;

export type ReadinessState =
  | { phase: 'proved'; proof: Proof }
  /** `proof`: the one that failed. */
  | { phase: 'proving' | 'failed'; reason: string; proof?: Proof };

export type ReadinessOptions = {
  /** The identity of the CLI's file (`cliIdentity`); undefined when it is gone. */
  identity: () => string | undefined;
  prove: (signal: AbortSignal) => Promise<Proof>;
  /** Milliseconds until a failed proof is tried again, the first time; doubles up to ten minutes. */
  retryMs?: number;
};

const maxRetryMs = 600_000;

/** Starts the first proof at once. */
export function startReadiness(options: ReadinessOptions) {
  const stop = new AbortController();
  const firstRetryMs = options.retryMs ?? 30_000;
  let retryMs = firstRetryMs;
  /** The file that the last proof ran on. */
  let examined: string | undefined;
  let retryTimer: NodeJS.Timeout | undefined;
  let running: Promise<void> | undefined;
  /** A process broke the lock while a proof ran: that proof says nothing about it. */
  let outdated = false;
  /** What the owner must do before the lock is proved again. */
  let waitsFor: 'restart' | 'change' | undefined;
  /** The listings that broke the lock on this file. */
  const listed = new Set<string>();
  const listeners: ((state: ReadinessState) => void)[] = [];
  let state: ReadinessState = { phase: 'proving', reason: 'the lock is being proved' };

  const enter = (next: ReadinessState): void => {
    state = next;
    for (const listener of listeners) listener(next);
  };

  const proveOnce = async (): Promise<void> => {
    const identity = options.identity();
    examined = identity;
    if (identity === undefined)
      return enter({ phase: 'failed', reason: 'the Claude Code program does not exist any more' });
    const proof = await options.prove(stop.signal);
    if (stop.signal.aborted || outdated || waitsFor !== undefined) return;
    if (!proof.proved) {
      const failed = proof.checks.filter((check) => !check.ok).map((check) => check.name);
      // Each proof would run the hook once more.
      if (failed.includes('no-hook-ran')) waitsFor = 'restart';
      enter({ phase: 'failed', reason: `the lock is not proved: ${failed.join(', ')}`, proof });
    } else if (options.identity() !== identity) {
      enter({ phase: 'failed', reason: 'Claude Code changed while it was examined' });
    } else {
      retryMs = firstRetryMs;
      enter({ phase: 'proved', proof });
    }
  };

  const prove = (): void => {
    clearTimeout(retryTimer);
    if (running !== undefined || waitsFor !== undefined) return;
    running = proveOnce().finally(() => {
      running = undefined;
      if (stop.signal.aborted || waitsFor !== undefined) return;
      if (outdated) {
        outdated = false;
        prove();
      } else if (state.phase !== 'proved') {
        retryTimer = setTimeout(prove, retryMs).unref();
        retryMs = Math.min(retryMs * 2, maxRetryMs);
      }
    });
  };

  const notReady = (): RelayError =>
    new RelayError(
      'not_ready',
      `The relay accepts no requests at the moment: ${state.phase === 'proved' ? 'unknown' : state.reason}. The owner can run \`claude-relay doctor\` for details.`,
      waitsFor === undefined ? { retryAfter: state.phase === 'proving' ? 5 : 30 } : { shouldRetry: false },
    );

  prove();
  return {
    /** Throws `not_ready` unless the lock is proved for the file that would be started now. */
    check: (): void => {
      // A changed file is proved without waiting for the timer, and is not used before.
      const changed = options.identity() !== examined;
      if (changed && waitsFor === 'change') {
        waitsFor = undefined;
        listed.clear();
      }
      if (changed && running === undefined) {
        if (state.phase === 'proved')
          enter({ phase: 'proving', reason: 'Claude Code has changed and the lock is being proved again' });
        prove();
      }
      if (state.phase !== 'proved' || changed) throw notReady();
    },
    state: (): ReadinessState => state,
    /** Calls `listener` with the state, now and at each change. */
    onChange: (listener: (state: ReadinessState) => void): void => {
      listeners.push(listener);
      listener(state);
    },
    /** The identity of the CLI's file while the lock is proved for it; undefined otherwise. */
    provedIdentity: (): string | undefined =>
      state.phase === 'proved' && options.identity() === examined ? examined : undefined,
    /** Why this CLI must not serve more than one request with a process, as a sentence. */
    hotProblem: (): string | undefined =>
      state.phase === 'proved' ? state.proof.hotProblem : 'the lock is not proved',
    /** The version that the CLI reported in that proof. */
    provedVersion: (): string | undefined => (state.phase === 'proved' ? state.proof.cliVersion : undefined),
    /**
     * A process broke the lock. Not ready until the proof passes again; after a hook, until the relay restarts; after the same listing
     * as before, until the CLI's file changes or the relay restarts.
     */
    lockBroken: (breach: Breach): void => {
      const found = breach.found.join('; ');
      if (breach.kind === 'hook') waitsFor = 'restart';
      else if (breach.kind === 'listing' && listed.has(found)) waitsFor ??= 'change';
      if (breach.kind === 'listing') listed.add(found);
      enter({ phase: 'failed', reason: brokenBy(breach.kind, found, waitsFor) });
      outdated = running !== undefined;
      prove();
    },
    /** Resolves when no proof runs. */
    settled: async (): Promise<void> => {
      await running;
    },
    /** Ends a running proof. */
    close: async (): Promise<void> => {
      stop.abort();
      clearTimeout(retryTimer);
      await running;
    },
  };
}

/** A sentence for /ready: what broke the lock, and what the owner can do about it. */
function brokenBy(kind: Breach['kind'], found: string, waitsFor: 'restart' | 'change' | undefined): string {
  switch (kind) {
    case 'hook':
      return `Claude Code ran a hook (${found}), which settings of an administrator or an organisation start. Remove it there, run \`claude\` once to fetch the new settings, then restart the relay`;
    case 'version':
      return `this version of Claude Code is not proved (${found})`;
    case 'listing': {
      const what = `a turn listed something that is not allowed (${found})`;
      return waitsFor === undefined
        ? what
        : `${what}, again after the lock had been proved. Install another version of Claude Code or remove the setting that causes it, then restart the relay`;
    }
  }
}
