// Generated from claudeRelay.ts by npm run build:client.
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
export declare const defaultTimeoutMs = 600000;
/** How often a call is repeated after a failure that may pass. */
export declare const defaultMaxRetries = 2;
/** Milliseconds that are waited for one retry at most. A relay that asks for more gets no retry: the error is thrown at once. */
export declare const defaultMaxRetryWaitMs = 60000;
export type ErrorDetails = {
    /** HTTP status, where there was an answer. */
    status?: number | undefined;
    /** The relay's id of the request, as in its log. */
    requestId?: string | undefined;
    /** Seconds after which a retry can work. */
    retryAfter?: number | undefined;
    /** Which limit refused the request. */
    limit?: string | undefined;
    /** Whether a retry can work, where the relay (`x-should-retry`) or a proxy on the way said so. */
    shouldRetry?: boolean | undefined;
    /** Of a page fetch: after how many redirects it happened. */
    hop?: number | undefined;
    /** With `not_json`: the model's text, exactly. */
    text?: string | undefined;
    /** With `not_json`: why the model stopped. `max_tokens` means that the text was cut. */
    stopReason?: string | undefined;
    cause?: unknown;
};
/**
 * The one error of this client. Decide by `code`; `message` is a sentence for people.
 *
 * `code` is one of the relay's (its docs/api.md), or one of this client's:
 * - `bad_config`: missing or invalid URL, key, idempotency key or proxy, or running in a browser
 * - `connection_failed`: no connection to the relay, or no answer on it
 * - `tls_failed`: the certificate of the relay is not valid, or TLS failed
 * - `connection_lost`: the connection ended before the answer did
 * - `not_a_relay`: something answers at the URL, but not a relay
 * - `client_timeout`: the call took longer than `timeoutMs`
 * - `aborted`: the call's `signal` was aborted, or its stream was left before the end
 * - `not_json`: the model's answer to `outputFormat: 'json'` is not JSON; it is in the error's `text`
 */
export declare class ClaudeRelayError extends Error {
    readonly code: string;
    readonly status: number | undefined;
    readonly requestId: string | undefined;
    readonly retryAfter: number | undefined;
    readonly limit: string | undefined;
    readonly shouldRetry: boolean | undefined;
    readonly hop: number | undefined;
    readonly text: string | undefined;
    readonly stopReason: string | undefined;
    constructor(code: string, message: string, details?: ErrorDetails);
}
/** What every call takes. */
export type CallOptions = {
    /** Milliseconds for the whole call, retries included; `defaultTimeoutMs` by default. */
    timeoutMs?: number | undefined;
    /** Ends the call, and with it the model's turn; the call rejects with `aborted`. */
    signal?: AbortSignal | undefined;
    /** 0 for none; `defaultMaxRetries` by default. */
    maxRetries?: number | undefined;
    /** Milliseconds; `defaultMaxRetryWaitMs` by default. */
    maxRetryWaitMs?: number | undefined;
};
export type ClientOptions = Omit<CallOptions, 'signal'> & {
    /** Where the relay is: `http://127.0.0.1:8799`, or its tunnel's https URL. `CLAUDE_RELAY_URL` by default. */
    url?: string | undefined;
    /** A key of `bin/genkey`. `CLAUDE_RELAY_KEY` by default. */
    key?: string | undefined;
};
/** A block of a message, in the shape of the Messages API. `data` is base64. */
export type ContentBlock = {
    type: 'text';
    text: string;
} | {
    type: 'image';
    source: {
        type: 'base64';
        media_type: 'image/png' | 'image/jpeg' | 'image/gif' | 'image/webp';
        data: string;
    };
} | {
    type: 'document';
    source: {
        type: 'base64';
        media_type: 'application/pdf';
        data: string;
    } | {
        type: 'text';
        media_type: 'text/plain';
        data: string;
    };
    title?: string;
    context?: string;
};
/** One message of a conversation; the last one is the user's. */
export type Message = {
    role: 'user' | 'assistant';
    content: string | readonly ContentBlock[];
};
/** One of both: a prompt is a conversation of one message. */
type Asked = {
    prompt: string;
    messages?: undefined;
} | {
    messages: readonly Message[];
    prompt?: undefined;
};
type CompleteOptions = Asked & CallOptions & {
    system?: string | undefined;
    /** One of `models()`; the relay's default otherwise. */
    model?: string | undefined;
    /** How hard the model thinks before it answers. */
    effort?: 'low' | 'medium' | 'high' | 'xhigh' | 'max' | undefined;
    /** Tokens; a longer answer is cut, with stop reason `max_tokens`. */
    maxTokens?: number | undefined;
    temperature?: number | undefined;
    /** Texts at which the answer ends. */
    stop?: string | readonly string[] | undefined;
    /**
     * Two calls with the same one are one request to the relay. By default each call of `complete` that may be retried has its own,
     * and its retries share it; a stream has none. A turn with one is kept for half a minute when its connection ends, so that the
     * retry finds it; without one it ends at once.
     */
    idempotencyKey?: string | undefined;
};
/** A call that gives text. */
export type TextOptions = CompleteOptions & {
    outputFormat?: 'text' | undefined;
    schema?: undefined;
};
/**
 * A call that gives a value. With `schema` (JSON Schema) the relay validates it. Without one the prompt has to ask for JSON, and the
 * type is only your word for what comes.
 */
export type JsonOptions = CompleteOptions & ({
    outputFormat: 'json';
    schema?: object | undefined;
} | {
    outputFormat?: 'json' | undefined;
    schema: object;
});
export type Completion<T> = {
    /** The text, or the parsed value. */
    value: T;
    /** What was asked for. */
    model: string;
    /** The id of the model that answered. */
    resolvedModel: string;
    /** `end_turn`, `max_tokens` (the answer was cut), `refusal` (the model declined), ... */
    stopReason: string;
    durationMs: number;
    usage: {
        inputTokens: number;
        outputTokens: number;
        cacheReadInputTokens: number;
        cacheCreationInputTokens: number;
        /** Null where the relay does not know it. */
        costUsd: number | null;
    };
    requestId: string | undefined;
};
export type PageOptions = CallOptions & {
    /** Absolute, http or https. */
    url: string;
    /** `html` by default. */
    format?: 'html' | 'text' | 'markdown' | 'metadata' | undefined;
    /** UTF-8 bytes of what is returned as the page; 500,000 by default. */
    maxBytes?: number | undefined;
    /** Without scripts, styles, svg and comments; true by default. */
    strip?: boolean | undefined;
    /** Milliseconds that the relay may take for the page, 30,000 at most; 15,000 by default. */
    pageTimeoutMs?: number | undefined;
    acceptLanguage?: string | undefined;
    userAgent?: string | undefined;
};
/** A page, text from a stranger: not safe to show as it is, and no instructions. One of `html`, `text`, `markdown`, `metadata` and `body` is there. */
export type Page = {
    /** The page's own; a 404 of the page is no error. */
    status: number;
    finalUrl: string;
    /** It was cut at `maxBytes` or a bound of the relay. */
    truncated: boolean;
    html?: string;
    text?: string;
    markdown?: string;
    metadata?: {
        title?: string;
        description?: string;
        canonical?: string;
        language?: string;
        openGraph: Record<string, string>;
        feeds: {
            url: string;
            type: string;
            title?: string;
        }[];
        jsonLd?: string[];
    };
    /** What is not HTML: text, JSON, XML, feeds. */
    body?: string;
    contentType: string | null;
    charset: string;
    redirects: {
        status: number;
        url: string;
    }[];
    bytes: {
        wire: number;
        decoded: number;
        output: number;
    };
    elapsedMs: number;
    jsonLd: string[];
    /** What the page says about itself, in every format; a relay older than this client sends none. */
    about?: PageAbout;
};
/** Each field is there if the page has it. */
export type PageAbout = {
    title?: string;
    byline?: string;
    language?: string;
    /** The date, as the page writes it. */
    published?: string;
    siteName?: string;
    excerpt?: string;
};
export type Model = {
    id: string;
    displayName: string;
};
/** An answer as it comes: loop over it for the text, piece by piece. Starts when it is read. */
export declare class CompletionStream<T> implements AsyncIterable<string> {
    #private;
    /** Leaving the loop ends the model's turn. */
    [Symbol.asyncIterator](): AsyncGenerator<string, void>;
    /** Reads what is left; then the whole answer, with model, stop reason and usage. */
    final(): Promise<Completion<T>>;
}
/** A relay and a key of it. The functions below do the same with what the environment names. */
export declare class ClaudeRelay {
    #private;
    /** Throws `bad_config` in a browser, and where the URL, the key or the proxy is missing or not valid. */
    constructor(options?: ClientOptions);
    /** The model's text; with `outputFormat: 'json'` or a `schema` the parsed value. */
    complete<T = unknown>(options: JsonOptions): Promise<T>;
    complete(options: TextOptions): Promise<string>;
    /** The same with model, stop reason, token counts and cost. */
    completeWithDetails<T = unknown>(options: JsonOptions): Promise<Completion<T>>;
    completeWithDetails(options: TextOptions): Promise<Completion<string>>;
    /**
     * The text while it comes. What fails before the first piece and before anything was spent is retried; what fails later is
     * thrown.
     */
    stream<T = unknown>(options: JsonOptions): CompletionStream<T>;
    stream(options: TextOptions): CompletionStream<string>;
    /** A public page, through the relay's address. No model takes part. */
    fetchPage(page: string | PageOptions): Promise<Page>;
    /** The models that this key may use. */
    models(options?: CallOptions): Promise<Model[]>;
}
/** `ClaudeRelay.complete` with the relay and the key that the environment names. */
export declare function complete<T = unknown>(options: JsonOptions): Promise<T>;
export declare function complete(options: TextOptions): Promise<string>;
/** `ClaudeRelay.completeWithDetails` with the relay and the key that the environment names. */
export declare function completeWithDetails<T = unknown>(options: JsonOptions): Promise<Completion<T>>;
export declare function completeWithDetails(options: TextOptions): Promise<Completion<string>>;
/** `ClaudeRelay.stream` with the relay and the key that the environment names. */
export declare function stream<T = unknown>(options: JsonOptions): CompletionStream<T>;
export declare function stream(options: TextOptions): CompletionStream<string>;
/** `ClaudeRelay.fetchPage` with the relay and the key that the environment names. */
export declare function fetchPage(page: string | PageOptions): Promise<Page>;
/** `ClaudeRelay.models` with the relay and the key that the environment names. */
export declare function models(options?: CallOptions): Promise<Model[]>;
export {};
