/** GET /v1/models and /v1/models/<id>: the models this key may use, in rows that satisfy both the OpenAI and the Anthropic SDK. */
import type { ModelResponse, ModelsResponse } from '../../api.ts';
import { fallbackHost } from '../../claude/lock.ts';
import type { Config } from '../../config.ts';
import { type ErrorCode, RelayError } from '../../errors.ts';
import type { Key } from '../../keys/key.ts';
import { allowedEntryFor, isOtherFamily, isSubstitute, servedModel } from '../../model-family.ts';
import { type Exchange, type KeyedExchange, respond } from '../exchange.ts';

export type ModelSettings = Pick<Config, 'defaultModel' | 'allowedModels' | 'modelAliases'>;
export type ModelParts = { config: ModelSettings };

/** An alias has no date, but both SDKs require one. */
export const created = Date.UTC(2025, 0, 1);

export function listModels(_request: Request, exchange: KeyedExchange, { config }: ModelParts): Response {
  const models = modelsOf(exchange.key, config.allowedModels);
  return respond(exchange, 200, {
    ok: true,
    object: 'list',
    data: models.map(rowOf),
    has_more: false,
    first_id: models[0] ?? null,
    last_id: models.at(-1) ?? null,
  } satisfies ModelsResponse);
}

/** For every name that a request could use. */
export function showModel(_request: Request, exchange: KeyedExchange, { config }: ModelParts): Response {
  const { asked } = chooseModel(exchange.pathId, exchange.key, config, 'not_found');
  return respond(exchange, 200, rowOf(asked));
}

/** What the CLI does not report of a model is null. */
function rowOf(id: string): ModelResponse {
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

/** The models of ALLOWED_MODELS that the key may use, in their order; one if it is locked. */
export function modelsOf(key: Key, allowedModels: readonly string[]): string[] {
  const { allowedModels: own, model: profiled } = key;
  if (key.locked === true && profiled !== undefined) return [profiled];
  return allowedModels.filter((model) => own === undefined || own.includes(model));
}

export type Choice = {
  /** As the caller named it, or the model of the key's profile, or the default model. */
  asked: string;
  /** As the CLI is called with it. */
  model: string;
  /** Its entry of ALLOWED_MODELS: no record holds a name that only the caller knows. */
  listed: string;
  /** The login that asks it; absent: that of the host. */
  login?: 'fallback';
};

export type FallbackSettings = ModelSettings &
  Pick<Config, 'hostEnv'> & { limits: Pick<Config['limits'], 'fallbackUsd'> };

/** What answers in place of `choice` when the plan is used up, and what its answer says of that (`from`). Undefined: nothing. */
export function chooseFallback(
  choice: Choice,
  { fallback, allowedModels: own }: Key,
  config: FallbackSettings,
): (Choice & { from: string }) | undefined {
  if (fallback === undefined) return undefined;
  if (fallback === 'api') {
    const usable = config.limits.fallbackUsd > 0 && fallbackHost(config.hostEnv) !== undefined;
    return usable ? { ...choice, login: 'fallback', from: 'plan' } : undefined;
  }
  // The owner may have taken it from one of the lists.
  const { model, listed } = servedModel(fallback, config);
  if (listed === undefined || (own !== undefined && allowedEntryFor(model, own) === undefined))
    return undefined;
  return { asked: fallback, model, listed, from: choice.listed };
}

/**
 * The model of a request: one of ALLOWED_MODELS, a name that MODEL_ALIASES maps to one, or a full id of a family that is there.
 * A profile with a lock gives every request its own model. Throws `unknown` for a model that the relay does not serve, `forbidden` for one that the key may not use.
 */
export function chooseModel(
  named: string | undefined,
  key: Key,
  config: ModelSettings,
  unknown: ErrorCode,
): Choice {
  const { model: profiled } = key;
  const asked = (key.locked === true ? (profiled ?? named) : (named ?? profiled)) ?? config.defaultModel;
  const { model, listed } = servedModel(asked, config);
  if (listed === undefined && asked === profiled) {
    throw new RelayError(
      unknown,
      `The profile of this key has the model ${asked}, which is not in ALLOWED_MODELS. The owner of the relay can change both.`,
      { reason: 'unknown_model' },
    );
  }
  if (listed === undefined) {
    throw new RelayError(
      unknown,
      `Field "model" must be one of ${modelsOf(key, config.allowedModels).join(', ')}. On the host, MODEL_ALIASES can give one of them another name.`,
      { reason: 'unknown_model' },
    );
  }
  if (key.allowedModels !== undefined && allowedEntryFor(model, key.allowedModels) === undefined) {
    throw new RelayError('forbidden', `This key may not use the model ${asked}.`);
  }
  return { asked, model, listed };
}

/**
 * Names the model that Claude Code is about to ask, if that is not the one that was asked for: it maps some older ids to newer models.
 * With STRICT_MODELS, and for a model of another family, returns the refusal.
 */
export function noteModel(
  { model }: Choice,
  resolved: string,
  { headers }: Pick<Exchange, 'headers'>,
  { strictModels }: Pick<Config, 'strictModels'>,
  unknown: ErrorCode,
): RelayError | undefined {
  if (!isSubstitute(model, resolved)) return undefined;
  headers['x-relay-resolved-model'] = resolved;
  if (!strictModels && !isOtherFamily(model, resolved)) return undefined;
  return new RelayError(
    unknown,
    `Claude Code would ask ${resolved} in place of ${model}, and this relay refuses that${strictModels ? ' (STRICT_MODELS)' : ''}. Ask for ${resolved}.`,
    { reason: 'unknown_model' },
  );
}
