/** The owner's listener: its page, the changes that the page asks for, and the metrics. Nothing of it exists on the public listener. */
import type { getRequestListener, HttpBindings } from '@hono/node-server';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Hono, type Context } from 'hono';
import { getCookie } from 'hono/cookie';
import { z } from 'zod';
import { root } from '../installation.ts';
import { KeyError } from '../keys/key.ts';
import type { Keys } from '../keys/store.ts';
import { storeFailure, StoreError } from '../store/errors.ts';
import type { Store } from '../store/sqlite.ts';
import { openCodes } from './codes.ts';
import type { OwnerData } from './data.ts';
import { pageHeaders, refusalOf } from './guard.ts';
import { forward, notice, page, viewNames, type Html, type View, type ViewName } from './layout.ts';
import { cookieFor, cookieName, Sessions } from './sessions.ts';
import { doctorView } from './views/doctor.ts';
import { keysView } from './views/keys.ts';
import { nowView } from './views/now.ts';
import { requestsView } from './views/requests.ts';
import { troubleView } from './views/trouble.ts';
import { useView } from './views/use.ts';

export type OwnerParts = {
  store: Store;
  keys: Pick<Keys, 'create' | 'change' | 'revoke'>;
  data: OwnerData;
  now: () => number;
  /** Answers GET /metrics. */
  metrics: (c: Context<Env>) => Promise<Response>;
  /** The port of the listener: the guard names it. */
  port: number;
};

type Env = { Bindings: HttpBindings };

type Query = URLSearchParams;

const views: Readonly<
  Record<ViewName, (data: OwnerData, query: Query, now: number) => View | Promise<View>>
> = {
  now: nowView,
  keys: keysView,
  use: useView,
  requests: requestsView,
  trouble: troubleView,
  doctor: doctorView,
};

/** Text without a problem of its shape. The key store checks what it means. */
const newKey = z.strictObject({
  label: z.string(),
  daily: z.int().optional(),
  usd_daily: z.number().optional(),
  tokens_daily: z.int().optional(),
});

const assets = { 'owner.css': 'text/css', 'owner.js': 'text/javascript' } as const;

/** The command that opens the page, as it is recorded with a change of a key. */
const command = 'dashboard';

export function createOwnerApp({
  store,
  keys,
  data,
  metrics,
  now,
  port,
}: OwnerParts): Parameters<typeof getRequestListener>[0] {
  const app = new Hono<Env>();
  const codes = openCodes(store, port, now);
  const sessions = new Sessions(now);

  app.use(async (c, next) => {
    for (const [name, value] of Object.entries(pageHeaders)) c.header(name, value);
    const refusal = refusalOf(c.req.method, c.req.raw.headers, port);
    if (refusal !== undefined) return c.text(`${refusal.sentence}\n`, refusal.status);
    return next();
  });

  for (const [name, type] of Object.entries(assets)) {
    const text = readFileSync(join(root, 'src/owner/assets', name), 'utf8');
    app.get(`/${name}`, (c) => c.body(text, 200, { 'content-type': `${type}; charset=utf-8` }));
  }

  app.get('/metrics', metrics);

  app.get('/open', (c) => {
    // A HEAD would use the code up, and show nothing.
    if (c.req.method === 'HEAD' || !codes.use(c.req.query('code') ?? '')) {
      return c.html(noSession('The link was used before, or is older than a minute.'), 401);
    }
    const session = sessions.begin();
    c.header('set-cookie', cookieFor(session));
    return c.html(forward(`/s/${session.id}/now`));
  });

  app.use('/s/:id/*', async (c, next) => {
    const secret = getCookie(c, cookieName);
    if (secret === undefined || !sessions.has(c.req.param('id'), secret)) {
      return c.html(noSession('This page needs a session.'), 401);
    }
    return next();
  });

  for (const name of viewNames) {
    app.get(`/s/:id/${name}`, async (c) => {
      const query = new URL(c.req.url).searchParams;
      return c.html(await page(name, await views[name](data, query, now())));
    });
  }

  app.post('/s/:id/keys', async (c) => {
    const body = newKey.safeParse(await c.req.json().catch(() => undefined));
    if (!body.success) return c.json({ message: 'Fill in the form.' }, 400);
    const { label, daily, usd_daily: usdDaily, tokens_daily: tokensDaily } = body.data;
    const { token } = keys.create(label, { dailyLimit: daily, usdDaily, tokensDaily }, command);
    return c.json({ label, secret: token }, 201);
  });
  const act = (action: string, change: (label: string) => unknown): void => {
    app.post(`/s/:id/keys/:label/${action}`, (c) => {
      change(c.req.param('label'));
      return c.json({});
    });
  };
  act('disable', (label) => keys.change(label, { disabled: true }, command));
  act('enable', (label) => keys.change(label, { disabled: null }, command));
  act('revoke', (label) => keys.revoke(label, command));
  app.post('/s/:id/logout', (c) => {
    sessions.end(c.req.param('id'));
    return c.json({});
  });

  app.notFound((c) => c.html(noSession('There is nothing at this address.'), 404));
  app.onError((error, c) => failed(error, c));
  return (request, env) => app.fetch(request, env);
}

function noSession(why: string): Html {
  return notice('No session', `${why} Run claude-relay dashboard on this machine, and open its link.`);
}

/** A sentence for the owner; any other error is a defect. */
function failed(error: Error, c: Context): Response | Promise<Response> {
  const known = error instanceof KeyError || error instanceof StoreError;
  const reason = storeFailure(error);
  const message = known
    ? error.message
    : reason === undefined
      ? 'The relay has a defect.'
      : `Failed: ${reason}.`;
  const status = error instanceof KeyError ? 400 : 503;
  return c.req.method === 'GET' ? c.html(notice('Failed', message), status) : c.json({ message }, status);
}
