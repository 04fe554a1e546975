/** Whether a job may have a webhook, and what it says in the end. */
import { RelayError } from '../../errors.ts';
import { mayUse, type Key } from '../../keys/key.ts';
import type { PageFetcher } from '../../pages/fetch.ts';
import type { JobEnd } from '../../webhooks/outbox.ts';
import type { Webhooks } from '../../webhooks/webhooks.ts';
import type { Job } from './jobs.ts';

export type WebhookParts = {
  pages: Pick<PageFetcher, 'webhookUrl'>;
  webhooks: Pick<Webhooks, 'add' | 'requireRoom'>;
};

/** The URL in one spelling. Throws `forbidden`, or a `bad_request` that says what is wrong. */
export function webhookUrl(text: string | undefined, key: Key, { pages }: WebhookParts): string | undefined {
  if (text === undefined) return undefined;
  if (!mayUse(key, 'webhook')) {
    throw new RelayError(
      'forbidden',
      'This key may not use "webhook". Leave it out and poll the job, or ask the owner of the relay to add the route webhook.',
    );
  }
  try {
    const url = pages.webhookUrl(text);
    if (url.length <= 2048) return url;
  } catch (error) {
    if (!(error instanceof RelayError)) throw error;
    throw new RelayError(
      'bad_request',
      `Field "webhook" must be an https URL on the public internet. ${error.message}`,
    );
  }
  throw new RelayError('bad_request', 'Field "webhook" must have at most 2048 characters.');
}

export function endOf({ status, ended }: Job): JobEnd {
  const at = ended?.at ?? Date.now();
  return { status: status === 'done' || status === 'cancelled' ? status : 'failed', at };
}
