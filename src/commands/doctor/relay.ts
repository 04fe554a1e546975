/** The doctor's lines about the port and the relay that listens on it. */
import { createServer } from 'node:http';
import { z } from 'zod';
import type { Config } from '../../config.ts';
import { probe } from '../../service/call.ts';
import { askReady, localUrl, type ReadyAnswer } from '../../service/ready.ts';
import { startCommand, type ServiceState } from '../../service/state.ts';
import { failure, ok, warning, type Line } from './line.ts';

/** `asked` is true when a relay answered GET /ready. */
export async function relayLines(
  config: Config,
  service: ServiceState,
  timeoutMs = 5000,
): Promise<{ lines: Line[]; asked: boolean }> {
  if (config.port === 0)
    return { lines: [ok('port', 'PORT is 0: each start picks a free port')], asked: false };
  const url = localUrl(config);
  const who = await whoAnswers(url, timeoutMs);
  if (who === 'relay') {
    const answer = await askReady(url, timeoutMs);
    const port = ok('port', `claude-relay listens on ${url}`);
    return { lines: [port, ...readyLines(config, answer, service)], asked: answer !== undefined };
  }
  const port =
    who === 'nobody'
      ? await freeLine(config)
      : takenLine(config, url, who === 'silent' ? timeoutMs : undefined);
  const stopped = warning('relay', 'not running', startCommand(service));
  return { lines: port.state === 'ok' ? [port, stopped] : [port], asked: false };
}

const health = z.object({ ok: z.literal(true) });
const unreached = new Set(['ECONNREFUSED', 'EADDRNOTAVAIL', 'ENETUNREACH', 'EHOSTUNREACH']);

async function whoAnswers(url: string, timeoutMs: number): Promise<'relay' | 'other' | 'silent' | 'nobody'> {
  const answer = await probe(`${url}/health`, { timeoutMs });
  if (answer.ok) {
    const isRelay = String(answer.headers['request-id']).startsWith('req_');
    return isRelay && health.safeParse(answer.body).success ? 'relay' : 'other';
  }
  if (answer.reason === 'timeout') return 'silent';
  return unreached.has(answer.reason) ? 'nobody' : 'other';
}

function fixTaken({ port }: Config): string {
  return `lsof -nP -iTCP:${port} -sTCP:LISTEN (and stop it), or set PORT`;
}

function takenLine(config: Config, url: string, silentMs: number | undefined): Line {
  const detail =
    silentMs !== undefined
      ? `a program listens on ${url} and does not answer within ${silentMs / 1000} s`
      : `another program listens on ${url}`;
  return failure('port', detail, fixTaken(config));
}

function readyLines(config: Config, answer: ReadyAnswer | undefined, service: ServiceState): Line[] {
  if (answer === undefined) {
    const fix = startCommand(service, { again: true });
    return [failure('relay', 'running, but /ready does not answer', fix)];
  }
  const connections = connectionLines(config, answer.connections?.most);
  if (answer.ok) return [ok('relay', 'running, and accepts requests'), ...connections];
  const failed = answer.checks
    .filter((check) => !check.ok)
    .map(({ name, detail = '' }) => failure(`relay/${name}`, detail, fixes[name] ?? otherFix));
  return [...failed, ...connections];
}

/** The fix for each check of /ready. */
const fixes: Readonly<Record<string, string>> = {
  lock_proved: 'after a start or an update, wait a few seconds; otherwise see the lock/ lines above',
  accepting: 'start the relay when it has stopped',
  login: 'claude (and log in), or bin/claude-relay login',
  plan: 'wait until then; page fetches still work',
  database: 'see the database and disk lines below',
  ledger: 'see the database and disk lines below',
};
const otherFix = 'bin/claude-relay logs -n 20 shows the last requests';

/** Each running or waiting request has a connection. */
function connectionLines({ limits }: Config, most: number | undefined): Line[] {
  if (most === undefined) return [];
  const { lanes, queueMax } = limits;
  const requests = lanes.complete.concurrency + queueMax + lanes.fetch.concurrency;
  if (requests < most) return [ok('connections', `at most ${most}, by the limit on open files`)];
  return [
    warning(
      'connections',
      `the limit on open files allows ${most} connections, but the settings let ${requests} requests run or wait`,
      'ulimit -n 4096 before a start (for a service: LimitNOFILE=), or lower QUEUE_MAX',
    ),
  ];
}

/** Whether the relay can listen on a port where no program answers. */
async function freeLine(config: Config): Promise<Line> {
  const { host, port } = config;
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
      return failure('port', `${port} is taken`, fixTaken(config));
    case 'EADDRNOTAVAIL':
      return failure(
        'port',
        `HOST is ${host}, an address that this machine does not have`,
        'set HOST=127.0.0.1',
      );
    case 'EACCES':
      return failure('port', `this user cannot listen on ${port}`, 'set PORT to 1024 or more');
    default:
      return failure('port', `cannot listen on ${port}: ${code}`, 'set another PORT');
  }
}
