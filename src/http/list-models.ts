/** GET /v1/models and /v1/models/<id>: the models this key may use, in rows that satisfy both the OpenAI and the Anthropic SDK. */
import { RelayError } from '../errors.ts';
import type { AppContext } from './app.ts';
import { respond, type Exchange } from './exchange.ts';
import { identify } from './identify.ts';
import { chooseModel, modelsOf } from './models.ts';

/** An alias has no date of its own; both SDKs want one. */
const created = Date.UTC(2025, 0, 1);

export function listModels(request: Request, exchange: Exchange, context: AppContext): Response {
  const key = identify(request, exchange, 'models', context);
  const models = modelsOf(key, context.config.allowedModels);
  return respond(exchange, 200, {
    ok: true,
    object: 'list',
    data: models.map(rowOf),
    has_more: false,
    first_id: models[0] ?? null,
    last_id: models.at(-1) ?? null,
  });
}

/** Of every name that a request could ask for. */
export function showModel(request: Request, exchange: Exchange, context: AppContext): Response {
  const key = identify(request, exchange, 'models', context);
  const { asked } = chooseModel(idOf(request), key, context.config, 'not_found');
  return respond(exchange, 200, rowOf(asked));
}

function idOf({ url }: Request): string {
  try {
    return decodeURIComponent(/\/v1\/models\/([^/?#]+)/.exec(url)?.[1] ?? '');
  } catch {
    throw new RelayError('not_found', 'This is not the id of a model.');
  }
}

/** What the CLI does not tell of a model is null. */
function rowOf(id: string): object {
  return {
    id,
    object: 'model',
    type: 'model',
    display_name: id,
    created: created / 1000,
    created_at: new Date(created).toISOString(),
    owned_by: 'anthropic',
    lifecycle: 'active',
    line: null,
    capabilities: null,
    max_input_tokens: null,
    max_tokens: null,
    deprecated_at: null,
    retires_at: null,
  };
}
