/** The doctor's lines about the port and the relay that listens on it. */
import { createServer } from 'node:http';
import type { Config } from '../../config.ts';
import { documentAt, relayCommand } from '../../installation.ts';
import { ownerPaths } from '../../owner/paths.ts';
import { probe } from '../../service/call.ts';
import { askReady, localUrl, type ReadyAnswer } from '../../service/ready.ts';
import { startCommand, type ServiceState } from '../../service/state.ts';
import { cannotListen } from '../loopback.ts';
import { sealLines } from './seal.ts';
import { failure, ok, warning, type Line } from './line.ts';

export async function relayLines(config: Config, service: ServiceState, timeoutMs = 5000): Promise<Line[]> {
  const { port } = config;
  if (port === 0) return [ok('port', 'PORT is 0: each start picks a free port')];
  const url = localUrl(config);
  if (await isRelay(url, timeoutMs)) {
    return [
      ok('port', `claude-relay listens on ${url}`),
      ...(await readyLines(config, service, timeoutMs)),
      await pageLine(config, timeoutMs),
    ];
  }
  const code = await listenError(config);
  if (code === undefined) {
    return [ok('port', `${port} is free`), warning('relay', 'not running', startCommand(service))];
  }
  const fix =
    code === 'EADDRINUSE'
      ? `lsof -nP -iTCP:${port} -sTCP:LISTEN (and stop it), or set PORT`
      : 'set HOST=127.0.0.1 and a PORT from 1024 on in config.env';
  return [failure('port', cannotListen(code, config) ?? `cannot listen on ${port}: ${code}`, fix)];
}

async function isRelay(url: string, timeoutMs: number): Promise<boolean> {
  const answer = await probe(`${url}/health`, { timeoutMs });
  return answer.status === 200 && String(answer.headers['request-id']).startsWith('req_');
}

async function readyLines(config: Config, service: ServiceState, timeoutMs: number): Promise<Line[]> {
  const answer = await askReady(localUrl(config), timeoutMs);
  if (answer === undefined) {
    const fix = startCommand(service, { again: true });
    return [failure('relay', 'running, but /ready does not answer', fix)];
  }
  const checks = answer.ok
    ? [ok('relay', 'running, and accepts requests')]
    : answer.checks
        .filter((check) => !check.ok)
        .map(({ name, detail = '' }) => failure(`relay/${name}`, detail, fixes[name] ?? otherFix));
  return [...checks, ...processLines(answer, config)];
}

/** The owner's page, which must not be on the public listener. */
async function pageLine(config: Config, timeoutMs: number): Promise<Line> {
  const url = localUrl(config);
  for (const path of ownerPaths) {
    const { status, result } = await probe(url + path, { timeoutMs });
    if (status === 404) continue;
    return failure(
      'page',
      `${url}${path}: ${result} instead of 404`,
      'stop the relay, and report this as a bug',
    );
  }
  const { adminPort } = config;
  if (adminPort === 0) return ok('page', 'off: ADMIN_PORT is 0');
  const page = `http://127.0.0.1:${adminPort}`;
  const { status, result } = await probe(`${page}/open`, { timeoutMs });
  if (status === 401) return ok('page', `${page}, which ${relayCommand} dashboard opens`);
  return warning(
    'page',
    `${page} does not answer as the owner's page (${result})`,
    'set another ADMIN_PORT in config.env, and restart the relay',
  );
}

/** The processes that wait, whether a valve is in front of each, and how they are sealed. */
function* processLines({ spares, hot, valve, seal }: ReadyAnswer, config: Config): Generator<Line> {
  if (spares !== undefined) {
    yield ok('relay/spares', `${spares.waiting} waiting, ${inMib(spares.rss_bytes)}`);
  }
  if (hot !== undefined) yield hotLine(hot, config, valve?.exact === false ? noValveFix : provedFix);
  if (valve !== undefined) {
    yield valve.exact
      ? ok('relay/valve', 'an answer asks the model exactly once')
      : warning('relay/valve', `an answer can ask the model more than once: ${valve.detail}`, noValveFix);
  }
  if (seal !== undefined) yield* sealLines('relay/seal', seal, warning);
}

const provedFix = 'see the lock/ lines above';
const noValveFix = `read "With Bedrock or Vertex" in ${documentAt('SECURITY.md')}, or use another login`;

function hotLine(hot: NonNullable<ReadyAnswer['hot']>, { pool }: Config, fix: string): Line {
  const { resting, rss_bytes, off } = hot;
  if (off === undefined) return ok('relay/hot', `${resting} resting, ${inMib(rss_bytes)}`);
  // The owner's choice: now, or when the relay started.
  if (pool.hot === 0 || off.startsWith('HOT_PROCESSES')) return ok('relay/hot', `off: ${off}`);
  return warning('relay/hot', `off: ${off}`, fix);
}

function inMib(bytes: number): string {
  return `${Math.round(bytes / 1024 / 1024)} MiB`;
}

/** The fix for each check of /ready. */
const fixes: Readonly<Record<string, string>> = {
  lock_proved: 'after a start or an update, wait a few seconds; otherwise see the lock/ lines above',
  accepting: 'start the relay when it has stopped',
  login: `claude (and log in), or ${relayCommand} login`,
  plan: 'wait until then; page fetches still work',
  database: 'see the database and disk lines below',
  ledger: 'see the database and disk lines below',
};
const otherFix = `${relayCommand} logs -n 20 shows the last requests`;

/** Why the relay could not listen; undefined when it could. */
async function listenError({ host, port }: Config): Promise<string | undefined> {
  const { promise, resolve } = Promise.withResolvers<string | undefined>();
  const server = createServer();
  server.once('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
  server.listen(port, host, () => resolve(undefined));
  const code = await promise;
  server.close();
  return code;
}
