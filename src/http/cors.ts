/**
 * CORS: the pages of the owner's origins (CORS_ORIGINS) can read answers. Without that setting nothing here has an effect. Only for
 * routes that need a key, and never with the browser's own credentials.
 */
import type { Config } from '../config.ts';
import { headersOf, type Exchange, type RouteFacts } from './exchange.ts';

type CorsSettings = Pick<Config, 'corsOrigins'>;

/** Seconds for which a browser need not ask again. */
const maxAge = '600';

/** What every answer of the route has, refusals included. `route` is undefined for an unknown path. */
export function corsHeaders(
  { headers }: Request,
  route: RouteFacts | undefined,
  { corsOrigins }: CorsSettings,
): Record<string, string> {
  if (corsOrigins.length === 0 || (route !== undefined && route.scope === undefined)) return {};
  const origin = headers.get('origin') ?? '';
  if (!corsOrigins.includes(origin)) return { vary: 'origin' };
  return {
    vary: 'origin',
    'access-control-allow-origin': origin,
    // All of them, for a request without the browser's credentials.
    'access-control-expose-headers': '*',
  };
}

/** The answer to a browser's question, which has no key; undefined for any other request. `methods`: those of the path. */
export function preflight(
  { method, headers }: Request,
  exchange: Exchange,
  methods: string,
): Response | undefined {
  if (method !== 'OPTIONS' || !headers.has('access-control-request-method')) return undefined;
  if (exchange.headers['access-control-allow-origin'] === undefined) return undefined;
  const { 'content-type': _none, ...common } = headersOf(exchange, '');
  const asked = headers.get('access-control-request-headers');
  return new Response(null, {
    status: 204,
    headers: {
      ...common,
      'access-control-allow-methods': methods,
      // A browser's `*` would leave out `authorization`.
      ...(asked === null ? {} : { 'access-control-allow-headers': asked }),
      'access-control-max-age': maxAge,
    },
  });
}
