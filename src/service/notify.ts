/**
 * Messages to systemd (sd_notify(3)): datagrams to a unix socket, a kind of socket that Node does not have.
 *
 * From systemd 253 on the unit has `OpenFile=.../systemd/notify:notify`: the manager passes that socket, connected, and a write to
 * the descriptor is a datagram from this process (`NotifyAccess=main`). Before 253, `systemd-notify` sends each message. It is another
 * process of the group (`NotifyAccess=all`) and waits until the manager has read its identity.
 */
import { write } from 'node:fs';
import type { HostEnv } from '../claude/lock.ts';
import { runProgramWith } from './run-program.ts';

/** Sends assignments such as `READY=1`. Resolves also when the message is lost: the watchdog notices that. */
export type Notify = (...assignments: string[]) => Promise<unknown>;

type Send = (assignments: string[]) => Promise<unknown>;

/** The first descriptor that a service manager passes (sd_listen_fds(3)). */
const firstDescriptor = 3;

/** Undefined when no manager listens: the relay runs in a terminal, or under another manager. */
export function serviceNotifier(env: HostEnv): Notify | undefined {
  const descriptor = handedOver(env);
  const send = descriptor === undefined ? bySystemdNotify(env) : byDescriptor(descriptor);
  if (send === undefined) return undefined;
  let last: Promise<unknown> = Promise.resolve();
  // In order: a status must not overtake the one before it.
  return (...assignments) => (last = last.then(() => send(assignments)));
}

function handedOver(env: HostEnv): number | undefined {
  if (env['LISTEN_PID'] !== String(process.pid)) return undefined;
  const index = (env['LISTEN_FDNAMES'] ?? '').split(':').indexOf('notify');
  return index === -1 || index >= Number(env['LISTEN_FDS']) ? undefined : firstDescriptor + index;
}

function byDescriptor(descriptor: number): Send {
  return (assignments) =>
    new Promise<void>((resolve) => {
      // Asynchronous: a manager that does not read must not block the event loop.
      write(descriptor, assignments.join('\n'), () => resolve());
    });
}

function bySystemdNotify({ NOTIFY_SOCKET, PATH = '/usr/bin:/bin' }: HostEnv): Send | undefined {
  if (NOTIFY_SOCKET === undefined || NOTIFY_SOCKET === '') return undefined;
  const run = runProgramWith({ NOTIFY_SOCKET, PATH });
  return (assignments) => run('systemd-notify', assignments, { timeoutMs: 10_000 });
}
