/** Reports the relay's health to systemd: ready, status, watchdog, stopping. */
import type { HostEnv } from '../claude/lock.ts';
import type { Relay } from '../relay.ts';
import { serviceNotifier } from './notify.ts';
import { askReady, whyNotReady } from './ready.ts';

const longestIntervalMs = 30_000;
/** The interval until the relay has answered once. */
const retryMs = 1000;

/** Does nothing when no service manager listens. `env` has the manager's variables. */
export function reportHealth(
  relay: { url: string; readiness: Pick<Relay['readiness'], 'settled'> },
  env: HostEnv,
  notify = serviceNotifier(env),
) {
  if (notify === undefined) return { stopping: () => {}, close: () => Promise.resolve() };
  const watchdogMs = Number(env['WATCHDOG_USEC'] ?? 0) / 1000;
  const intervalMs = watchdogMs > 0 ? Math.min(watchdogMs / 4, longestIntervalMs) : longestIntervalMs;
  let timer: NodeJS.Timeout | undefined;
  let ready = false;
  let stopping = false;
  let closed = false;
  let sent: Promise<unknown> = Promise.resolve();
  const send = (...assignments: string[]): void => {
    sent = notify(...assignments);
  };

  const tick = async (): Promise<void> => {
    // Over HTTP, as a caller would: this shows that the relay accepts and answers connections, not only that a timer fires.
    const answer = await askReady(relay.url, Math.min(intervalMs, 10_000));
    if (closed) return;
    if (answer !== undefined) {
      const status = answer.ok ? 'ready' : `not ready: ${whyNotReady(answer)}`;
      send(
        ...(ready ? [] : ['READY=1']),
        ...(watchdogMs > 0 ? ['WATCHDOG=1'] : []),
        ...(stopping ? [] : [`STATUS=${oneLine(status)}`]),
      );
      ready = true;
    }
    timer = setTimeout(() => void tick(), ready ? intervalMs : retryMs);
  };

  send('STATUS=proving the lock');
  // Also after a failed proof: a restart would find the same CLI, and the running relay reports the reason and tries again.
  void relay.readiness.settled().then(tick);
  return {
    /** Reports that a stop has begun. The watchdog gets messages until the requests have finished. */
    stopping: () => {
      stopping = true;
      send('STOPPING=1', 'STATUS=finishing running requests');
    },
    /** Resolves when the last message has been sent. */
    close: async () => {
      closed = true;
      clearTimeout(timer);
      await sent;
    },
  };
}

function oneLine(text: string): string {
  return text.replaceAll(/\s+/g, ' ').slice(0, 500);
}
