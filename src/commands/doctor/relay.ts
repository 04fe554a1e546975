/** The port, and who is on it: nobody, the relay of these settings, or something else. A relay that runs is asked how it is. */
import { createServer } from 'node:http';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { z } from 'zod';
import type { Config } from '../../config.ts';
import { failure, ok, warning, type Line } from './line.ts';
import { callRelay, relayUrl, textOf } from '../loopback.ts';
import { restartCommand, startCommand, type ServiceState } from '../../service/state.ts';

const idleMs = 5000;

const health = z.object({ ok: z.literal(true) });
const readiness = z.object({
  ok: z.boolean(),
  checks: z.array(z.object({ name: z.string(), ok: z.boolean(), detail: z.string().optional() })),
  /** Absent where HOST is no loopback address: the relay takes the doctor for a stranger then. */
  connections: z.object({ open: z.int(), most: z.int() }).optional(),
});

export async function relayLines(config: Config, service: ServiceState): Promise<Line[]> {
  if (config.port === 0) return [ok('port', 'PORT is 0: each start picks a free one')];
  const url = relayUrl(config);
  const who = await whoAnswers(url);
  const taken = `lsof -nP -iTCP:${config.port} -sTCP:LISTEN (and stop it), or set PORT`;
  switch (who) {
    case 'relay':
      return [
        ok('port', `${url}, where a claude-relay listens`),
        ...(await runningLines(config, url, restartCommand(service))),
      ];
    case 'silent':
      return [
        failure('port', `something listens at ${url} and does not answer within ${idleMs / 1000} s`, taken),
      ];
    case 'other':
      return [failure('port', `another program listens at ${url}`, taken)];
    case 'nobody': {
      const line = await freeLine(config, taken);
      return line.state === 'ok'
        ? [line, warning('relay', 'it does not run', startCommand(service))]
        : [line];
    }
  }
}

async function whoAnswers(url: string): Promise<'relay' | 'other' | 'silent' | 'nobody'> {
  try {
    const answer = await callRelay(`${url}/health`, { idleMs });
    const id = String(answer.headers['request-id']);
    const text = await textOf(answer);
    return id.startsWith('req_') && health.safeParse(parsed(text)).success ? 'relay' : 'other';
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? '';
    if (code === 'ETIMEDOUT') return 'silent';
    return ['ECONNREFUSED', 'EADDRNOTAVAIL', 'ENETUNREACH', 'EHOSTUNREACH'].includes(code)
      ? 'nobody'
      : 'other';
  }
}

async function runningLines(config: Config, url: string, restart: string): Promise<Line[]> {
  const askedAt = Date.now();
  let state: z.infer<typeof readiness>;
  try {
    state = readiness.parse(parsed(await textOf(await callRelay(`${url}/ready`, { idleMs }))));
  } catch {
    return [failure('relay', 'it runs, and /ready does not answer', restart)];
  }
  const where = usesDataDir(config.dataDir, askedAt)
    ? []
    : [
        warning(
          'relay-data',
          `it keeps its data elsewhere than in ${config.dataDir}: keys that are made with these settings do not count for it`,
          'give both the same DATA_DIR (one may be set in the environment only)',
        ),
      ];
  const failed = state.checks.filter((check) => !check.ok);
  const files = connectionLines(config, state.connections?.most);
  if (state.ok) return [ok('relay', 'it runs and takes requests'), ...where, ...files];
  return [
    ...failed.map(({ name, detail = '' }) =>
      failure(`relay/${name}`, detail, fixes[name] ?? 'bin/claude-relay logs -n 20 shows the last requests'),
    ),
    ...where,
    ...files,
  ];
}

/** Each request that runs or waits has a connection. */
function connectionLines({ limits }: Config, most: number | undefined): Line[] {
  if (most === undefined) return [];
  const { lanes, queueMax } = limits;
  const requests = lanes.complete.concurrency + queueMax + lanes.fetch.concurrency;
  if (requests < most) return [ok('connections', `${most} at most, by its limit of open files`)];
  return [
    warning(
      'connections',
      `its limit of open files allows ${most} connections, and the settings let ${requests} requests run or wait`,
      'ulimit -n 4096 before its start (a service: LimitNOFILE=), or lower QUEUE_MAX',
    ),
  ];
}

/** For each check of /ready that can fail. */
const fixes: Readonly<Record<string, string>> = {
  lock_proved: 'wait some seconds after a start or an update; else see the lock/ lines above',
  accepting: 'start it again when it has stopped',
  login: 'claude (and log in), or bin/claude-relay login',
  plan: 'wait until then: requests are refused with that time, and page fetches work',
  database: 'see the database and disk lines below',
  ledger: 'see the database and disk lines below',
};

/** To answer /ready the relay writes a row of its database, once a second at most: it is fresh in the one that it uses. */
function usesDataDir(dataDir: string, askedAt: number): boolean {
  try {
    const db = new DatabaseSync(join(dataDir, 'relay.db'), { readOnly: true, timeout: 1000 });
    try {
      return Number(db.prepare('SELECT at FROM probe').get()?.['at'] ?? 0) > askedAt - 1500;
    } finally {
      db.close();
    }
  } catch {
    return false;
  }
}

/** Nobody answered: may the relay listen there? */
async function freeLine({ host, port }: Config, taken: string): Promise<Line> {
  const { promise, resolve } = Promise.withResolvers<string | undefined>();
  const server = createServer();
  server.once('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
  server.listen(port, host, () => resolve(undefined));
  const code = await promise;
  server.close();
  switch (code) {
    case undefined:
      return ok('port', `${port} is free`);
    case 'EADDRINUSE':
      return failure('port', `${port} is taken`, taken);
    case 'EADDRNOTAVAIL':
      return failure('port', `HOST is ${host}, and this machine has no such address`, 'set HOST=127.0.0.1');
    case 'EACCES':
      return failure('port', `this user may not listen on ${port}`, 'set PORT to 1024 or more');
    default:
      return failure('port', `${port} cannot be listened on: ${code}`, 'set PORT to another one');
  }
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
