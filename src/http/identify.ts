/** Who is calling: the key of a request, and the address of one that has none. */
import { RelayError } from '../errors.ts';
import type { Key, KeyRoute } from '../keys/key.ts';
import { clientAddress } from '../limits/client-address.ts';
import { limitHeaders } from '../limits/headers.ts';
import type { KeyLimits, Lane } from '../limits/lane-limits.ts';
import type { AppContext } from './app.ts';
import type { Exchange } from './exchange.ts';

/**
 * `Authorization: Bearer` and `x-api-key` are one path. Throws `unauthorized`, the same whatever was wrong with the key,
 * `rate_limited` for an address that keeps sending wrong ones, or `forbidden` when the key may not use the route.
 */
export function identify(request: Request, exchange: Exchange, route: KeyRoute, context: AppContext): Key {
  const key = validKey(request, exchange, context);
  if (key === undefined) {
    noteWrongKey(request, exchange, context);
    throw unauthorized();
  }
  exchange.key = key;
  const lane = route === 'fetch' ? 'fetch' : 'complete';
  const limits = limitsOf(key, lane);
  exchange.limitHeaders = () => limitHeaders(context.admission.state(lane, limits), context.clock.wall());
  if (key.allowedRoutes !== undefined && !key.allowedRoutes.includes(route)) {
    throw new RelayError('forbidden', `This key may not use ${exchange.route}.`);
  }
  return key;
}

/** Whether a request that needs no key comes with one. Throws `rate_limited` for an address that keeps sending wrong ones. */
export function hasKey(request: Request, exchange: Exchange, context: AppContext): boolean {
  if (tokenOf(request) === undefined) return false;
  const key = validKey(request, exchange, context);
  if (key === undefined) noteWrongKey(request, exchange, context);
  return key !== undefined;
}

function validKey(request: Request, { outgoing }: Exchange, context: AppContext): Key | undefined {
  const token = tokenOf(request);
  const key = token === undefined ? undefined : context.keys.verify(token);
  if (key !== undefined && outgoing !== undefined) context.connections.know(outgoing.req.socket);
  return key;
}

function tokenOf({ headers }: Request): string | undefined {
  return bearer(headers.get('authorization')) ?? headers.get('x-api-key') ?? undefined;
}

function noteWrongKey({ headers }: Request, { remoteAddress }: Exchange, context: AppContext): void {
  const forwarded = headers.get('x-forwarded-for') ?? undefined;
  context.failedKeys.record(clientAddress(remoteAddress, forwarded, context.trusted));
}

/** The same whatever was wrong with the key. */
export function unauthorized(): RelayError {
  return new RelayError(
    'unauthorized',
    'Send a valid key: Authorization: Bearer crk_..., or x-api-key: crk_...',
    { headers: { 'www-authenticate': 'Bearer' } },
  );
}

function bearer(header: string | null): string | undefined {
  return /^Bearer +(\S+) *$/i.exec(header ?? '')?.[1];
}

/** A key's own limits are for completions; pages have those of the settings. */
export function limitsOf(key: Key, lane: Lane): KeyLimits {
  if (lane === 'fetch') return { keyId: key.id };
  return {
    keyId: key.id,
    ...(key.rpm === undefined ? {} : { rpm: key.rpm }),
    ...(key.dailyLimit === undefined ? {} : { daily: key.dailyLimit }),
    ...(key.concurrency === undefined ? {} : { concurrency: key.concurrency }),
  };
}
