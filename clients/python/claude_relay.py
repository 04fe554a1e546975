"""claude-relay from Python. One file without dependencies, for Python 3.9 or newer: copy it, or install the package it is in.

    # CLAUDE_RELAY_URL=http://127.0.0.1:8799 and CLAUDE_RELAY_KEY=crk_... in the environment
    import claude_relay

    print(claude_relay.complete("Say hello."))

The methods of `ClaudeRelay`, and the functions of the same names, block until the answer has arrived. `AsyncClaudeRelay` is for
asyncio and runs each call in a separate thread. Every failure is a `ClaudeRelayError` whose `code` says what happened. Times are in
seconds.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import asyncio
import base64
import http.client
import io
import json
import os
import random
import re
import socket
import ssl
import threading
import time
import uuid
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import (
    TYPE_CHECKING,
    Any,
    AsyncIterator,
    Callable,
    Dict,
    Generator,
    Iterator,
    List,
    Literal,
    Mapping,
    NoReturn,
    Optional,
    Sequence,
    Tuple,
    TypedDict,
    TypeVar,
    Union,
    cast,
    overload,
)
from urllib.parse import SplitResult, quote, unquote, urljoin, urlsplit

if TYPE_CHECKING:
    from typing_extensions import Unpack

__all__ = [
    "DEFAULT_MAX_RETRIES",
    "DEFAULT_MAX_RETRY_WAIT",
    "DEFAULT_TIMEOUT",
    "AsyncClaudeRelay",
    "AsyncCompletionStream",
    "ClaudeRelay",
    "ClaudeRelayError",
    "CompleteOptions",
    "Completion",
    "CompletionStream",
    "Message",
    "Model",
    "Page",
    "PageOptions",
    "TokenUsage",
    "complete",
    "complete_with_details",
    "fetch_page",
    "models",
    "stream",
]

#: Seconds for a whole call, including its retries and the waits between them.
DEFAULT_TIMEOUT = 600.0
#: How many times a call is retried after a temporary failure.
DEFAULT_MAX_RETRIES = 2
#: The longest wait before a retry, in seconds. If the relay asks for a longer wait, the error is raised at once.
DEFAULT_MAX_RETRY_WAIT = 60.0


class ClaudeRelayError(Exception):
    """
    The only error class of this client. Check `code`; the message is for people.

    `code` is one of the relay's codes (see its docs/api.md), or one of this client's:
    - `bad_config`: missing or invalid URL, key, idempotency key or proxy
    - `connection_failed`: no connection to the relay, or no answer on it
    - `tls_failed`: the certificate of the relay is not valid, or TLS failed
    - `connection_lost`: the connection ended before the answer did
    - `not_a_relay`: the server at the URL is not a relay
    - `client_timeout`: the call took longer than its `timeout`
    - `aborted`: the stream was closed, or its loop ended, before the end of the answer
    - `not_json`: the model's answer to `output_format="json"` is not JSON; it is in the error's `text`
    """

    def __init__(
        self,
        code: str,
        message: str,
        *,
        status: Optional[int] = None,
        request_id: Optional[str] = None,
        retry_after: Optional[float] = None,
        limit: Optional[str] = None,
        should_retry: Optional[bool] = None,
        hop: Optional[int] = None,
        text: Optional[str] = None,
        stop_reason: Optional[str] = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        #: HTTP status, if there was an answer.
        self.status = status
        #: The relay's id of the request, as in its log.
        self.request_id = request_id
        #: Seconds after which a retry can work.
        self.retry_after = retry_after
        #: Which limit refused the request.
        self.limit = limit
        #: Whether a retry can work, if the relay (`x-should-retry`) or a proxy on the way said so.
        self.should_retry = should_retry
        #: For a page fetch: the number of redirects before the error.
        self.hop = hop
        #: With `not_json`: the model's text, exactly.
        self.text = text
        #: With `not_json`: why the model stopped. `max_tokens` means that the text was cut off.
        self.stop_reason = stop_reason
        #: Whether the call failed before any part of the request was sent.
        self._unsent = False

    def __str__(self) -> str:
        return f"{self.code}: {self.message}"


class Message(TypedDict):
    """One message of a conversation; the last one is the user's. Blocks have the shape of the Messages API."""

    role: Literal["user", "assistant"]
    content: Union[str, Sequence[Mapping[str, Any]]]


class CallOptions(TypedDict, total=False):
    """The options of every call."""

    #: Seconds for the whole call, retries included.
    timeout: Optional[float]
    #: 0 for none.
    max_retries: Optional[int]
    #: Seconds.
    max_retry_wait: Optional[float]


class _CompleteOptions(CallOptions, total=False):
    #: Instead of a prompt.
    messages: Optional[Sequence[Message]]
    system: Optional[str]
    #: One of `models()`; the relay's default otherwise.
    model: Optional[str]
    #: How hard the model thinks before it answers.
    effort: Optional[Literal["low", "medium", "high", "xhigh", "max"]]
    #: A longer answer is cut off, with stop reason `max_tokens`.
    max_tokens: Optional[int]
    temperature: Optional[float]
    #: Texts at which the answer ends.
    stop: Optional[Union[str, Sequence[str]]]
    #: Two calls with the same key are one request to the relay. By default, each call of `complete` that can be retried has a separate
    #: key, which its retries share; a stream has no key. With a key, the turn continues for half a minute after its connection ends,
    #: so that the retry finds it. Without a key, it ends at once.
    idempotency_key: Optional[str]


class CompleteOptions(_CompleteOptions, total=False):
    """
    The options of a completion, except its prompt.

    With `schema` (a JSON Schema), the answer is a value that the relay has validated. With `output_format="json"` alone, the prompt
    has to ask for JSON.
    """

    output_format: Optional[Literal["text", "json"]]
    schema: Optional[Mapping[str, Any]]


class PageOptions(CallOptions, total=False):
    """The options of a page fetch, except the URL."""

    #: `html` by default.
    format: Optional[Literal["html", "text", "markdown", "metadata"]]
    #: The most UTF-8 bytes of the returned page; 500,000 by default.
    max_bytes: Optional[int]
    #: Whether to remove scripts, styles, svg and comments; True by default.
    strip: Optional[bool]
    #: Seconds that the relay can take for the page, 30 at most; 15 by default.
    page_timeout: Optional[float]
    accept_language: Optional[str]
    user_agent: Optional[str]


class TokenUsage(TypedDict):
    """The tokens and the reckoned cost of an answer."""

    input_tokens: int
    output_tokens: int
    cache_read_input_tokens: int
    cache_creation_input_tokens: int
    #: As Claude Code reckons it; None if the relay does not know it.
    cost_usd: Optional[float]


@dataclass(frozen=True)
class Completion:
    """A whole answer."""

    #: The text, or the parsed value.
    value: Any
    #: The model as the call named it, or the relay's default.
    model: str
    #: The id of the model that answered.
    resolved_model: str
    #: `end_turn`, `max_tokens` (the answer was cut off), `refusal` (the model declined), ...
    stop_reason: str
    duration_ms: int
    usage: TokenUsage
    request_id: Optional[str]
    #: Set if the key's fallback answered: in place of this model, or of the `plan`.
    fallback_from: Optional[str] = None


class Redirect(TypedDict):
    status: int
    url: str


class PageBytes(TypedDict):
    wire: int
    decoded: int
    output: int


class PageAbout(TypedDict, total=False):
    """What a page says about itself. A field is absent if the page does not have it."""

    title: str
    byline: str
    language: str
    #: The date, as the page writes it.
    published: str
    site_name: str
    excerpt: str


class _PageFacts(TypedDict):
    #: The status of the page's host: a page with status 404 is not an error.
    status: int
    final_url: str
    #: Whether the page was cut at `max_bytes` or at a bound of the relay.
    truncated: bool
    content_type: Optional[str]
    charset: str
    redirects: List[Redirect]
    bytes: PageBytes
    elapsed_ms: int
    json_ld: List[str]


class Page(_PageFacts, total=False):
    """A page: untrusted text, not safe to show as it is, and not instructions. It has one of `html`, `text`, `markdown`, `metadata` and `body`."""

    html: str
    text: str
    markdown: str
    metadata: Dict[str, Any]
    #: A page that is not HTML: text, JSON, XML, feeds.
    body: str
    #: Present in every format; absent from a relay older than this client.
    about: PageAbout


class Model(TypedDict):
    """A model that the key may use."""

    id: str
    display_name: str


class CompletionStream:
    """An answer as it arrives: loop over it for the pieces of the text. The first read starts the call; leaving the loop ends the turn."""

    def __init__(self, call: _Call, deltas: Generator[str, None, Completion]) -> None:
        self._call = call
        self._deltas = deltas
        self._completion: Optional[Completion] = None
        self._error: Optional[BaseException] = None
        # Only one thread can run the generator at a time, and with asyncio each step has a different thread.
        self._step = threading.Lock()

    def __iter__(self) -> Iterator[str]:
        try:
            while True:
                text = self._next()
                if text is None:
                    return
                yield text
        finally:
            self.close()

    def __enter__(self) -> CompletionStream:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def final(self) -> Completion:
        """Read the rest, and return the whole answer with model, stop reason and usage."""
        while self._next() is not None:
            pass
        assert self._completion is not None
        return self._completion

    def close(self) -> None:
        """End the model's turn if it has not ended."""
        with self._step:
            if self._completion is None and self._error is None:
                self._error = ClaudeRelayError("aborted", "The stream was closed before its end.")
            self._deltas.close()

    def _next(self) -> Optional[str]:
        """None at the end."""
        with self._step:
            if self._error is not None:
                raise self._error
            if self._completion is not None:
                return None
            try:
                return next(self._deltas)
            except StopIteration as end:
                self._completion = cast(Completion, end.value)
                return None
            except BaseException as error:
                self._error = error
                raise


class ClaudeRelay:
    """A relay, by its URL and a key. The functions of this module take both from the environment."""

    def __init__(
        self,
        url: Optional[str] = None,
        key: Optional[str] = None,
        *,
        timeout: float = DEFAULT_TIMEOUT,
        max_retries: int = DEFAULT_MAX_RETRIES,
        max_retry_wait: float = DEFAULT_MAX_RETRY_WAIT,
    ) -> None:
        """
        `url` and `key` are CLAUDE_RELAY_URL and CLAUDE_RELAY_KEY by default.

        Raises `bad_config` if the URL or the key is missing or not valid, or if the proxy is not valid.
        """
        self._url = _relay_url(os.environ.get("CLAUDE_RELAY_URL") if url is None else url)
        self._proxy = _proxy_of(urlsplit(self._url))
        self._key = _relay_key(os.environ.get("CLAUDE_RELAY_KEY") if key is None else key)
        self._defaults: CallOptions = {
            "timeout": timeout,
            "max_retries": max_retries,
            "max_retry_wait": max_retry_wait,
        }

    @overload
    def complete(
        self,
        prompt: Optional[str] = None,
        *,
        output_format: Literal["json"],
        schema: Optional[Mapping[str, Any]] = None,
        **options: Unpack[_CompleteOptions],
    ) -> Any: ...
    @overload
    def complete(
        self,
        prompt: Optional[str] = None,
        *,
        schema: Mapping[str, Any],
        **options: Unpack[_CompleteOptions],
    ) -> Any: ...
    @overload
    def complete(
        self,
        prompt: Optional[str] = None,
        *,
        output_format: Optional[Literal["text"]] = None,
        **options: Unpack[_CompleteOptions],
    ) -> str: ...
    def complete(self, prompt: Optional[str] = None, **options: Any) -> Any:
        """
        Return the model's text, or the parsed value with `output_format="json"` or a `schema`.

        The options are those of `CompleteOptions`.
        """
        return self.complete_with_details(prompt, **options).value

    def complete_with_details(
        self, prompt: Optional[str] = None, **options: Unpack[CompleteOptions]
    ) -> Completion:
        """Like `complete`, and also return model, stop reason, token counts and reckoned cost."""
        with self._ask(prompt, options, whole=True) as answer:
            return answer.final()

    def stream(self, prompt: Optional[str] = None, **options: Unpack[CompleteOptions]) -> CompletionStream:
        """
        Return the text as it arrives.

        A failure before the first piece that cost nothing is retried. A later failure is raised.
        """
        return self._ask(prompt, options, whole=False)

    def fetch_page(self, url: str, **options: Unpack[PageOptions]) -> Page:
        """Get a public page through the relay's address, without a model. The options are those of `PageOptions`."""
        return self._fetch_page(_Call(self._defaults, options, PageOptions), url, options)

    def models(self, **options: Unpack[CallOptions]) -> List[Model]:
        """The models that this key may use."""
        return self._models(_Call(self._defaults, options, CallOptions))

    def _fetch_page(self, call: _Call, url: str, options: PageOptions) -> Page:
        seconds = options.get("page_timeout")
        body = {
            "url": url,
            "format": options.get("format"),
            "max_bytes": options.get("max_bytes"),
            "strip": options.get("strip"),
            "timeout_ms": None if seconds is None else round(seconds * 1000),
            "accept_language": options.get("accept_language"),
            "user_agent": options.get("user_agent"),
        }
        return cast(Page, self._json(call, "POST", "/v1/fetch", lambda page: "final_url" in page, body))

    def _models(self, call: _Call) -> List[Model]:
        rows = cast(List[Model], self._json(call, "GET", "/v1/models", _is_model_list)["data"])
        return [{"id": row["id"], "display_name": row["display_name"]} for row in rows]

    def _ask(self, prompt: Optional[str], options: CompleteOptions, *, whole: bool) -> CompletionStream:
        call = _Call(self._defaults, options, CompleteOptions)
        return CompletionStream(call, self._deltas(call, prompt, options, whole))

    def _deltas(
        self, call: _Call, prompt: Optional[str], options: CompleteOptions, whole: bool
    ) -> Generator[str, None, Completion]:
        """
        Yield the answer's pieces, and return the whole answer.

        Always asks for a stream: its pings keep a long answer from being cut by a tunnel. `whole`: the caller does not see
        the pieces, so even an answer that broke off can be requested again.
        """
        schema = options.get("schema")
        body = {
            "prompt": prompt,
            "messages": options.get("messages"),
            "system": options.get("system"),
            "model": options.get("model"),
            "output_format": "json",
            "stream": True,
            "schema": schema,
            "effort": options.get("effort"),
            "max_tokens": options.get("max_tokens"),
            "temperature": options.get("temperature"),
            "stop": options.get("stop"),
        }
        key = _idempotency_key(options.get("idempotency_key"))
        if key is None and whole and call.may_retry():
            key = str(uuid.uuid4())
        headers = {} if key is None else {"idempotency-key": key}
        parse = options.get("output_format") == "json" and schema is None
        call.begin()
        while True:
            begun = False
            try:
                with _Exchange(self._url, self._proxy, self._key, call) as exchange:
                    exchange.send("POST", "/v1/complete", body, headers)
                    answer = exchange.answer()
                    while True:
                        try:
                            piece = next(answer)
                        except StopIteration as end:
                            return _completion_of(end.value, exchange.request_id, parse)
                        begun = True
                        yield piece
            except ClaudeRelayError as error:
                if begun and not whole:
                    raise
                call.wait_to_retry(error, repeatable=key is not None)

    def _json(
        self,
        call: _Call,
        method: str,
        path: str,
        fits: Callable[[Dict[str, Any]], bool],
        body: Optional[Dict[str, Any]] = None,
    ) -> Dict[str, Any]:
        """A call whose answer is one JSON object. `fits` checks that the object is a relay's answer."""
        call.begin()
        while True:
            try:
                with _Exchange(self._url, self._proxy, self._key, call) as exchange:
                    exchange.send(method, path, body)
                    answer = exchange.relay_object(fits)
                    del answer["ok"]
                    return answer
            except ClaudeRelayError as error:
                call.wait_to_retry(error, repeatable=True)


_T = TypeVar("_T")


class AsyncCompletionStream:
    """`CompletionStream` for asyncio, for `async for`. To leave it early, use `async with`, which ends the model's turn."""

    def __init__(self, answer: CompletionStream) -> None:
        self._answer = answer

    async def __aiter__(self) -> AsyncIterator[str]:
        try:
            while True:
                text = await self._next()
                if text is None:
                    return
                yield text
        finally:
            await self.aclose()

    async def __aenter__(self) -> AsyncCompletionStream:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def final(self) -> Completion:
        """Read the rest, and return the whole answer with model, stop reason and usage."""
        while await self._next() is not None:
            pass
        return self._answer.final()

    async def aclose(self) -> None:
        """End the model's turn if it has not ended."""
        self._answer._call.abort()
        await _in_thread(self._answer._call, self._answer.close)

    async def _next(self) -> Optional[str]:
        return await _in_thread(self._answer._call, self._answer._next)


class AsyncClaudeRelay:
    """`ClaudeRelay` for asyncio. Each call has its own thread; cancelling its task ends the call and the model's turn."""

    def __init__(
        self,
        url: Optional[str] = None,
        key: Optional[str] = None,
        *,
        timeout: float = DEFAULT_TIMEOUT,
        max_retries: int = DEFAULT_MAX_RETRIES,
        max_retry_wait: float = DEFAULT_MAX_RETRY_WAIT,
    ) -> None:
        """Like `ClaudeRelay`."""
        self._relay = ClaudeRelay(
            url, key, timeout=timeout, max_retries=max_retries, max_retry_wait=max_retry_wait
        )

    @overload
    async def complete(
        self,
        prompt: Optional[str] = None,
        *,
        output_format: Literal["json"],
        schema: Optional[Mapping[str, Any]] = None,
        **options: Unpack[_CompleteOptions],
    ) -> Any: ...
    @overload
    async def complete(
        self,
        prompt: Optional[str] = None,
        *,
        schema: Mapping[str, Any],
        **options: Unpack[_CompleteOptions],
    ) -> Any: ...
    @overload
    async def complete(
        self,
        prompt: Optional[str] = None,
        *,
        output_format: Optional[Literal["text"]] = None,
        **options: Unpack[_CompleteOptions],
    ) -> str: ...
    async def complete(self, prompt: Optional[str] = None, **options: Any) -> Any:
        """Like `ClaudeRelay.complete`."""
        return (await self.complete_with_details(prompt, **options)).value

    async def complete_with_details(
        self, prompt: Optional[str] = None, **options: Unpack[CompleteOptions]
    ) -> Completion:
        """Like `ClaudeRelay.complete_with_details`."""
        answer = self._relay._ask(prompt, options, whole=True)
        return await _in_thread(answer._call, answer.final)

    def stream(
        self, prompt: Optional[str] = None, **options: Unpack[CompleteOptions]
    ) -> AsyncCompletionStream:
        """Like `ClaudeRelay.stream`."""
        return AsyncCompletionStream(self._relay.stream(prompt, **options))

    async def fetch_page(self, url: str, **options: Unpack[PageOptions]) -> Page:
        """Like `ClaudeRelay.fetch_page`."""
        call = _Call(self._relay._defaults, options, PageOptions)
        return await _in_thread(call, lambda: self._relay._fetch_page(call, url, options))

    async def models(self, **options: Unpack[CallOptions]) -> List[Model]:
        """Like `ClaudeRelay.models`."""
        call = _Call(self._relay._defaults, options, CallOptions)
        return await _in_thread(call, lambda: self._relay._models(call))


@overload
def complete(
    prompt: Optional[str] = None,
    *,
    output_format: Literal["json"],
    schema: Optional[Mapping[str, Any]] = None,
    **options: Unpack[_CompleteOptions],
) -> Any: ...
@overload
def complete(
    prompt: Optional[str] = None, *, schema: Mapping[str, Any], **options: Unpack[_CompleteOptions]
) -> Any: ...
@overload
def complete(
    prompt: Optional[str] = None,
    *,
    output_format: Optional[Literal["text"]] = None,
    **options: Unpack[_CompleteOptions],
) -> str: ...
def complete(prompt: Optional[str] = None, **options: Any) -> Any:
    """`ClaudeRelay.complete` with the URL and the key from the environment."""
    return ClaudeRelay().complete(prompt, **options)


def complete_with_details(prompt: Optional[str] = None, **options: Unpack[CompleteOptions]) -> Completion:
    """`ClaudeRelay.complete_with_details` with the URL and the key from the environment."""
    return ClaudeRelay().complete_with_details(prompt, **options)


def stream(prompt: Optional[str] = None, **options: Unpack[CompleteOptions]) -> CompletionStream:
    """`ClaudeRelay.stream` with the URL and the key from the environment."""
    return ClaudeRelay().stream(prompt, **options)


def fetch_page(url: str, **options: Unpack[PageOptions]) -> Page:
    """`ClaudeRelay.fetch_page` with the URL and the key from the environment."""
    return ClaudeRelay().fetch_page(url, **options)


def models(**options: Unpack[CallOptions]) -> List[Model]:
    """`ClaudeRelay.models` with the URL and the key from the environment."""
    return ClaudeRelay().models(**options)


class _Call:
    """One call from its start to its end: its time limit, its abort and its retries."""

    def __init__(self, defaults: CallOptions, options: CallOptions, known: type) -> None:
        """`known` has the valid options. Any other option is an error, as for any function."""
        unknown = sorted(set(options) - set(known.__annotations__))
        if unknown:
            raise TypeError(f"unknown option {unknown[0]!r}")

        def chosen(name: Literal["timeout", "max_retries", "max_retry_wait"]) -> float:
            value = options.get(name)
            return cast(float, defaults.get(name) if value is None else value)

        self._timeout = chosen("timeout")
        self._max_retries = chosen("max_retries")
        self._max_retry_wait = chosen("max_retry_wait")
        self._retries = 0
        self._ends_at = 0.0
        self._aborted = threading.Event()
        self._lock = threading.Lock()
        self._socket: Optional[socket.socket] = None

    def begin(self) -> None:
        self._ends_at = time.monotonic() + self._timeout

    def remaining(self) -> float:
        """Seconds, more than 0. Raises if no time is left, or if the call was aborted."""
        seconds = self._ends_at - time.monotonic()
        # The clock of sockets is coarser.
        if self._aborted.is_set():
            raise ClaudeRelayError("aborted", "The call was aborted.")
        if seconds < 0.005:
            raise ClaudeRelayError(
                "client_timeout",
                f"No complete answer within {self._timeout:g} s. Raise the timeout, or ask for less.",
            )
        return seconds

    def uses(self, connection: socket.socket, limit: float) -> threading.Timer:
        """
        Cut this connection when the call's time or this limit is over, or when the call is aborted.

        A socket's timeout applies to each read, so a socket that gets a byte now and then would never time out.
        """
        with self._lock:
            self._socket = connection
        timer = threading.Timer(min(self.remaining(), limit), self._cut)
        timer.daemon = True
        timer.start()
        return timer

    def abort(self) -> None:
        """From any thread: the call fails with `aborted` wherever it is."""
        self._aborted.set()
        self._cut()

    def _cut(self) -> None:
        with self._lock:
            if self._socket is not None:
                try:
                    # The TLS socket's own shutdown would free what the other thread is reading with.
                    socket.socket.shutdown(self._socket, socket.SHUT_RDWR)
                except OSError:
                    pass

    def may_retry(self) -> bool:
        return self._retries < self._max_retries

    def wait_to_retry(self, error: ClaudeRelayError, *, repeatable: bool) -> None:
        """
        Wait before a retry; raise `error` if the call cannot be retried.

        `repeatable`: a retry cannot cost more tokens.
        """
        if self._aborted.is_set() or not self.may_retry() or not _may_pass(error, repeatable):
            raise error
        # A bit longer than `retry-after`, and not the same for every client.
        if error.retry_after is None:
            wait = min(0.5 * 2**self._retries, 8.0) * (0.75 + random.random() / 2)
        else:
            wait = error.retry_after + random.random() / 4
        if wait > self._max_retry_wait + 0.25 or time.monotonic() + wait >= self._ends_at:
            raise error
        self._retries += 1
        self._aborted.wait(wait)
        self.remaining()


class _Lines(io.BufferedReader):
    """A connection that ends within a line is an error. http.client would take it for the end of the line or of the headers."""

    def readline(self, size: Optional[int] = -1, /) -> bytes:
        line = super().readline(size)
        if not line.endswith(b"\n") and len(line) != size:
            raise ConnectionResetError("the connection was closed")
        return line


class _Response(http.client.HTTPResponse):
    def __init__(self, sock: socket.socket, *arguments: Any, **named: Any) -> None:
        super().__init__(sock, *arguments, **named)
        self.fp = _Lines(self.fp.detach())


class _Exchange:
    """One request and its answer on a separate connection."""

    def __init__(self, url: str, proxy: Optional[SplitResult], key: str, call: _Call) -> None:
        self._url = url
        self._proxy = proxy
        self._key = key
        self._call = call
        self._socket: Optional[socket.socket] = None
        self._response: Optional[http.client.HTTPResponse] = None
        self._timer: Optional[threading.Timer] = None
        self._connect_until = 0.0
        self.request_id: Optional[str] = None

    def __enter__(self) -> _Exchange:
        return self

    def __exit__(self, *_: object) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self._response is not None:
            self._response.close()
        if self._socket is not None:
            self._socket.close()

    def send(
        self,
        method: str,
        path: str,
        body: Optional[Dict[str, Any]] = None,
        headers: Mapping[str, str] = {},
    ) -> None:
        """Raises the relay's error unless the answer is a success."""
        payload = None
        # Some tunnels refuse a request without a user agent.
        sent = {**headers, "authorization": f"Bearer {self._key}", "user-agent": "claude-relay-client"}
        if body is not None:
            payload = json.dumps({name: value for name, value in body.items() if value is not None}).encode()
            sent["content-type"] = "application/json"
        connected = False
        try:
            connection = self._connect()
            connected = True
            response = self._request(connection, method, path, payload, sent)
        except (OSError, http.client.HTTPException) as error:
            self._call.remaining()
            if not connected and time.monotonic() > self._connect_until - 0.05:
                error = socket.timeout(f"no connection within {_CONNECT_TIMEOUT:g} s")
            raise self._no_answer(error, connected) from error
        self.request_id = response.getheader("request-id")
        if not 200 <= response.status < 300:
            raise self._error(response, path)

    def _connect(self) -> http.client.HTTPConnection:
        """A connection to the relay, with its tunnel and its TLS."""
        relay = urlsplit(self._url)
        host = cast(str, relay.hostname)
        port = relay.port or (443 if relay.scheme == "https" else 80)
        self._connect_until = time.monotonic() + _CONNECT_TIMEOUT
        if self._proxy is None:
            connected = self._open(host, port)
        else:
            connected = self._open(cast(str, self._proxy.hostname), self._proxy.port or 80)
            self._tunnel(connected, self._proxy, f"[{host}]:{port}" if ":" in host else f"{host}:{port}")
        connection = http.client.HTTPConnection(host, port)
        if relay.scheme == "https":
            context = ssl.create_default_context()
            # Python 3.13 refuses authorities that every other runtime accepts.
            context.verify_flags &= ~ssl.VERIFY_X509_STRICT
            connection = http.client.HTTPSConnection(host, port, context=context)
            secured = context.wrap_socket(connected, server_hostname=host, do_handshake_on_connect=False)
            self._watch_connecting(secured)
            secured.do_handshake()
            connected = secured
        self._watch(connected, threading.TIMEOUT_MAX)
        connected.settimeout(None)
        connection.sock = connected
        connection.response_class = _Response
        return connection

    def _open(self, host: str, port: int) -> socket.socket:
        """The first of the host's addresses that can be reached."""
        failure: Optional[OSError] = None
        for family, kind, protocol, _, address in socket.getaddrinfo(host, port, 0, socket.SOCK_STREAM):
            self._call.remaining()
            opened = socket.socket(family, kind, protocol)
            self._watch_connecting(opened)
            try:
                opened.connect(address)
                return opened
            except OSError as error:
                failure = failure or error
                opened.close()
        raise failure or OSError("the name has no address")

    def _watch_connecting(self, used: socket.socket) -> None:
        left = max(0.001, self._connect_until - time.monotonic())
        # Not every system can cut a socket that is not connected.
        used.settimeout(min(left, self._call.remaining()))
        self._watch(used, left)

    def _watch(self, used: socket.socket, limit: float) -> None:
        """Cut this socket when the call ends, or after `limit` seconds."""
        if self._timer is not None:
            self._timer.cancel()
        self._socket = used
        self._timer = self._call.uses(used, limit)

    def _tunnel(self, opened: socket.socket, proxy: SplitResult, place: str) -> None:
        """A tunnel through the proxy, which does not see the key."""
        lines = [f"CONNECT {place} HTTP/1.1", f"host: {place}"]
        if proxy.username or proxy.password:
            pair = f"{unquote(proxy.username or '')}:{unquote(proxy.password or '')}"
            lines.append(f"proxy-authorization: Basic {base64.b64encode(pair.encode()).decode()}")
        opened.sendall("\r\n".join([*lines, "", ""]).encode("latin-1", "replace"))
        response = _Response(opened, method="CONNECT")
        try:
            response.begin()
        finally:
            response.close()
        if not 200 <= response.status < 300:
            raise ClaudeRelayError(
                "connection_failed",
                f"The proxy {_host_of(proxy)} answered {response.status} to the request for a connection to {self._url}. "
                "To bypass the proxy, add the relay's host to NO_PROXY.",
                status=response.status,
                should_retry=response.status in _PASSING_STATUSES,
            )

    def _request(
        self,
        connection: http.client.HTTPConnection,
        method: str,
        path: str,
        payload: Optional[bytes],
        headers: Mapping[str, str],
    ) -> http.client.HTTPResponse:
        try:
            connection.request(method, urlsplit(self._url).path + path, payload, dict(headers))
        except (BrokenPipeError, ConnectionResetError):
            # Refused before the whole request was sent: the answer says why.
            pass
        self._response = connection.getresponse()
        # A connection that is cut within the headers looks like the end of the headers.
        self._call.remaining()
        return self._response

    def _no_answer(self, error: Exception, connected: bool) -> ClaudeRelayError:
        """`connected`: a part of the request may have been sent."""
        where = self._url
        if self._proxy is not None:
            where += f" (through the proxy {_host_of(self._proxy)})"
        if isinstance(error, http.client.HTTPException) and not isinstance(error, OSError):
            return ClaudeRelayError(
                "not_a_relay",
                f"{where} answered, but not as a claude-relay does: {_reason(error)}. "
                "Is CLAUDE_RELAY_URL the relay's URL?",
            )
        if isinstance(error, ssl.SSLError) and not isinstance(
            error, (ssl.SSLEOFError, ssl.SSLZeroReturnError, ssl.SSLSyscallError, socket.timeout)
        ):
            return ClaudeRelayError(
                "tls_failed",
                f"No secure connection to the relay at {where}: {_reason(error)}. Is CLAUDE_RELAY_URL its URL, with the name that "
                "its certificate has? For a private certificate authority, set SSL_CERT_FILE to its file.",
            )
        failed = ClaudeRelayError(
            "connection_failed",
            f"No connection to the relay at {where}: {_reason(error)}. "
            "Is it running, and is CLAUDE_RELAY_URL its URL?",
        )
        # A server that resets a connection may have read from it.
        failed._unsent = not connected and not isinstance(error, (ConnectionResetError, ssl.SSLError))
        return failed

    def _pieces(self) -> Iterator[bytes]:
        """The body as it arrives. A connection that ends before the body is `connection_lost`."""
        response = self._response
        assert response is not None
        count = 0
        while True:
            self._call.remaining()
            try:
                piece = response.read1(65536)
            except (OSError, http.client.HTTPException) as error:
                self._call.remaining()
                raise self._lost(_reason(error)) from error
            if piece == b"":
                self._call.remaining()
                # http.client does not notice that a connection ended before Content-Length.
                if response.length:
                    raise self._lost("it was closed")
                return
            count += len(piece)
            if count > _MAX_ANSWER_BYTES:
                raise self._not_a_relay("more than 64 MiB")
            yield piece

    def _lost(self, why: str) -> ClaudeRelayError:
        return ClaudeRelayError(
            "connection_lost",
            f"The connection ended before the answer did: {why}.",
            request_id=self.request_id,
        )

    def _not_a_relay(self, what: Optional[str] = None) -> ClaudeRelayError:
        assert self._response is not None
        status = self._response.status
        return ClaudeRelayError(
            "not_a_relay",
            f"{self._url} answered {what or status}, but not as a claude-relay does. Is CLAUDE_RELAY_URL the relay's URL?",
            status=status,
        )

    def _text(self) -> str:
        return b"".join(self._pieces()).decode("utf-8-sig", "replace")

    def relay_object(self, fits: Callable[[Dict[str, Any]], bool]) -> Dict[str, Any]:
        """The body of a 2xx."""
        return self._of_relay(_object(self._text()), fits)

    def _of_relay(
        self, body: Optional[Dict[str, Any]], fits: Callable[[Dict[str, Any]], bool]
    ) -> Dict[str, Any]:
        """A relay's answer has `ok: true`, and `fits`, because other servers also send `ok: true`."""
        if body is not None and body.get("ok") is True and fits(body):
            return body
        raise self._not_a_relay()

    def answer(self) -> Generator[str, None, Dict[str, Any]]:
        """Yield the pieces of an answer as they arrive, and return its `done` event."""
        assert self._response is not None
        kind = self._response.getheader("content-type", "").lower()
        if not re.match(r"text/event-stream\b", kind):
            return self.relay_object(_is_completion)
        for data in self._event_data():
            event = _object(data) or {}
            if event.get("type") == "delta" and isinstance(event.get("text"), str):
                yield event["text"]
            elif event.get("type") == "done":
                return self._of_relay(event, _is_completion)
            elif event.get("type") == "error" and isinstance(event.get("error"), str):
                raise _error_of_body(
                    event, request_id=self.request_id, should_retry=_retry_advice(self._response)
                )
        raise self._lost("the stream has no end")

    def _event_data(self) -> Iterator[str]:
        """The data of each server-sent event, without comments (the relay's pings)."""
        rest: List[bytes] = []
        data: List[str] = []
        encoding = "utf-8-sig"
        for piece in self._pieces():
            first, *more = piece.split(b"\n")
            rest.append(first)
            if not more:
                continue
            lines = [b"".join(rest), *more[:-1]]
            rest = more[-1:]
            for raw in lines:
                line = re.sub(b"\r$", b"", raw).decode(encoding, "replace")
                encoding = "utf-8"
                if line.startswith("data:"):
                    text = line[len("data:") :]
                    data.append(text[1:] if text.startswith(" ") else text)
                if line == "" and data:
                    yield "\n".join(data)
                    data = []

    def _error(self, response: http.client.HTTPResponse, path: str) -> ClaudeRelayError:
        should_retry = _retry_advice(response)
        retry_after = _seconds_of(response.getheader("retry-after"))
        body = _object(self._text())
        if body is not None and body.get("ok") is False and isinstance(body.get("error"), str):
            if body["error"] == "not_found" and urlsplit(self._url).path != "":
                # The client sets the path: if it is not found, the path of the base URL is wrong.
                body["message"] = f"{_message_of(body)} Is the path of CLAUDE_RELAY_URL right ({self._url})?"
            return _error_of_body(
                body,
                status=response.status,
                should_retry=should_retry,
                retry_after=retry_after,
                request_id=self.request_id,
            )
        location = response.getheader("location")
        hint = (
            "Is the relay running behind it, and is CLAUDE_RELAY_URL its URL?"
            if location is None
            else f"It redirects to {_place_of(location, self._url, path)}: if the relay is there, set CLAUDE_RELAY_URL to that."
        )
        return ClaudeRelayError(
            "not_a_relay",
            f"{self._url} answered {response.status}, but not as a claude-relay does. {hint}",
            status=response.status,
            should_retry=should_retry,
            retry_after=retry_after,
        )


#: Seconds until a connection must be open, including its tunnel and TLS.
_CONNECT_TIMEOUT = 30.0
#: The most bytes of an answer. A relay's answers are far smaller.
_MAX_ANSWER_BYTES = 64 * 1024 * 1024

#: Temporary failures that cost nothing. The relay sends `x-should-retry: false` if one of them lasts longer than a minute.
_PASSING = {"rate_limited", "upstream_overloaded", "not_ready", "shutting_down"}
#: Temporary failures that may have cost tokens.
_SPENDING = {"connection_failed", "connection_lost", "upstream_error"}
#: Statuses of a tunnel or a proxy while the relay behind it restarts.
_PASSING_STATUSES = {429, 502, 503}


def _may_pass(error: ClaudeRelayError, repeatable: bool) -> bool:
    if error.should_retry is not None:
        return error.should_retry
    if error.code in _PASSING:
        return True
    if error.code == "not_a_relay":
        return error.status in _PASSING_STATUSES
    return error._unsent or (repeatable and error.code in _SPENDING)


def _retry_advice(response: http.client.HTTPResponse) -> Optional[bool]:
    """The relay's advice about a retry. An error that it replayed for an idempotency key would only be replayed again."""
    advice = response.getheader("x-should-retry")
    if advice == "true":
        return True
    return False if advice == "false" or response.getheader("idempotent-replayed") == "true" else None


def _reason(error: BaseException) -> str:
    return str(error).strip() or type(error).__name__


def _object(text: str) -> Optional[Dict[str, Any]]:
    try:
        value = json.loads(text, parse_constant=_no_number)
    except (ValueError, RecursionError):
        return None
    return cast(Dict[str, Any], value) if isinstance(value, dict) else None


def _error_of_body(
    body: Mapping[str, Any],
    *,
    status: Optional[int] = None,
    should_retry: Optional[bool] = None,
    retry_after: Optional[float] = None,
    request_id: Optional[str] = None,
) -> ClaudeRelayError:
    """The relay's error, from a response or from a stream."""
    after, id, limit, hop = (body.get(name) for name in ("retry_after", "request_id", "limit", "hop"))
    return ClaudeRelayError(
        body["error"],
        _message_of(body),
        status=status,
        should_retry=should_retry,
        request_id=id if isinstance(id, str) else request_id,
        retry_after=after if _is_number(after) else retry_after,
        limit=limit if isinstance(limit, str) else None,
        hop=hop if _is_number(hop) else None,
    )


def _message_of(body: Mapping[str, Any]) -> str:
    message = body.get("message")
    return message if isinstance(message, str) else "No reason was given."


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _is_model_list(body: Dict[str, Any]) -> bool:
    rows = body.get("data")
    return isinstance(rows, list) and all(
        isinstance(row, dict) and isinstance(cast(Dict[str, Any], row).get("id"), str)
        for row in cast(List[Any], rows)
    )


def _is_completion(body: Dict[str, Any]) -> bool:
    return {"result", "model", "resolved_model", "stop_reason", "duration_ms", "usage"} <= set(body)


def _place_of(location: str, url: str, path: str) -> str:
    """The target of a redirect, without the request's path, and without the query that a login page adds."""
    try:
        to = urlsplit(urljoin(url + path, location))
        place = f"{to.scheme}://{_host_of(to)}{to.path}"
    except ValueError:
        return location
    return place[: -len(path)] if place.endswith(path) else place


def _host_of(parts: SplitResult) -> str:
    """The host and port, without a user name and password."""
    return parts.netloc.rpartition("@")[2]


def _seconds_of(header: Optional[str]) -> Optional[float]:
    """`Retry-After`: seconds, or a date in HTTP's format. Anything else is ignored."""
    if header is None:
        return None
    if re.fullmatch(r"[0-9]+", header):
        return float(header)
    if re.fullmatch(r"\w{3}, \d{2} \w{3} \d{4} \d{2}:\d{2}:\d{2} GMT", header) is None:
        return None
    try:
        return max(0.0, parsedate_to_datetime(header).timestamp() - time.time())
    except (TypeError, ValueError):
        return None


def _completion_of(done: Mapping[str, Any], request_id: Optional[str], parse: bool) -> Completion:
    """`parse`: the value is JSON in the model's text. Otherwise it is the relay's `result`."""
    stop_reason = done["stop_reason"]
    return Completion(
        value=_parse_json(str(done["result"]), stop_reason, request_id) if parse else done["result"],
        model=done["model"],
        resolved_model=done["resolved_model"],
        stop_reason=stop_reason,
        duration_ms=done["duration_ms"],
        usage=done["usage"],
        request_id=request_id,
        fallback_from=done.get("fallback_from"),
    )


def _parse_json(text: str, stop_reason: str, request_id: Optional[str]) -> Any:
    """Models often put JSON into a Markdown fence: a fence around the whole text is removed."""
    bare = text.strip()
    first, _, rest = bare.partition("\n")
    if re.fullmatch(r"```(json)?\s*", first, re.IGNORECASE) and rest.endswith("```"):
        bare = rest[: -len("```")]
    try:
        return json.loads(bare, parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        cut = ""
        if stop_reason == "max_tokens":
            cut = " It was cut off at its token limit (max_tokens)."
        raise ClaudeRelayError(
            "not_json",
            f"The model's answer is not JSON.{cut} Ask for JSON in the prompt, or give a schema; "
            "the answer is in this error's text.",
            text=text,
            stop_reason=stop_reason,
            request_id=request_id,
        ) from error


def _no_number(name: str) -> NoReturn:
    """Refuses NaN and the infinities, which Python reads and JSON does not have."""
    raise ValueError(f"{name} is not JSON")


def _trimmed(given: Optional[str]) -> str:
    """Without the white space or byte order mark that a file can add."""
    return re.sub(r"^[\s\ufeff]+|[\s\ufeff]+$", "", given or "")


def _relay_url(given: Optional[str]) -> str:
    text = _trimmed(given)

    def says(what: str) -> ClaudeRelayError:
        return ClaudeRelayError(
            "bad_config",
            f"{what} Set CLAUDE_RELAY_URL (or the argument url) to the relay's URL, such as http://127.0.0.1:8799.",
        )

    if text == "":
        raise says("No relay URL is set.")
    try:
        parts = urlsplit(text)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise says(f'"{text}" is not a URL.') from None
    if parts.scheme not in ("http", "https") or not host:
        raise says(f'"{text}" is not an http or https URL.')
    if re.search(r"[\s\x00-\x20\x7f<>^`{|}\\%]", host):
        raise says(f'"{text}" is not a URL.')
    if parts.username or parts.password:
        raise says("The relay URL must have no user name and no password.")
    origin = f"{parts.scheme}://{f'[{host}]' if ':' in host else host}{'' if port is None else f':{port}'}"
    # The base URL for the OpenAI SDKs ends with /v1, and is accepted here too.
    return origin + re.sub(r"/v1$", "", quote(parts.path, safe="/%:@!$&'()*+,;=~").rstrip("/"))


def _proxy_of(relay: SplitResult) -> Optional[SplitResult]:
    """
    The proxy on the way to a relay, if there is one.

    It is used only for https, through a tunnel in which it sees no key, and never for this host.
    """
    host = relay.hostname or ""
    if relay.scheme != "https" or re.search(r"^(.+\.)?localhost$|^127\.|^::1$", host):
        return None

    def setting(name: str) -> str:
        return os.environ.get(name.lower()) or os.environ.get(name) or ""

    hosts = [host, f"[{host}]"] if ":" in host else [host]
    hosts += [f"{each}:{relay.port or 443}" for each in hosts]

    def without(entry: str) -> bool:
        bare = re.sub(r"^\*?\.", "", entry)
        return entry == "*" or any(f".{each}".endswith(f".{bare}") for each in hosts)

    text = (setting("HTTPS_PROXY") or setting("ALL_PROXY")).strip()
    listed = re.split(r"[\s,]+", setting("NO_PROXY").lower())
    if text == "" or any(entry != "" and without(entry) for entry in listed):
        return None
    try:
        proxy = urlsplit(text if "://" in text else f"http://{text}")
        if proxy.scheme == "http" and proxy.hostname and (proxy.port is None or proxy.port > 0):
            return proxy
    except ValueError:
        # Reported below, without the URL, which can contain a password.
        pass
    raise ClaudeRelayError(
        "bad_config",
        "The proxy in HTTPS_PROXY or ALL_PROXY is not an http:// URL. "
        f"Set an http:// URL, or add {host} to NO_PROXY.",
    )


def _idempotency_key(given: Optional[str]) -> Optional[str]:
    """Checks only that a header can carry the key; the relay checks the rest."""
    if given is None or re.fullmatch(r"[\x21-\x7e]+", given):
        return given
    raise ClaudeRelayError(
        "bad_config",
        "The idempotency key is not valid. Use printable ASCII characters without spaces.",
    )


def _relay_key(given: Optional[str]) -> str:
    key = _trimmed(given)
    if re.fullmatch(r"[\x21-\x7e]+", key):
        return key
    what = "No key is set." if key == "" else "The key is not valid."
    raise ClaudeRelayError(
        "bad_config",
        f"{what} Create a key on the relay's host (claude-relay key create my-app) and set CLAUDE_RELAY_KEY (or the argument key).",
    )


async def _in_thread(call: _Call, function: Callable[[], _T]) -> _T:
    """
    Cancelling the task aborts the call.

    Each call runs in a separate daemon thread, so that calls do not queue and do not delay the exit of the program.
    """
    loop = asyncio.get_running_loop()
    future: asyncio.Future[_T] = loop.create_future()

    def settle(result: Optional[_T], error: Optional[BaseException]) -> None:
        if future.done():
            return
        if error is None:
            future.set_result(cast(_T, result))
        else:
            future.set_exception(error)

    def run() -> None:
        outcome: Tuple[Optional[_T], Optional[BaseException]]
        try:
            outcome = (function(), None)
        except BaseException as error:
            outcome = (None, error)
        try:
            loop.call_soon_threadsafe(settle, *outcome)
        except RuntimeError:
            # The loop was closed: no caller is waiting any more.
            pass

    threading.Thread(target=run, name="claude-relay", daemon=True).start()
    try:
        return await future
    except asyncio.CancelledError:
        call.abort()
        raise
