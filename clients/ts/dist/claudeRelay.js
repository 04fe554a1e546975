// Generated from claudeRelay.ts by npm run build:client.
/**
 * claude-relay from TypeScript. One file without dependencies: copy it into your project, or install the package it is in.
 *
 * For servers only (Node.js 18 or newer, Bun, Deno): in a browser everyone could read your key, so there it throws.
 *
 * ```ts
 * // CLAUDE_RELAY_URL=http://127.0.0.1:8799 and CLAUDE_RELAY_KEY=crk_... in the environment
 * const text = await complete({ prompt: 'Say hello.' });
 * ```
 *
 * Every failure is a `ClaudeRelayError` whose `code` says what happened.
 *
 * SPDX-License-Identifier: MIT
 */
/** Milliseconds for a whole call, including its retries and the waits between them. */
export const defaultTimeoutMs = 600_000;
/** How many times a call is retried after a temporary failure. */
export const defaultMaxRetries = 2;
/** The longest wait before a retry, in milliseconds. If the relay asks for a longer wait, the error is thrown at once. */
export const defaultMaxRetryWaitMs = 60_000;
/**
 * The only error class of this client. Check `code`; `message` is for people.
 *
 * `code` is one of the relay's codes (see its docs/api.md), or one of this client's:
 * - `bad_config`: missing or invalid URL, key, idempotency key or proxy, or running in a browser
 * - `connection_failed`: no connection to the relay, or no answer on it
 * - `tls_failed`: the certificate of the relay is not valid, or TLS failed
 * - `connection_lost`: the connection ended before the answer did
 * - `not_a_relay`: the server at the URL is not a relay
 * - `client_timeout`: the call took longer than `timeoutMs`
 * - `aborted`: the call's `signal` was aborted, or the loop over its stream ended before the answer did
 * - `not_json`: the model's answer to `outputFormat: 'json'` is not JSON; it is in the error's `text`
 */
export class ClaudeRelayError extends Error {
    code;
    status;
    requestId;
    retryAfter;
    limit;
    shouldRetry;
    hop;
    text;
    stopReason;
    constructor(code, message, details = {}) {
        super(message, details.cause === undefined ? undefined : { cause: details.cause });
        this.name = 'ClaudeRelayError';
        this.code = code;
        this.status = details.status;
        this.requestId = details.requestId;
        this.retryAfter = details.retryAfter;
        this.limit = details.limit;
        this.shouldRetry = details.shouldRetry;
        this.hop = details.hop;
        this.text = details.text;
        this.stopReason = details.stopReason;
    }
}
/** An answer as it arrives: loop over it for the pieces of the text. The first read starts the call. */
export class CompletionStream {
    #deltas;
    #outcome;
    /** @internal Made by `stream()`. */
    constructor(deltas) {
        this.#deltas = deltas;
    }
    /** Leaving the loop ends the model's turn. */
    async *[Symbol.asyncIterator]() {
        try {
            for (;;) {
                const text = await this.#next();
                if (text === undefined)
                    return;
                yield text;
            }
        }
        finally {
            if (this.#outcome === undefined)
                await this.#leave();
        }
    }
    /** Reads the rest, and returns the whole answer with model, stop reason and usage. */
    async final() {
        while ((await this.#next()) !== undefined)
            ;
        if (this.#outcome !== undefined && 'completion' in this.#outcome)
            return this.#outcome.completion;
        throw this.#outcome?.error;
    }
    /** Undefined at the end. */
    async #next() {
        if (this.#outcome !== undefined) {
            if ('error' in this.#outcome)
                throw this.#outcome.error;
            return undefined;
        }
        try {
            const { done, value } = await this.#deltas.next();
            if (!done)
                return value;
            this.#outcome = { completion: value };
            return undefined;
        }
        catch (error) {
            this.#outcome = { error };
            throw error;
        }
    }
    async #leave() {
        this.#outcome = { error: new ClaudeRelayError('aborted', 'The stream was closed before its end.') };
        await this.#deltas.return(undefined);
    }
}
/** A relay, by its URL and a key. The functions below take both from the environment. */
export class ClaudeRelay {
    #url;
    #proxy;
    #key;
    #defaults;
    /** Throws `bad_config` in a browser, if the URL or the key is missing or not valid, or if the proxy is not valid. */
    constructor(options = {}) {
        refuseBrowsers();
        this.#url = relayUrl(options.url ?? environment('CLAUDE_RELAY_URL'));
        this.#proxy = proxyOf(new URL(this.#url));
        this.#key = relayKey(options.key ?? environment('CLAUDE_RELAY_KEY'));
        const { timeoutMs, maxRetries, maxRetryWaitMs } = options;
        this.#defaults = { timeoutMs, maxRetries, maxRetryWaitMs };
    }
    async complete(options) {
        return (await this.#ask(options, true).final()).value;
    }
    completeWithDetails(options) {
        return this.#ask(options, true).final();
    }
    stream(options) {
        return this.#ask(options, false);
    }
    /** Gets a public page through the relay's address, without a model. */
    async fetchPage(page) {
        const options = typeof page === 'string' ? { url: page } : page;
        const body = {
            url: options.url,
            format: options.format,
            max_bytes: options.maxBytes,
            strip: options.strip,
            timeout_ms: options.pageTimeoutMs,
            accept_language: options.acceptLanguage,
            user_agent: options.userAgent,
        };
        const { ok: _, ...answer } = await this.#json('POST', '/v1/fetch', (page) => 'final_url' in page, body, options);
        return camelKeys(answer);
    }
    /** The models that this key may use. */
    async models(options = {}) {
        const { data } = await this.#json('GET', '/v1/models', isModelList, undefined, options);
        return data.map(({ id, display_name: displayName }) => ({
            id,
            displayName,
        }));
    }
    #ask(options, whole) {
        return new CompletionStream(this.#deltas(options, whole));
    }
    /**
     * Yields the answer's pieces, and returns the whole answer. Always asks for a stream: its pings keep a tunnel from cutting a long answer.
     * `whole`: the caller does not see the pieces, so even an answer that broke off can be requested again.
     */
    async *#deltas(options, whole) {
        const { schema } = options;
        const asJson = options.outputFormat === 'json' || schema !== undefined;
        const body = JSON.stringify({
            prompt: options.prompt,
            messages: options.messages,
            system: options.system,
            model: options.model,
            output_format: 'json',
            stream: true,
            schema,
            effort: options.effort,
            max_tokens: options.maxTokens,
            temperature: options.temperature,
            stop: options.stop,
        });
        const given = idempotencyKey(options.idempotencyKey);
        const call = new Call(this.#defaults, options);
        const key = given ?? (whole && call.mayRetry ? randomId() : undefined);
        const headers = key === undefined ? {} : { 'idempotency-key': key };
        try {
            for (;;) {
                let begun = false;
                try {
                    const answer = await this.#send(call, 'POST', '/v1/complete', body, headers);
                    const pieces = readAnswer(answer);
                    for (;;) {
                        const { done, value } = await pieces.next();
                        if (done)
                            return completionOf(value, answer, asJson && schema === undefined);
                        begun = true;
                        yield value;
                    }
                }
                catch (thrown) {
                    const error = call.errorOf(thrown);
                    if (begun && !whole)
                        throw error;
                    await call.waitToRetry(error, key !== undefined);
                }
            }
        }
        finally {
            call.end();
        }
    }
    /** A call whose answer is one JSON object. `fits` checks that the object is a relay's answer. */
    async #json(method, path, fits, body, options) {
        const call = new Call(this.#defaults, options);
        try {
            for (;;) {
                try {
                    const text = body === undefined ? undefined : JSON.stringify(body);
                    const answer = await this.#send(call, method, path, text);
                    return ofRelay(object(await answer.text()), fits, answer);
                }
                catch (thrown) {
                    await call.waitToRetry(call.errorOf(thrown), true);
                }
            }
        }
        finally {
            call.end();
        }
    }
    async #send(call, method, path, body, headers = {}) {
        const bytes = body === undefined ? undefined : new TextEncoder().encode(body);
        const answer = await exchange({
            relay: this.#url,
            path,
            proxy: this.#proxy,
            signal: call.signal,
            method,
            headers: {
                ...headers,
                authorization: `Bearer ${this.#key}`,
                'accept-encoding': 'identity',
                // Some tunnels refuse a request without a user agent.
                'user-agent': 'claude-relay-client',
                ...(bytes && { 'content-type': 'application/json', 'content-length': String(bytes.length) }),
            },
            body: bytes,
        });
        if (!answer.ok)
            throw await errorOfAnswer(this.#url, path, answer);
        return answer;
    }
}
export async function complete(options) {
    return new ClaudeRelay().complete(options);
}
export async function completeWithDetails(options) {
    return new ClaudeRelay().completeWithDetails(options);
}
export function stream(options) {
    return new ClaudeRelay().stream(options);
}
/** `ClaudeRelay.fetchPage` with the URL and the key from the environment. */
export async function fetchPage(page) {
    return new ClaudeRelay().fetchPage(page);
}
/** `ClaudeRelay.models` with the URL and the key from the environment. */
export async function models(options = {}) {
    return new ClaudeRelay().models(options);
}
/** One call from its start to its end: its time limit, its signal and its retries. */
class Call {
    #stop = new AbortController();
    #endsAt;
    #maxRetries;
    #maxRetryWaitMs;
    #timer;
    #callerSignal;
    #onAbort;
    #retries = 0;
    constructor(defaults, options) {
        const timeoutMs = options.timeoutMs ?? defaults.timeoutMs ?? defaultTimeoutMs;
        this.#endsAt = Date.now() + timeoutMs;
        this.#maxRetries = options.maxRetries ?? defaults.maxRetries ?? defaultMaxRetries;
        this.#maxRetryWaitMs = options.maxRetryWaitMs ?? defaults.maxRetryWaitMs ?? defaultMaxRetryWaitMs;
        this.#timer = setTimeout(() => this.#stop.abort(new ClaudeRelayError('client_timeout', `No complete answer within ${timeoutMs} ms. Raise timeoutMs, or ask for less.`)), 
        // The longest time that a timer supports.
        Math.min(timeoutMs, 2 ** 31 - 1));
        this.#callerSignal = options.signal;
        this.#onAbort = () => this.#stop.abort(new ClaudeRelayError('aborted', 'The call was aborted by its signal.', {
            cause: options.signal?.reason,
        }));
        if (options.signal?.aborted === true)
            this.#onAbort();
        options.signal?.addEventListener('abort', this.#onAbort);
    }
    get signal() {
        return this.#stop.signal;
    }
    /** The error for the caller: the reason of the abort, if the call was aborted. */
    errorOf(thrown) {
        if (this.signal.aborted)
            return this.signal.reason;
        if (thrown instanceof ClaudeRelayError)
            return thrown;
        return new ClaudeRelayError('connection_lost', `The connection was lost: ${reason(thrown)}.`, {
            cause: thrown,
        });
    }
    get mayRetry() {
        return this.#retries < this.#maxRetries;
    }
    /** Waits before a retry; throws `error` if the call cannot be retried. `repeatable`: a retry cannot cost more tokens. */
    async waitToRetry(error, repeatable) {
        if (this.signal.aborted || !this.mayRetry || !mayPass(error, repeatable))
            throw error;
        // A bit longer than `retry-after`, and not the same for every client.
        const waitMs = error.retryAfter === undefined
            ? Math.min(500 * 2 ** this.#retries, 8_000) * (0.75 + Math.random() / 2)
            : error.retryAfter * 1000 + Math.random() * 250;
        if (waitMs > this.#maxRetryWaitMs + 250 || Date.now() + waitMs >= this.#endsAt)
            throw error;
        this.#retries += 1;
        await new Promise((resolve) => {
            const wake = () => {
                clearTimeout(timer);
                this.signal.removeEventListener('abort', wake);
                resolve();
            };
            const timer = setTimeout(wake, waitMs);
            this.signal.addEventListener('abort', wake);
        });
        if (this.signal.aborted)
            throw this.signal.reason;
    }
    /** Closes the connection if it is still open. */
    end() {
        clearTimeout(this.#timer);
        this.#callerSignal?.removeEventListener('abort', this.#onAbort);
        this.#stop.abort(new ClaudeRelayError('aborted', 'The call is over.'));
    }
}
/** Temporary failures that cost nothing. The relay sends `x-should-retry: false` if one of them lasts longer than a minute. */
const passing = new Set([
    'rate_limited',
    'upstream_overloaded',
    'not_ready',
    'shutting_down',
]);
/** Temporary failures that may have cost tokens. */
const spending = new Set(['connection_failed', 'connection_lost', 'upstream_error']);
/** Statuses of a tunnel or a proxy while the relay behind it restarts. */
const passingStatuses = new Set([429, 502, 503]);
/** Errors of calls that failed before any part of the request was sent. */
const unsent = new WeakSet();
function mayPass(error, repeatable) {
    if (error.shouldRetry !== undefined)
        return error.shouldRetry;
    if (passing.has(error.code))
        return true;
    if (error.code === 'not_a_relay')
        return passingStatuses.has(error.status ?? 0);
    if (unsent.has(error))
        return true;
    return repeatable && spending.has(error.code);
}
/** Milliseconds until a connection must be open, including its tunnel and TLS. */
const connectTimeoutMs = 30_000;
/** The most bytes of an answer and of its headers. A relay's answers are far smaller. */
const maxAnswerBytes = 64 * 1024 * 1024;
const maxHeaderBytes = 65_536;
/**
 * One request on its own connection, up to the head of its answer. `fetch` is not enough: in Bun it gives the key of a relay on this
 * host to the proxy of the environment, and each runtime's `fetch` differs in proxies, time limits and error names.
 */
async function exchange({ relay, path, proxy, signal, method, headers, body }) {
    const url = new URL(relay + path);
    const secure = url.protocol === 'https:';
    // `as string`: a compiler without the types of Node.js knows no such module.
    /* oxlint-disable typescript/no-unnecessary-type-assertion */
    const http = (await import('node:http'));
    const net = (await import('node:net'));
    const tls = (await import('node:tls'));
    /* oxlint-enable typescript/no-unnecessary-type-assertion */
    let request;
    let connected = false;
    let timer;
    try {
        return await new Promise((resolve, reject) => {
            const stop = () => {
                request?.destroy();
                reject(new Error(`no connection within ${connectTimeoutMs / 1000} s`));
            };
            const ask = (options, createConnection) => {
                // An agent without a proxy, whatever the environment says.
                const agent = Object.assign(new http.Agent({ proxyEnv: {} }), { createConnection });
                request = http.request({ ...options, agent });
                request.on('error', reject);
                return request;
            };
            const send = (tunnel) => {
                const used = secure ? tls.connect(securing(url, tunnel)) : net.connect(addressOf(url));
                used.on(secure ? 'secureConnect' : 'connect', () => {
                    connected = true;
                    clearTimeout(timer);
                });
                const options = {
                    method,
                    path: url.pathname,
                    headers: { host: url.host, ...headers },
                    maxHeaderSize: maxHeaderBytes,
                };
                const sent = ask(options, () => used);
                sent.on('response', (message) => resolve(new Answer(url.href, message)));
                sent.on('upgrade', ({ statusCode }, socket) => {
                    socket.destroy();
                    reject(notARelay(url.href, statusCode));
                });
                sent.end(body);
            };
            if (signal.aborted)
                return stop();
            // After the head has arrived, an abort ends the answer.
            signal.addEventListener('abort', stop);
            timer = setTimeout(stop, connectTimeoutMs);
            if (proxy === undefined)
                return send();
            const place = `${url.hostname}:${url.port || '443'}`;
            const connect = { method: 'CONNECT', path: place, headers: { host: place, ...credentials(proxy) } };
            const asked = ask(connect, () => net.connect(addressOf(proxy)));
            asked.on('connect', ({ statusCode }, socket) => {
                if (statusCode >= 200 && statusCode < 300)
                    return send(socket);
                socket.destroy();
                reject(refusedByProxy(relay, proxy, statusCode));
            });
            asked.end();
        });
    }
    catch (cause) {
        throw noAnswer(relay, proxy, cause, connected);
    }
    finally {
        clearTimeout(timer);
    }
}
function addressOf(url) {
    const port = Number(url.port || (url.protocol === 'https:' ? 443 : 80));
    return { host: unbracketed(url), port, autoSelectFamily: true };
}
/** The certificate is verified whatever the environment says, because only the relay may see the key. SNI cannot name an IP address. */
function securing(url, tunnel) {
    const host = unbracketed(url);
    const servername = /^[\d.]+$|:/.test(host) ? '' : host;
    return { ...addressOf(url), ...(tunnel && { socket: tunnel }), servername, rejectUnauthorized: true };
}
function unbracketed({ hostname }) {
    return hostname.replace(/^\[|\]$/g, '');
}
function credentials({ username, password }) {
    if (username === '' && password === '')
        return {};
    const bytes = new TextEncoder().encode(`${decodeURIComponent(username)}:${decodeURIComponent(password)}`);
    return { 'proxy-authorization': `Basic ${btoa(String.fromCharCode(...bytes))}` };
}
const isItRunning = 'Is it running, and is CLAUDE_RELAY_URL its URL?';
function refusedByProxy(relay, proxy, status) {
    return new ClaudeRelayError('connection_failed', `The proxy ${proxy.host} answered ${status} to the request for a connection to ${relay}. To bypass the proxy, add the relay's host to NO_PROXY.`, { status, shouldRetry: passingStatuses.has(status) });
}
/** The error for a missing answer. `connected`: a part of the request may have been sent. */
function noAnswer(relay, proxy, cause, connected) {
    if (cause instanceof ClaudeRelayError)
        return cause;
    const code = deepest(cause).code ?? '';
    const where = proxy === undefined ? relay : `${relay} (through the proxy ${proxy.host})`;
    if (code.startsWith('HPE_')) {
        const says = `${where} answered, but not as a claude-relay does: ${reason(cause)}. Is CLAUDE_RELAY_URL the relay's URL?`;
        return new ClaudeRelayError('not_a_relay', says, { cause });
    }
    if (/^(EPROTO$|ERR_SSL_|ERR_TLS_|UNABLE_TO_|HOSTNAME_|INVALID_|CRL_|PATH_)|CERT/.test(code)) {
        const says = `No secure connection to the relay at ${where}: ${reason(cause)}. Is CLAUDE_RELAY_URL its URL, with the name that its certificate has? For a private certificate authority, set NODE_EXTRA_CA_CERTS to its file.`;
        return new ClaudeRelayError('tls_failed', says, { cause });
    }
    const says = `No connection to the relay at ${where}: ${reason(cause)}. ${isItRunning}`;
    const error = new ClaudeRelayError('connection_failed', says, { cause });
    // A server that resets a connection may have read from it.
    if (!connected && code !== 'ECONNRESET')
        unsent.add(error);
    return error;
}
/** The innermost cause: an error can wrap its cause, and an error for several addresses has a cause for each. */
function deepest(thrown) {
    let error = thrown ?? {};
    for (;;) {
        const { cause, errors } = error;
        const deeper = cause ?? errors?.[0];
        if (deeper === undefined || deeper === null)
            return error;
        error = deeper;
    }
}
function reason(thrown) {
    const { message = 'unknown', code } = deepest(thrown);
    const text = message.replace(/\s+/g, ' ').trim();
    return code === undefined || text.includes(code) ? text : `${text} (${code})`.trim();
}
/** The head of an answer, and its body as it arrives. */
class Answer {
    url;
    status;
    #message;
    constructor(url, message) {
        this.url = url;
        this.status = message.statusCode;
        this.#message = message;
    }
    get ok() {
        return this.status >= 200 && this.status < 300;
    }
    get requestId() {
        return this.header('request-id');
    }
    header(name) {
        const value = this.#message.headers[name];
        return Array.isArray(value) ? value[0] : value;
    }
    /** A connection that ends before the body is `connection_lost`. */
    async *pieces() {
        const decoder = new TextDecoder();
        let bytes = 0;
        try {
            for await (const piece of this.#message) {
                bytes += piece.length;
                if (bytes > maxAnswerBytes)
                    throw notARelay(this.url, this.status, 'more than 64 MiB');
                yield decoder.decode(piece, { stream: true });
            }
        }
        catch (cause) {
            throw cause instanceof ClaudeRelayError ? cause : lost(this, cause);
        }
        yield decoder.decode();
    }
    async text() {
        let text = '';
        for await (const piece of this.pieces())
            text += piece;
        return text;
    }
}
function lost(answer, cause) {
    const why = cause === undefined ? '' : `: ${reason(cause)}`;
    return new ClaudeRelayError('connection_lost', `The connection ended before the answer did${why}.`, {
        requestId: answer.requestId,
        cause,
    });
}
function notARelay(url, status, what = String(status)) {
    return new ClaudeRelayError('not_a_relay', `${url} answered ${what}, but not as a claude-relay does. Is CLAUDE_RELAY_URL the relay's URL?`, { status });
}
/** The relay's advice about a retry. An error that it replayed for an idempotency key would only be replayed again. */
function retryAdvice(answer) {
    const advice = answer.header('x-should-retry');
    if (advice === 'true')
        return true;
    return advice === 'false' || answer.header('idempotent-replayed') === 'true' ? false : undefined;
}
function object(text) {
    try {
        const value = JSON.parse(text);
        return typeof value === 'object' && value !== null ? value : undefined;
    }
    catch {
        return undefined;
    }
}
/** The body of a 2xx. A relay's body has `ok: true`, and `fits`, because other servers also send `ok: true`. */
function ofRelay(body, fits, answer) {
    if (body?.['ok'] === true && fits(body))
        return body;
    throw notARelay(answer.url, answer.status);
}
function isModelList({ data }) {
    return Array.isArray(data) && data.every((row) => typeof row?.id === 'string');
}
function isCompletion(body) {
    return ['result', 'model', 'resolved_model', 'stop_reason', 'duration_ms', 'usage'].every((field) => field in body);
}
async function errorOfAnswer(url, path, answer) {
    const { status } = answer;
    const text = await answer.text();
    const shouldRetry = retryAdvice(answer);
    const retryAfter = secondsOf(answer.header('retry-after'));
    const body = object(text);
    if (body?.['ok'] === false && typeof body['error'] === 'string') {
        const error = errorOfBody(body, { status, shouldRetry, retryAfter, requestId: answer.requestId });
        // The client sets the path: if it is not found, the path of the base URL is wrong.
        if (error.code !== 'not_found' || new URL(url).pathname === '/')
            return error;
        const hint = `${error.message} Is the path of CLAUDE_RELAY_URL right (${url})?`;
        return new ClaudeRelayError('not_found', hint, error);
    }
    const location = answer.header('location');
    return new ClaudeRelayError('not_a_relay', `${url} answered ${status}, but not as a claude-relay does. ${location === undefined
        ? 'Is the relay running behind it, and is CLAUDE_RELAY_URL its URL?'
        : `It redirects to ${placeOf(location, answer.url, path)}: if the relay is there, set CLAUDE_RELAY_URL to that.`}`, { status, shouldRetry, retryAfter });
}
/** The target of a redirect, without the request's path, and without the query that a login page adds. */
function placeOf(location, from, path) {
    try {
        const { protocol, host, pathname } = new URL(location, from);
        return `${protocol}//${host}${pathname.endsWith(path) ? pathname.slice(0, -path.length) : pathname}`;
    }
    catch {
        return location;
    }
}
/** The relay's error, from a response or from a stream. */
function errorOfBody(body, details) {
    const { error, message, request_id: id, retry_after: retryAfter, limit, hop } = body;
    const says = typeof message === 'string' ? message : 'No reason was given.';
    return new ClaudeRelayError(String(error), says, {
        ...details,
        ...(typeof id === 'string' ? { requestId: id } : {}),
        ...(typeof retryAfter === 'number' ? { retryAfter } : {}),
        ...(typeof limit === 'string' ? { limit } : {}),
        ...(typeof hop === 'number' ? { hop } : {}),
    });
}
/** `Retry-After`: seconds, or a date in HTTP's format. Anything else is ignored. */
function secondsOf(header) {
    if (header === undefined)
        return undefined;
    if (/^\d+$/.test(header))
        return Number(header);
    if (!/^\w{3}, \d{2} \w{3} \d{4} \d{2}:\d{2}:\d{2} GMT$/.test(header))
        return undefined;
    const seconds = (Date.parse(header) - Date.now()) / 1000;
    return Number.isNaN(seconds) ? undefined : Math.max(0, seconds);
}
/** Yields the pieces of an answer as they arrive, and returns its `done` event. */
async function* readAnswer(answer) {
    if (!/^text\/event-stream\b/i.test(answer.header('content-type') ?? '')) {
        return ofRelay(object(await answer.text()), isCompletion, answer);
    }
    for await (const data of eventData(answer)) {
        const event = object(data) ?? {};
        if (event['type'] === 'delta' && typeof event['text'] === 'string')
            yield event['text'];
        if (event['type'] === 'done')
            return ofRelay(event, isCompletion, answer);
        if (event['type'] === 'error' && typeof event['error'] === 'string') {
            throw errorOfBody(event, { requestId: answer.requestId, shouldRetry: retryAdvice(answer) });
        }
    }
    throw lost(answer);
}
/** The data of each server-sent event, without comments (the relay's pings). */
async function* eventData(answer) {
    let rest = '';
    let data = [];
    for await (const piece of answer.pieces()) {
        const lines = piece.split('\n');
        lines[0] = rest + (lines[0] ?? '');
        rest = lines.pop() ?? '';
        for (const line of lines.map((each) => each.replace(/\r$/, ''))) {
            if (line.startsWith('data:'))
                data.push(line.slice('data:'.length).replace(/^ /, ''));
            if (line === '' && data.length > 0) {
                yield data.join('\n');
                data = [];
            }
        }
    }
}
/** `parse`: the value is JSON in the model's text. Otherwise it is the relay's `result`. */
function completionOf(done, answer, parse) {
    const stopReason = String(done['stop_reason']);
    const id = answer.requestId;
    return {
        value: parse ? parseJson(String(done['result']), stopReason, id) : done['result'],
        model: String(done['model']),
        resolvedModel: String(done['resolved_model']),
        ...(typeof done['fallback_from'] === 'string' && { fallbackFrom: done['fallback_from'] }),
        stopReason,
        durationMs: Number(done['duration_ms']),
        usage: camelKeys(done['usage']),
        requestId: id,
    };
}
/** Models often put JSON into a Markdown fence: a fence around the whole text is removed. */
function parseJson(text, stopReason, id) {
    const trimmed = text.trim();
    const [first = ''] = trimmed.split('\n', 1);
    const fenced = /^```(?:json)?\s*$/i.test(first) && trimmed.endsWith('```') && trimmed.length > first.length;
    try {
        return JSON.parse(fenced ? trimmed.slice(first.length, -'```'.length) : trimmed);
    }
    catch (cause) {
        const cut = stopReason === 'max_tokens' ? ' It was cut off at its token limit (max_tokens).' : '';
        throw new ClaudeRelayError('not_json', `The model's answer is not JSON.${cut} Ask for JSON in the prompt, or give a schema; the answer is in this error's text.`, { text, stopReason, requestId: id, cause });
    }
}
/** Field names in camel case. Keys that are data (names of models, properties of a page) stay unchanged. */
function camelKeys(value, keysAreData = false) {
    if (Array.isArray(value))
        return value.map((each) => camelKeys(each));
    if (typeof value !== 'object' || value === null)
        return value;
    return Object.fromEntries(Object.entries(value).map(([key, each]) => [
        keysAreData ? key : key.replace(/_([a-z0-9])/g, (_, letter) => letter.toUpperCase()),
        camelKeys(each, key === 'open_graph'),
    ]));
}
const runtime = globalThis;
function environment(name) {
    return runtime.process?.env?.[name] ?? runtime.Deno?.env.get(name);
}
function refuseBrowsers() {
    const { process, Deno, window, importScripts, navigator } = runtime;
    if (process?.versions?.node !== undefined || Deno !== undefined)
        return;
    const page = window?.document !== undefined;
    if (!page && typeof importScripts !== 'function' && navigator?.product !== 'ReactNative')
        return;
    throw new ClaudeRelayError('bad_config', 'claude-relay is for the server side only: in a browser everyone could read your key. Call your server from here, and the relay from your server.');
}
function relayUrl(given) {
    const text = given?.trim() ?? '';
    const says = (what) => new ClaudeRelayError('bad_config', `${what} Set CLAUDE_RELAY_URL (or the option url) to the relay's URL, such as http://127.0.0.1:8799.`);
    if (text === '')
        throw says('No relay URL is set.');
    let url;
    try {
        url = new URL(text);
    }
    catch {
        throw says(`"${text}" is not a URL.`);
    }
    if (!/^https?:\/\//i.test(text))
        throw says(`"${text}" is not an http or https URL.`);
    if (url.username !== '' || url.password !== '')
        throw says('The relay URL must have no user name and no password.');
    // The base URL for the OpenAI SDKs ends with /v1, and is accepted here too.
    return url.origin + url.pathname.replace(/\/+$/, '').replace(/\/v1$/, '');
}
/**
 * The proxy on the way to a relay, if there is one. It is used only for https, through a tunnel in which it sees no key, and never for
 * this host.
 */
function proxyOf(relay) {
    const { protocol, hostname, port } = relay;
    if (protocol !== 'https:' || /^(.+\.)?localhost$|^127\.|^\[::1\]$/.test(hostname))
        return undefined;
    const setting = (name) => environment(name.toLowerCase()) || environment(name) || '';
    const text = (setting('HTTPS_PROXY') || setting('ALL_PROXY')).trim();
    const hosts = [hostname, unbracketed(relay)].flatMap((host) => [host, `${host}:${port || '443'}`]);
    const without = (entry) => entry === '*' || hosts.some((host) => `.${host}`.endsWith(`.${entry.replace(/^\*?\./, '')}`));
    const listed = setting('NO_PROXY')
        .toLowerCase()
        .split(/[\s,]+/);
    if (text === '' || listed.some((entry) => entry !== '' && without(entry)))
        return undefined;
    try {
        const proxy = new URL(text.includes('://') ? text : `http://${text}`);
        credentials(proxy);
        if (proxy.protocol === 'http:' && proxy.hostname !== '')
            return proxy;
    }
    catch {
        // Reported below, without the URL, which can contain a password.
    }
    throw new ClaudeRelayError('bad_config', `The proxy in HTTPS_PROXY or ALL_PROXY is not an http:// URL. Set an http:// URL, or add ${hostname} to NO_PROXY.`);
}
/** Checks only that a header can carry the key; the relay checks the rest. */
function idempotencyKey(given) {
    if (given === undefined || /^[\x21-\x7e]+$/.test(given))
        return given;
    throw new ClaudeRelayError('bad_config', 'The idempotency key is not valid. Use printable ASCII characters without spaces.');
}
function relayKey(given) {
    const key = given?.trim() ?? '';
    if (/^[\x21-\x7e]+$/.test(key))
        return key;
    throw new ClaudeRelayError('bad_config', `${key === '' ? 'No key is set.' : 'The key is not valid.'} Create a key on the relay's host (claude-relay key create my-app) and set CLAUDE_RELAY_KEY (or the option key).`);
}
/** Node.js 18 has no `crypto.randomUUID` without a flag. The id only has to differ from the other ids of this relay key. */
function randomId() {
    const part = () => Math.random().toString(36).slice(2);
    return runtime.crypto?.randomUUID?.() ?? `${Date.now().toString(36)}-${part()}-${part()}`;
}
