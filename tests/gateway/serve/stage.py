"""One client, its connection, and a source that says what it is told to: a stage for rows.

A row is a list of steps: the client does something, the source says something, time passes, and
what each of them has noticed is asked for. Steps are the functions below; they speak of requests
and responses, and a framing (see `http1_framing`) makes bytes of them, so that the same rows can be
played in another version of HTTP.

The socket pair is a TCP connection over loopback, since nothing else tells a connection that was
closed from one that was reset. The clock is given, and stands still unless a step moves it. Nobody
sleeps; where the kernel may need a moment, the stage looks again until it has come.
"""

import logging
import select
import socket
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic
from typing import Any, Protocol

from propylon.gateway.exchange import end_codes
from propylon.gateway.exchange.body_limit import BodyLimit
from propylon.gateway.exchange.endpoint import Endpoint
from propylon.gateway.exchange.exchange import Account, Exchange, Observers
from propylon.gateway.http1.machine import HttpContext
from propylon.gateway.http1.request_head import choose_parser
from propylon.gateway.http1.response_head import ResponseHeads
from propylon.gateway.http2.frames import head_bounds
from propylon.gateway.http2.response_fields import ResponseFields
from propylon.gateway.serve.client_faults import ClientFaults
from propylon.gateway.serve.service_state import Http2Context, ServiceState
from propylon.gateway.settings import (
    Http2Settings,
    HttpSettings,
    ServeSettings,
    WebSocketSettings,
)
from propylon.gateway.transport.client_socket import ClientSocket
from propylon.gateway.transport.poller import Poller
from propylon.gateway.transport.transport import Transport

from ...fakes.exchange_sides import FakeSource
from ..http2.engine_exam import ENGINES
from .http1_framing import Response

PATIENCE = 5.0
"""Seconds that the kernel may take for what takes it microseconds."""
BEGIN = 1_000.0
HEADER, BODY, SEND, IDLE = 3.0, 5.0, 7.0, 11.0
"""Seconds of the time limits."""

DONE = Account("web", 3, 0.25, 2)
"""What every source says that it has done."""

Pairs = tuple[tuple[bytes, bytes], ...]


class Framing(Protocol):
    """How a version of HTTP writes requests, and reads responses."""

    def begin(self, state: ServiceState, transport: Transport, endpoint: Endpoint) -> None:
        """Has the version's driver serve a client."""
        ...

    def ask(
        self, method: str, path: str, fields: Pairs, body: bytes, size: int | None, last: bool
    ) -> bytes:
        """A request with the first of its body. `size`: of the whole body; None: not told.
        `last`: nothing follows."""
        ...

    def upload(self, data: bytes, last: bool) -> bytes:
        """More of the last request's body."""
        ...

    def read(self, received: bytes, end: str) -> list[Response]:
        """All responses that the client has received since it connected, the last one perhaps in
        part. `end`: how the connection has ended, "" while it has not."""
        ...


class Stage:
    def __init__(
        self,
        framing: Framing,
        *,
        cut: bool = False,
        http2: Http2Settings | None = None,
        http: HttpSettings | None = None,
        websocket: WebSocketSettings | None = None,
        **settings: Any,
    ) -> None:
        """`cut`: what the client sends comes byte by byte. `settings`: of `ServeSettings`."""
        self.now = BEGIN
        self.framing = framing
        self.cut = cut
        self.credit = 1_000_000
        """Bytes of request body that sources take at first."""
        self.exchanges: list[Exchange] = []
        self.ended: list[Exchange] = []
        self.looked: list[Exchange] = []
        """Exchanges whose forwarded fields the trust policy was shown."""
        self.log: list[str] = []
        self.received = b""
        self.end = ""
        """How the client saw the connection end: "", "closed", "reset"."""
        self.unsent = b""
        """What the client would send if the kernel took it."""
        self.at_once: list[tuple[Step, ...]] = []
        """What the next requests' sources do in the moment in which they are asked."""
        heads = ResponseHeads(b"", 0.0)
        limits = {"header_timeout": HEADER, "body_timeout": BODY, "send_timeout": SEND}
        limits |= {"timeout_keep_alive": IDLE} | settings
        http, http2 = http or HttpSettings(), http2 or Http2Settings()
        most_head = http.limit_request_head
        self.state = ServiceState(
            http=HttpContext(http, choose_parser("h11"), heads),
            http2=Http2Context(
                http2,
                most_head,
                ResponseFields(b"", 0.0, dated=False),
                lambda: ENGINES[http2.engine](http2, head_bounds(most_head, 100)),
            ),
            settings=ServeSettings(**limits),
            websocket=websocket or WebSocketSettings(),
            apply_trust=self.looked.append,
            answer=self._answer,
            observers=Observers(at_end=(self.ended.append,)),
            poller=Poller(),
            client_faults=ClientFaults(clock=lambda: self.now),
            clock=lambda: self.now,
        )
        self.client, self.ours = tcp_pair()

    def open(self, **facts: Any) -> None:
        """`facts`: what the endpoint is besides its two addresses."""
        transport = ClientSocket(self.ours, self.state.transports)
        self.framing.begin(self.state, transport, self.endpoint(**facts))

    def endpoint(self, **facts: Any) -> Endpoint:
        return Endpoint(("192.0.2.7", 5), ("192.0.2.1", 80), **facts)

    def close(self) -> None:
        for connection in list(self.state.connections):
            connection.cut()
        self.client.close()
        self.ours.close()
        self.state.poller._epoll.close()

    def _answer(self, exchange: Exchange) -> None:
        exchange.connect(FakeSource(self.credit, has_done=DONE), self.now)
        self.exchanges.append(exchange)
        if self.at_once:
            for step in self.at_once.pop(0):
                step(self)

    @property
    def exchange(self) -> Exchange:
        assert self.exchanges, "nothing was asked"
        return self.exchanges[-1]

    @property
    def source(self) -> FakeSource:
        return source_of(self.exchange)

    @property
    def connection(self) -> Any:
        assert self.state.connections, "the connection is gone"
        (connection,) = self.state.connections
        return connection

    def sweep(self) -> None:
        self.state.restarts.sweep(self.now)
        for connection in list(self.state.connections):
            connection.sweep(self.now)
        self.turn()

    def turn(self) -> None:
        """The gateway handles what has come, and the client reads, until nothing happens."""
        for _ in range(100_000):
            if not (self._send_rest() or self.state.poller._turn() or self._read()):
                return
        raise AssertionError("it turns in circles")

    def until(self, come: Callable[[], bool]) -> bool:
        """Turns until it has come; whether it has. The kernel is asked again for a moment."""
        self.turn()
        late = monotonic() + PATIENCE
        while not come() and monotonic() < late:
            client = [self.client] if self.client.fileno() >= 0 else []
            select.select([*client, self.state.poller._epoll], [], [], 0.01)
            self.turn()
        return come()

    reads = True
    """Whether the client reads what it is sent."""

    def _read(self) -> bool:
        if not self.reads or self.end:
            return False
        try:
            data = self.client.recv(1_000_000)
        except BlockingIOError:
            return False
        except ConnectionError:
            self.end = "reset"
            return True
        self.received += data
        if not data:
            self.end = "closed"
        return True

    def send(self, data: bytes) -> None:
        pieces = [data[i : i + 1] for i in range(len(data))] if self.cut else [data]
        for piece in pieces:
            self.client.sendall(piece)
            self.until_delivered()
            self.turn()

    def _send_rest(self) -> bool:
        if not self.unsent or self.client.fileno() < 0:
            return False
        try:
            count = self.client.send(self.unsent[:1_000_000])
        except BlockingIOError:
            return False
        self.unsent = self.unsent[count:]
        return True

    def until_delivered(self) -> None:
        """What the client has sent is at our socket."""
        ready = select.select([self.ours], [], [], PATIENCE)[0] if self.ours.fileno() >= 0 else True
        assert ready, "what the client has sent does not come"

    @property
    def responses(self) -> list[Response]:
        return self.framing.read(self.received, self.end)


def source_of(exchange: Exchange) -> FakeSource:
    assert isinstance(exchange.source, FakeSource)
    return exchange.source


def tcp_pair() -> tuple[socket.socket, socket.socket]:
    """The client's end, and ours."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        client = socket.socket()
        # As little as fills soon: else megabytes were under way before somebody is slow.
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 32_768)
        client.connect(server.getsockname())
        ours, _ = server.accept()
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 32_768)
    for sock in (client, ours):
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return client, ours


@contextmanager
def log_of(stage: Stage) -> Iterator[None]:
    """The gateway's log goes to the stage: "warning: what was said"."""
    logger = logging.getLogger("propylon.gateway")

    class Keep(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            stage.log.append(f"{record.levelname.lower()}: {record.getMessage()}")

    keep, level, propagate = Keep(), logger.level, logger.propagate
    logger.addHandler(keep)
    logger.setLevel(logging.INFO)
    logger.propagate = False
    try:
        yield
    finally:
        logger.removeHandler(keep)
        logger.setLevel(level)
        logger.propagate = propagate


# -- steps -----------------------------------------------------------------------------------


class Step:
    """A function of the stage with its other arguments, which shows itself as it was written."""

    def __init__(self, do: Callable[..., None], args: tuple[Any, ...], named: dict[str, Any]):
        self._do, self._args, self._named = do, args, named
        self.name = do.__name__

    def __call__(self, stage: Stage) -> None:
        self._do(stage, *self._args, **self._named)

    def __repr__(self) -> str:
        shown = [repr(one)[:60] for one in self._args]
        shown += [f"{name}={value!r}"[:60] for name, value in self._named.items()]
        return f"{self.name}({', '.join(shown)})"


def step(do: Callable[..., None]) -> Callable[..., Step]:
    return lambda *args, **named: Step(do, args, named)


def play(stage: Stage, row: list[Step], *, opened: bool = False) -> None:
    """Plays a row; a step that fails says which it was, and what had been logged."""
    with log_of(stage):
        if not opened and not any(one.name == "connects" for one in row):
            stage.open()
        for number, one in enumerate(row, 1):
            try:
                one(stage)
            except BaseException as error:
                error.add_note(f"step {number}: {one!r}; the log: {stage.log}")
                raise
        untold = [exchange for exchange in stage.ended if exchange.reason and not exchange.end_code]
        assert not untold, f"nobody has said who ended it: {untold[0].reason}"
        odd = [line for line in stage.log if line.startswith("error: a ")]
        assert not odd, f"the barrier has caught something: {odd}"


# What the client does.


@step
def asks(
    stage: Stage,
    method: str = "GET",
    path: str = "/",
    *,
    fields: Pairs = (),
    body: bytes = b"",
    size: int | None = 0,
    last: bool = True,
) -> None:
    stage.send(stage.framing.ask(method, path, fields, body, size, last))


@step
def uploads(stage: Stage, data: bytes, *, last: bool = False) -> None:
    stage.send(stage.framing.upload(data, last))


@step
def sends(stage: Stage, data: bytes) -> None:
    """Bytes as they are, for what is no request or no good one."""
    stage.send(data)


@step
def sends_unseen(stage: Stage, data: bytes) -> None:
    """It is at our socket, but the poller has not looked yet."""
    stage.client.sendall(data)
    stage.until_delivered()


@step
def pours(stage: Stage, count: int) -> None:
    """Sends so many bytes more, as fast as they are taken."""
    stage.unsent += bytes(count)
    stage.turn()


@step
def leaves(stage: Stage) -> None:
    """Closes, with nothing left to read."""
    stage.client.close()
    stage.reads = False
    stage.until(lambda: not stage.state.connections)


@step
def shuts(stage: Stage) -> None:
    """Has nothing more to send, and goes on reading."""
    stage.client.shutdown(socket.SHUT_WR)
    stage.until_delivered()
    stage.turn()


@step
def resets(stage: Stage) -> None:
    stage.client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    stage.client.close()
    stage.reads = False
    stage.until(lambda: not stage.state.connections)


@step
def resets_unseen(stage: Stage) -> None:
    """Is gone, but the poller has not looked yet: whoever writes finds out."""
    stage.client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    stage.client.close()
    stage.reads = False


@step
def takes_more(stage: Stage, flags: int) -> None:
    """The client of the last request takes early hints, or trailers."""
    stage.exchange.request.takes = flags


@step
def hears_around(
    stage: Stage, *, interim: int = 0, hinted: Pairs = (), trailers: Pairs = (), nth: int = 0
) -> None:
    """How many interim responses were before the response, and which fields stood in them and
    behind the body."""
    response = stage.responses[nth]
    assert (len(response.interim), response.hints) == (interim, list(hinted))
    assert response.trailers == list(trailers)


@step
def reads(stage: Stage, whether: bool) -> None:
    stage.reads = whether
    stage.turn()


# What the service, and time, do.


@step
def connects(stage: Stage, **facts: Any) -> None:
    """Where a row does not begin so, the client is there from the beginning. `facts`: what is known
    of the connection besides its two addresses."""
    stage.open(**facts)


@step
def passes(stage: Stage, seconds: float) -> None:
    """So much time, and the sweeper looks."""
    stage.now += seconds
    stage.sweep()


@step
def drains(stage: Stage) -> None:
    stage.state.close_for("the service drains", True)
    stage.state.draining = True
    for connection in list(stage.state.connections):
        connection.drain()
    stage.turn()


@step
def is_cut(stage: Stage) -> None:
    """The drain's deadline has passed."""
    stage.connection.cut()
    stage.turn()


@step
def takes(stage: Stage, credit: int) -> None:
    """Sources have so much credit for request bodies at first."""
    stage.credit = credit


@step
def next_source(stage: Stage, *steps: Step) -> None:
    """The next request's source does all this in the moment in which it is asked."""
    stage.at_once.append(steps)


@step
def trust_was_asked(stage: Stage, count: int) -> None:
    """The trust policy was shown so many exchanges."""
    assert len(stage.looked) == count


@step
def websockets_from(stage: Stage, *origins: bytes) -> None:
    """Only pages of these origins may open WebSockets."""
    stage.state.allowed_origins = frozenset(origins)


@step
def breaks(stage: Stage) -> None:
    """A fault of ours, wherever this stands."""
    raise RuntimeError("a fault of ours")


# What the source says. `of` is the exchange that it speaks of: the last, unless it is told;
# `returns`: what the sink says of it, if that is looked at.


@step
def answers(
    stage: Stage,
    status: int = 200,
    body: bytes = b"",
    fields: Pairs = (),
    *,
    of: int = -1,
    returns: int | None = None,
) -> None:
    exchange = stage.exchanges[of]
    got = exchange.sink.respond(exchange, status, fields, body)
    assert returns in (None, got)
    stage.turn()


@step
def hints(stage: Stage, fields: Pairs, *, of: int = -1) -> None:
    exchange = stage.exchanges[of]
    exchange.sink.interim(exchange, 103, fields)
    stage.turn()


@step
def trails(stage: Stage, fields: Pairs, *, of: int = -1) -> None:
    exchange = stage.exchanges[of]
    exchange.sink.trailers(exchange, fields)
    stage.turn()


@step
def begins(
    stage: Stage, status: int = 200, fields: Pairs = (), *, of: int = -1, returns: int | None = None
) -> None:
    exchange = stage.exchanges[of]
    got = exchange.sink.head(exchange, status, fields)
    assert returns in (None, got)
    stage.turn()


@step
def says(stage: Stage, data: bytes, *, of: int = -1) -> None:
    exchange = stage.exchanges[of]
    exchange.sink.body(exchange, data)
    stage.turn()


@step
def finishes(stage: Stage, *, of: int = -1) -> None:
    exchange = stage.exchanges[of]
    exchange.sink.end(exchange)
    stage.turn()


@step
def fills(stage: Stage, piece: bytes) -> None:
    """Says the piece again and again, until the client's kernel takes no more of it."""
    said = stage.source.taken
    while stage.source.taken == said:
        exchange = stage.exchange
        exchange.sink.body(exchange, piece)
        said += len(piece)
        stage.turn()


@step
def breaks_when_credited(stage: Stage) -> None:
    """A fault of ours, in the moment in which the source gets its credit."""

    def consumed(count: int) -> None:
        raise RuntimeError("a fault of ours")

    stage.source.consumed = consumed  # type: ignore[method-assign]


@step
def fails(
    stage: Stage,
    status: int,
    sentence: str,
    option: str = "",
    *,
    of: int = -1,
    returns: int | None = None,
) -> None:
    exchange = stage.exchanges[of]
    exchange.give_end(end_codes.WORKER_DIED)
    got = exchange.sink.fail(exchange, status, sentence, option)
    assert returns in (None, got)
    stage.turn()


@step
def wants(stage: Stage, count: int, *, of: int = -1) -> None:
    """The source has credit for so many bytes more."""
    exchange = stage.exchanges[of]
    source_of(exchange).send_credit += count
    exchange.uploader.credit_arrived(exchange)
    stage.turn()


@step
def has_in_memory(stage: Stage, least: int, most: int) -> None:
    """Bytes that the connection holds for its client."""
    assert least <= stage.connection.held <= most


@step
def allows(stage: Stage, most: int) -> None:
    """The route of the request under way has a limit for its body."""
    exchange = stage.exchange
    exchange.uploader.limit_body(exchange, BodyLimit(most, of_route=True))


@step
def another_source(stage: Stage, body: bytes, *, of: int = -1) -> None:
    """The exchange is tried again elsewhere, and `body` is to be sent again there."""
    exchange = stage.exchanges[of]
    exchange.connect(FakeSource(stage.credit, has_done=DONE), stage.now)
    exchange.uploader.take_back(exchange, body)


@step
def phrases(stage: Stage, status: int, phrase: bytes, *, of: int = -1) -> None:
    """The app has a reason phrase of its own for a status."""
    stage.exchanges[of].set_phrase(status, phrase)


@step
def accepts(stage: Stage, subprotocol: str | None = None, fields: Pairs = ()) -> None:
    exchange = stage.exchange
    assert exchange.websocket is not None, "it is no WebSocket"
    exchange.websocket.accept(exchange, stage.source, subprotocol, fields)
    stage.turn()


@step
def closes(stage: Stage, code: int = 1000, reason: str = "") -> None:
    """The app closes its WebSocket, accepted or not."""
    exchange = stage.exchange
    assert exchange.websocket is not None, "it is no WebSocket"
    exchange.websocket.close(exchange, code, reason)
    stage.turn()


# What each of them has noticed.


@step
def hears(
    stage: Stage,
    status: int,
    body: bytes | None = None,
    fields: dict[bytes, bytes | None] | None = None,
    *,
    reason: bytes | None = None,
    holds: bytes = b"",
    nth: int = -1,
) -> None:
    """A complete response: the last, unless it is told which. `fields`: None for one that must not
    be there. `holds`: what must be in the body."""
    assert stage.until(
        lambda: len(stage.responses) >= max(1, nth + 1) and stage.responses[nth].complete
    ), f"no complete response; {stage.received[-200:]!r} {stage.end}"
    _compare(stage.responses[nth], status, body, fields or {}, reason, holds)


@step
def hears_so_far(stage: Stage, status: int, body: bytes) -> None:
    """A response that is not complete yet."""
    come = stage.until(lambda: bool(stage.responses) and stage.responses[-1].body == body)
    assert come, stage.responses
    assert not stage.responses[-1].complete
    assert not stage.responses[-1].cut
    _compare(stage.responses[-1], status, body, {}, None, b"")


@step
def hears_a_cut(stage: Stage, status: int, body: bytes | None = None, *, end: str = "") -> None:
    """A response that can be seen to be cut short, at the latest when the connection ends."""
    assert stage.until(lambda: bool(stage.end) or stage.responses[-1].cut), "it goes on"
    assert not stage.responses[-1].complete, "it looks whole"
    assert stage.responses[-1].status == status
    assert body is None or stage.responses[-1].body == body
    assert end in ("", stage.end)


@step
def hears_nothing_else(stage: Stage, count: int) -> None:
    """So many responses have begun since the beginning."""
    stage.turn()
    assert len(stage.responses) == count, stage.received[-300:]


def _compare(
    response: Response,
    status: int,
    body: bytes | None,
    fields: dict[bytes, bytes | None],
    reason: bytes | None,
    holds: bytes,
) -> None:
    assert response.status == status
    assert body is None or response.body == body
    assert holds in response.body
    assert reason is None or response.reason in (None, reason)
    for name, value in fields.items():
        assert dict(response.fields).get(name) == value, response.fields


@step
def goes_on(stage: Stage) -> None:
    """The connection is there, on either side."""
    stage.turn()
    assert stage.state.connections, "it is gone"
    assert stage.end == ""


@step
def half_closed(stage: Stage) -> None:
    """Our side has said its end, and still reads."""
    assert stage.until(lambda: bool(stage.end))
    assert stage.end == "closed"
    assert stage.state.connections, "it is gone"


@step
def is_not_read(stage: Stage) -> None:
    """What the client has sent waits in the kernel, and goes on waiting."""
    stage.turn()
    assert select.select([stage.ours], [], [], 0)[0], "all was read"


@step
def is_read(stage: Stage) -> None:
    """All that the client has sent was taken from the kernel."""
    stage.turn()
    assert not stage.unsent
    assert not select.select([stage.ours], [], [], 0)[0], "some was not read"


@step
def is_over(stage: Stage, how: str = "closed") -> None:
    """ "closed" or "reset" as the client sees it; and here nothing of it is left."""
    if stage.reads:
        assert stage.until(lambda: bool(stage.end)), "it goes on for the client"
        assert stage.end == how
    assert not stage.state.connections
    assert stage.ours.fileno() == -1


@step
def source_heard(stage: Stage, body: bytes, *, complete: bool | None = None, of: int = -1) -> None:
    """Of the request's body, with what came with the head."""
    exchange = stage.exchanges[of]
    source = source_of(exchange)
    assert exchange.body + b"".join(source.got) == body
    if complete is not None:
        assert (not exchange.more_body) == complete
        assert not exchange.body or source.complete == (complete and bool(source.got))


@step
def source_sent(stage: Stage, count: int, *, of: int = -1) -> None:
    """So much of its response's body has gone to the client, as far as it knows."""
    assert stage.until(lambda: source_of(stage.exchanges[of]).taken >= count)
    assert source_of(stage.exchanges[of]).taken == count


@step
def given_up(stage: Stage, reason: str | None, *, of: int = -1) -> None:
    """The source was told that nobody waits any more, and why. None: it was not."""
    assert source_of(stage.exchanges[of]).why == (None if reason is None else (1, reason))
    assert source_of(stage.exchanges[of]).given_up == (reason is not None)


@step
def logged(
    stage: Stage,
    status: int,
    *,
    sent: int | None = None,
    reason: str = "",
    end: str | None = None,
    seconds: float | None = None,
    count: int | None = None,
) -> None:
    """The last line of the access log. `end`: its end code; without a reason it is "ok", unless it
    is told. `count`: of all that there are."""
    assert stage.until(lambda: bool(stage.ended)), "nothing was logged"
    exchange = stage.ended[-1]
    assert exchange.status == status
    assert exchange.reason == reason
    if end is not None or not reason:
        assert end_codes.code_of(exchange) == (end or "ok")
    assert sent is None or exchange.body_sent == sent
    assert seconds is None or abs(exchange.ended - exchange.opened - seconds) < 1e-6
    assert count is None or len(stage.ended) == count


@step
def not_logged(stage: Stage) -> None:
    stage.turn()
    assert not stage.ended


@step
def said(stage: Stage, *lines: str) -> None:
    """What the log has had since the last look: each line begins so."""
    log, stage.log[:] = list(stage.log), []
    assert len(log) == len(lines), log
    assert all(one.startswith(line) for one, line in zip(log, lines, strict=True)), log


@step
def asked(stage: Stage, count: int) -> None:
    """So many requests have come through."""
    stage.turn()
    assert len(stage.exchanges) == count


@step
def holds(stage: Stage, **facts: Any) -> None:
    """Facts of the last exchange."""
    assert {name: getattr(stage.exchange, name) for name in facts} == facts
