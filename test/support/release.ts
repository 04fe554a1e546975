import { spawnSync } from 'node:child_process';

/** Runs `npm run release` in a clone. */
export function runRelease(
  clone: string,
  ...args: string[]
): { status: number | null; stdout: string; stderr: string } {
  return spawnSync(process.execPath, ['scripts/release.ts', ...args], { cwd: clone, encoding: 'utf8' });
}
