/** Reads processes from /proc: CPU time, memory, and whether they are idle. Linux only. */
import { readFileSync } from 'node:fs';
import { descendants, sleep } from '../test/support/relay.ts';

/** USER_HZ, which Linux has fixed at 100 for what it shows in /proc. */
const ticksPerSecond = 100;

type Times = { own: number; reaped: number };

function times(pid: number): Times | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    // The second field is the program's name in brackets, which may hold anything.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    const seconds = (index: number): number => Number(fields[index]) / ticksPerSecond;
    return { own: seconds(11) + seconds(12), reaped: seconds(13) + seconds(14) };
  } catch {
    return undefined;
  }
}

/** CPU seconds of the process alone. */
export function ownCpuSeconds(pid: number): number {
  return times(pid)?.own ?? 0;
}

/** CPU seconds of all that the process has started and that has ended. */
export function reapedCpuSeconds(pid: number): number {
  return times(pid)?.reaped ?? 0;
}

/** CPU seconds of the process and of everything it has started: the children that have ended, and those that live. */
export function treeCpuSeconds(pid: number): number {
  let total = 0;
  for (const member of [pid, ...descendants(pid)]) {
    const found = times(member);
    if (found !== undefined) total += found.own + found.reaped;
  }
  return total;
}

/** Resident memory in MB (10^6 bytes). */
export function residentMb(pid: number): number {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  return (Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1]) * 1024) / 1e6;
}

/** Waits until the processes below `pid`, itself included, have used next to no CPU for a second. */
export async function settled(pid: number): Promise<void> {
  const until = Date.now() + 15_000;
  let quietSince = Date.now();
  let before = treeCpuSeconds(pid);
  while (Date.now() - quietSince < 1000 && Date.now() < until) {
    await sleep(100);
    const now = treeCpuSeconds(pid);
    // Two ticks: a waiting CLI has its own timers.
    if (now - before > 0.02) quietSince = Date.now();
    before = now;
  }
}
