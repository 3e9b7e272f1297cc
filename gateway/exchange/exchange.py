"""One request and its response, as the client sees them, whatever protocol carries them. Pure.

Three parties take part. The *source* makes the response: a call on a worker, a file, a cached
answer. The *sink* brings it to the client: a connection in HTTP/1.1, a stream in HTTP/2. The
`Exchange` is what both know of: what was asked, by whom, and what has become of it.

The source pushes the response into the sink, synchronously, piece by piece. That would fill the
memory if the client is slower than the source, so *credit* runs the other way: the sink says how
many bytes the client has taken, and a source never has more under way than its window.

The source calls `exchange.sink`, and the sink calls `exchange.source`. Filters (see `filters`) may
stand between. Then both fields name the chain of filters, which is a sink for the source and a
source for the sink, and neither notices. Without a filter nothing is paid.

The request's body has an interface of its own (`Uploader`), because it runs the other way and no
filter of responses touches it. So has what only WebSockets need (`WebSocketSink`,
`WebSocketSource`).

An exchange's facts (status, fields, bytes, time marks, reason) are written here and nowhere else.
Sinks and sources report what happened by calling the methods below; observers are told at the start
and at the end, and read.
"""

from collections.abc import Callable
from logging import getLogger
from typing import Final, Literal, NamedTuple, Protocol

from ...protocol.messages import Address, Pairs
from .endpoint import NOWHERE, Endpoint
from .trace_context import TRACEPARENT, TraceParent

log = getLogger("propylon.gateway")

IDEMPOTENT: Final = frozenset({"GET", "HEAD", "OPTIONS", "PUT", "DELETE", "TRACE"})
"""Methods for which doing it twice means the same as doing it once (RFC 9110 section 9.2.2)."""


class Request:
    """The request of a client. It is immutable once the trust policy has read its forwarded fields
    and it has an id, but for its `traceparent`, which names the span that asks. `headers` are those
    meant for the app."""

    __slots__ = (
        "content_length",
        "expects_continue",
        "forwarded",
        "headers",
        "host",
        "http_version",
        "method",
        "path",
        "query",
        "takes",
        "target",
        "told_ids",
        "trace_parent",
        "upgrade",
    )

    def __init__(self, method: str, target: bytes, http_version: str) -> None:
        self.method = method
        self.target = target
        """The target as it stood in the request line."""
        self.http_version = http_version
        self.path = target
        """The raw path, still percent-encoded, never empty."""
        self.query = b""
        self.headers: Pairs = ()
        self.forwarded: Pairs = ()
        """Forwarded and X-Forwarded-*. Any client can write them, so they are not in `headers`."""
        self.host = ""
        """The host in lower case, without port; "" if an HTTP/1.0 client sent none."""
        self.content_length: int | None = 0
        """The size of the body in bytes; None if only its end will tell."""
        self.expects_continue = False
        """Whether the client sends its body only after a 100 (RFC 9110 section 10.1.1)."""
        self.upgrade: Literal["", "websocket"] = ""
        """The protocol that it is to become: HTTP/1.1's Upgrade, or HTTP/2's :protocol (RFC
        8441)."""
        self.takes: int = 0
        """What its client can take beside a plain response, as flags of OPEN: TAKES_HINTS,
        TAKES_TRAILERS."""
        self.trace_parent: TraceParent | None = None
        """The trace that it continues; None if it continues none."""
        self.told_ids: tuple[bytes, ...] = ()
        """The values of the field of request ids, as the client wrote them: it may not be trusted.
        They are not in `headers`."""

    def has_length(self, size: int) -> None:
        """Notes the size of a body that came without one, now that it is whole. The app sees it,
        and not the coding that the client used (RFC 9112 section 7.1.3)."""
        length = (b"content-length", b"%d" % size)
        self.content_length = size
        self.headers = tuple(
            [length if pair[0] == b"transfer-encoding" else pair for pair in self.headers]
        )

    def is_meant_for(self, host: str, headers: Pairs) -> None:
        """Takes a trusted proxy's word for which host its client has asked. `headers` are those
        that the app is to get."""
        self.host, self.headers = host, headers

    def carry(self, field: tuple[bytes, bytes]) -> None:
        """Carries a field of ours to the app, behind the client's."""
        self.headers += (field,)

    def is_asked_by(self, traceparent: bytes) -> None:
        """Replaces the `traceparent` that the app is to get. It stands in front: the last field is
        the request's id, as the worker is told (IDENTIFIED)."""
        others = self.headers
        for name, _ in others:
            if name == TRACEPARENT:
                others = tuple([pair for pair in others if pair[0] != TRACEPARENT])
                break
        self.headers = ((TRACEPARENT, traceparent), *others)


class Account(NamedTuple):
    """An account of what a source has done for an exchange so far, for the log."""

    pool: str
    worker: int | str | None
    """The name of the last worker that had the exchange; None if none had it."""
    queued: float
    """Seconds that the exchange has waited for a worker."""
    attempts: int
    """How many workers have had the exchange."""
    generation: int | None = None
    """The generation of that worker, as it says; None if it says none."""


class Source(Protocol):
    """A source makes the response of an exchange, and takes the request's body."""

    def account(self) -> Account | None:
        """Returns what the source has done for the exchange; None if it keeps no account."""
        ...

    @property
    def send_credit(self) -> int:
        """Bytes of request body that the source takes now."""
        ...

    def send_body(self, data: bytes, more: bool) -> None:
        """Takes request body, at most `send_credit` bytes. `more` says whether the body goes on."""
        ...

    def consumed(self, count: int) -> None:
        """Gives credit: the client has taken `count` bytes of the response's body, and the source
        may push as many more. It is never called from inside a sink's `body`, so a source may push
        at once."""
        ...

    def abandon(self, code: int, reason: str) -> None:
        """Abandons the response: no client waits for it any more. `code` is one of RESET's."""
        ...

    @property
    def is_running(self) -> bool:
        """Whether an app is at work for it. A call that was abandoned is, until its app has left
        it."""
        ...


class WebSocketSource(Source, Protocol):
    """The app's side of an accepted WebSocket."""

    @property
    def message_overhead(self) -> int:
        """Bytes of credit that a piece of a message costs beside its data, in both directions. It
        does not change."""
        ...

    def send_message(self, data: bytes | str, more: bool) -> None:
        """Takes a piece of a message, which with its overhead costs at most `send_credit`."""
        ...

    def settle(self) -> None:
        """Asks for all its credit when the app has received every message and waits."""
        ...

    def hang_up(self, event: dict[str, object]) -> None:
        """Tells the app that the WebSocket is closed, as the ASGI `event` says; the app may still
        run on."""
        ...


class OpenFile(Protocol):
    """An open file, parts of which are sent. It stays open as long as somebody has this object."""

    @property
    def fd(self) -> int: ...

    @property
    def name(self) -> str:
        """The file's name, for the log."""
        ...

    def read(self, offset: int, count: int) -> bytes:
        """Returns `count` bytes that are in memory. Raises OSError, also if the file has become
        shorter."""
        ...

    def is_in_memory(self, offset: int, count: int) -> bool:
        """Whether these bytes can be sent without a wait for a disk: the sink may have had to wait
        for its client, and the kernel may have dropped them meanwhile."""
        ...

    def bring(self, offset: int, count: int, then: Callable[[], None]) -> None:
        """Has these bytes read by a thread, and calls `then` on the loop, later and in any
        case."""
        ...


class Sink(Protocol):
    """A sink brings a response to the client. Exactly one of `respond`, `end` and `fail` closes an
    exchange; a call about an exchange that is closed already is ignored.

    `respond`, `head` and `fail` return the status of the head that this call has sent. It may not
    be the status asked for: a response that is not valid HTTP becomes a 500. They return 0 if no
    head was sent: a head was sent before, or the client is gone.
    """

    def respond(self, exchange: "Exchange", status: int, fields: Pairs, body: bytes) -> int:
        """Sends a complete response at once."""
        ...

    def head(self, exchange: "Exchange", status: int, fields: Pairs) -> int:
        """Sends the head of a response; its body follows."""
        ...

    def body(self, exchange: "Exchange", data: bytes) -> None:
        """Sends a piece of the body. The source gets its credit back when the client has taken the
        piece: at the end of this turn or of another one, but not before this returns."""
        ...

    def file(self, exchange: "Exchange", file: OpenFile, offset: int, count: int) -> bool:
        """Sends a piece of a file, as `body` sends bytes; the source has its credit back the same
        way. The source has made sure that the piece is in memory (the page cache), since a sink
        never waits for a disk. The sink holds the file until the client has the piece. Returns
        whether the piece stays in the file until then, so that a source may be far ahead at no
        cost; otherwise the sink has read it. Raises OSError if it cannot be read, with nothing
        sent."""
        ...

    def end(self, exchange: "Exchange") -> None:
        """Ends the response: its body is complete."""
        ...

    def interim(self, exchange: "Exchange", status: int, fields: Pairs) -> None:
        """Sends an interim response (1xx) before the head, if the client takes such. It is dropped
        while the client takes nothing: nothing would bound how many of them wait."""
        ...

    def trailers(self, exchange: "Exchange", fields: Pairs) -> None:
        """Gives the fields that go out behind the body, with its end, if the client takes such. It
        comes between the head and `end`, once."""
        ...

    def fail(self, exchange: "Exchange", status: int, sentence: str, option: str = "") -> int:
        """Ends an exchange that gets no whole response: with an error page, or, if the head was
        sent already, with a truncation that the client can see. `option` sets the limit that was
        met. Who ends the exchange was said before (`Exchange.give_end`)."""
        ...


class SizeLimit(Protocol):
    """How large a request's body may be."""

    def check(self, size: int) -> None:
        """Raises RequestError for a body of so many bytes, if that is too much."""
        ...


class Uploader(Protocol):
    """An uploader reads the request's body: the client's connection."""

    def credit_arrived(self, exchange: "Exchange") -> None:
        """Notes that the source takes request body, or messages of a WebSocket."""
        ...

    def take_back(self, exchange: "Exchange", body: bytes) -> None:
        """Notes that the exchange has another source, which was given `exchange.body`. The `body`
        here follows it once more, and then the rest."""
        ...

    def limit_body(self, exchange: "Exchange", limit: SizeLimit) -> None:
        """Notes that the body, whose size was not told, is refused when more than that has come.
        Raises RequestError if it has."""
        ...


class CollectedBody(Uploader, Protocol):
    """A request's body that was kept until it was whole. It can be sent more than once."""

    @property
    def has_file(self) -> bool:
        """Whether some of it is in a file."""
        ...

    def rewind(self, exchange: "Exchange") -> None:
        """Begins again, for another worker: `exchange.body` has the first bytes."""
        ...

    def forget(self) -> None:
        """Notes that no worker will get the body once more."""
        ...

    def leave(self) -> None:
        """Drops what was kept: the exchange is over."""
        ...


class ClientSide(Sink, Uploader, Protocol):
    """The side that opens an exchange: it takes the response, and has the request's body."""


class OpeningSide(ClientSide, Protocol):
    """The client's side of an exchange that is opened."""

    def slots_held(self) -> int:
        """How many calls of the client's connection workers run, in any pool."""
        ...


class WebSocketSink(Protocol):
    """The client's side of a WebSocket, from its handshake on."""

    def accept(
        self,
        exchange: "Exchange",
        source: WebSocketSource,
        subprotocol: str | None,
        fields: Pairs,
    ) -> int:
        """Accepts the WebSocket for the app. Returns the status of the head, as a `Sink` does."""
        ...

    def message(self, exchange: "Exchange", data: bytes | str, more: bool) -> None:
        """Sends a piece of a message."""
        ...

    def close(self, exchange: "Exchange", code: int, reason: str) -> int:
        """Closes the WebSocket for the app; before `accept` that is a refusal. Returns the status
        of the head, as a `Sink` does."""
        ...

    def worker_leaves(self, exchange: "Exchange") -> None:
        """Notes that the worker is about to end, while a WebSocket has no end of its own."""
        ...


class Trace(Protocol):
    """What records an exchange as spans of a trace."""

    def begin_attempt(self, exchange: "Exchange", now: float) -> None:
        """Notes that the exchange gets a source, at a retry another one, and makes the request that
        source's: the app that it asks continues the trace from a span of this attempt."""
        ...


class Between(Protocol):
    """What stands between source and sink: a sink for the one and a source for the other."""

    def connect(self, source: Source) -> None:
        """The exchange has this source now, which may be another one than before."""
        ...

    def leave(self) -> None:
        """The exchange is over, whether its response has come to its end or not."""
        ...


Observer = Callable[["Exchange"], None]


class Observers:
    """The observers of every exchange. They read it and may not keep it. What one raises is logged
    and harms nothing."""

    __slots__ = ("at_end", "at_start")

    def __init__(
        self, at_start: tuple[Observer, ...] = (), at_end: tuple[Observer, ...] = ()
    ) -> None:
        """`at_start` are told when an exchange is opened: its request is known, its forwarded
        fields are not read yet. `at_end` are told once, when nothing more will happen to it."""
        self.at_start = at_start
        self.at_end = at_end


NOBODY: Final = Observers()
_BLIND: Final = "an exchange could not be observed"
"""The log's line for a fault of ours, which costs a line or a number and not the connection."""


class Exchange:
    """The life of one request: what was asked, by whom, and what has become of it.

    Time marks are monotonic seconds; 0.0 for what has not happened.
    """

    __slots__ = (
        "_between",
        "_observers",
        "body",
        "body_received",
        "body_sent",
        "client",
        "collected",
        "cookie",
        "end_code",
        "ended",
        "extensions",
        "first_byte",
        "more_body",
        "opened",
        "opener",
        "path",
        "phrase",
        "queued",
        "reason",
        "request",
        "request_id",
        "response_headers",
        "retry_after",
        "root_path",
        "route",
        "scheme",
        "server",
        "sink",
        "source",
        "started",
        "status",
        "trace",
        "trace_id",
        "uploader",
        "websocket",
    )

    def __init__(
        self,
        request: Request,
        client_side: OpeningSide,
        endpoint: Endpoint = NOWHERE,
        opened: float = 0.0,
        observers: Observers = NOBODY,
    ) -> None:
        """`opened` is when the request's head was complete, in monotonic seconds."""
        self.request = request
        self.sink: Sink = client_side
        """The sink, or the filters before it, as the source sees it."""
        self.source: Source | None = None
        """The source, or the filters behind it, as the sink sees it; None until there is one."""
        self.uploader: Uploader = client_side
        self.opener: OpeningSide | None = client_side
        """Who has opened it, until it becomes a WebSocket; what takes the response may be another
        by now."""
        self.websocket: WebSocketSink | None = None
        """The client's side of a WebSocket; None if the client wants none."""
        self._between: Between | None = None
        self._observers = observers
        # What the app is told of the connection's ends; a trusted proxy may know better.
        self.client = endpoint.client
        self.server = endpoint.server
        self.scheme = endpoint.scheme
        self.extensions = endpoint.extensions
        self.path = request.path
        """The raw path as the app is to see it."""
        self.root_path = ""
        self.body = b""
        """The first bytes of the request's body, kept while the exchange may be retried."""
        self.collected: CollectedBody | None = None
        """The request's body, if it is or was kept until it is whole; else None."""
        self.more_body = False
        """Whether more of the request's body was or is still to come behind `body`."""
        self.status = 0
        """The response's status once its head is on its way, else 0; 499 if the client has left
        before."""
        self.response_headers: Pairs = ()
        """The headers as the app gave them, for the access log."""
        self.body_sent = 0
        """Bytes of the response's body that were sent, or of a WebSocket's messages, without
        framing."""
        self.body_received = 0
        """Bytes of the request's body that have come from the client, or of a WebSocket's messages,
        without framing."""
        self.phrase: tuple[int, bytes] | None = None
        """A status and the app's own reason phrase for it, which HTTP/1.1 can send."""
        self.request_id = ""
        """What names this request in every log, here and in the app; "" without request ids."""
        self.trace_id = "" if request.trace_parent is None else request.trace_parent.trace_id
        """The trace that the request belongs to, as 32 hex digits; "" if it belongs to none."""
        self.trace: Trace | None = None
        """What records the exchange; None if its trace is not recorded here."""
        self.route = ""
        """The route that it took, as the configuration has it; "" if it took none."""
        self.cookie = b""
        """A cookie of ours that the response sets, beside the app's; b"" for none."""
        self.end_code = ""
        """Who ended the exchange, and in which phase: a word of `end_codes`. Until the end, and for
        a response that came to its end as the app gave it, it is ""."""
        self.reason = ""
        """Why the gateway has answered instead of the app, or why the response was cut; "" if the
        app has answered."""
        self.retry_after = 1
        """Seconds after which the client may ask again, if the answer is our own 503."""
        self.opened = opened
        self.queued = self.started = self.first_byte = self.ended = 0.0
        if observers.at_start:
            self._tell(observers.at_start)

    def _tell(self, observers: tuple[Observer, ...]) -> None:
        for observer in observers:
            try:
                observer(self)
            except Exception:
                log.exception("%s%s", _BLIND, log_tail(self), extra=log_facts(self))

    # -- before it is answered ---------------------------------------------------------------

    def came_from(self, client: Address | None, scheme: str, server: Address | None) -> None:
        """Takes a trusted proxy's word for who its client is and how that has reached the proxy."""
        self.client, self.scheme, self.server = client, scheme, server

    def identify(self, request_id: str) -> None:
        """Names the request."""
        self.request_id = request_id

    def join_trace(self, trace_id: str, trace: Trace | None) -> None:
        """Makes the exchange a part of the trace; `trace` records it, unless it is None."""
        self.trace_id, self.trace = trace_id, trace

    def take_route(self, route: str) -> None:
        """Notes the route that it takes."""
        self.route = route

    def mount(self, root_path: str, path: bytes) -> None:
        """Mounts the app below `root_path`; it is to see this raw path."""
        self.root_path, self.path = root_path, path

    # -- on the source's side ----------------------------------------------------------------

    def connect(self, source: Source, now: float) -> None:
        """Makes `source` the source of the response; at a retry it is another one. Filters stay in
        their place. The source begins at once, unless it says that the exchange waits."""
        if self.trace is not None:
            self.trace.begin_attempt(self, now)
        self.queued = self.queued or now
        self.started = now
        if self._between is None:
            self.source = source
        else:
            self._between.connect(source)

    def go_on_from(self, source: Source) -> None:
        """Makes `source` the source of the rest of the response: whoever has made the response so
        far, or decided what it is, has nothing more to say."""
        if self._between is None:
            self.source = source
        else:
            self._between.connect(source)

    def wait(self) -> None:
        """Notes that the exchange waits, because no worker is free."""
        self.started = 0.0

    def start(self, now: float) -> None:
        """Notes that a worker has the request, and the exchange waits no more."""
        self.started = now

    def set_phrase(self, status: int, phrase: bytes) -> None:
        """Gives a response of this status the app's own reason phrase."""
        self.phrase = (status, phrase)

    def forget_phrase(self) -> None:
        """Drops the app's own reason phrase, because its response was refused."""
        self.phrase = None

    def give_cookie(self, cookie: bytes) -> None:
        """Has the response set this cookie: a value of Set-Cookie (RFC 6265 section 4.1), or b""
        for none. It counts until the response begins."""
        self.cookie = cookie

    def give_end(self, code: str) -> None:
        """Notes who ends the exchange; the first code stays."""
        self.end_code = self.end_code or code

    def give_reason(self, reason: str) -> None:
        """Notes why the gateway answers instead of the app; the first reason stays."""
        self.reason = self.reason or reason

    def give_retry_after(self, seconds: int) -> None:
        """Notes when the client may ask again (RFC 9110 section 10.2.3), before it is failed with
        503."""
        self.retry_after = seconds

    # -- between -----------------------------------------------------------------------------

    def pass_through(self, sink: Sink) -> Sink:
        """Has the source speak to `sink`, which looks at the response and hands it on to the sink
        that is returned. The client's side knows nothing of it, and gives the source its credit
        back itself: so `sink` changes no body."""
        before, self.sink = self.sink, sink
        return before

    def put_between(self, between: Between, sink: Sink, source: Source) -> Between | None:
        """Has the source speak to `sink` and the sink to `source`, which are the two faces of what
        stands `between` them from now on. Returns what stood there before: it stands nearer to the
        sink, and `between` has to tell it when the exchange is over."""
        before = self._between
        self._between, self.sink, self.source = between, sink, source
        return before

    # -- the request's body ------------------------------------------------------------------

    def begin_body(self, body: bytes, more: bool) -> None:
        """Notes the part of the body that the source gets with the request. `more` says whether
        the body goes on."""
        self.body, self.more_body = body, more

    def body_goes_on(self, more: bool) -> None:
        """Notes whether more of the body is to come, after what was handed on just now."""
        self.more_body = more

    def count_received(self, count: int) -> None:
        """Notes that `count` bytes of the request's body have come."""
        self.body_received += count

    def forget_body(self) -> None:
        """Drops `body`, because there will be no retry."""
        self.body = b""
        if self.collected is not None:
            self.collected.forget()

    def collect(self, body: "BodyCollector") -> None:
        """Has the request's body kept, before there is a source of its response."""
        self.source = self.collected = body

    def upload_from(self, body: CollectedBody) -> None:
        """Has the source get the request's body from where it was kept."""
        self.uploader = body

    # -- on the sink's side ------------------------------------------------------------------

    def begin_response(self, status: int, fields: Pairs, now: float) -> None:
        """Notes that the response's head is on its way to the client."""
        self.status, self.response_headers, self.first_byte = status, fields, now

    def count_sent(self, count: int) -> None:
        """Notes that `count` bytes of the response's body are on their way to the client."""
        self.body_sent += count

    def complete(self, status: int, fields: Pairs, size: int, now: float) -> None:
        """Ends the exchange: the whole response is on its way. `size` is that of its body."""
        self.status = status
        self.response_headers = fields
        self.first_byte = self.ended = now
        self.body_sent = 0 if self.request.method == "HEAD" else size
        # As `end` and `_tell`, with two calls less: most responses come this way.
        if self._between is not None:
            self._between.leave()
        if self.collected is not None:
            self.collected.leave()
        for observer in self._observers.at_end:
            try:
                observer(self)
            except Exception:
                log.exception("%s%s", _BLIND, log_tail(self), extra=log_facts(self))

    def abandon(self, why: str, now: float) -> None:
        """Ends the exchange: the client has left before the response was complete."""
        if not self.status:
            self.status, self.reason = 499, why
        self.end(now)

    def end(self, now: float) -> None:
        """Ends the exchange, and tells the observers as the last thing."""
        self.ended = now
        if self.request.method == "HEAD":
            self.body_sent = 0  # whatever the app gave
        if self._between is not None:
            self._between.leave()
        if self.collected is not None:
            self.collected.leave()
        self._tell(self._observers.at_end)

    def become_websocket(self, connection: "AcceptedWebSocket") -> None:
        """Makes an accepted WebSocket the sink. No filter of responses stands before it."""
        self.sink = self.uploader = self.websocket = connection
        self.opener = None

    def offer_websocket(self, handshake: WebSocketSink) -> None:
        """Notes that the client wants a WebSocket, and the object that takes the app's answer."""
        self.websocket = handshake


def log_tail(exchange: Exchange | None) -> str:
    """The end of a line of our own log that is about this exchange: its id."""
    if exchange is None or not exchange.request_id:
        return ""
    return f" [request {exchange.request_id}]"


def log_facts(exchange: Exchange | None) -> dict[str, str]:
    """The same for the record of such a line (`extra`), of which JSON makes a key."""
    return {"request_id": "" if exchange is None else exchange.request_id}


def log_app_fault(exchange: Exchange, fault: str) -> None:
    """Logs for the operator what is wrong with the response that the app has given."""
    request = exchange.request
    path = request.path.decode("ascii")
    log.error(
        "the app's response to %s %s: %s%s",
        request.method,
        path,
        fault,
        log_tail(exchange),
        extra=log_facts(exchange),
    )


class BodyCollector(Source, CollectedBody, Protocol):
    """A source that takes a request's body and makes no response."""


class AcceptedWebSocket(ClientSide, WebSocketSink, Protocol):
    """An accepted WebSocket, on a connection that was HTTP's."""
