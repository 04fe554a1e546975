/** The processes of this machine, from /proc: `ps` is not on every machine. */
import { readdirSync, readFileSync } from 'node:fs';

export type ProcessRow = { pid: number; ppid: number; pgid: number; state: string; command: string };

export function processTable(): ProcessRow[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .flatMap((pid) => {
      try {
        // The name in parentheses can hold anything.
        const stat = readFileSync(`/proc/${pid}/stat`, 'utf8').replace(/^.*\) /s, '');
        const [state = '', ppid, pgid] = stat.split(' ');
        const command = readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ').trim();
        return [{ pid: Number(pid), ppid: Number(ppid), pgid: Number(pgid), state, command }];
      } catch {
        // The process has ended in the meantime.
        return [];
      }
    });
}

/** Live processes below `pid`, without zombies. */
export function descendants(pid: number): number[] {
  const table = processTable();
  const found = [pid];
  for (const parent of found) {
    for (const row of table) if (row.ppid === parent && row.state !== 'Z') found.push(row.pid);
  }
  return found.slice(1);
}
