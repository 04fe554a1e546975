/** Tells systemd how the relay is: ready, in which state, alive, stopping. */
import type { HostEnv } from '../claude/lock.ts';
import type { Relay } from '../relay.ts';
import { serviceNotifier, type Notify } from './notify.ts';
import { askReady, whyNotReady } from './ready.ts';

export type HealthReport = {
  /** A stop has begun; the watchdog is still fed while requests finish. */
  stopping(): void;
  /** Resolves when the last message is sent. */
  close(): Promise<void>;
};

export type HealthReportOptions = {
  relay: Pick<Relay, 'url' | 'readiness'>;
  /** The relay's environment, with what the service manager put there. */
  env: HostEnv;
  /** A test's own. */
  notify?: Notify;
};

const longestIntervalMs = 30_000;
/** Until the relay has answered once. */
const retryMs = 1000;

/** Does nothing where no service manager listens. */
export function reportHealth({
  relay,
  env,
  notify = serviceNotifier(env),
}: HealthReportOptions): HealthReport {
  if (notify === undefined) return { stopping: () => {}, close: () => Promise.resolve() };
  const watchdogMs = Number(env['WATCHDOG_USEC'] ?? 0) / 1000;
  const intervalMs = watchdogMs > 0 ? Math.min(watchdogMs / 4, longestIntervalMs) : longestIntervalMs;
  let timer: NodeJS.Timeout | undefined;
  let ready = false;
  let stopping = false;
  let closed = false;
  let sent = Promise.resolve();
  const send = (...assignments: string[]): void => {
    sent = notify(...assignments);
  };

  const tick = async (): Promise<void> => {
    // Over HTTP, as a caller would: it shows that connections are accepted and answered, not only that a timer fires.
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
  // Also when the proof failed: a restart would find the same CLI, and the relay that runs says why on /ready and tries again.
  void relay.readiness.settled().then(tick);
  return {
    stopping: () => {
      stopping = true;
      send('STOPPING=1', 'STATUS=finishing what runs');
    },
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
