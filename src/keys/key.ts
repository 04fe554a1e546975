/** What a key is, and the checks on what an owner may ask of one. Pure. */

/** The routes that a key can be limited to; the SDK dialects count as `complete`. */
export const keyRoutes = ['complete', 'fetch', 'models', 'usage'] as const;

export type KeyRoute = (typeof keyRoutes)[number];

/** Limits and permissions of a key's own. What is absent is the relay's default. */
export type KeyGrants = {
  /** Milliseconds since 1970. */
  expiresAt?: number;
  /** Requests a UTC day. */
  dailyLimit?: number;
  /** Requests a minute. */
  rpm?: number;
  /** Requests at the same time. */
  concurrency?: number;
  allowedRoutes?: readonly KeyRoute[];
  allowedModels?: readonly string[];
};

/** A key as everything but the key store sees it: no secret, no digest. Times are milliseconds since 1970. */
export type Key = KeyGrants & {
  /** The public id, part of the token: safe to record. */
  id: string;
  label: string;
  createdAt: number;
  /** Accurate to about a minute. */
  lastUsedAt?: number;
  revokedAt?: number;
};

/** What an owner asked of the keys cannot be done. The message is one sentence for them. */
export class KeyError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'KeyError';
  }
}

const labelShape = /^[0-9A-Za-z][0-9A-Za-z._-]{0,63}$/;
const modelShape = /^[0-9A-Za-z][0-9A-Za-z._:@/[\]-]{0,127}$/;
const largestLimit = 1_000_000_000;

/** Throws unless the label is 1 to 64 letters, digits, `.`, `_` and `-`, beginning with a letter or digit. */
export function checkLabel(label: string): void {
  if (labelShape.test(label)) return;
  throw new KeyError(
    'A label is 1 to 64 letters, digits, ".", "_" and "-", and begins with a letter or a digit.',
  );
}

/** Throws a `KeyError` that names what is wrong. `now` in milliseconds since 1970. */
export function checkGrants(grants: KeyGrants, now: number): void {
  checkLimit('daily limit', grants.dailyLimit);
  checkLimit('limit a minute', grants.rpm);
  checkLimit('concurrency', grants.concurrency);
  if (grants.expiresAt !== undefined && !(Number.isSafeInteger(grants.expiresAt) && grants.expiresAt > now)) {
    throw new KeyError('The expiry must be in the future.');
  }
  checkList('route', grants.allowedRoutes, (route) => keyRoutes.some((known) => known === route));
  checkList('model', grants.allowedModels, (model) => modelShape.test(model));
}

function checkLimit(name: string, limit: number | undefined): void {
  if (limit === undefined || (Number.isSafeInteger(limit) && limit >= 1 && limit <= largestLimit)) return;
  throw new KeyError(`The ${name} must be a whole number from 1 to ${largestLimit}.`);
}

function checkList(
  name: string,
  items: readonly string[] | undefined,
  isKnown: (item: string) => boolean,
): void {
  if (items === undefined) return;
  if (items.length === 0) throw new KeyError(`The list of ${name}s is empty: leave it out to allow all.`);
  if (items.length > 30) throw new KeyError(`The list of ${name}s is too long: 30 at most.`);
  const wrong = items.find((item) => !isKnown(item));
  if (wrong === undefined) return;
  const hint = name === 'route' ? `: the routes are ${keyRoutes.join(', ')}` : '';
  throw new KeyError(`${JSON.stringify(wrong.slice(0, 80))} is not a ${name}${hint}.`);
}
