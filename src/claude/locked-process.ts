/** A locked process of the installed CLI, which has no other way out than its valve. */
import { lockedArgs, lockedEnv, type HostEnv } from './lock.ts';
import { startProcess, type ClaudeProcess, type ProcessOptions } from './process.ts';
import type { ValveProxy } from './valve/proxy.ts';
import type { Valve } from './valve/valve.ts';

export type LockedProcess = ClaudeProcess & { readonly valve: Valve };

export type LockedProcessOptions = {
  claudeBin: string;
  hostEnv: HostEnv;
  valves: Pick<ValveProxy, 'begin'>;
  model: string;
} & Partial<Pick<ProcessOptions, 'listener' | 'prepareCwd' | 'killGraceMs'>>;

/** Its valve is open. Never throws. */
export function startLocked(options: LockedProcessOptions): LockedProcess {
  const { claudeBin, hostEnv, valves, model, ...others } = options;
  const { valve, env, seal, end } = valves.begin(hostEnv);
  const started = startProcess({
    // What the process prints before somebody listens is nothing to act on.
    listener: { onLine: () => {} },
    ...others,
    seal,
    command: claudeBin,
    args: lockedArgs(model),
    env: (tmpDir) => lockedEnv(hostEnv, tmpDir, env),
  });
  void started.gone.then(end);
  return Object.assign(started, { valve });
}
