/** The ways of sealing that this machine can try: a PATH with the programs of one way and no other. */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { homedir, tmpdir } from 'node:os';
import { join } from 'node:path';
import { findProgram } from '../../src/find-program.ts';
import type { Seal } from '../../src/claude/seal/seal.ts';

type Way = {
  name: string;
  /** What the relay must choose with these programs, and with a token or an API key for a gateway. */
  expected: Pick<Seal, 'network' | 'files'>;
  programs: Readonly<Record<string, string | undefined>>;
  /** Why it cannot be tried here, for a test's `skip`. */
  skip: string | false;
};

const namespace = ['sh', 'ip', 'unshare', 'nsenter'];
/** A gateway is asked for nothing but answers, so that a filter of sockets can seal the network. */
export const gateway = { ANTHROPIC_BASE_URL: 'https://gateway.test' };
const [net, none] = ['namespace', undefined] as const;

export const ways: readonly Way[] = [
  way('namespace and bwrap', { network: net, files: 'bwrap' }, [...namespace, 'bwrap']),
  way('namespace by bwrap, and bwrap', { network: net, files: 'bwrap' }, ['sh', 'nsenter', 'bwrap']),
  way('namespace and landlock', { network: net, files: 'landlock' }, [...namespace, 'setpriv']),
  way('namespace', { network: net, files: none }, namespace),
  way('filter and bwrap', { network: 'filter', files: 'bwrap' }, ['sh', 'bwrap']),
  way('filter and landlock', { network: 'filter', files: 'landlock' }, ['sh', 'setpriv']),
  way('no seal', { network: none, files: none }, ['sh']),
];

function way(name: string, expected: Way['expected'], needed: readonly string[]): Way {
  const find = (program: string): string | undefined =>
    program === 'setpriv' ? setpriv() : findProgram(program, process.env['PATH']);
  const programs = Object.fromEntries(needed.map((program) => [program, find(program)]));
  const missing = needed.filter((program) => programs[program] === undefined);
  return { name, expected, programs, skip: missing.length > 0 && `needs ${missing.join(', ')}` };
}

/** One that seals files: the system's, or that of test/support/setpriv.sh. */
function setpriv(): string | undefined {
  const system = findProgram('setpriv', process.env['PATH']);
  if (system !== undefined && execFileSync(system, ['--help'], { encoding: 'utf8' }).includes('landlock'))
    return system;
  const cache = process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache');
  const fetched = join(cache, 'claude-relay-setpriv', 'setpriv');
  return existsSync(fetched) ? fetched : undefined;
}

export function withStoredLogin({ network, files }: Way['expected']): Way['expected'] {
  return { network: network === 'filter' ? undefined : network, files };
}

/** A directory for PATH. `more`: programs that do not seal. */
export function pathOf({ programs }: Way, ...more: string[]): { path: string; remove: () => void } {
  const path = mkdtempSync(join(tmpdir(), 'seal-path-'));
  const others = Object.fromEntries(more.map((name) => [name, findProgram(name, process.env['PATH'])]));
  for (const [name, target] of Object.entries({ ...others, ...programs }))
    if (target) symlinkSync(target, join(path, name));
  return { path, remove: () => rmSync(path, { recursive: true, force: true }) };
}
