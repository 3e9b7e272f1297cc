"""One request and its response, as the client sees them, whatever protocol carries them. Pure.

Three parties take part. The *source* makes the response: a call on a worker, a file, a cached
answer. The *sink* brings it to the client: a connection in HTTP/1.1, a stream in HTTP/2. The
`Exchange` is what both know of: what was asked, by whom, and what has become of it.

The source pushes the response into the sink, synchronously, piece by piece. That would fill the
memory if the client is slower than the source, so *credit* runs the other way: the sink says how
many bytes the client has taken, and a source never has more under way than its window.

The two face each other: the source calls `exchange.sink`, the sink calls `exchange.source`. Filters
(see `filters`) may stand between. Then both fields name the chain of filters, which is a sink for
the source and a source for the sink, and neither notices. Where there is none, nothing is paid.

What the request's body needs is apart from that (`Uploader`: it runs the other way, and no filter
of responses has a business with it), and so is what only WebSockets need (`WebSocketSink`,
`WebSocketSource`).

An exchange's facts (status, fields, bytes, time marks, reason) are written here and nowhere else.
Sinks and sources report what happened by calling the methods below; observers are told at the start
and at the end, and read.
"""

from collections.abc import Callable
from logging import getLogger
from typing import Final, Literal, NamedTuple, Protocol

from ...protocol.messages import Pairs
from .endpoint import NOWHERE, Endpoint

log = getLogger("propylon.gateway")

IDEMPOTENT: Final = frozenset({"GET", "HEAD", "OPTIONS", "PUT", "DELETE", "TRACE"})
"""RFC 9110 section 9.2.2: doing it twice means the same as doing it once."""


class Request:
    """What the client asked. Immutable once a trusted proxy's word about it has been heard;
    `headers` are those meant for the app."""

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
        "target",
        "upgrade",
    )

    def __init__(self, method: str, target: bytes, http_version: str) -> None:
        self.method = method
        self.target = target
        """As it stood in the request line."""
        self.http_version = http_version
        self.path = target
        """Raw path, still percent-encoded, never empty."""
        self.query = b""
        self.headers: Pairs = ()
        self.forwarded: Pairs = ()
        """Forwarded and X-Forwarded-*, which anybody could write: not among `headers`."""
        self.host = ""
        """Lower case, without port; "" when HTTP/1.0 sent none."""
        self.content_length: int | None = 0
        """Body size in bytes; None when only its end will tell."""
        self.expects_continue = False
        """Whether the client holds its body back until it hears 100 (RFC 9110 section 10.1.1)."""
        self.upgrade: Literal["", "websocket"] = ""
        """What it is to become: HTTP/1.1's Upgrade, the :protocol of HTTP/2 (RFC 8441)."""


class Account(NamedTuple):
    """What a source has done for an exchange so far, for the log."""

    pool: str
    worker: int | str | None
    """As it calls itself; None: none has had the exchange."""
    queued: float
    """Seconds that the exchange has waited for a worker."""
    attempts: int
    """Workers that have had the exchange."""


class Source(Protocol):
    """Where a response comes from, and where the request's body goes."""

    def account(self) -> Account | None:
        """What it has done for the exchange; None: it does not count such things."""
        ...

    @property
    def send_credit(self) -> int:
        """Bytes of request body that the source takes now."""
        ...

    def send_body(self, data: bytes, more: bool) -> None:
        """Takes request body, at most `send_credit` bytes. `more`: it goes on behind them."""
        ...

    def consumed(self, count: int) -> None:
        """Credit: the client has taken `count` bytes of the response's body, and the source may
        push as many more. Never called from inside of a sink's `body`, so a source may push at
        once."""
        ...

    def give_up(self, code: int, reason: str) -> None:
        """Nobody waits for this response any more (`code`: one of RESET's)."""
        ...


class WebSocketSource(Source, Protocol):
    """The app's side of an accepted WebSocket."""

    def send_message(self, data: bytes | str, more: bool) -> None:
        """Takes a piece of a message, at most `send_credit` bytes."""
        ...

    def settle(self) -> None:
        """Asks for all its credit when the app has received every message and waits."""
        ...

    def hang_up(self, event: dict[str, object]) -> None:
        """The WebSocket is closed, as `event` (ASGI's) says; the app may still run on."""
        ...


class Sink(Protocol):
    """Where a response goes. Exactly one of `respond`, `end` and `fail` closes an exchange; what
    is said of one that is closed already is ignored.

    `respond`, `head` and `fail` return the status of the head that went to the client through this
    call, which need not be the one that was asked for: a response that is no valid HTTP becomes a
    500. 0 where none went out: a head was out before, or nobody is there.

    A body that is a file will come as `file(exchange, fd, offset, count)`, for sendfile(2).
    """

    def respond(self, exchange: "Exchange", status: int, fields: Pairs, body: bytes) -> int:
        """A complete response, at once."""
        ...

    def head(self, exchange: "Exchange", status: int, fields: Pairs) -> int:
        """The head of a response whose body follows."""
        ...

    def body(self, exchange: "Exchange", data: bytes) -> None:
        """A piece of the body. The source gets its credit back later, when the client has taken
        it: at the end of this turn or of another one, but not before this returns."""
        ...

    def end(self, exchange: "Exchange") -> None:
        """The body is complete."""
        ...

    def fail(self, exchange: "Exchange", status: int, sentence: str, option: str = "") -> int:
        """No (whole) response will come: an error page, or where the head is out already a
        truncation that the client can see. `option`: what sets the limit that was met."""
        ...


class Uploader(Protocol):
    """Where the request's body comes from: the client's connection."""

    def credit_arrived(self, exchange: "Exchange") -> None:
        """The source takes request body, or messages of a WebSocket, (again)."""
        ...

    def take_back(self, exchange: "Exchange", body: bytes) -> None:
        """The exchange has another source, which is given its `body`. Behind that comes this part
        of the request's body again, and then the rest."""
        ...


class ClientSide(Sink, Uploader, Protocol):
    """What opens an exchange: it takes the response, and has the request's body."""


class WebSocketSink(Protocol):
    """The client's side of a WebSocket, from its handshake on."""

    def accept(
        self,
        exchange: "Exchange",
        source: WebSocketSource,
        subprotocol: str | None,
        fields: Pairs,
    ) -> int:
        """The app accepts. Returns the status of the head that went out, as a `Sink` does."""
        ...

    def message(self, exchange: "Exchange", data: bytes | str, more: bool) -> None:
        """A piece of a message."""
        ...

    def close(self, exchange: "Exchange", code: int, reason: str) -> int:
        """The app closes; before it has accepted, that is a refusal. Returns the status of the
        head that went out, as a `Sink` does."""
        ...

    def worker_leaves(self, exchange: "Exchange") -> None:
        """The source would like to end, and a WebSocket has no end of its own."""
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
    """Who is told of every exchange. They read it and may not keep it; what one raises is logged
    and costs nobody anything."""

    __slots__ = ("at_end", "at_start")

    def __init__(
        self, at_start: tuple[Observer, ...] = (), at_end: tuple[Observer, ...] = ()
    ) -> None:
        """`at_start` are told when it is opened: its request is known, but not yet what a trusted
        proxy says of it. `at_end` are told once, when nothing more will happen to it."""
        self.at_start = at_start
        self.at_end = at_end


NOBODY: Final = Observers()
_BLIND: Final = "an exchange could not be observed"
"""A fault of ours: it costs a line or a number, and not the client's connection."""


class Exchange:
    """The life of one request: what was asked, by whom, and what has become of it.

    Time marks are monotonic seconds; 0.0 for what has not happened.
    """

    __slots__ = (
        "_between",
        "_observers",
        "body",
        "body_sent",
        "client",
        "ended",
        "extensions",
        "first_byte",
        "more_body",
        "opened",
        "path",
        "phrase",
        "queued",
        "reason",
        "request",
        "response_headers",
        "root_path",
        "scheme",
        "server",
        "sink",
        "source",
        "started",
        "status",
        "uploader",
        "websocket",
    )

    def __init__(
        self,
        request: Request,
        client_side: ClientSide,
        endpoint: Endpoint = NOWHERE,
        opened: float = 0.0,
        observers: Observers = NOBODY,
    ) -> None:
        """`opened`: when the request's head was complete."""
        self.request = request
        self.sink: Sink = client_side
        """Whom the source speaks to."""
        self.source: Source | None = None
        """Whom the sink speaks to; None until the exchange has one."""
        self.uploader: Uploader = client_side
        self.websocket: WebSocketSink | None = None
        """None if the client wants no WebSocket."""
        self._between: Between | None = None
        self._observers = observers
        # What the app is told of the connection's ends; a trusted proxy may know better.
        self.client = endpoint.client
        self.server = endpoint.server
        self.scheme = endpoint.scheme
        self.extensions = endpoint.extensions
        self.path = request.path
        """Raw path as the app is to see it."""
        self.root_path = ""
        self.body = b""
        """The first bytes of the request's body, kept while the exchange may be retried."""
        self.more_body = False
        """Whether more of the request's body was or is still to come behind `body`."""
        self.status = 0
        """The response's status once its head is on its way, else 0; 499 where the client has left
        before that."""
        self.response_headers: Pairs = ()
        """As the app gave them; for the access log."""
        self.body_sent = 0
        """Bytes of response body, framing not counted."""
        self.phrase: tuple[int, bytes] | None = None
        """The app's own reason phrase, and the status that it goes with; HTTP/1.1 has a place for
        one."""
        self.reason = ""
        """Why the gateway and not the app has answered, or why the answer has no end; "" of what
        the app has answered."""
        self.opened = opened
        self.queued = self.started = self.first_byte = self.ended = 0.0
        if observers.at_start:
            self._begin(observers.at_start)

    def _begin(self, observers: tuple[Observer, ...]) -> None:
        for observer in observers:
            try:
                observer(self)
            except Exception:
                log.exception(_BLIND)

    # -- on the source's side ----------------------------------------------------------------

    def connect(self, source: Source, now: float) -> None:
        """Has the response come from this source, from now on; at a retry, from another one. What
        stands between stays in its place. The source begins at once, unless it says that the
        exchange waits."""
        self.queued = self.queued or now
        self.started = now
        if self._between is None:
            self.source = source
        else:
            self._between.connect(source)

    def wait(self) -> None:
        """The source has not begun: no worker is free."""
        self.started = 0.0

    def start(self, now: float) -> None:
        """The exchange has waited long enough: a worker has been handed the request."""
        self.started = now

    def set_phrase(self, status: int, phrase: bytes) -> None:
        """The response, if it has this status, has the app's own reason phrase."""
        self.phrase = (status, phrase)

    def give_reason(self, reason: str) -> None:
        """Says why it is not the app that answers; whoever says it first knows best."""
        self.reason = self.reason or reason

    # -- between -----------------------------------------------------------------------------

    def put_between(self, between: Between, sink: Sink, source: Source) -> None:
        """Has the source speak to `sink` and the sink to `source`, which are the two faces of what
        stands `between` them from now on."""
        self._between, self.sink, self.source = between, sink, source

    # -- the request's body ------------------------------------------------------------------

    def begin_body(self, body: bytes, more: bool) -> None:
        """The source is to be given this much with the request. `more`: it goes on behind."""
        self.body, self.more_body = body, more

    def body_goes_on(self, more: bool) -> None:
        """Whether more is still to come, after what was handed on just now."""
        self.more_body = more

    def forget_body(self) -> None:
        """There will be no retry: `body` is not needed again."""
        self.body = b""

    # -- on the sink's side ------------------------------------------------------------------

    def begin_response(self, status: int, fields: Pairs, now: float) -> None:
        """The response's head is on its way to the client."""
        self.status, self.response_headers, self.first_byte = status, fields, now

    def count_sent(self, count: int) -> None:
        """So many bytes of the response's body are on their way to the client."""
        self.body_sent += count

    def complete(self, status: int, fields: Pairs, size: int, now: float) -> None:
        """The whole response is on its way, and so the exchange is over. `size`: of the body."""
        self.status = status
        self.response_headers = fields
        self.first_byte = self.ended = now
        self.body_sent = 0 if self.request.method == "HEAD" else size
        # As in `end`, with a call less: most responses come this way.
        if self._between is not None:
            self._between.leave()
        for observer in self._observers.at_end:
            try:
                observer(self)
            except Exception:
                log.exception(_BLIND)

    def abandon(self, why: str, now: float) -> None:
        """The client has left before the response was complete, and the exchange is over."""
        if not self.status:
            self.status, self.reason = 499, why
        self.end(now)

    def end(self, now: float) -> None:
        """The exchange is over: nobody will be told more of it than the observers now."""
        self.ended = now
        if self.request.method == "HEAD":
            self.body_sent = 0  # whatever the app gave
        if self._between is not None:
            self._between.leave()
        for observer in self._observers.at_end:
            try:
                observer(self)
            except Exception:
                log.exception(_BLIND)

    def become_websocket(self, connection: "AcceptedWebSocket") -> None:
        """The 101 is out: the connection speaks WebSocket from now on, and no filter of responses
        stands in its way."""
        self.sink = self.uploader = self.websocket = connection

    def offer_websocket(self, handshake: WebSocketSink) -> None:
        """The client wants a WebSocket, and this is whom to tell what the app says to it."""
        self.websocket = handshake


class AcceptedWebSocket(ClientSide, WebSocketSink, Protocol):
    """A connection that was HTTP's: who sends it a response is told so."""
