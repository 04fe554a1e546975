/** GET /v1/models: the models this key may use, in rows that satisfy both the OpenAI and the Anthropic SDK. */
import type { AppContext } from './app.ts';
import { respond, type Exchange } from './exchange.ts';
import { identify } from './identify.ts';
import { modelsOf } from './models.ts';

/** An alias has no date of its own; both SDKs want one. */
const created = Date.UTC(2025, 0, 1);

export function listModels(request: Request, exchange: Exchange, context: AppContext): Response {
  const key = identify(request, exchange, 'models', context);
  const models = modelsOf(key, context.config.allowedModels);
  return respond(exchange, 200, {
    ok: true,
    object: 'list',
    data: models.map((id) => ({
      id,
      object: 'model',
      type: 'model',
      display_name: id,
      created: created / 1000,
      created_at: new Date(created).toISOString(),
      owned_by: 'anthropic',
    })),
    has_more: false,
    first_id: models[0] ?? null,
    last_id: models.at(-1) ?? null,
  });
}
