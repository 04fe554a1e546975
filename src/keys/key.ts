/** What a key is, and the checks of a key's label, limits and permissions. Pure. */
import { isIP } from 'node:net';
import { effortLevels, type Effort } from '../conversation.ts';
import { allowedEntryFor } from '../model-family.ts';
import { canonicalAddress } from '../network.ts';

/**
 * The routes that a key can be limited to; the SDK dialects count as `complete`, and `webhook` is a field of a request. `metrics` is
 * on the owner's listener, and only a key that names it may use it.
 */
export const keyRoutes = ['complete', 'fetch', 'models', 'usage', 'webhook', 'metrics'] as const;

export type KeyRoute = (typeof keyRoutes)[number];

/** What a route of the public listener can require. */
export type RouteScope = Exclude<KeyRoute, 'webhook' | 'metrics'>;

/** A key's own limits and permissions. If one is absent, the relay's default applies. */
export type KeyGrants = {
  /** Milliseconds since 1970. */
  expiresAt?: number | undefined;
  /** Requests a UTC day. */
  dailyLimit?: number | undefined;
  /** Requests a minute. */
  rpm?: number | undefined;
  /** Requests at the same time. */
  concurrency?: number | undefined;
  /** Dollars a UTC day, as Claude Code reckons them. */
  usdDaily?: number | undefined;
  /** Tokens a UTC day: input, output and cache writes. */
  tokensDaily?: number | undefined;
  allowedRoutes?: readonly KeyRoute[] | undefined;
  allowedModels?: readonly string[] | undefined;
  /** What answers when the plan is used up: a model, or `api` for the second login. Absent: nothing. */
  fallback?: string | undefined;
} & KeyProfile;

/** What a request of the key gets where it says nothing, next to the key's system prompt. */
export type KeyProfile = {
  model?: string | undefined;
  effort?: Effort | undefined;
  /** The longest answer. */
  maxTokens?: number | undefined;
  /** A request cannot say anything else. */
  locked?: true | undefined;
};

/** A key without its secrets. Times are milliseconds since 1970. */
export type Key = KeyGrants & {
  /** The public id, part of the token: safe to record. */
  id: string;
  label: string;
  createdAt: number;
  /** Accurate to about a minute. */
  lastUsedAt?: number;
  revokedAt?: number;
  /** Until it is enabled again, it is refused like a revoked one. */
  disabledAt?: number;
  /** Where it serves Ollama's API without its secret. */
  ollama?: OllamaAddress;
  /** The size of its system prompt in UTF-8. */
  systemBytes?: number;
};

/** An address of this machine, in one spelling, and a TCP port. */
export type OllamaAddress = { host: string; port: number };

export type GrantChanges = { [Name in keyof KeyGrants]?: KeyGrants[Name] | null };

/** What changes in a key. Null: the relay's default, no Ollama address, no system prompt, not locked, enabled. Absent: as it is. */
export type KeyChanges = GrantChanges & {
  ollama?: OllamaAddress | null | undefined;
  disabled?: true | null | undefined;
  /** The text of the system prompt. */
  system?: string | null | undefined;
};

export function mayUse({ allowedRoutes }: Pick<Key, 'allowedRoutes'>, scope: KeyRoute): boolean {
  return allowedRoutes?.includes(scope) ?? scope !== 'metrics';
}

/** A change of the keys that is not possible. The message is for the owner. */
export class KeyError extends Error {
  override name = 'KeyError';
}

const labelShape = /^[0-9A-Za-z][0-9A-Za-z._-]{0,63}$/;
const modelShape = /^[0-9A-Za-z][0-9A-Za-z._:@/[\]-]{0,127}$/;
const largestLimit = 1_000_000_000;

/** Throws `KeyError`. */
export function checkLabel(label: string): void {
  if (labelShape.test(label)) return;
  throw new KeyError(
    'A label is 1 to 64 letters, digits, ".", "_" and "-", and begins with a letter or a digit.',
  );
}

/** Throws `KeyError`. `now` in milliseconds since 1970. */
export function checkGrants(grants: GrantChanges, now: number): void {
  checkLimit('daily limit', grants.dailyLimit);
  checkLimit('limit per minute', grants.rpm);
  checkLimit('concurrency', grants.concurrency);
  checkLimit('token budget', grants.tokensDaily);
  const { usdDaily } = grants;
  if (isGiven(usdDaily) && !(usdDaily >= 0.01 && usdDaily <= 1_000_000)) {
    throw new KeyError('The budget in dollars must be from 0.01 to 1000000.');
  }
  const { expiresAt } = grants;
  if (isGiven(expiresAt) && !(Number.isSafeInteger(expiresAt) && expiresAt > now)) {
    throw new KeyError('The expiry must be in the future.');
  }
  checkList('route', grants.allowedRoutes, (route) => keyRoutes.some((known) => known === route));
  const isModel = (model: string): boolean => modelShape.test(model);
  checkList('model', grants.allowedModels, isModel);
  const { fallback } = grants;
  if (isGiven(fallback) && !isModel(fallback)) {
    throw new KeyError('The fallback must be a model, such as sonnet, or api.');
  }
  checkOne('model', grants.model, isModel);
  checkOne('effort', grants.effort, (effort) => effortLevels.some((level) => level === effort));
  checkLimit('number of tokens', grants.maxTokens);
}

/** Whether the parts of a profile fit together. Throws `KeyError`. */
export function checkProfile(
  { model, effort, maxTokens, locked, allowedModels }: GrantChanges,
  hasSystem: boolean,
): void {
  if (locked === true && !hasSystem && ![model, effort, maxTokens].some(isGiven)) {
    throw new KeyError(
      'There is nothing to lock: set a system prompt, a model, an effort or a number of tokens.',
    );
  }
  if (!isGiven(model) || !isGiven(allowedModels) || allowedEntryFor(model, allowedModels) !== undefined)
    return;
  throw new KeyError(
    `The key may use ${allowedModels.join(', ')} only, so its own model cannot be ${model}.`,
  );
}

/** A key's fallback must be among its own models. Throws `KeyError`. */
export function checkFallback({ fallback, allowedModels }: GrantChanges): void {
  if (!isGiven(fallback) || fallback === 'api' || !isGiven(allowedModels)) return;
  if (allowedEntryFor(fallback, allowedModels) !== undefined) return;
  throw new KeyError(
    `The key may not use ${fallback}, its fallback: add it to its models, or choose another.`,
  );
}

/** The address in one spelling. Throws `KeyError`. */
export function checkOllamaAddress({ host, port }: OllamaAddress): OllamaAddress {
  if (!(Number.isSafeInteger(port) && port >= 1 && port <= 65_535)) {
    throw new KeyError('The port must be a whole number from 1 to 65535.');
  }
  const named = host === 'localhost' ? '127.0.0.1' : host;
  const address = isIP(named) === 0 || named.includes('%') ? undefined : canonicalAddress(named);
  // A request has to name the address, so that no other name can lead a browser here.
  if (address === undefined || /^(?:0\.0\.0\.0|::|::ffff:.*)$/.test(address)) {
    throw new KeyError(
      'The host must be one IP address of this machine, such as 127.0.0.1: not all of them.',
    );
  }
  return { host: address, port };
}

function isGiven<T>(value: T | null | undefined): value is T {
  return value !== undefined && value !== null;
}

function checkLimit(name: string, limit: number | null | undefined): void {
  if (!isGiven(limit) || (Number.isSafeInteger(limit) && limit >= 1 && limit <= largestLimit)) return;
  throw new KeyError(`The ${name} must be a whole number from 1 to ${largestLimit}.`);
}

function checkList(
  name: string,
  items: readonly string[] | null | undefined,
  isKnown: (item: string) => boolean,
): void {
  if (!isGiven(items)) return;
  if (items.length === 0 || items.length > 30) {
    throw new KeyError(`The list of ${name}s must have 1 to 30 entries. Omit it to allow all.`);
  }
  for (const item of items) checkOne(name, item, isKnown);
}

function checkOne(name: string, item: string | null | undefined, isKnown: (item: string) => boolean): void {
  if (!isGiven(item) || isKnown(item)) return;
  throw new KeyError(`${JSON.stringify(item.slice(0, 80))} is not ${hints[name]}.`);
}

const hints: Readonly<Record<string, string>> = {
  route: `a route: the routes are ${keyRoutes.join(', ')}`,
  model: 'a model',
  effort: `an effort: use ${effortLevels.join(', ')}`,
};
