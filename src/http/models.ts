/** Which models a key may ask for. */
import { listedAs, type Config } from '../config.ts';
import { RelayError, type ErrorCode } from '../errors.ts';
import type { Key } from '../keys/key.ts';

/** The models of ALLOWED_MODELS that the key may use, in their order. */
export function modelsOf(key: Key, allowedModels: readonly string[]): string[] {
  const { allowedModels: own } = key;
  return allowedModels.filter((model) => own === undefined || own.includes(model));
}

export type Choice = {
  /** As the caller named it, or the default model. */
  asked: string;
  /** What the CLI is asked for. */
  model: string;
  /** The entry of ALLOWED_MODELS that it counts as: no record holds a name that only the caller knows. */
  listed: string;
};

/**
 * The model of a request: one of ALLOWED_MODELS, a name that MODEL_ALIASES maps to one, or a full id of a family that is there.
 * Throws `unknown` for one that the relay does not serve, `forbidden` for one that the key may not use.
 */
export function chooseModel(
  named: string | undefined,
  key: Key,
  {
    defaultModel,
    allowedModels,
    modelAliases,
  }: Pick<Config, 'defaultModel' | 'allowedModels' | 'modelAliases'>,
  unknown: ErrorCode,
): Choice {
  const asked = named ?? defaultModel;
  const model = allowedModels.includes(asked) ? asked : (modelAliases.get(asked) ?? asked);
  const listed = listedAs(model, allowedModels);
  if (listed === undefined) {
    throw new RelayError(
      unknown,
      `Field "model" must be one of ${modelsOf(key, allowedModels).join(', ')}. On the host, MODEL_ALIASES can give one of them a further name.`,
    );
  }
  if (key.allowedModels !== undefined && listedAs(model, key.allowedModels) === undefined) {
    throw new RelayError('forbidden', `This key may not use the model ${asked}.`);
  }
  return { asked, model, listed };
}
