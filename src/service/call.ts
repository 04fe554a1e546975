/** Sends one HTTP request, to a relay or for its owner's commands, on a separate connection, without a proxy, and follows no redirect. */
import { request as requestHttp, type IncomingHttpHeaders, type IncomingMessage } from 'node:http';
import { request as requestHttps } from 'node:https';

export type Call = {
  key?: string;
  headers?: Record<string, string>;
  /** Sent as JSON, with POST. */
  body?: unknown;
  signal?: AbortSignal;
};

/** Rejects with the socket's error or an `AbortError`. */
export async function callRelay(
  url: string,
  { key, headers, body, signal }: Call = {},
): Promise<IncomingMessage> {
  const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
  const send = url.startsWith('https:') ? requestHttps : requestHttp;
  const options = {
    method: body === undefined ? 'GET' : 'POST',
    headers: {
      ...headers,
      ...(key === undefined ? {} : { authorization: `Bearer ${key}` }),
      ...(body === undefined ? {} : { 'content-type': 'application/json' }),
    },
    // A kept connection would not show whether a new one is accepted, and the default agent may use a proxy.
    agent: false,
    signal,
  };
  send(url, options, resolve)
    .on('error', reject)
    .end(body === undefined ? undefined : JSON.stringify(body));
  return promise;
}

/** Throws when the body is longer than `mostBytes`. */
export async function textOf(answer: IncomingMessage, mostBytes = Infinity): Promise<string> {
  const parts: Buffer[] = [];
  let bytes = 0;
  for await (const part of answer as AsyncIterable<Buffer>) {
    bytes += part.length;
    if (bytes > mostBytes) throw new Error('the answer is too long');
    parts.push(part);
  }
  return Buffer.concat(parts).toString('utf8');
}

/** Longer than any answer that a probe expects. */
const maxProbeBytes = 64 * 1024;

export type Probed = {
  /** 0 when there was no answer. */
  status: number;
  headers: IncomingHttpHeaders;
  /** Undefined when it is not JSON. */
  body?: unknown;
  /** For a message: `status 200`, the system's code, such as `ECONNREFUSED` or `ENOTFOUND`, or `timeout`. */
  result: string;
};

/** Sends one GET. Never rejects. */
export async function probe(
  url: string,
  { headers = {}, timeoutMs = 5000 }: { headers?: Record<string, string>; timeoutMs?: number } = {},
): Promise<Probed> {
  const signal = AbortSignal.timeout(timeoutMs);
  try {
    const answer = await callRelay(url, { headers, signal });
    const body = parsedJson(await textOf(answer, maxProbeBytes));
    const { statusCode: status = 0, headers: received } = answer;
    return { status, headers: received, body, result: `status ${status}` };
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    return { status: 0, headers: {}, result: signal.aborted ? 'timeout' : (code ?? message) };
  }
}

export function parsedJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
