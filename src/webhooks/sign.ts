/**
 * A webhook as Standard Webhooks describe it: github.com/standard-webhooks/standard-webhooks, spec/standard-webhooks.md. The id of the
 * event is that of its job, which ends once; it is the same at each attempt.
 */
import { createHmac } from 'node:crypto';
import { iso } from '../time.ts';
import type { JobEnd } from './outbox.ts';

const types = { done: 'job.completed', failed: 'job.failed', cancelled: 'job.cancelled' } as const;

/** JSON that is the same at each attempt. */
export function eventBody(id: string, { status, at }: JobEnd): string {
  return JSON.stringify({ type: types[status], timestamp: iso(at), data: { id, status } });
}

/** One signature for each secret. `at`: the milliseconds since 1970 of the attempt. */
export function signedHeaders(id: string, body: string, secrets: readonly Uint8Array[], at: number) {
  const timestamp = String(Math.floor(at / 1000));
  const signatures = secrets.map((secret) => {
    const hmac = createHmac('sha256', secret).update(`${id}.${timestamp}.${body}`);
    return `v1,${hmac.digest('base64')}`;
  });
  return {
    'content-type': 'application/json',
    'webhook-id': id,
    'webhook-timestamp': timestamp,
    'webhook-signature': signatures.join(' '),
  };
}
