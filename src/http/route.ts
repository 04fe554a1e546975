/** What the table of routes (`routes/table.ts`) says of one route: for the app, the record and the key scopes. */
import type { Dialect, ErrorFormat } from '../dialects/dialect.ts';
import type { RelayError } from '../errors.ts';
import type { Key, RouteScope } from '../keys/key.ts';
import type { Exchange, KeyedExchange, RouteFacts } from './exchange.ts';

export type Handler<E extends Exchange, Parts> = (
  request: Request,
  exchange: E,
  parts: Parts,
) => Response | Promise<Response>;

export type Route<Parts> = RouteFacts & {
  readonly method: 'GET' | 'POST' | 'DELETE';
  /** The route asks the model, in this API. Errors of every path below it have its format. */
  readonly dialect?: Dialect;
  /** The format of errors of a route without a dialect; absent: the relay's own. */
  readonly errorFormat?: ErrorFormat;
  /** Every SDK calls this route: errors have the format of the SDK that calls. */
  readonly anySdk?: true;
} & (
    | { readonly scope: RouteScope; readonly handler: Handler<KeyedExchange, Parts> }
    | { readonly scope?: never; readonly handler: Handler<Exchange, Parts> }
  );

/** What the format of an error depends on. */
export type RouteKind = Pick<Route<never>, 'anySdk' | 'errorFormat'>;

/** What one listener serves, and to whom. */
export type Site<Parts> = {
  readonly routes: readonly Route<Parts>[];
  /** The path of a route for the path of a request, if they differ. */
  readonly pathOf?: (path: string) => string;
  /** Whether CORS_ORIGINS applies. */
  readonly cors?: true;
  /** `path`: as `pathOf` makes it. `route` is undefined for an unknown path. */
  readonly errorFormatOf: (path: string, route: RouteKind | undefined, headers: Headers) => ErrorFormat;
  /** Paths that do not exist, even if a route with a parameter matches them. */
  readonly lackingPaths?: readonly string[];
  /** What to do instead of asking for a path that does not exist. */
  readonly nothingAt: (path: string) => RelayError;
  /** Called first, for every request. Throws if the request may not be here at all. */
  readonly admit?: (request: Request, exchange: Exchange, parts: Parts) => void;
  /** Undefined: not a valid key. */
  readonly keyOf: (request: Request, exchange: Exchange, parts: Parts) => Key | undefined;
};
