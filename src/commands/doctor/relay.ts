/** The port, and who is on it: nobody, the relay of these settings, or something else. A relay that runs is asked how it is. */
import { createServer } from 'node:http';
import { z } from 'zod';
import type { Config } from '../../config.ts';
import { probe } from '../../service/call.ts';
import { askReady, localUrl, type ReadyAnswer } from '../../service/ready.ts';
import { startCommand, type ServiceState } from '../../service/state.ts';
import { failure, ok, warning, type Line } from './line.ts';

const timeoutMs = 5000;

/** `asked` is true when a relay was asked for its state. */
export async function relayLines(
  config: Config,
  service: ServiceState,
): Promise<{ lines: Line[]; asked: boolean }> {
  if (config.port === 0)
    return { lines: [ok('port', 'PORT is 0: each start picks a free one')], asked: false };
  const url = localUrl(config);
  const who = await whoAnswers(url);
  if (who === 'relay') {
    const answer = await askReady(url, timeoutMs);
    const port = ok('port', `${url}, where a claude-relay listens`);
    return { lines: [port, ...readyLines(config, answer, service)], asked: answer !== undefined };
  }
  const port = who === 'nobody' ? await freeLine(config) : takenLine(config, url, who);
  const stopped = warning('relay', 'it does not run', startCommand(service));
  return { lines: port.state === 'ok' ? [port, stopped] : [port], asked: false };
}

const health = z.object({ ok: z.literal(true) });
const unreached = new Set(['ECONNREFUSED', 'EADDRNOTAVAIL', 'ENETUNREACH', 'EHOSTUNREACH']);

async function whoAnswers(url: string): Promise<'relay' | 'other' | 'silent' | 'nobody'> {
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

function takenLine(config: Config, url: string, who: 'other' | 'silent'): Line {
  const detail =
    who === 'silent'
      ? `something listens at ${url} and does not answer within ${timeoutMs / 1000} s`
      : `another program listens at ${url}`;
  return failure('port', detail, fixTaken(config));
}

function readyLines(config: Config, answer: ReadyAnswer | undefined, service: ServiceState): Line[] {
  if (answer === undefined) {
    const fix = startCommand(service, { again: true });
    return [failure('relay', 'it runs, and /ready does not answer', fix)];
  }
  const connections = connectionLines(config, answer.connections?.most);
  if (answer.ok) return [ok('relay', 'it runs and takes requests'), ...connections];
  const failed = answer.checks
    .filter((check) => !check.ok)
    .map(({ name, detail = '' }) => failure(`relay/${name}`, detail, fixes[name] ?? otherFix));
  return [...failed, ...connections];
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
const otherFix = 'bin/claude-relay logs -n 20 shows the last requests';

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

/** Nobody answered: may the relay listen there? */
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
      return failure('port', `HOST is ${host}, and this machine has no such address`, 'set HOST=127.0.0.1');
    case 'EACCES':
      return failure('port', `this user may not listen on ${port}`, 'set PORT to 1024 or more');
    default:
      return failure('port', `${port} cannot be listened on: ${code}`, 'set PORT to another one');
  }
}
