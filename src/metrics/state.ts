/** What is true at the moment of a scrape. */
import { readFileSync } from 'node:fs';
import { Gauge, type Registry } from '@prometheus-io/client';
import { residentBytes } from '../claude/pool.ts';
import type { Readiness } from '../claude/proof/readiness.ts';
import type { Runner } from '../claude/runner.ts';
import { isSealed, type SealReport } from '../claude/seal/report.ts';
import type { UsageReader } from '../claude/usage-windows.ts';
import type { Health } from '../http/routes/health.ts';
import { version } from '../installation.ts';
import type { Admission } from '../limits/admission.ts';
import { latest } from '../latest.ts';
import type { Clock } from '../limits/clock.ts';

export type StateParts = {
  health: Pick<Health, 'checks'>;
  runner: Pick<Runner, 'spares' | 'hot'>;
  seal: SealReport;
  admission: Pick<Admission, 'load'>;
  readiness: Pick<Readiness, 'provedVersion'>;
  plan: Pick<UsageReader, 'windows'>;
  clock: Pick<Clock, 'monotonic'>;
};

/** Each question starts Claude Code and asks the vendor. */
const planKeptMs = 300_000;

/** Returns a function that sets the gauges. */
export function openState(registry: Registry, parts: StateParts): () => void {
  const gauge = <Label extends string>(name: string, help: string, ...labelNames: Label[]) =>
    new Gauge({ name, help, labelNames, registers: [registry] });

  const running = gauge('relay_running', 'Requests to the model that have a slot.');
  const queued = gauge('relay_queued', 'Requests to the model that wait for a slot.');
  const processes = gauge('relay_processes', 'Processes that wait for a request.', 'kind');
  const rss = gauge(
    'relay_child_rss_bytes',
    'Resident memory of all processes that the relay has started. 0 where there is no /proc.',
  );
  const used = gauge('relay_plan_used_ratio', "Share of the plan's window that is used.", 'window');
  const reset = gauge('relay_plan_reset_timestamp_seconds', "When the plan's window restarts.", 'window');
  const ready = gauge('relay_ready', '1 if GET /ready answers 200.');
  const proved = gauge('relay_lock_proved', '1 if the lock is proved for the installed Claude Code.');
  const sealed = gauge('relay_sealed', '1 if the network and the files of the processes are sealed.');
  const build = gauge('relay_build_info', 'The versions, in the labels. Always 1.', 'version', 'cli_version');
  const plan = latest(
    () => parts.plan.windows(),
    planKeptMs,
    () => parts.clock.monotonic(),
  );

  return () => {
    const { health, runner, seal, admission, readiness } = parts;
    const load = admission.load('complete');
    running.set(load.running);
    queued.set(load.queued);
    processes.set({ kind: 'spare' }, runner.spares().waiting);
    processes.set({ kind: 'hot' }, runner.hot().resting);
    rss.set(childBytes());
    const checks = health.checks();
    ready.set(Number(checks.every(({ ok }) => ok)));
    proved.set(Number(checks.some(({ name, ok }) => name === 'lock_proved' && ok)));
    sealed.set(Number(isSealed(seal)));
    const cliVersion = readiness.provedVersion();
    build.reset();
    build.set({ version, cli_version: cliVersion ?? '(not proved)' }, 1);
    used.reset();
    reset.reset();
    // Nothing is proved: no process would be asked.
    const windows = cliVersion === undefined ? null : plan().value;
    for (const window of ['five_hour', 'seven_day'] as const) {
      const { utilization = null, resets_at: resetsAt = null } = windows?.[window] ?? {};
      if (utilization !== null) used.set({ window }, utilization / 100);
      const resetMs = Date.parse(resetsAt ?? '');
      if (!Number.isNaN(resetMs)) reset.set({ window }, resetMs / 1000);
    }
  };
}

function childBytes(): number {
  try {
    const children = readFileSync(`/proc/self/task/${process.pid}/children`, 'utf8').match(/\d+/g) ?? [];
    return children.reduce((sum, child) => sum + residentBytes(child), 0);
  } catch {
    return 0;
  }
}
