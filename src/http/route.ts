/** What the table of routes (`routes/table.ts`) says of one route: for the app, the record, the key scopes and OpenAPI. */
import type { z } from 'zod';
import type { Dialect } from '../dialects/dialect.ts';
import type { KeyRoute } from '../keys/key.ts';
import type { Exchange, KeyedExchange, RouteFacts } from './exchange.ts';

export type Handler<E extends Exchange, Parts> = (
  request: Request,
  exchange: E,
  parts: Parts,
) => Response | Promise<Response>;

/** Name of the component in OpenAPI -> its schema. Several are alternatives. */
export type NamedSchemas = Readonly<Record<string, z.ZodType>>;

export type Route<Parts> = RouteFacts & {
  readonly method: 'GET' | 'POST' | 'DELETE';
  /** The route asks the model, in this API. Errors of every path below it have its format. */
  readonly dialect?: Dialect;
  /** Every SDK calls this route: errors have the format of the SDK that calls. */
  readonly anySdk?: true;
  /** `operationId` in OpenAPI. */
  readonly id: string;
  readonly summary: string;
  readonly body?: NamedSchemas;
  readonly example?: object;
  /** The body of a 200. Absent: there is no such answer. */
  readonly answer?: NamedSchemas;
  /** Absent: the relay's own error. */
  readonly errors?: NamedSchemas;
} & (
    | { readonly scope: KeyRoute; readonly handler: Handler<KeyedExchange, Parts> }
    | { readonly scope?: never; readonly handler: Handler<Exchange, Parts> }
  );
