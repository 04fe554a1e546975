/**
 * Whether the seal holds: a program under the very words that come before the CLI tries to reach what they promise to keep from it. The
 * same program without a seal must reach it, or the check proves nothing.
 */
import { once } from 'node:events';
import { copyFileSync, writeFileSync } from 'node:fs';
import { createServer, type AddressInfo, type Socket } from 'node:net';
import { extname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { moduleUrl } from '../../installation.ts';
import { makeDirectory, removeDirectory } from '../directories.ts';
import { lockedEnv, type HostEnv } from '../lock.ts';
import { goneWithin, startProcess } from '../process.ts';
import type { ProofCheck } from '../proof/checks.ts';
import { unsealed, type Seal } from './seal.ts';

export type ProbeTargets = {
  /** On loopback. */
  port: number;
  /** Public, and reserved for documents: nobody has it. */
  address: string;
  /** The path of a unix socket. */
  socket: string;
  file: string;
  process: number;
};

type Promised = { name: string; targets: readonly (keyof ProbeTargets)[]; holds: (seal: Seal) => boolean };

const promises: readonly Promised[] = [
  { name: 'sealed-network', targets: ['port', 'address'], holds: ({ network }) => network !== undefined },
  { name: 'sealed-files', targets: ['file'], holds: ({ files }) => files !== undefined },
  { name: 'sealed-sockets', targets: ['socket'], holds: ({ files }) => files === 'bwrap' },
  {
    name: 'sealed-processes',
    targets: ['process'],
    holds: ({ network, files }) => network !== undefined || files !== undefined,
  },
];

const probe = fileURLToPath(moduleUrl('probe', import.meta.url));
/** `.mts` or `.mjs`: without a package.json next to it, the name says that it is an ES module. */
const probeName = `probe.m${extname(probe).slice(1)}`;
const timeoutMs = 30_000;

/** One check for each promise of the seal. Rejects when the canaries cannot be put up. */
export async function checkSeal(seal: Seal, hostEnv: HostEnv, signal?: AbortSignal): Promise<ProofCheck[]> {
  const promised = promises.filter(({ holds }) => holds(seal));
  if (promised.length === 0) return [];
  const directory = makeDirectory('outside');
  const socket = join(directory, 'socket');
  // A probe can end, or be ended, while it is connected.
  const canary = (client: Socket): unknown => client.on('error', () => {}).end('canary');
  const onLoopback = createServer(canary).listen(0, '127.0.0.1');
  const onPath = createServer(canary).listen(socket);
  try {
    await Promise.all([once(onLoopback, 'listening'), once(onPath, 'listening')]);
    const { port } = onLoopback.address() as AddressInfo;
    const file = join(directory, 'file');
    writeFileSync(file, 'canary');
    const targets = { port, address: '192.0.2.1', socket, file, process: process.pid };
    const reachedBy = (from: Seal): Promise<Set<string>> => runProbe(from, hostEnv, targets, signal);
    const [sealed, open] = await Promise.all([reachedBy(seal), reachedBy(unsealed)]);
    // A host without a route to the internet has nothing to prove there.
    const provable = (target: string): boolean => target !== 'address' || open.has(target);
    return promised.map((each) => {
      const tried = each.targets.filter(provable);
      const failures = [
        ...tried.filter((target) => sealed.has(target)).map((target) => `reached a ${target} outside of it`),
        ...tried.filter((target) => !open.has(target)).map((target) => `no control reached the ${target}`),
        ...(sealed.has('ran') ? [] : ['nothing ran in it']),
      ];
      return { name: each.name, ok: failures.length === 0, detail: failures.join('; ') };
    });
  } finally {
    onLoopback.close();
    onPath.close();
    removeDirectory(directory);
  }
}

/** The names of what it reached, and `ran`. */
async function runProbe(
  seal: Seal,
  hostEnv: HostEnv,
  targets: ProbeTargets,
  signal: AbortSignal | undefined,
): Promise<Set<string>> {
  const reached = new Set<string>();
  const child = startProcess({
    command: process.execPath,
    args: [probeName, JSON.stringify(targets)],
    seal: seal.words(hostEnv, { read: [process.execPath] }),
    env: (tmp) => lockedEnv(hostEnv, tmp),
    // Node also reads the package.json next to a program, which a sealed one cannot do where the relay is.
    prepareCwd: (cwd) => copyFileSync(probe, join(cwd, probeName)),
    listener: { onLine: (name) => reached.add(name) },
  });
  child.finish();
  await goneWithin(child, timeoutMs, signal);
  return reached;
}
