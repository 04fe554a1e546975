/**
 * Sends the end of a job to the URL that its request named, until the receiver has accepted it or the job has expired. Each attempt is a
 * new request through the guard of page fetches. A slow receiver holds up only the webhooks of its key.
 */
import type { Logger } from 'pino';
import type { JobWebhook } from '../api.ts';
import { shuttingDown } from '../endings.ts';
import { RelayError } from '../errors.ts';
import { FairQueue } from '../fair-queue.ts';
import { storeFailure } from '../store/errors.ts';
import type { JobEnd, Outbox, Undelivered } from './outbox.ts';
import { eventBody, signedHeaders } from './sign.ts';

export const webhookBounds = {
  /** Between two attempts, in milliseconds, give or take a fifth. */
  pausesMs: [5, 30, 120, 300, 1800, 7200].map((seconds) => seconds * 1000),
  /** For everything: the look-up of the name, the connection and the reply. */
  attemptMs: 10_000,
  atOnce: 8,
  atOncePerKey: 2,
} as const;

type Timer = { cancel(): void };

type WebhookParts = {
  outbox: Outbox;
  keys: { isLive(keyId: string): boolean; webhookSecrets(keyId: string): readonly Uint8Array[] };
  /** Resolves to the status of the reply. */
  post: (
    webhook: { url: string; headers: Record<string, string>; body: string; timeoutMs: number },
    signal: AbortSignal,
  ) => Promise<number>;
  clock: { wall(): number; setTimer(ms: number, fn: () => void): Timer };
  log: Pick<Logger, 'info' | 'warn'>;
  /** Milliseconds from the end of a job until its answer is dropped. */
  ttlMs: number;
  /** From 0 to 1. */
  random?: () => number;
};

type Delivery = Omit<Undelivered, 'end'> & {
  state: JobWebhook['state'];
  lastError?: string | undefined;
};
type Due = Delivery & { end: JobEnd };

/** The webhook of one job. */
export type Webhook = {
  state(): JobWebhook;
  /** Never throws. */
  end(end: JobEnd): void;
  /** The job was deleted: nothing is sent any more. Never throws. */
  forget(): void;
};

export type Webhooks = ReturnType<typeof openWebhooks>;

export function openWebhooks(parts: WebhookParts) {
  const { outbox, keys, post, clock, log, ttlMs, random = Math.random } = parts;
  const due = new FairQueue<Due>();
  const timers = new Set<Timer>();
  const underWay = new Map<Promise<void>, string>();
  const closing = new AbortController();

  const runningOf = ({ keyId }: { keyId: string }): number =>
    underWay.values().reduce((sum, id) => sum + Number(id === keyId), 0);

  const pump = (): void => {
    while (underWay.size < webhookBounds.atOnce && !closing.signal.aborted) {
      const next = due.next((first) => runningOf(first) < webhookBounds.atOncePerKey, runningOf);
      if (next === undefined) return;
      due.served(next.keyId);
      const attempt = deliver(next).finally(() => {
        underWay.delete(attempt);
        pump();
      });
      underWay.set(attempt, next.keyId);
    }
  };

  const enqueue = (delivery: Due): void => {
    due.add(delivery.keyId, delivery);
    pump();
  };

  const later = (delivery: Due, ms: number): void => {
    const timer = clock.setTimer(ms, () => {
      timers.delete(timer);
      enqueue(delivery);
    });
    timers.add(timer);
  };

  /** A write that fails is made up for by a further delivery after the next start. */
  const note = (write: () => void): void => {
    try {
      write();
    } catch (error) {
      log.warn({ reason: storeFailure(error) ?? 'a defect' }, 'a webhook could not be recorded');
    }
  };

  async function deliver(delivery: Due): Promise<void> {
    const { id, keyId, url, end } = delivery;
    if (delivery.state !== 'pending') return;
    const error = await attempt(delivery);
    // An attempt that the end of the relay has cut off does not count.
    if (error !== undefined && closing.signal.aborted) return;
    delivery.attempts += 1;
    delivery.lastError = error;
    log.info(
      { key_id: keyId, job: id, host: new URL(url).hostname, attempt: delivery.attempts, error },
      'webhook',
    );
    if (delivery.state !== 'pending') return;
    const pauseMs = (webhookBounds.pausesMs[delivery.attempts - 1] ?? Infinity) * (0.8 + 0.4 * random());
    const over = clock.wall() + pauseMs > end.at + ttlMs;
    if (error === undefined || error === 'http_410' || over) {
      delivery.state = error === undefined ? 'delivered' : 'failed';
      note(() => outbox.remove(id));
    } else {
      note(() => outbox.attempted(id, delivery.attempts));
      later(delivery, pauseMs);
    }
  }

  /** Undefined when the receiver has accepted it. */
  async function attempt({ id, keyId, url, end }: Due): Promise<string | undefined> {
    try {
      // Disabled, expired or revoked: its owner has refused the key.
      const secrets = keys.isLive(keyId) ? keys.webhookSecrets(keyId) : [];
      if (secrets.length === 0) return 'forbidden';
      const body = eventBody(id, end);
      const headers = signedHeaders(id, body, secrets, clock.wall());
      const status = await post({ url, headers, body, timeoutMs: webhookBounds.attemptMs }, closing.signal);
      return status >= 200 && status <= 299 ? undefined : `http_${status}`;
    } catch (error) {
      if (error instanceof RelayError) return error.code;
      return storeFailure(error) === undefined ? 'internal' : 'not_ready';
    }
  }

  return {
    /** For a job that begins. Throws `rate_limited` when the key has too many, `not_ready` when the database refuses. */
    add(id: string, keyId: string, url: string): Webhook {
      try {
        outbox.add({ id, keyId, url });
      } catch (error) {
        if (storeFailure(error) === undefined) throw error;
        const message = 'The relay cannot record the webhook at the moment. Try again later.';
        throw new RelayError('not_ready', message, { retryAfter: 10, cause: error });
      }
      const delivery: Delivery = { id, keyId, url, attempts: 0, state: 'pending' };
      return {
        state: () => ({
          state: delivery.state,
          attempts: delivery.attempts,
          ...(delivery.lastError !== undefined && { last_error: delivery.lastError }),
        }),
        end: (end) => {
          note(() => outbox.ended(id, end));
          enqueue(Object.assign(delivery, { end }));
        },
        forget: () => {
          if (delivery.state === 'pending') note(() => outbox.remove(id));
          delivery.state = 'failed';
        },
      };
    },

    /** Begins with what earlier relays have left. */
    resume(): void {
      note(() => {
        for (const left of outbox.adopt()) enqueue({ ...left, state: 'pending' });
      });
    },

    /** Ends the attempts under way. What is not delivered stays in the database. */
    async close(): Promise<void> {
      closing.abort(shuttingDown());
      for (const timer of timers) timer.cancel();
      await Promise.allSettled(underWay.keys());
    },
  };
}
