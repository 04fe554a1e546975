/** What the table of routes (`routes/table.ts`) says of one route, for the app, the record, the key scopes and OpenAPI. */
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
  /** The API that the route speaks; errors of all paths below it have its format. Absent: the relay's own. */
  readonly dialect?: Dialect;
  /** Every SDK calls this route: errors have the format of the SDK that calls. */
  readonly anySdk?: true;
  /** The operation in OpenAPI. */
  readonly id: string;
  readonly summary: string;
  readonly headers?: readonly { name: string; in: 'header'; description: string; schema: object }[];
  readonly body?: { readonly schemas: NamedSchemas; readonly example: (model: string) => object };
  readonly answers: Readonly<
    Record<number, { readonly about: string; readonly schemas: NamedSchemas; readonly events?: true }>
  >;
  readonly errors?: NamedSchemas;
} & (
    | { readonly scope: KeyRoute; readonly handler: Handler<KeyedExchange, Parts> }
    | { readonly scope?: never; readonly handler: Handler<Exchange, Parts> }
  );
