/**
 * A network namespace for the relay's processes. It holds nothing but the sockets on which the relay itself listens there: a process
 * reaches its valve, and no other address exists.
 *
 * A socket stays in the namespace in which it was made. So a small process makes it there and hands it over, and the relay serves it
 * like any other: no forwarder, and no process that stays.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync } from 'node:fs';
import type { Server } from 'node:net';
import { fileURLToPath } from 'node:url';
import { moduleUrl } from '../../installation.ts';
import type { HostEnv } from '../lock.ts';
import { noAnswer } from './missing.ts';

export type Namespace = {
  /** A new socket inside, which listens. */
  listen: () => Promise<Server>;
  /** The words before a command that is to run inside. */
  prefix: readonly string[];
  close: () => void;
};

const listener = fileURLToPath(moduleUrl('listen', import.meta.url));
/** A machine that is starting is slow, and a namespace that is given up leaves the network open. */
const timeoutMs = 30_000;

/** Words that make a namespace. Where AppArmor forbids that to others, it can allow it to bwrap. */
const makers = [
  [
    ...['unshare', '--user', '--map-current-user', '--keep-caps', '--net'],
    ...['/bin/sh', '-c', 'ip link set lo up && exec "$@"', 'claude-relay-namespace'],
  ],
  ['bwrap', '--unshare-user', '--unshare-net', '--dev-bind', '/', '/', '--'],
];

/** Rejects with the reasons where the host allows no namespace. */
export async function openNamespace(hostEnv: HostEnv, signal?: AbortSignal): Promise<Namespace> {
  const reasons: string[] = [];
  for (const maker of makers) {
    try {
      return await openWith(maker, hostEnv, signal);
    } catch (error) {
      reasons.push(`${maker[0]}: ${(error as Error).message.slice(0, 100)}`);
    }
  }
  throw new Error(reasons.join('; '));
}

async function openWith(
  maker: readonly string[],
  hostEnv: HostEnv,
  signal: AbortSignal | undefined,
): Promise<Namespace> {
  const openSpaces = (pid: number): number[] =>
    ['user', 'net'].map((kind) => openSync(`/proc/${pid}/ns/${kind}`, 'r'));
  const made = await listenBehind(maker, hostEnv, openSpaces, signal);
  made.server.close();
  const [user = -1, net = -1] = made.opened;
  const path = (file: number): string => `/proc/${process.pid}/fd/${file}`;
  const prefix = [
    ...['nsenter', `--user=${path(user)}`, `--net=${path(net)}`],
    // The process keeps its user; it is not root inside.
    ...['--preserve-credentials', '--'],
  ];
  const listen = async (): Promise<Server> => (await listenBehind(prefix, hostEnv, () => [])).server;
  const close = (): void => {
    for (const file of [user, net]) closeSync(file);
  };
  try {
    (await listen()).close();
  } catch (error) {
    close();
    throw error;
  }
  return { listen, prefix, close };
}

async function listenBehind(
  prefix: readonly string[],
  hostEnv: HostEnv,
  open: (pid: number) => number[],
  signal?: AbortSignal,
): Promise<{ server: Server; opened: number[] }> {
  const [command, ...args] = [...prefix, process.execPath, listener];
  const child = spawn(command, args, {
    env: { PATH: hostEnv['PATH'] ?? '' },
    stdio: ['pipe', 'ignore', 'pipe', 'ipc'],
    detached: true,
  });
  let complaint = '';
  child.stderr?.on('data', (chunk: Buffer) => (complaint += chunk.toString()));
  const { promise: failed, reject } = Promise.withResolvers<never>();
  child.on('error', reject);
  child.once('close', () => reject(new Error(complaint.trim().split('\n').at(-1) || 'it ended at once')));
  const timeout = AbortSignal.timeout(timeoutMs);
  const cut = AbortSignal.any(signal === undefined ? [timeout] : [timeout, signal]);
  const end = (): void => {
    reject(new Error(timeout.aborted ? noAnswer(timeoutMs) : 'stopped before it answered'));
    const { pid, exitCode, signalCode } = child;
    // The whole group: a process that bwrap has started outlives it.
    if (pid !== undefined && exitCode === null && signalCode === null) process.kill(-pid, 'SIGKILL');
  };
  cut.addEventListener('abort', end);
  if (cut.aborted) end();
  const handed = once(child, 'message') as Promise<[number, Server]>;
  try {
    const [pid, server] = await Promise.race([handed, failed]);
    return { server, opened: open(pid) };
  } catch (error) {
    // The listener can still hand one over.
    handed.then(([, server]) => server.close()).catch(() => {});
    throw error;
  } finally {
    cut.removeEventListener('abort', end);
    failed.catch(() => {});
    // The listener then exits.
    for (const stream of [child.stdin, child.stderr]) stream?.destroy();
    if (child.connected) child.disconnect();
  }
}
