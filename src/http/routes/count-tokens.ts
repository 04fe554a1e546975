/**
 * POST /v1/messages/count_tokens: an estimate, because the CLI has no reliable token count.
 *
 * Its `get_context_usage` (measured on 2.1.197 and 2.1.330) counts the messages without the system prompt, which it sends as a message
 * of the user, never with the caller's tools, and subtracts a filler. Where the upstream cannot count, it answers with an estimate
 * (2.1.330) or has the model write a token, which costs (2.1.197), without saying so.
 */
import type { CountTokensResponse } from '../../api.ts';
import { readCountRequest } from '../../dialects/anthropic/count.ts';
import { estimateTokens } from '../../dialects/token-estimate.ts';
import type { RateLimit, RateLimiter } from '../../limits/rate-limiter.ts';
import { requireRoom } from '../attachments.ts';
import type { BodyBudget } from '../body-budget.ts';
import { readJson, type BodyLimits } from '../body.ts';
import { respond, type KeyedExchange } from '../exchange.ts';
import { withProfile, type ProfileParts } from '../profile.ts';
import { chooseModel, type ModelSettings } from './models.ts';

export type CountParts = ProfileParts & {
  config: ModelSettings & BodyLimits;
  bodyBudget: Pick<BodyBudget, 'reserve'>;
  countLimiter: Pick<RateLimiter, 'take'>;
};

/** Of one key. Claude Code counts 26 times at once. */
export const countLimit: RateLimit = { events: 600, windowMs: 60_000, name: 'key_rpm', ids: 10_000 };

export async function countTokens(
  request: Request,
  exchange: KeyedExchange,
  parts: CountParts,
): Promise<Response> {
  const { config, bodyBudget, countLimiter } = parts;
  const { key } = exchange;
  countLimiter.take(key.id);
  const body = await readJson(request, config, {
    onLarge: (bytes) => {
      exchange.onEnd = bodyBudget.reserve(key.id, bytes);
    },
  });
  exchange.bytesIn = body.bytes;
  const { conversation, model } = withProfile(readCountRequest(body.value), key, parts);
  requireRoom(conversation, body.bytes, config);
  chooseModel(model, key, config, 'not_found');
  exchange.headers['x-relay-token-count'] = 'estimate';
  const counted = { input_tokens: estimateTokens(conversation) } satisfies CountTokensResponse;
  return respond(exchange, 200, counted);
}
