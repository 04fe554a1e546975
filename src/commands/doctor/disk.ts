/** The doctor's lines about the data directory, the database, the keys and free space. */
import { accessSync, constants, existsSync, statfsSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname } from 'node:path';
import { isLoopback, type Config } from '../../config.ts';
import { relayCommand } from '../../installation.ts';
import { billedOn } from '../../limits/spending.ts';
import type { Key } from '../../keys/key.ts';
import { openKeys } from '../../keys/store.ts';
import { localUrl } from '../../service/ready.ts';
import { word } from '../../shell-word.ts';
import { openDailyCounts } from '../../store/daily.ts';
import { openStore } from '../../store/sqlite.ts';
import { utcDay } from '../../time.ts';
import { keyState } from '../text/key-text.ts';
import { fallbackLines } from './fallback.ts';
import { failure, ok, warning, type Line } from './line.ts';

const mib = 1024 * 1024;
const scarceBytes = 1024 * mib;
const tooLittleBytes = 100 * mib;

/** The doctor does not create the directory; it reports whether the relay could. */
export function diskLines(config: Config, now: number, waitMs: number): Line[] {
  const { dataDir } = config;
  const mode = statSync(dataDir, { throwIfNoEntry: false })?.mode;
  if (mode === undefined) {
    let parent = dirname(dataDir);
    while (!existsSync(parent)) parent = dirname(parent);
    const missing = `${dataDir} does not exist and cannot be created: ${parent} cannot be written`;
    const line = isWritable(parent)
      ? ok('data-dir', `${dataDir}, which the first key or start creates`)
      : failure('data-dir', missing, 'set DATA_DIR to a directory that you can write to');
    return [line, keysLine(0), ...spaceLines(parent)];
  }
  const lines = [directoryLine(dataDir, mode)];
  const fix = `ls -la ${word(dataDir)}; df -h ${word(dataDir)}`;
  try {
    const store = openStore(dataDir, { waitMs });
    try {
      const problem = store.problem();
      lines.push(problem === undefined ? ok('database', 'writable') : failure('database', problem, fix));
      const live = openKeys(store)
        .list()
        .filter((key) => keyState(key, now) === 'live');
      const billed = billedOn(openDailyCounts(store), utcDay(now));
      lines.push(keysLine(live.length), ...portLines(live), ...fallbackLines(config, live, billed));
    } finally {
      store.close();
    }
  } catch (error) {
    lines.push(failure('database', (error as Error).message, fix));
  }
  return [...lines, ...spaceLines(dataDir)];
}

function directoryLine(dataDir: string, mode: number): Line {
  const fix = `chmod 700 ${word(dataDir)}`;
  if (!isWritable(dataDir)) return failure('data-dir', `${dataDir} cannot be written`, fix);
  if ((mode & 0o077) === 0) return ok('data-dir', `${dataDir}, which only you can read`);
  const state = (mode & 0o022) === 0 ? warning : failure;
  const detail = `other users can read or write ${dataDir} (mode ${(mode & 0o777).toString(8)})`;
  return state('data-dir', detail, fix);
}

function keysLine(liveKeys: number): Line {
  return liveKeys === 0
    ? warning('keys', 'there is no valid key: no app can send requests', `${relayCommand} key create my-app`)
    : ok('keys', `${liveKeys} valid`);
}

/** The ports where no secret is needed. */
function portLines(keys: readonly Pick<Key, 'label' | 'ollama'>[]): Line[] {
  return keys.flatMap(({ label, ollama }) => {
    if (ollama === undefined) return [];
    const detail = `${label} at ${localUrl(ollama)}, without a secret`;
    return isLoopback(ollama.host)
      ? ok('ollama-port', `${detail}, only this machine`)
      : warning(
          'ollama-port',
          `${detail}: every machine that reaches the address uses this key`,
          `${relayCommand} key set ${label} --ollama-port ${ollama.port} (for this machine only), or a firewall`,
        );
  });
}

/** Each process of Claude Code has a separate directory among the temporary files. */
function spaceLines(data: string): Line[] {
  return Object.entries({ disk: data, temp: tmpdir() }).map(([name, directory]) => {
    const { bavail, bsize } = statfsSync(directory);
    return judgeSpace(name, directory, bavail * bsize);
  });
}

export function judgeSpace(name: string, directory: string, freeBytes: number): Line {
  const detail = `${Math.floor(freeBytes / mib)} MiB free in ${directory}`;
  const fix = `df -h ${word(directory)} (and make room)`;
  if (freeBytes < tooLittleBytes) return failure(name, detail, fix);
  return freeBytes < scarceBytes ? warning(name, detail, fix) : ok(name, detail);
}

function isWritable(path: string): boolean {
  try {
    accessSync(path, constants.W_OK | constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
