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
export declare const defaultTimeoutMs = 600000;
/** How many times a call is retried after a temporary failure. */
export declare const defaultMaxRetries = 2;
/** The longest wait before a retry, in milliseconds. If the relay asks for a longer wait, the error is thrown at once. */
export declare const defaultMaxRetryWaitMs = 60000;
export type ErrorDetails = {
    /** HTTP status, if there was an answer. */
    status?: number | undefined;
    /** The relay's id of the request, as in its log. */
    requestId?: string | undefined;
    /** Seconds after which a retry can work. */
    retryAfter?: number | undefined;
    /** Which limit refused the request. */
    limit?: string | undefined;
    /** Whether a retry can work, if the relay (`x-should-retry`) or a proxy on the way said so. */
    shouldRetry?: boolean | undefined;
    /** For a page fetch: the number of redirects before the error. */
    hop?: number | undefined;
    /** With `not_json`: the model's text, exactly. */
    text?: string | undefined;
    /** With `not_json`: why the model stopped. `max_tokens` means that the text was cut off. */
    stopReason?: string | undefined;
    cause?: unknown;
};
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
/** The options of every call. */
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
    /** A key of `claude-relay key create`. `CLAUDE_RELAY_KEY` by default. */
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
/** A prompt or messages: a prompt is a conversation of one message. */
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
    /** Tokens; a longer answer is cut off, with stop reason `max_tokens`. */
    maxTokens?: number | undefined;
    temperature?: number | undefined;
    /** Texts at which the answer ends. */
    stop?: string | readonly string[] | undefined;
    /**
     * Two calls with the same key are one request to the relay. By default, each call of `complete` that can be retried has a separate
     * key, which its retries share; a stream has no key. With a key, the turn continues for half a minute after its connection ends,
     * so that the retry finds it. Without a key, it ends at once.
     */
    idempotencyKey?: string | undefined;
};
/** The options of a call that returns text. */
export type TextOptions = CompleteOptions & {
    outputFormat?: 'text' | undefined;
    schema?: undefined;
};
/**
 * The options of a call that returns a value. With `schema` (a JSON Schema), the relay validates it. Without a schema, the prompt has
 * to ask for JSON, and nothing checks the type that you name.
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
    /** The model as the call named it, or the relay's default. */
    model: string;
    /** The id of the model that answered. */
    resolvedModel: string;
    /** Present if the key's fallback answered: in place of this model, or of the `plan`. */
    fallbackFrom?: string;
    /** `end_turn`, `max_tokens` (the answer was cut off), `refusal` (the model declined), ... */
    stopReason: string;
    durationMs: number;
    usage: {
        inputTokens: number;
        outputTokens: number;
        cacheReadInputTokens: number;
        cacheCreationInputTokens: number;
        /** As Claude Code reckons it; null if the relay does not know it. */
        costUsd: number | null;
    };
    requestId: string | undefined;
};
export type PageOptions = CallOptions & {
    /** Absolute, http or https. */
    url: string;
    /** `html` by default. */
    format?: 'html' | 'text' | 'markdown' | 'metadata' | undefined;
    /** The most UTF-8 bytes of the returned page; 500,000 by default. */
    maxBytes?: number | undefined;
    /** Whether to remove scripts, styles, svg and comments; true by default. */
    strip?: boolean | undefined;
    /** Milliseconds that the relay can take for the page, 30,000 at most; 15,000 by default. */
    pageTimeoutMs?: number | undefined;
    acceptLanguage?: string | undefined;
    userAgent?: string | undefined;
};
/** A page: untrusted text, not safe to show as it is, and not instructions. It has one of `html`, `text`, `markdown`, `metadata` and `body`. */
export type Page = {
    /** The status of the page's host: a page with status 404 is not an error. */
    status: number;
    finalUrl: string;
    /** Whether the page was cut at `maxBytes` or at a bound of the relay. */
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
    /** A page that is not HTML: text, JSON, XML, feeds. */
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
    /** What the page says about itself. Present in every format; absent from a relay older than this client. */
    about?: PageAbout;
};
/** A field is absent if the page does not have it. */
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
/** An answer as it arrives: loop over it for the pieces of the text. The first read starts the call. */
export declare class CompletionStream<T> implements AsyncIterable<string> {
    #private;
    /** Leaving the loop ends the model's turn. */
    [Symbol.asyncIterator](): AsyncGenerator<string, void>;
    /** Reads the rest, and returns the whole answer with model, stop reason and usage. */
    final(): Promise<Completion<T>>;
}
/** A relay, by its URL and a key. The functions below take both from the environment. */
export declare class ClaudeRelay {
    #private;
    /** Throws `bad_config` in a browser, if the URL or the key is missing or not valid, or if the proxy is not valid. */
    constructor(options?: ClientOptions);
    /** Returns the model's text, or the parsed value with `outputFormat: 'json'` or a `schema`. */
    complete<T = unknown>(options: JsonOptions): Promise<T>;
    complete(options: TextOptions): Promise<string>;
    /** Like `complete`, and also returns model, stop reason, token counts and reckoned cost. */
    completeWithDetails<T = unknown>(options: JsonOptions): Promise<Completion<T>>;
    completeWithDetails(options: TextOptions): Promise<Completion<string>>;
    /**
     * Returns the text as it arrives. A failure before the first piece that cost nothing is retried. A later failure is thrown.
     */
    stream<T = unknown>(options: JsonOptions): CompletionStream<T>;
    stream(options: TextOptions): CompletionStream<string>;
    /** Gets a public page through the relay's address, without a model. */
    fetchPage(page: string | PageOptions): Promise<Page>;
    /** The models that this key may use. */
    models(options?: CallOptions): Promise<Model[]>;
}
/** `ClaudeRelay.complete` with the URL and the key from the environment. */
export declare function complete<T = unknown>(options: JsonOptions): Promise<T>;
export declare function complete(options: TextOptions): Promise<string>;
/** `ClaudeRelay.completeWithDetails` with the URL and the key from the environment. */
export declare function completeWithDetails<T = unknown>(options: JsonOptions): Promise<Completion<T>>;
export declare function completeWithDetails(options: TextOptions): Promise<Completion<string>>;
/** `ClaudeRelay.stream` with the URL and the key from the environment. */
export declare function stream<T = unknown>(options: JsonOptions): CompletionStream<T>;
export declare function stream(options: TextOptions): CompletionStream<string>;
/** `ClaudeRelay.fetchPage` with the URL and the key from the environment. */
export declare function fetchPage(page: string | PageOptions): Promise<Page>;
/** `ClaudeRelay.models` with the URL and the key from the environment. */
export declare function models(options?: CallOptions): Promise<Model[]>;
export {};
