/**
 * Processes that left their group: a descendant that made itself a session of its own is reached by no signal to the group.
 *
 * It still carries the environment it was born with, and in that the throwaway directory that is its process's alone. Linux only:
 * elsewhere there is no /proc to look into, and such a process would stay.
 */
import { readdir, readFile } from 'node:fs/promises';

/** One that starts others meanwhile is found again; it cannot go on for ever. */
const mostRounds = 20;
/** Files that are open at once: as many as there are processes could be more than the system allows. */
const atOnce = 4;

/** SIGKILL to every process whose TMPDIR is `tmpDir`. Resolves to how many there were; never rejects. */
export async function killStrays(tmpDir: string): Promise<number> {
  let killed = 0;
  for (let round = 0; round < mostRounds; round += 1) {
    const found = await killOnce(tmpDir);
    if (found === 0) break;
    killed += found;
  }
  return killed;
}

async function killOnce(tmpDir: string): Promise<number> {
  const marker = Buffer.from(`TMPDIR=${tmpDir}\0`);
  const names = await readdir('/proc').catch((): string[] => []);
  const pids = names.filter((name) => /^\d+$/.test(name));
  let killed = 0;
  const look = async (): Promise<void> => {
    for (let pid = pids.pop(); pid !== undefined; pid = pids.pop()) {
      // Another user's cannot be read, and is none of ours.
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
