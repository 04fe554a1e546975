/** The HTTP side: which route answers a request, and what every exchange has in common. */
import type { getRequestListener, HttpBindings } from '@hono/node-server';
import { Hono, type Context } from 'hono';
import { getPath } from 'hono/utils/url';
import { RelayError } from '../errors.ts';
import type { Config } from '../config.ts';
import { ArrivalQueue } from './arrival-queue.ts';
import { corsHeaders, preflight } from './cors.ts';
import { asRelayError, openExchange, respondError, type Exchange } from './exchange.ts';
import { identify, type IdentifyParts } from './identify.ts';
import { recordExchange, type RecordParts } from './record.ts';
import type { Route } from './route.ts';
import { canonicalPath, firstPart, nothingAt } from './routes/paths.ts';
import { errorFormatOf, routes, type RouteParts } from './routes/table.ts';

export type AppParts = RouteParts & IdentifyParts & RecordParts & { config: Pick<Config, 'corsOrigins'> };

type Env = { Bindings: HttpBindings };

const outside = new Set(routes.map(({ path }) => firstPart(path)).filter((part) => part !== 'v1'));

export function createApp(parts: AppParts): Parameters<typeof getRequestListener>[0] {
  const app = new Hono<Env>({ getPath: (request) => canonicalPath(getPath(request), outside) });
  const arrivals = new ArrivalQueue();

  const serve = async (route: Route<RouteParts>, request: Request, exchange: Exchange): Promise<Response> => {
    if (route.path.startsWith('/v1/')) await arrivals.enter();
    if (route.scope === undefined) return route.handler(request, exchange, parts);
    return route.handler(request, identify(request, exchange, route.scope, parts), parts);
  };

  /** One exchange from its arrival to its answer. Never throws. */
  const answer = async (
    c: Context<Env>,
    route: Route<RouteParts> | undefined,
    handler: (request: Request, exchange: Exchange) => Response | Promise<Response>,
  ): Promise<Response> => {
    const request = c.req.raw;
    const { incoming, outgoing } = c.env;
    const exchange = openExchange({
      route: route ?? { path: '(unknown)' },
      pathId: c.req.param('id'),
      errorFormat: errorFormatOf(c.req.path, route, request.headers),
      remoteAddress: incoming.socket.remoteAddress,
      outgoing,
    });
    Object.assign(exchange.headers, corsHeaders(request, route, parts.config));
    let response: Response;
    try {
      response = await handler(request, exchange);
    } catch (thrown) {
      exchange.failure = asRelayError(thrown);
      response = respondError(exchange, exchange.failure);
    }
    const finish = (status: number, error: RelayError | undefined): void => {
      exchange.onEnd?.();
      parts.health.note(exchange, status, error);
      recordExchange(exchange, status, error, parts);
    };
    if (exchange.settled === undefined) finish(response.status, exchange.failure);
    else void exchange.settled.then((end) => finish(end.status, end.error));
    return response;
  };

  for (const route of routes) {
    app.on(route.method, route.path, (c) =>
      answer(c, route, (request, exchange) => serve(route, request, exchange)),
    );
  }
  for (const [path, [route, ...others]] of Map.groupBy(routes, ({ path }) => path)) {
    const methods = [route, ...others].flatMap((each) => each?.method ?? []);
    const allow = methods.flatMap((method) => (method === 'GET' ? ['GET', 'HEAD'] : [method])).join(', ');
    app.all(path, (c) =>
      answer(c, route, (request, exchange) => preflight(request, exchange, allow) ?? notAllowed(allow)),
    );
  }
  app.notFound((c) =>
    answer(c, undefined, () => {
      throw nothingAt(c.req.path);
    }),
  );
  return (request, env) => app.fetch(request, env);
}

function notAllowed(allow: string): never {
  throw new RelayError('method_not_allowed', `This path answers ${allow} only.`, { headers: { allow } });
}
