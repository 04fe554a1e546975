/** The HTTP side: the visible list of routes, and what every exchange has in common. */
import type { getRequestListener, HttpBindings } from '@hono/node-server';
import { Hono, type Context } from 'hono';
import type { UsageReader } from '../claude/usage-windows.ts';
import type { Readiness } from '../claude/proof/readiness.ts';
import type { Runner } from '../claude/runner.ts';
import type { Config } from '../config.ts';
import { anthropic } from '../dialects/anthropic/anthropic.ts';
import type { Dialect } from '../dialects/dialect.ts';
import { native } from '../dialects/native.ts';
import { openai } from '../dialects/openai/openai.ts';
import { RelayError } from '../errors.ts';
import type { Keys } from '../keys/store.ts';
import type { Usage } from '../ledger/usage.ts';
import type { Admission } from '../limits/admission.ts';
import type { TrustedProxies } from '../limits/client-address.ts';
import type { Clock } from '../limits/clock.ts';
import type { FailedKeyLimiter } from '../limits/failed-keys.ts';
import type { PageFetcher } from '../pages/fetch.ts';
import type { Connections } from './connections.ts';
import { countTokens } from './routes/count-tokens.ts';
import { asRelayError, openExchange, respondError, type Exchange } from './exchange.ts';
import { fetchPage } from './routes/fetch-page.ts';
import { generate } from './routes/generate.ts';
import { createIntake } from './arrival-queue.ts';
import { deleteJob, showJob } from './routes/jobs.ts';
import type { Jobs } from './async/jobs.ts';
import type { LargeBodies } from './body-budget.ts';
import { listModels, showModel } from './routes/models.ts';
import { openapi } from './routes/openapi.ts';
import type { Repeats } from './async/repeats.ts';
import type { Running } from './reservation.ts';
import { health, ready, type ReadyCheck } from './routes/health.ts';
import { usage } from './routes/usage.ts';
import type { Times } from './times.ts';

export type AppContext = {
  config: Config;
  keys: Keys;
  admission: Admission;
  runner: Runner;
  readiness: Readiness;
  pages: PageFetcher;
  usage: Usage;
  plan: UsageReader;
  running: Running;
  failedKeys: FailedKeyLimiter;
  jobs: Jobs;
  largeBodies: LargeBodies;
  connections: Connections;
  repeats: Repeats;
  times: Times;
  clock: Clock;
  /** Whose X-Forwarded-For is believed (TRUST_PROXY). */
  trusted: TrustedProxies;
  /** What /ready asks besides the lock. */
  readyChecks: () => ReadyCheck[];
  /** Called once for each exchange, when its answer is decided. */
  onFinished: (exchange: Exchange, status: number, error: RelayError | undefined) => void;
};

type Env = { Bindings: HttpBindings };

export type Handler = (
  request: Request,
  exchange: Exchange,
  context: AppContext,
) => Response | Promise<Response>;

const routes: Record<string, Partial<Record<'GET' | 'POST' | 'DELETE', Handler>>> = {
  '/health': { GET: health },
  '/ready': { GET: ready },
  '/openapi.json': { GET: openapi },
  '/v1/models': { GET: listModels },
  '/v1/models/:id': { GET: showModel },
  '/v1/usage': { GET: usage },
  '/v1/complete': { POST: generate(native) },
  '/v1/messages': { POST: generate(anthropic) },
  '/v1/messages/count_tokens': { POST: countTokens },
  '/v1/chat/completions': { POST: generate(openai) },
  '/v1/fetch': { POST: fetchPage },
  '/v1/jobs/:id': { GET: showJob, DELETE: deleteJob },
};

/** Paths whose errors are told in another API's words, and what is below them. */
const dialects: Readonly<Record<string, Dialect>> = {
  '/v1/messages': anthropic,
  '/v1/chat/completions': openai,
};

const nowhere = '(unknown)';

/** Routes that every SDK may come to: errors are told in the words of the one that calls. */
const shared: ReadonlySet<string> = new Set(['/v1/models', '/v1/models/:id', nowhere]);

function dialectOf(path: string, route: string, { headers }: Request): Dialect {
  const known = Object.keys(dialects).find((each) => path === each || path.startsWith(`${each}/`));
  const dialect = known === undefined ? undefined : dialects[known];
  if (dialect !== undefined || !shared.has(route)) return dialect ?? native;
  // The Anthropic SDKs send both.
  if (headers.has('anthropic-version')) return anthropic;
  return headers.has('x-stainless-lang') ? openai : native;
}

/** The server's request handler. */
export function createApp(context: AppContext): Parameters<typeof getRequestListener>[0] {
  const app = new Hono<Env>();
  const intake = createIntake();
  const afterOthers =
    (handler: Handler): Handler =>
    async (request, exchange, context) => {
      await intake();
      return handler(request, exchange, context);
    };
  for (const [path, handlers] of Object.entries(routes)) {
    for (const [method, handler] of Object.entries(handlers)) {
      const served = path.startsWith('/v1/') ? afterOthers(handler) : handler;
      app.on(method, path, (c) => answer(c, path, served, context));
    }
    const allowed = Object.keys(handlers).flatMap((method) =>
      method === 'GET' ? ['GET', 'HEAD'] : [method],
    );
    app.all(path, (c) => answer(c, path, notAllowed(allowed.join(', ')), context));
  }
  app.notFound((c) => answer(c, nowhere, unknownRoute, context));
  return (request, env) => app.fetch(request, env);
}

/** One exchange from its arrival to its answer. Never throws. */
async function answer(
  c: Context<Env>,
  route: string,
  handler: Handler,
  context: AppContext,
): Promise<Response> {
  const request = c.req.raw;
  const { incoming, outgoing } = c.env;
  const exchange = openExchange({
    method: request.method,
    route,
    dialect: dialectOf(c.req.path, route, request),
    remoteAddress: incoming.socket.remoteAddress,
    outgoing,
  });
  let error: RelayError | undefined;
  let response: Response;
  try {
    response = await handler(request, exchange, context);
  } catch (thrown) {
    error = asRelayError(thrown);
    response = respondError(exchange, error);
  }
  const { later, failure } = exchange;
  const finish = (status: number, error: RelayError | undefined): void => {
    exchange.onEnd?.();
    context.onFinished(exchange, status, error);
  };
  if (later === undefined) finish(response.status, error ?? failure);
  else void later.then((end) => finish(end.status, end.error));
  return response;
}

function unknownRoute(): never {
  throw new RelayError(
    'not_found',
    'There is nothing at this path. The base URL of an OpenAI SDK ends with /v1, that of an Anthropic SDK does not.',
  );
}

function notAllowed(allow: string): Handler {
  return () => {
    throw new RelayError('method_not_allowed', `This path answers ${allow} only.`, { headers: { allow } });
  };
}
