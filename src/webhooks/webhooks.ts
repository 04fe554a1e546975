/**
 * Sends the end of a job to the URL that its request named, until the receiver has accepted it. Each attempt is a new request through the
 * guard of page fetches. A slow receiver holds up only the webhooks of its key.
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
  /** Until a write that the database refused is tried again. */
  rewriteMs: 10_000,
} as const;

type Timer = { cancel(): void };

type WebhookParts = {
  outbox: Outbox;
  keys: {
    mayUse(keyId: string, route: 'webhook'): boolean;
    webhookSecrets(keyId: string): readonly Uint8Array[];
  };
  /** Resolves to the status of the reply. */
  post: (
    webhook: { url: string; headers: Record<string, string>; body: string; timeoutMs: number },
    signal: AbortSignal,
  ) => Promise<number>;
  clock: { wall(): number; setTimer(ms: number, fn: () => void): Timer };
  log: Pick<Logger, 'info' | 'warn'>;
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
  /** The job was deleted: no attempt begins any more. One that is under way goes on. Never throws. */
  forget(): void;
};

export type Webhooks = ReturnType<typeof openWebhooks>;

export function openWebhooks(parts: WebhookParts) {
  const { outbox, keys, post, clock, log, random = Math.random } = parts;
  const due = new FairQueue<Due>();
  /** By what they are for. */
  const timers = new Map<object, Timer>();
  const underWay = new Map<Promise<void>, string>();
  /** Oldest first. */
  const unwritten: (() => void)[] = [];
  const cut = new AbortController();
  let closing = false;

  const runningOf = ({ keyId }: { keyId: string }): number =>
    underWay.values().reduce((sum, id) => sum + Number(id === keyId), 0);

  const pump = (): void => {
    if (closing) return;
    while (underWay.size < webhookBounds.atOnce) {
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

  const later = (subject: object, ms: number, act: () => void): void => {
    const timer = clock.setTimer(ms, () => {
      timers.delete(subject);
      act();
    });
    timers.set(subject, timer);
  };

  const flush = (): void => {
    try {
      for (; unwritten[0] !== undefined; unwritten.shift()) unwritten[0]();
    } catch (error) {
      log.warn({ reason: storeFailure(error) ?? 'a defect' }, 'a webhook could not be recorded');
      later(unwritten, webhookBounds.rewriteMs, flush);
    }
  };

  /** A write that fails is tried again, and those after it wait for it. */
  const note = (write: () => void): void => {
    if (unwritten.push(write) === 1) flush();
  };

  /** Throws `not_ready` when the database refuses. */
  const orNotReady = (use: () => void): void => {
    try {
      use();
    } catch (error) {
      if (storeFailure(error) === undefined) throw error;
      const message = 'The relay cannot record the webhook at the moment. Try again later.';
      throw new RelayError('not_ready', message, { retryAfter: 10, cause: error });
    }
  };

  async function deliver(delivery: Due): Promise<void> {
    const { id, keyId, url } = delivery;
    const error = await attempt(delivery);
    // An attempt that the end of the relay has cut off does not count.
    if (error !== undefined && cut.signal.aborted) return;
    delivery.attempts += 1;
    delivery.lastError = error;
    const facts = { key_id: keyId, job: id, host: new URL(url).hostname, attempt: delivery.attempts, error };
    log.info(facts, 'webhook');
    if (delivery.state !== 'pending') return;
    const pauseMs = webhookBounds.pausesMs[delivery.attempts - 1];
    // A key without a secret is revoked: no later attempt can work.
    const isFinal = pauseMs === undefined || error === 'http_410' || error === 'unauthorized';
    if (error !== undefined && !isFinal) {
      note(() => outbox.attempted(id, delivery.attempts));
      later(delivery, pauseMs * (0.8 + 0.4 * random()), () => enqueue(delivery));
      return;
    }
    delivery.state = error === undefined ? 'delivered' : 'failed';
    if (error !== undefined) log.warn(facts, 'a webhook was given up');
    note(() => outbox.remove(id));
  }

  /** Undefined when the receiver has accepted it. */
  async function attempt({ id, keyId, url, end }: Due): Promise<string | undefined> {
    try {
      const secrets = keys.webhookSecrets(keyId);
      if (secrets.length === 0) return 'unauthorized';
      if (!keys.mayUse(keyId, 'webhook')) return 'forbidden';
      const body = eventBody(id, end);
      const headers = signedHeaders(id, body, secrets, clock.wall());
      const status = await post({ url, headers, body, timeoutMs: webhookBounds.attemptMs }, cut.signal);
      return status >= 200 && status <= 299 ? undefined : `http_${status}`;
    } catch (error) {
      if (error instanceof RelayError) return error.code;
      return storeFailure(error) === undefined ? 'internal' : 'not_ready';
    }
  }

  return {
    /** For a job that has not begun. Throws `rate_limited` when the key has too many, and `not_ready`. */
    requireRoom: (keyId: string): void => orNotReady(() => outbox.requireRoom(keyId)),

    /** Throws `not_ready`. */
    add(id: string, keyId: string, url: string): Webhook {
      orNotReady(() => outbox.add({ id, keyId, url }));
      const delivery: Delivery = { id, keyId, url, attempts: 0, state: 'pending' };
      return {
        state: () => ({
          state: delivery.state,
          attempts: delivery.attempts,
          ...(delivery.lastError !== undefined && { last_error: delivery.lastError }),
        }),
        end: (end) => {
          if (delivery.state !== 'pending') return;
          note(() => outbox.ended(id, end));
          enqueue(Object.assign(delivery, { end }));
        },
        forget: () => {
          if (delivery.state !== 'pending') return;
          delivery.state = 'failed';
          timers.get(delivery)?.cancel();
          timers.delete(delivery);
          due.remove(keyId, delivery as Due);
          note(() => outbox.remove(id));
        },
      };
    },

    /** Begins with what earlier relays have left. */
    resume(): void {
      note(() => {
        for (const left of outbox.adopt()) enqueue({ ...left, state: 'pending' });
      });
    },

    /** Begins no attempt, and waits for those under way until `signal` ends them. What is not delivered stays in the database. */
    async close(signal: AbortSignal): Promise<void> {
      closing = true;
      const end = (): void => cut.abort(shuttingDown());
      signal.addEventListener('abort', end);
      if (signal.aborted) end();
      await Promise.allSettled(underWay.keys());
      for (const timer of timers.values()) timer.cancel();
    },
  };
}
