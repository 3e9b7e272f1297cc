"""Both sides of an exchange, as they are told apart in `gateway/exchange/exchange.py`: a client
that keeps what it is given, and a source that keeps what it is told."""

from dataclasses import dataclass, field

from propylon.gateway.exchange.end_codes import APP_REFUSED_WEBSOCKET, where_client_left
from propylon.gateway.exchange.exchange import (
    Account,
    Exchange,
    OpenFile,
    Request,
    SizeLimit,
    WebSocketSource,
)
from propylon.protocol.messages import CLIENT_GONE, WINDOW, Pairs


@dataclass(eq=False)
class FakeClient:
    """The client's side. It takes everything, and gives credit when `take` is called."""

    status: int = 0
    fields: Pairs = ()
    data: bytes = b""
    over: bool = False
    """Whether the response has come to an end, this or that way."""
    failed: tuple[int, str] | None = None
    credited: int = 0
    taken_back: bytes = b""
    limit: SizeLimit | None = None
    left: int = 0
    messages: list[bytes | str] = field(default_factory=list)
    closed: tuple[int, str] | None = None
    interims: list[tuple[int, Pairs]] = field(default_factory=list)
    trailing: Pairs = ()
    holds: int = 0
    """Slots that its connection has besides."""
    _owed: int = 0

    def slots_held(self) -> int:
        return self.holds

    def respond(self, exchange: Exchange, status: int, fields: Pairs, body: bytes) -> int:
        if self.over:
            return 0
        self.status, self.fields, self.over = status, fields, True
        self.data = b"" if exchange.request.method == "HEAD" else body
        exchange.complete(status, fields, len(body), exchange.opened)
        return status

    def head(self, exchange: Exchange, status: int, fields: Pairs) -> int:
        if self.over:
            return 0
        self.status, self.fields = status, fields
        exchange.begin_response(status, fields, exchange.opened)
        return status

    def body(self, exchange: Exchange, data: bytes) -> None:
        if not self.over:
            if exchange.request.method != "HEAD":
                self.data += data
            self._owed += len(data)
            exchange.count_sent(len(data))

    def file(self, exchange: Exchange, file: OpenFile, offset: int, count: int) -> bool:
        if not self.over:
            self.body(exchange, file.read(offset, count))
        return False

    def interim(self, exchange: Exchange, status: int, fields: Pairs) -> None:
        if not (self.over or exchange.status):
            self.interims.append((status, fields))

    def trailers(self, exchange: Exchange, fields: Pairs) -> None:
        if exchange.status and not self.over:
            self.trailing = fields

    def end(self, exchange: Exchange) -> None:
        if not self.over:
            self.over = True
            exchange.end(exchange.opened)

    def fail(self, exchange: Exchange, status: int, sentence: str, option: str = "") -> int:
        if self.over:
            return 0
        assert exchange.end_code, "whoever fails an exchange says first who has ended it"
        self.failed, self.over = (status, sentence), True
        exchange.give_reason(sentence)
        if exchange.status:
            exchange.end(exchange.opened)
            return 0
        self.status = status
        exchange.complete(status, (), 0, exchange.opened)
        return status

    def take(self, exchange: Exchange) -> None:
        """The client takes all that it was sent, as at the end of a turn."""
        owed, self._owed = self._owed, 0
        if exchange.source is not None and not self.over:
            exchange.source.consumed(owed)

    def leave(self, exchange: Exchange) -> None:
        """The client is gone."""
        if not self.over:
            self.over = True
            if exchange.source is not None:
                exchange.source.abandon(CLIENT_GONE, "the client went away")
            exchange.give_end(where_client_left(exchange))
            exchange.abandon("The client went away.", exchange.opened)

    # -- the request's body ------------------------------------------------------------------

    def credit_arrived(self, exchange: Exchange) -> None:
        self.credited += 1

    def limit_body(self, exchange: Exchange, limit: SizeLimit) -> None:
        self.limit = limit

    def take_back(self, exchange: Exchange, body: bytes) -> None:
        self.taken_back += body
        exchange.body_goes_on(True)

    # -- a WebSocket -------------------------------------------------------------------------

    def accept(
        self,
        exchange: Exchange,
        source: WebSocketSource,
        subprotocol: str | None,
        fields: Pairs,
    ) -> int:
        if self.over or exchange.status:
            return 0
        exchange.begin_response(101, fields, exchange.opened)
        return 101

    def message(self, exchange: Exchange, data: bytes | str, more: bool) -> None:
        self.messages.append(data)

    def close(self, exchange: Exchange, code: int, reason: str) -> int:
        if not exchange.status:
            exchange.give_end(APP_REFUSED_WEBSOCKET)
            return self.fail(exchange, 403, "The app refused this WebSocket.")
        self.closed = (code, reason)
        return 0

    def worker_leaves(self, exchange: Exchange) -> None:
        self.left += 1


@dataclass(eq=False)
class FakeSource:
    """A source, of a WebSocket too, that takes `send_credit` bytes and says nothing."""

    send_credit: int = 0
    message_overhead: int = 0
    taken: int = 0
    """Bytes of response that the client has taken."""
    given_up: int = 0
    why: tuple[int, str] | None = None
    """With which code, and why, it was given up last."""
    got: list[bytes] = field(default_factory=list)
    complete: bool = False
    """Whether the request's body has come to its end."""
    messages: list[bytes | str] = field(default_factory=list)
    hung_up: list[dict[str, object]] = field(default_factory=list)
    has_done: Account | None = None
    is_running: bool = False

    def account(self) -> Account | None:
        return self.has_done

    def send_body(self, data: bytes, more: bool) -> None:
        assert len(data) <= self.send_credit, "there is no credit for it"
        assert not self.complete, "the body was complete"
        self.send_credit -= len(data)
        self.got.append(data)
        self.complete = not more

    def consumed(self, count: int) -> None:
        self.taken += count

    def abandon(self, code: int, reason: str) -> None:
        self.given_up += 1
        self.why = (code, reason)

    def send_message(self, data: bytes | str, more: bool) -> None:
        size = len(data) if isinstance(data, bytes) else len(data.encode())
        cost = size + self.message_overhead
        assert cost <= self.send_credit, "there is no credit for it"
        self.send_credit -= cost
        self.messages.append(data)

    def settle(self) -> None: ...

    def hang_up(self, event: dict[str, object]) -> None:
        self.hung_up.append(event)


class PushingSource(FakeSource):
    """A source that has `size` bytes of body and pushes them in small pieces, as far ahead of its
    client as its window allows. It notes how deep it is called from inside of itself."""

    def __init__(self, exchange: Exchange, size: int, piece: int, window: int = WINDOW) -> None:
        super().__init__()
        self.left = size
        self.deepest = self._depth = 0
        self.ahead = self.ahead_at_most = 0
        """Bytes under way."""
        self._piece, self._window = piece, window
        self._exchange: Exchange | None = exchange
        self._waiting = 0
        """Bytes that it would push, if it had credit."""
        exchange.connect(self, exchange.opened)

    def start(self) -> None:
        assert self._exchange is not None
        self._exchange.sink.head(self._exchange, 200, ())

    def begin(self) -> None:
        """Pushes all that it has, from here on."""
        self.start()
        self._waiting = self.left
        self._push()

    def push_one(self) -> None:
        """Has one more piece."""
        self._waiting += self._piece
        self._push()

    def _push(self) -> None:
        self._depth += 1
        self.deepest = max(self.deepest, self._depth)
        exchange = self._exchange
        while exchange is not None and self._waiting and self.left and self.ahead < self._window:
            count = min(self._piece, self.left, self._waiting, self._window - self.ahead)
            self._waiting -= count
            self.left -= count
            self.ahead += count
            self.ahead_at_most = max(self.ahead_at_most, self.ahead)
            exchange.sink.body(exchange, b"a" * count)
            if not self.left:
                self._exchange = None
                exchange.sink.end(exchange)
        self._depth -= 1

    def consumed(self, count: int) -> None:
        super().consumed(count)
        self.ahead -= count
        assert self.ahead >= 0, "credit for more than was sent"
        self._push()

    def abandon(self, code: int, reason: str) -> None:
        super().abandon(code, reason)
        self._exchange = None


def exchange_of(client: FakeClient, method: str = "GET", path: bytes = b"/") -> Exchange:
    """An exchange that this client has opened."""
    return Exchange(Request(method, path, "1.1"), client)
