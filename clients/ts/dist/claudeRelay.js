/**
 * claude-relay from TypeScript. One file: copy it into your project, or install the package it is in. Nothing else is needed.
 *
 * For the server side only (Node.js 18 or newer, Bun, Deno): in a browser everyone could read your key, so there it throws.
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
/** Milliseconds for a whole call, with its retries and what it waits between them. */
export const defaultTimeoutMs = 600_000;
/** How often a call is repeated after a failure that may pass. */
export const defaultMaxRetries = 2;
/** Milliseconds that are waited for one retry at most. A relay that asks for more gets no retry: the error is thrown at once. */
export const defaultMaxRetryWaitMs = 60_000;
/** The one error of this client. Decide by `code`; `message` is a sentence for people. */
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
/** An answer as it comes: loop over it for the text, piece by piece. Starts when it is read. */
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
    /** Reads what is left; then the whole answer, with model, stop reason and usage. */
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
        this.#outcome = { error: new ClaudeRelayError('aborted', 'The stream was left before its end.') };
        await this.#deltas.return(undefined);
    }
}
/** A relay and a key of it. The functions below do the same with what the environment names. */
export class ClaudeRelay {
    #url;
    #key;
    #defaults;
    /** Throws `bad_config` in a browser and where the URL or the key is missing or none. */
    constructor(options = {}) {
        refuseBrowsers();
        this.#url = relayUrl(options.url ?? environment('CLAUDE_RELAY_URL'));
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
    /** A public page, through the relay's address. No model takes part. */
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
        const { ok: _, ...answer } = await this.#json('POST', '/v1/fetch', 'final_url', body, options);
        return camelKeys(answer);
    }
    /** The models that this key may use. */
    async models(options = {}) {
        const { data } = await this.#json('GET', '/v1/models', 'data', undefined, options);
        return data.map(({ id, display_name: displayName }) => ({
            id,
            displayName,
        }));
    }
    /** This key's limits, what is left of them, and what it used. */
    async usage(options = {}) {
        const { ok: _, ...answer } = await this.#json('GET', '/v1/usage', 'limits', undefined, options);
        return camelKeys(answer);
    }
    #ask(options, whole) {
        return new CompletionStream(this.#deltas(options, whole));
    }
    /**
     * The answer's pieces, then all of it. Always asks for a stream: its pings keep a long answer from being cut by a tunnel, or by
     * the 300 s after which Node.js gives up waiting for headers. `whole`: nobody sees the pieces, so that even an answer that broke
     * off can be asked for again.
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
        const call = new Call(this.#defaults, options);
        const key = options.idempotencyKey ?? (whole && call.mayRetry ? randomId() : undefined);
        const headers = key === undefined ? {} : { 'idempotency-key': key };
        try {
            for (;;) {
                let begun = false;
                try {
                    const response = await this.#send(call, 'POST', '/v1/complete', body, headers);
                    const answer = readAnswer(response);
                    for (;;) {
                        const { done, value } = await answer.next();
                        if (done)
                            return completionOf(value, response, asJson && schema === undefined);
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
    /** A call whose answer is one JSON object, with this field. */
    async #json(method, path, field, body, options) {
        const call = new Call(this.#defaults, options);
        try {
            for (;;) {
                try {
                    const text = body === undefined ? undefined : JSON.stringify(body);
                    const response = await this.#send(call, method, path, text);
                    return ofRelay(object(await bodyText(response)), field, response);
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
        let response;
        try {
            response = await fetch(this.#url + path, {
                method,
                headers: {
                    ...headers,
                    authorization: `Bearer ${this.#key}`,
                    ...(body === undefined ? {} : { 'content-type': 'application/json' }),
                },
                ...(body === undefined ? {} : { body }),
                // A relay sends no redirect, and a key is not for whoever does.
                redirect: 'manual',
                signal: call.signal,
            });
        }
        catch (cause) {
            throw unreachable(this.#url, cause);
        }
        if (!response.ok)
            throw await errorOfResponse(this.#url, response);
        return response;
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
/** `ClaudeRelay.fetchPage` with the relay and the key that the environment names. */
export async function fetchPage(page) {
    return new ClaudeRelay().fetchPage(page);
}
/** `ClaudeRelay.models` with the relay and the key that the environment names. */
export async function models(options = {}) {
    return new ClaudeRelay().models(options);
}
/** `ClaudeRelay.usage` with the relay and the key that the environment names. */
export async function usage(options = {}) {
    return new ClaudeRelay().usage(options);
}
/** One call from its start to its end: its time, its signal, and its retries. */
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
        this.#timer = setTimeout(() => this.#stop.abort(new ClaudeRelayError('client_timeout', `No whole answer within ${timeoutMs} ms. Raise timeoutMs, or ask for less.`)), 
        // The longest that a timer takes.
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
    /** What a caller is told: that the call was ended, where that is why something failed. */
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
    /** Resolves when the call shall be tried again; throws `error` when it shall not. `repeatable`: a second time costs nothing more. */
    async waitToRetry(error, repeatable) {
        if (this.signal.aborted || !this.mayRetry || !mayPass(error, repeatable))
            throw error;
        // A bit more than was told, and not the same for everyone who was told it.
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
/** Failures that cost nothing and may pass. Of these, `x-should-retry: false` takes out what takes longer than a minute. */
const passing = new Set([
    'rate_limited',
    'upstream_overloaded',
    'not_ready',
    'shutting_down',
]);
/** Failures that may pass, and may have cost something. */
const spending = new Set(['connection_failed', 'connection_lost', 'upstream_error']);
/** What a tunnel or a proxy answers while the relay behind it restarts. */
const passingStatuses = new Set([429, 502, 503]);
/** Reasons for which nothing was sent, in the words of Node.js, Deno and Bun. */
const neverSent = /ECONNREFUSED|ENOTFOUND|EAI_AGAIN|Connection refused|dns error|ConnectionRefused|FailedToOpenSocket/;
function mayPass(error, repeatable) {
    if (error.shouldRetry !== undefined)
        return error.shouldRetry;
    if (passing.has(error.code))
        return true;
    if (error.code === 'not_a_relay')
        return passingStatuses.has(error.status ?? 0);
    if (error.code === 'connection_failed' && neverSent.test(reason(error.cause)))
        return true;
    return repeatable && spending.has(error.code);
}
/** A fetch that got no answer. */
function unreachable(url, cause) {
    return new ClaudeRelayError('connection_failed', `No connection to the relay at ${url}: ${reason(cause)}. Is it running, and is CLAUDE_RELAY_URL its URL?`, { cause });
}
/** `fetch failed` says nothing: the reason is in its cause, and of several addresses in the first one's error. */
function reason(thrown) {
    let error = thrown ?? {};
    for (;;) {
        const { cause, errors } = error;
        const deeper = cause ?? errors?.[0];
        if (deeper === undefined || deeper === null)
            break;
        error = deeper;
    }
    const { message = 'unknown', code } = error;
    return code === undefined || message.includes(code) ? message : `${message} (${code})`.trim();
}
/** The whole body; a connection that ends before it does is `connection_lost`. */
async function bodyText(response) {
    try {
        return await response.text();
    }
    catch (cause) {
        throw lost(response, cause);
    }
}
function lost(response, cause) {
    const why = cause === undefined ? '' : `: ${reason(cause)}`;
    return new ClaudeRelayError('connection_lost', `The connection ended before the answer did${why}.`, {
        requestId: requestId(response),
        cause,
    });
}
/** What the relay says of a retry. What it repeats for an idempotency key it will repeat again. */
function retryAdvice({ headers }) {
    const advice = headers.get('x-should-retry');
    if (advice === 'true')
        return true;
    return advice === 'false' || headers.get('idempotent-replayed') === 'true' ? false : undefined;
}
function requestId(response) {
    return response.headers.get('request-id') ?? undefined;
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
/** The body of a 2xx: a relay's has `ok: true`, as others have, and this field. */
function ofRelay(body, field, response) {
    if (body?.['ok'] === true && field in body)
        return body;
    throw new ClaudeRelayError('not_a_relay', `${response.url} answered ${response.status}, but not as a claude-relay does. Is CLAUDE_RELAY_URL the relay's URL?`, { status: response.status });
}
async function errorOfResponse(url, response) {
    const { status, headers } = response;
    const text = await bodyText(response);
    const shouldRetry = retryAdvice(response);
    const retryAfter = secondsOf(headers.get('retry-after'));
    const body = object(text);
    if (body?.['ok'] === false && typeof body['error'] === 'string') {
        const error = errorOfBody(body, { status, shouldRetry, retryAfter, requestId: requestId(response) });
        // The path is the client's: where there is nothing, the URL has a path that does not belong there.
        if (error.code !== 'not_found' || new URL(url).pathname === '/')
            return error;
        const hint = `${error.message} Is the path of CLAUDE_RELAY_URL right (${url})?`;
        return new ClaudeRelayError('not_found', hint, error);
    }
    const location = headers.get('location');
    return new ClaudeRelayError('not_a_relay', `${url} answered ${status}, but not as a claude-relay does. ${location === null
        ? 'Is the relay running behind it, and is CLAUDE_RELAY_URL its URL?'
        : `It redirects to ${location}: if the relay is there, set CLAUDE_RELAY_URL to that.`}`, { status, shouldRetry, retryAfter });
}
/** An error as the relay says it, in a response or in a stream. */
function errorOfBody(body, details) {
    const { error, message, request_id: id, retry_after: retryAfter, limit, hop } = body;
    return new ClaudeRelayError(error, String(message), {
        ...details,
        ...(typeof id === 'string' ? { requestId: id } : {}),
        ...(typeof retryAfter === 'number' ? { retryAfter } : {}),
        ...(typeof limit === 'string' ? { limit: limit } : {}),
        ...(typeof hop === 'number' ? { hop } : {}),
    });
}
/** `Retry-After`: seconds, or a date. */
function secondsOf(header) {
    if (header === null)
        return undefined;
    const seconds = /^\d+$/.test(header) ? Number(header) : (Date.parse(header) - Date.now()) / 1000;
    return Number.isNaN(seconds) ? undefined : Math.max(0, seconds);
}
/** The pieces of an answer as they come, then its `done` event. */
async function* readAnswer(response) {
    if (!/^text\/event-stream\b/i.test(response.headers.get('content-type') ?? '')) {
        return ofRelay(object(await bodyText(response)), 'stop_reason', response);
    }
    for await (const data of eventData(response)) {
        const event = object(data) ?? {};
        if (event['type'] === 'delta' && typeof event['text'] === 'string')
            yield event['text'];
        if (event['type'] === 'done')
            return ofRelay(event, 'stop_reason', response);
        if (event['type'] === 'error' && typeof event['error'] === 'string') {
            throw errorOfBody(event, { requestId: requestId(response), shouldRetry: retryAdvice(response) });
        }
    }
    throw lost(response);
}
/** The data of each server-sent event. Comments (the relay's pings) are none. */
async function* eventData(response) {
    let rest = '';
    let data = [];
    for await (const piece of textPieces(response)) {
        const lines = (rest + piece).split('\n');
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
async function* textPieces(response) {
    const reader = response.body?.getReader();
    if (reader === undefined)
        return;
    const decoder = new TextDecoder();
    for (;;) {
        const { done, value } = await reader.read().catch((cause) => {
            throw lost(response, cause);
        });
        if (done)
            return;
        yield decoder.decode(value, { stream: true });
    }
}
/** `parse`: the value is JSON in the model's text. Otherwise it is what the relay calls the result. */
function completionOf(done, response, parse) {
    const stopReason = String(done['stop_reason']);
    const id = requestId(response);
    return {
        value: parse ? parseJson(String(done['result']), stopReason, id) : done['result'],
        model: String(done['model']),
        resolvedModel: String(done['resolved_model']),
        stopReason,
        durationMs: Number(done['duration_ms']),
        usage: camelKeys(done['usage']),
        requestId: id,
    };
}
/** Models like to put JSON into a Markdown fence: one around all of it is taken off. */
function parseJson(text, stopReason, id) {
    const trimmed = text.trim();
    const [first = ''] = trimmed.split('\n', 1);
    const fenced = /^```(?:json)?\s*$/i.test(first) && trimmed.endsWith('```') && trimmed.length > first.length;
    try {
        return JSON.parse(fenced ? trimmed.slice(first.length, -'```'.length) : trimmed);
    }
    catch (cause) {
        const cut = stopReason === 'max_tokens' ? ' It was cut at the most tokens it may have (max_tokens).' : '';
        throw new ClaudeRelayError('not_json', `The model's answer is not JSON.${cut} Ask for JSON in the prompt, or give a schema; the answer is in this error's text.`, { text, stopReason, requestId: id, cause });
    }
}
/** Names of fields as this language writes them. Keys that are data (names of models, properties of a page) stay. */
function camelKeys(value, keysAreData = false) {
    if (Array.isArray(value))
        return value.map((each) => camelKeys(each));
    if (typeof value !== 'object' || value === null)
        return value;
    return Object.fromEntries(Object.entries(value).map(([key, each]) => [
        keysAreData ? key : key.replace(/_([a-z0-9])/g, (_, letter) => letter.toUpperCase()),
        camelKeys(each, key === 'models' || key === 'open_graph'),
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
    throw new ClaudeRelayError('bad_config', 'claude-relay is for the server side only: here everyone could read your key. Call it from your server, and your server from here.');
}
function relayUrl(given) {
    const text = given?.trim() ?? '';
    const says = (what) => new ClaudeRelayError('bad_config', `${what} Set CLAUDE_RELAY_URL (or the option url) to the relay's URL, such as http://127.0.0.1:8799.`);
    if (text === '')
        throw says('No URL of a relay is set.');
    let url;
    try {
        url = new URL(text);
    }
    catch {
        throw says(`"${text}" is not a URL.`);
    }
    if (url.protocol !== 'http:' && url.protocol !== 'https:')
        throw says(`"${text}" is not an http or https URL.`);
    if (url.username !== '' || url.password !== '')
        throw says('The URL of a relay has no user name and no password.');
    // The base URL of the OpenAI SDKs ends with /v1; whoever has that one is understood.
    return url.origin + url.pathname.replace(/\/+$/, '').replace(/\/v1$/, '');
}
function relayKey(given) {
    const key = given?.trim() ?? '';
    if (/^[\x21-\x7e]+$/.test(key))
        return key;
    throw new ClaudeRelayError('bad_config', `${key === '' ? 'No key is set.' : 'The key is none.'} Make one on the relay's host (bin/genkey my-app) and set CLAUDE_RELAY_KEY (or the option key).`);
}
/** Node.js 18 has no `crypto.randomUUID` without a flag; it only has to be different from this key's others. */
function randomId() {
    const part = () => Math.random().toString(36).slice(2);
    return runtime.crypto?.randomUUID?.() ?? `${Date.now().toString(36)}-${part()}-${part()}`;
}
