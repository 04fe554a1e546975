/** Who is calling: the key of a request, and the address of one without. */
import { RelayError } from '../errors.ts';
import { mayUse, type Key, type KeyRoute } from '../keys/key.ts';
import type { Keys } from '../keys/store.ts';
import type { Admission } from '../limits/admission.ts';
import { clientAddress, type TrustedProxies } from '../limits/client-address.ts';
import type { Clock } from '../limits/clock.ts';
import type { FailedKeyLimiter } from '../limits/failed-keys.ts';
import { limitHeaders } from '../limits/headers.ts';
import type { KeyLimits, Lane } from '../limits/lane-limits.ts';
import type { Connections } from './connections.ts';
import type { Exchange, KeyedExchange } from './exchange.ts';

/** What a key is checked with. */
export type KeyCheckParts = {
  keys: Pick<Keys, 'verify'>;
  failedKeys: Pick<FailedKeyLimiter, 'record'>;
  /** Whose X-Forwarded-For is believed (TRUST_PROXY). */
  trusted: TrustedProxies;
  connections: Pick<Connections, 'know'>;
};

export type IdentifyParts = {
  admission: Pick<Admission, 'state'>;
  clock: Pick<Clock, 'wall'>;
};

/** Throws `unauthorized`, the same for every wrong key, or `forbidden` when the key may not use the route. */
export function withKey(
  key: Key | undefined,
  exchange: Exchange,
  scope: KeyRoute,
  parts: IdentifyParts,
): KeyedExchange {
  if (key === undefined) throw unauthorized();
  const lane = scope === 'fetch' ? 'fetch' : 'complete';
  const limits = limitsOf(key, lane);
  const keyed = Object.assign(exchange, {
    key,
    limitHeaders: () => limitHeaders(parts.admission.state(lane, limits), parts.clock.wall()),
  });
  const { path, otherScope = scope } = exchange.route;
  if (!mayUse(key, scope) && !mayUse(key, otherScope)) {
    throw new RelayError('forbidden', `This key may not use ${path}.`);
  }
  return keyed;
}

/**
 * `Authorization: Bearer` and `x-api-key` are one path. Undefined without a key or with a wrong one; both are recorded for the address.
 * Throws `rate_limited` when it has sent too many.
 */
export function validKey(
  request: Request,
  { outgoing, remoteAddress }: Pick<Exchange, 'outgoing' | 'remoteAddress'>,
  { keys, failedKeys, trusted, connections }: KeyCheckParts,
): Key | undefined {
  const token = tokenOf(request);
  const key = token === undefined ? undefined : keys.verify(token);
  if (key === undefined) {
    const forwarded = request.headers.get('x-forwarded-for') ?? '';
    failedKeys.record(clientAddress(remoteAddress, forwarded, trusted));
  } else if (outgoing !== undefined) connections.know(outgoing.req.socket);
  return key;
}

export function tokenOf({ headers }: Request): string | undefined {
  const [, bearer] = /^Bearer +(\S+) *$/i.exec(headers.get('authorization') ?? '') ?? [];
  return bearer ?? headers.get('x-api-key') ?? undefined;
}

/** The same whatever was wrong with the key. */
export function unauthorized(): RelayError {
  return new RelayError(
    'unauthorized',
    'Send a valid key: Authorization: Bearer crk_..., or x-api-key: crk_...',
    { headers: { 'www-authenticate': 'Bearer' } },
  );
}

/** A key's own limits apply to completions; page fetches have those of the settings. */
export function limitsOf(key: Key, lane: Lane): KeyLimits {
  if (lane === 'fetch') return { keyId: key.id };
  const { id, rpm, dailyLimit, concurrency, usdDaily = 0, tokensDaily = 0 } = key;
  return { keyId: id, rpm, daily: dailyLimit, concurrency, budget: { usd: usdDaily, tokens: tokensDaily } };
}
