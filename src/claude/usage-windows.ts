/**
 * How much of the plan's usage windows is used up, for a subscription login. The CLI is asked (`get_usage`, 2.1.197 and 2.1.330),
 * which asks the vendor's usage endpoint and costs no turn.
 */
import { z } from 'zod';
import { breachIn } from './breach.ts';
import type { HostEnv } from './lock.ts';
import { startLocked } from './locked-process.ts';
import { goneWithin } from './process.ts';
import type { Readiness } from './proof/readiness.ts';
import { parseLine, usageRequestLine, type CliEvent } from './protocol.ts';
import type { ValveProxy } from './valve/proxy.ts';

export type UsageReader = ReturnType<typeof createUsageReader>;

export type UsageReaderOptions = {
  claudeBin: string;
  hostEnv: HostEnv;
  valves: Pick<ValveProxy, 'begin'>;
  /** Without a proved identity, no process is started. */
  readiness: Pick<Readiness, 'provedIdentity' | 'lockBroken'>;
  now?: () => number;
  timeoutMs?: number;
};

const keptMs = 60_000;

/** One window: percent used (0-100) and when it restarts (ISO 8601), if the vendor reports it. */
const usageWindow = z
  .object({
    utilization: z.number().nullish().default(null),
    resets_at: z
      .string()
      .nullish()
      .transform((at) => (Number.isNaN(Date.parse(at ?? '')) ? null : (at ?? null))),
  })
  .nullish()
  .transform((value) => value ?? null);

const usageWindows = z.object({ five_hour: usageWindow, seven_day: usageWindow });

/** Null: this login has no such windows (an API key, Bedrock, Vertex), or they could not be read. */
export type UsageWindows = z.infer<typeof usageWindows> | null;

const usageAnswer = z.object({ rate_limits_available: z.boolean(), rate_limits: usageWindows.nullish() });

export function createUsageReader(options: UsageReaderOptions) {
  const now = options.now ?? (() => performance.now());
  const stop = new AbortController();
  let last: { readAt: number; windows: Promise<UsageWindows> } | undefined;
  return {
    /** At most a minute old. Never rejects, and takes no longer than `timeoutMs`. */
    windows: (): Promise<UsageWindows> => {
      if (options.readiness.provedIdentity() === undefined || stop.signal.aborted)
        return Promise.resolve(null);
      if (last === undefined || now() - last.readAt > keptMs) {
        last = { readAt: now(), windows: askCli(options, stop.signal) };
      }
      return last.windows;
    },
    close: async (): Promise<void> => {
      stop.abort();
      await last?.windows;
    },
  };
}

async function askCli(options: UsageReaderOptions, signal: AbortSignal): Promise<UsageWindows> {
  let windows: UsageWindows = null;
  let broken = false;
  const { claudeBin, hostEnv, valves } = options;
  const child = startLocked({
    claudeBin,
    hostEnv,
    valves,
    // No model is asked, so any name will do, and the valve stays open.
    model: 'haiku',
    listener: {
      onLine: (text) => {
        const event = parseLine(text);
        if (event === undefined || broken) return;
        const breach = breachIn(event, undefined);
        if (breach !== undefined) {
          broken = true;
          child.kill();
          return options.readiness.lockBroken(breach);
        }
        const answer = readAnswer(event);
        if (answer === undefined) return;
        windows = answer;
        child.finish();
      },
    },
  });
  child.write(usageRequestLine('usage'));
  await goneWithin(child, options.timeoutMs ?? 8000, signal);
  return windows;
}

/** Undefined: not the answer. */
function readAnswer(event: CliEvent): UsageWindows | undefined {
  if (event.kind !== 'control_response' || event.requestId !== 'usage') return undefined;
  const parsed = usageAnswer.safeParse(event.response['response']);
  return parsed.success ? (parsed.data.rate_limits ?? null) : undefined;
}
