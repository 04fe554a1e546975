/**
 * How much of the plan's windows is used, for a subscription login: asked of the CLI (`get_usage`), which costs no turn. The CLI
 * asks the vendor's usage endpoint itself; the answer is kept for a minute.
 */
import { z } from 'zod';
import { breachIn, type Breach } from './breach.ts';
import { lockedArgs, lockedEnv, type HostEnv } from './lock.ts';
import { goneWithin, startProcess } from './process.ts';
import { parseLine, usageRequestLine, type CliEvent } from './protocol.ts';

/** One window: percent used (0-100) and when it starts anew (ISO 8601), as far as the vendor tells. */
export type PlanWindow = { utilization: number | null; resets_at: string | null };

/** Null: this login has no such windows (an API key, Bedrock, Vertex), or they could not be read. */
export type PlanWindows = { five_hour: PlanWindow | null; seven_day: PlanWindow | null } | null;

export type Plan = {
  /** Never rejects. Starts at most one process a minute, and none that anybody waits for longer than `timeoutMs`. */
  windows(): Promise<PlanWindows>;
  close(): Promise<void>;
};

export type PlanOptions = {
  claudeBin: string;
  hostEnv: HostEnv;
  /** Undefined while the lock is not proved: then no process is started. */
  provedIdentity: () => string | undefined;
  /** The process that is asked broke the lock; it is killed. */
  onLockBroken: (breach: Breach) => void;
  now?: () => number;
  timeoutMs?: number;
};

const keptMs = 60_000;

const window = z
  .object({ utilization: z.number().nullish().default(null), resets_at: z.string().nullish().default(null) })
  .nullish()
  .transform((value) => (value === null || value === undefined ? null : { ...value }));

const answer = z.object({
  rate_limits_available: z.boolean(),
  rate_limits: z.object({ five_hour: window, seven_day: window }).nullish(),
});

export function createPlan(options: PlanOptions): Plan {
  const now = options.now ?? (() => performance.now());
  const stop = new AbortController();
  let known: { at: number; windows: Promise<PlanWindows> } | undefined;
  return {
    windows: () => {
      if (options.provedIdentity() === undefined || stop.signal.aborted) return Promise.resolve(null);
      if (known === undefined || now() - known.at > keptMs) {
        known = { at: now(), windows: askCli(options, stop.signal) };
      }
      return known.windows;
    },
    close: async () => {
      stop.abort();
      await known?.windows;
    },
  };
}

async function askCli(options: PlanOptions, signal: AbortSignal): Promise<PlanWindows> {
  let windows: PlanWindows = null;
  let broken = false;
  const child = startProcess({
    command: options.claudeBin,
    // The model plays no part: nothing is asked of one.
    args: lockedArgs('haiku'),
    env: (tmpDir) => lockedEnv(options.hostEnv, tmpDir),
    listener: {
      onLine: (text) => {
        const event = readLine(text);
        const breach = event === undefined ? undefined : breachIn(event, undefined);
        if (breach !== undefined && !broken) {
          broken = true;
          child.kill();
          options.onLockBroken(breach);
        }
        const found = event === undefined || broken ? undefined : readAnswer(event);
        if (found === undefined) return;
        windows = found;
        child.finish();
      },
      onGarbage: () => child.terminate(),
      onExit: () => {},
    },
  });
  child.write(usageRequestLine('usage'));
  await goneWithin(child, options.timeoutMs ?? 8000, signal);
  return windows;
}

/** Undefined for what is not the protocol. */
function readLine(text: string): CliEvent | undefined {
  try {
    return parseLine(text);
  } catch {
    return undefined;
  }
}

/** Undefined: another line than the answer. */
function readAnswer(event: CliEvent): PlanWindows | undefined {
  if (event.kind !== 'control_response' || event.requestId !== 'usage') return undefined;
  const parsed = answer.safeParse(event.response['response']);
  if (!parsed.success) return undefined;
  const { rate_limits: limits } = parsed.data;
  return limits === null || limits === undefined
    ? null
    : { five_hour: limits.five_hour, seven_day: limits.seven_day };
}
