/**
 * The only way out of the relay's processes: a proxy on loopback that knows each process by a secret. It connects it to the API, behind
 * its valve, and to the host at which a stored login refreshes itself; to nothing else.
 *
 * With an `https` API the CLI sends CONNECT and then TLS; with an `http` one, requests in absolute form (2.1.197, 2.1.330, 2.1.332).
 * A process that can make no other socket has a unix socket for itself (`ANTHROPIC_UNIX_SOCKET`): it sends TLS or requests at once.
 */
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { Agent, createServer, request as send, type IncomingMessage, type ServerResponse } from 'node:http';
import { createServer as createSocketServer, type AddressInfo, type Socket } from 'node:net';
import { apiOf, goesElsewhere, type HostEnv } from '../lock.ts';
import { unsealed, type Seal } from '../seal/seal.ts';
import { connected, credentialsFor, dial, proxyFor } from './dial.ts';
import { Valve } from './valve.ts';

type Valves = { api: Valve; login: Valve };

const refreshPlace = 'platform.claude.com:443';

export type ValveProxy = Awaited<ReturnType<typeof startValveProxy>>;

/**
 * `hostEnv` names the API (`ANTHROPIC_BASE_URL`) and the proxy of the host itself. Rejects when loopback cannot be listened on, or
 * HTTP_PROXY is not valid.
 */
export async function startValveProxy(hostEnv: HostEnv, seal: Seal = unsealed) {
  const exact = !goesElsewhere(hostEnv);
  /** Null, a URL that is not valid: then everything is refused. */
  const api = apiOf(hostEnv);
  const isApi = (url: URL): boolean => url.protocol === api?.protocol && placeOf(url) === placeOf(api);
  /** By credentials. Only a process that may not ask the model may still refresh its login. */
  const processes = new Map<string | undefined, Valves>();
  /** By connection, of those that came by the unix socket of a process. */
  const known = new WeakMap<Socket, Valves>();
  const viaHttp = api?.protocol === 'http:' ? proxyFor(api, hostEnv) : undefined;
  // The agent adds them to header fields in another form only.
  const hostCredentials = viaHttp === undefined ? [] : Object.entries(credentialsFor(viaHttp)).flat();
  // A server ends a silent connection by itself, at times while a request is on its way: 5 s is the usual least.
  const agent = new Agent({ keepAlive: true, timeout: 1000, proxyEnv: { HTTP_PROXY: viaHttp?.href } });

  const server = createServer();
  // A process that stays keeps its connections, and a long body takes its time.
  server.keepAliveTimeout = 0;
  server.requestTimeout = 0;

  /** `greeting`: what the child waits for before it begins. */
  const connect = async (url: URL, valve: Valve, child: Socket, bytes = 0, greeting = ''): Promise<void> => {
    // One that ends before it is connected has gone.
    child.allowHalfOpen = false;
    if (!(await valve.admits(child, bytes))) return refuse(child, '503 Service Unavailable');
    const upstream = await valve.dialling(() => dial(url, proxyFor(url, hostEnv), child));
    if (upstream === undefined) return void child.destroy();
    child.write(greeting);
    child.allowHalfOpen = true;
    return valve.join(child, upstream);
  };
  server.on('connect', (request: IncomingMessage, child: Socket, first: Buffer) => {
    child.on('error', () => {});
    const valves = processes.get(request.headers['proxy-authorization']);
    if (valves === undefined) return refuse(child, '407 Proxy Authentication Required');
    const url = URL.parse(`https://${request.url}`);
    if (url === null) return refuse(child, '403 Forbidden');
    if (!isApi(url) && placeOf(url) !== refreshPlace) return refuse(child, '403 Forbidden');
    if (first.length > 0) child.unshift(first);
    const valve = isApi(url) ? valves.api : valves.login;
    const established = 'HTTP/1.1 200 Connection established\r\n\r\n';
    return void connect(url, valve, child, headBytes(request), established).catch(() => child.destroy());
  });

  const forward = async (
    url: URL,
    valve: Valve,
    request: IncomingMessage,
    response: ServerResponse,
  ): Promise<void> => {
    const bytes = headBytes(request);
    if (!(await valve.admits(request.socket, bytes))) return void response.writeHead(503).end();
    const { method = 'GET', rawHeaders } = request;
    const headers = [...onward(rawHeaders, url.host), ...hostCredentials];
    const upstream = send(url, { method, agent, headers });
    upstream.on('response', (answer) => {
      const { statusCode = 0, rawHeaders: fields } = answer;
      if (statusCode < 200) return response.destroy();
      // What has come of a broken answer reaches the process before the end.
      answer.on('error', () => request.socket.destroySoon());
      response.writeHead(statusCode, onward(fields)).flushHeaders();
      return answer.pipe(response);
    });
    // Sent again by nobody but the CLI, which knows whether that is worth its cost.
    upstream.on('error', () => response.destroy());
    upstream.on('close', () => {
      if (!response.headersSent) response.destroy();
    });
    response.on('close', () => upstream.destroy());
    const connection = await valve.dialling(async () => {
      const [socket] = (await once(upstream, 'socket')) as [Socket];
      return connected(socket);
    });
    if (connection !== undefined) valve.pass(request, upstream, bytes);
  };
  server.on('request', (request: IncomingMessage, response: ServerResponse) => {
    for (const stream of [request, response]) stream.on('error', () => {});
    const own = known.get(request.socket);
    const valves = own ?? processes.get(request.headers['proxy-authorization']);
    if (valves === undefined) return response.writeHead(407).end();
    const url = URL.parse(request.url ?? '', own === undefined ? undefined : api?.href);
    if (url?.protocol !== 'http:' || !isApi(url)) return response.writeHead(403).end();
    return void forward(url, valves.api, request, response).catch(() => response.destroy());
  });

  const bySocket = (path: string, valves: Valves) => {
    const own = createSocketServer((child) => {
      child.on('error', () => {});
      if (api?.protocol === 'https:')
        return void connect(api, valves.api, child).catch(() => child.destroy());
      known.set(child, valves);
      return server.emit('connection', child);
    });
    // Without it, the process reaches nothing.
    own.on('error', () => {});
    own.listen(path);
    const env: Record<string, string> = { ANTHROPIC_UNIX_SOCKET: path };
    return { env, also: { read: [path] }, close: () => own.close() };
  };
  const bySecret = (valves: Valves) => {
    const secret = randomBytes(24).toString('base64url');
    const credentials = `Basic ${Buffer.from(`relay:${secret}`).toString('base64')}`;
    processes.set(credentials, valves);
    const url = `http://relay:${secret}@127.0.0.1:${port}`;
    const env: Record<string, string> = { HTTPS_PROXY: url, HTTP_PROXY: url };
    return { env, also: {}, close: () => void processes.delete(credentials) };
  };
  const ends = new Set<() => void>();

  const socket = await seal.listen();
  if (socket === undefined) server.listen(0, '127.0.0.1');
  else server.listen(socket);
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  return {
    /** False: the model is asked elsewhere (Bedrock, Vertex), so no valve stops a process. */
    exact,
    /** For one process and its environment: its valve, the variables that lead it here (none when its model is elsewhere), its seal, and its end. */
    begin: (processEnv: HostEnv = hostEnv) => {
      const valves = { api: new Valve(exact), login: new Valve() };
      const valve = valves.api;
      if (!exact) return { valve, env: undefined, seal: seal.words(processEnv), end: () => {} };
      const path = seal.newSocket(processEnv);
      const { env, also, close } = path === undefined ? bySecret(valves) : bySocket(path, valves);
      const end = (): void => {
        ends.delete(end);
        close();
        for (const each of Object.values(valves)) each.cut();
      };
      ends.add(end);
      return { valve, env, seal: seal.words(processEnv, also), end };
    },
    /** Ends what is left, too. */
    close: async (): Promise<void> => {
      const ended = once(server, 'close');
      server.close();
      for (const end of ends) end();
      server.closeAllConnections();
      agent.destroy();
      await ended;
    },
  };
}

function placeOf({ protocol, hostname, port }: URL): string {
  return `${hostname}:${port || (protocol === 'https:' ? '443' : '80')}`;
}

function refuse(child: Socket, status: string): void {
  child.end(`HTTP/1.1 ${status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n`, () => child.destroy());
}

function headBytes({ method = '', url = '', rawHeaders }: IncomingMessage): number {
  return [method, url, ...rawHeaders].reduce((sum, part) => sum + part.length + 2, 0);
}

/** `Expect` has been answered, and trailers are not passed on. */
const ofOneHop = 'connection keep-alive proxy-authorization proxy-connection expect te trailer upgrade'.split(
  ' ',
);
/** What frames and addresses a request is never left out. */
const needed = new Set(['content-length', 'transfer-encoding', 'host']);

/** The header fields for the next hop, in order; `host` replaces the one that was sent, as a proxy must. */
function onward(raw: readonly string[], host?: string): string[] {
  const fields = raw.flatMap((name, index) =>
    index % 2 === 0 ? [{ name, value: raw[index + 1] ?? '' }] : [],
  );
  const named = fields
    .filter(({ name }) => name.toLowerCase() === 'connection')
    .flatMap(({ value }) => value.toLowerCase().split(/[\s,]+/))
    .filter((name) => !needed.has(name));
  const dropped = new Set([...ofOneHop, ...named]);
  return fields
    .filter(({ name }) => !dropped.has(name.toLowerCase()))
    .flatMap(({ name, value }) => [name, name.toLowerCase() === 'host' ? (host ?? value) : value]);
}
