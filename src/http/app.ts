/** The HTTP side: which route answers a request, and what every exchange has in common. */
import type { getRequestListener, HttpBindings } from '@hono/node-server';
import { Hono, type Context } from 'hono';
import { getPath } from 'hono/utils/url';
import { RelayError } from '../errors.ts';
import type { Config } from '../config.ts';
import { ArrivalQueue } from './arrival-queue.ts';
import { corsHeaders, preflight } from './cors.ts';
import { asRelayError, openExchange, respondError, type Exchange } from './exchange.ts';
import { withKey, type IdentifyParts } from './identify.ts';
import { recordExchange, type RecordParts } from './record.ts';
import type { Route, Site } from './route.ts';
import type { OllamaParts } from './routes/ollama.ts';
import type { RouteParts } from './routes/table.ts';

export type AppParts = RouteParts &
  OllamaParts &
  IdentifyParts &
  RecordParts & { config: Pick<Config, 'corsOrigins'> };

type Env = { Bindings: HttpBindings };

export function createApp(parts: AppParts, site: Site<AppParts>): Parameters<typeof getRequestListener>[0] {
  const { routes, errorFormatOf, nothingAt, admit, keyOf, pathOf = (path) => path, cors = false } = site;
  const { lackingPaths = [] } = site;
  const app = new Hono<Env>({ getPath: (request) => pathOf(getPath(request)) });
  const arrivals = new ArrivalQueue();

  const serve = async (route: Route<AppParts>, request: Request, exchange: Exchange): Promise<Response> => {
    if (route.scope === undefined) return route.handler(request, exchange, parts);
    await arrivals.enter();
    const key = keyOf(request, exchange, parts);
    return route.handler(request, withKey(key, exchange, route.scope, parts), parts);
  };

  /** One exchange from its arrival to its answer. Never throws. */
  const answer = async (
    c: Context<Env>,
    route: Route<AppParts> | undefined,
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
    if (cors) Object.assign(exchange.headers, corsHeaders(request, route, parts.config));
    let response: Response;
    try {
      admit?.(request, exchange, parts);
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

  const nothing = (c: Context<Env>): Promise<Response> =>
    answer(c, undefined, (request, exchange) => {
      const allowed = preflight(request, exchange, 'GET, POST, DELETE');
      if (allowed !== undefined) return allowed;
      throw nothingAt(c.req.path);
    });

  for (const path of lackingPaths) app.all(path, nothing);
  for (const route of routes) {
    app.on(route.method, route.path, (c) =>
      answer(c, route, (request, exchange) => serve(route, request, exchange)),
    );
  }
  for (const [path, [route, ...others]] of Map.groupBy(routes, ({ path }) => path)) {
    const methods = [route, ...others].flatMap((each) => each?.method ?? []);
    const allow = methods.flatMap((method) => (method === 'GET' ? ['GET', 'HEAD'] : [method])).join(', ');
    app.all(path, (c) =>
      answer(
        c,
        route,
        (request, exchange) => preflight(request, exchange, allow) ?? notAllowed(allow, request.headers),
      ),
    );
  }
  app.notFound(nothing);
  return (request, env) => app.fetch(request, env);
}

function notAllowed(allow: string, headers: Headers): never {
  if (headers.get('upgrade')?.toLowerCase() === 'websocket') {
    throw new RelayError(
      'no_websocket',
      `This relay has no WebSockets. This path answers ${allow} over HTTP.`,
      {
        headers: { upgrade: 'HTTP/1.1', connection: 'upgrade, close' },
      },
    );
  }
  throw new RelayError('method_not_allowed', `This path answers ${allow} only.`, { headers: { allow } });
}
