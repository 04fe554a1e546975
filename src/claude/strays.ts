/**
 * Processes that left their group: no signal to the group reaches a descendant that started its own session.
 *
 * Its initial environment still names the throwaway directory of the process that started it. Linux only:
 * elsewhere there is no /proc to look into, and such a process would stay.
 */
import { readdir, readFile } from 'node:fs/promises';

/** A stray that starts others meanwhile is found again, but not for ever. */
const maxRounds = 20;
/** Files that are open at once: one for each process could be more than the system allows. */
const atOnce = 4;

/** SIGKILL to every process whose TMPDIR is `tmpDir`. Never rejects. */
export async function killStrays(tmpDir: string): Promise<void> {
  for (let round = 0; round < maxRounds; round += 1) if ((await killOnce(tmpDir)) === 0) return;
}

async function killOnce(tmpDir: string): Promise<number> {
  const marker = Buffer.from(`TMPDIR=${tmpDir}\0`);
  const names = await readdir('/proc').catch((): string[] => []);
  const pids = names.filter((name) => /^\d+$/.test(name));
  let killed = 0;
  const look = async (): Promise<void> => {
    for (let pid = pids.pop(); pid !== undefined; pid = pids.pop()) {
      // The relay cannot read another user's, and must not kill that process.
      const environment = await readFile(`/proc/${pid}/environ`).catch(() => undefined);
      if (environment?.includes(marker) === true && kill(Number(pid))) killed += 1;
    }
  };
  await Promise.all(Array.from({ length: atOnce }, look));
  return killed;
}

function kill(pid: number): boolean {
  try {
    process.kill(pid, 'SIGKILL');
    return true;
  } catch {
    return false;
  }
}
