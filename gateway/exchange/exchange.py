"""One request and its response, as the client sees them. A leaf, free of HTTP/1 ideas.

A *source* (a call on a worker, later a file or a cached response) pushes the response into a
*sink* (the client's connection, later with filters in front), synchronously, as nginx does. Credit
runs the other way: the sink tells the source what the client has taken.
"""

from typing import Literal, NamedTuple, Protocol

from ...protocol.messages import Address, Pairs

IDEMPOTENT = frozenset({"GET", "HEAD", "OPTIONS", "PUT", "DELETE", "TRACE"})
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

    def account(self) -> Account: ...

    @property
    def send_credit(self) -> int:
        """Bytes of request body that the source takes now."""
        ...

    def send_body(self, data: bytes, more: bool) -> None:
        """Request body, at most `send_credit` bytes."""
        ...

    def consumed(self, count: int) -> None:
        """The client's kernel took `count` bytes of the response's body."""
        ...

    def send_message(self, data: bytes | str, more: bool) -> None:
        """A piece of a WebSocket message, at most `send_credit` bytes."""
        ...

    def settle(self) -> None:
        """Asks for all its credit when the app has received every message and waits."""
        ...

    def hang_up(self, event: dict[str, object]) -> None:
        """The WebSocket is closed, as `event` says; the app may still run on."""
        ...

    def give_up(self, code: int, reason: str) -> None:
        """Nobody waits for this response any more (`code`: one of RESET's)."""
        ...


class Sink(Protocol):
    """Where a response goes. Exactly one of `respond`, `end`, `fail` closes an exchange."""

    def respond(self, exchange: "Exchange", status: int, headers: Pairs, body: bytes) -> None:
        """A complete response."""
        ...

    def start(self, exchange: "Exchange", status: int, headers: Pairs) -> None: ...

    def body(self, exchange: "Exchange", data: bytes) -> None: ...

    def end(self, exchange: "Exchange") -> None:
        """The body is complete."""
        ...

    def fail(self, exchange: "Exchange", status: int, sentence: str, option: str = "") -> None:
        """No (whole) response will come: an error page, or where the head is out already a
        truncation that the client can see. `option`: what sets the limit that was met."""
        ...

    def event(self, exchange: "Exchange", event: dict[str, object]) -> None:
        """An ASGI event in its general form: `websocket.accept`, `websocket.close`."""
        ...

    def message(self, exchange: "Exchange", data: bytes | str, more: bool) -> None:
        """A piece of a WebSocket message."""
        ...

    def credit_arrived(self, exchange: "Exchange") -> None:
        """The source takes request body (again)."""
        ...

    def take_back(self, exchange: "Exchange", body: bytes) -> None:
        """The exchange has another source, which is given its `body`. Behind that comes this part
        of the request's body again, and then the rest."""
        ...

    def worker_leaves(self, exchange: "Exchange") -> None:
        """The source would like to end. What has an end of its own may go on to it."""
        ...


class Exchange:
    """The life of one request: what was asked, by whom, and what has become of it."""

    __slots__ = (
        "body",
        "body_sent",
        "client",
        "extensions",
        "more_body",
        "opened",
        "path",
        "reason",
        "request",
        "response_headers",
        "root_path",
        "scheme",
        "server",
        "sink",
        "source",
        "status",
    )

    def __init__(
        self, request: Request, sink: Sink, client: Address | None, server: Address | None
    ) -> None:
        self.request = request
        self.sink = sink
        self.client = client
        self.server = server
        self.scheme = "http"
        self.extensions: dict[str, object] | None = None
        """ASGI's, as far as they are facts of the connection (`tls`); shared, never changed."""
        self.path = request.path
        """Raw path as the app is to see it."""
        self.root_path = ""
        self.source: Source | None = None
        self.body = b""
        """The first bytes of the request's body, kept while the exchange may be retried."""
        self.more_body = False
        """Whether more of the request's body was or is still to come behind `body`."""
        self.status = 0
        """The response's status once its head is on its way, else 0."""
        self.response_headers: Pairs = ()
        """As the app gave them; for the access log."""
        self.body_sent = 0
        """Bytes of response body, framing not counted."""
        self.opened = 0.0
        """Monotonic seconds when the head was complete."""
        self.reason = ""
        """Why the gateway and not the app has answered, or why the answer has no end; "" of what
        the app has answered."""
