/**
 * Messages to systemd (sd_notify(3)): datagrams to a unix socket, for which Node has no socket of its own.
 *
 * From systemd 253 on the unit has `OpenFile=.../systemd/notify:notify`: the manager hands that socket over, connected, and a write to
 * the descriptor is a datagram of this very process (`NotifyAccess=main`). Before that, `systemd-notify` sends each message; it is a
 * process of the group (`NotifyAccess=all`) and waits until the manager has looked at who it was.
 */
import { execFile } from 'node:child_process';
import { write } from 'node:fs';
import type { HostEnv } from '../claude/lock.ts';

/** Sends `READY=1`, `STATUS=...`, one assignment each. Resolves when it is sent, or could not be: what is lost, the watchdog notices. */
export type Notify = (...assignments: string[]) => Promise<void>;

/** The first descriptor that a service manager hands over (sd_listen_fds(3)). */
const firstDescriptor = 3;

/** Undefined when nobody listens: the relay runs in a terminal, or under another manager. */
export function serviceNotifier(env: HostEnv, pid = process.pid): Notify | undefined {
  const descriptor = handedOver(env, pid);
  const send = descriptor === undefined ? bySystemdNotify(env) : byDescriptor(descriptor);
  if (send === undefined) return undefined;
  let last = Promise.resolve();
  // In the order they were given: a status must not overtake the one before.
  return (...assignments) => (last = last.then(() => send(assignments)));
}

function handedOver(env: HostEnv, pid: number): number | undefined {
  if (env['LISTEN_PID'] !== String(pid)) return undefined;
  const index = (env['LISTEN_FDNAMES'] ?? '').split(':').indexOf('notify');
  return index === -1 || index >= Number(env['LISTEN_FDS']) ? undefined : firstDescriptor + index;
}

function byDescriptor(descriptor: number): (assignments: string[]) => Promise<void> {
  return (assignments) =>
    new Promise((resolve) => {
      // Not the synchronous one: a manager that does not read must not stop the event loop.
      write(descriptor, assignments.join('\n'), () => resolve());
    });
}

function bySystemdNotify(env: HostEnv): ((assignments: string[]) => Promise<void>) | undefined {
  const { NOTIFY_SOCKET, PATH } = env;
  if (NOTIFY_SOCKET === undefined || NOTIFY_SOCKET === '') return undefined;
  return (assignments) =>
    new Promise((resolve) => {
      execFile(
        'systemd-notify',
        assignments,
        { env: { NOTIFY_SOCKET, PATH: PATH ?? '/usr/bin:/bin' }, timeout: 10_000 },
        () => resolve(),
      );
    });
}
