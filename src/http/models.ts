/** Which models a key may ask for. */
import { RelayError } from '../errors.ts';
import type { Key } from '../keys/key.ts';

/** The models of ALLOWED_MODELS that the key may use, in their order. */
export function modelsOf(key: Key, allowedModels: readonly string[]): string[] {
  const { allowedModels: own } = key;
  return allowedModels.filter((model) => own === undefined || own.includes(model));
}

/** The model of a request. Throws `bad_request` for one that the relay does not serve, `forbidden` for one that the key may not use. */
export function chooseModel(
  asked: string | undefined,
  key: Key,
  { defaultModel, allowedModels }: { defaultModel: string; allowedModels: readonly string[] },
): string {
  const model = asked ?? defaultModel;
  if (!allowedModels.includes(model)) {
    throw new RelayError(
      'bad_request',
      `Field "model" must be one of ${modelsOf(key, allowedModels).join(', ')}.`,
    );
  }
  if (key.allowedModels !== undefined && !key.allowedModels.includes(model)) {
    throw new RelayError('forbidden', `This key may not use the model ${model}.`);
  }
  return model;
}
