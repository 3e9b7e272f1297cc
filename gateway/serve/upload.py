"""An upload: a request's body on its way from the client to the exchange's source.

Bytes go on as far as the source gives credit. Bytes without credit wait here, and then the
connection stops reading: a slow app makes its own client wait and costs no memory.
"""

from typing import Literal, Protocol

from ...protocol.messages import MAX_BODY
from ..exchange.exchange import Exchange, SizeLimit
from ..transport.min_rate import MinRate, RateLimit

Wants = Literal["nothing", "bytes", "credit", "turn"]
"""Why an upload stands still: it is complete; the client is late, or the app is; or the connection
has had its share of this turn."""


class BodyReader(Protocol):
    """The reader of requests' bodies in one HTTP version."""

    @property
    def buffered(self) -> int:
        """Bytes received and not yet asked for."""
        ...

    @property
    def body_complete(self) -> bool:
        """Whether `next_body` has given the current request's body to its end."""
        ...

    def next_body(self) -> tuple[bytes, bool]:
        """Returns what has come of the body, or a turn's share of it (then the rest is `buffered`),
        and whether more of it is to come. Raises RequestError if it can't be read to its end."""
        ...


class Upload:
    """The uploads of one stream, one after the other."""

    __slots__ = (
        "_app_was_late",
        "_continued",
        "_limit",
        "_rate",
        "_reader",
        "_unsent",
        "_wants",
        "goes_on",
    )

    def __init__(self, reader: BodyReader) -> None:
        self._reader = reader
        self._unsent = b""
        """Bytes of body that have come and have no credit of the source yet."""
        self._continued = True
        self.goes_on = False
        """Whether some of the body has still to come, or to go on."""
        self._wants: Wants = "bytes"
        """What `push` waited for last."""
        self._app_was_late = False
        """Whether the app was waited for since the rate was last looked at."""
        self._rate: MinRate | None = None
        self._limit: SizeLimit | None = None
        """What the route allows a body to have whose size was not told; None if there is nothing to
        be looked at."""

    def begin(self, exchange: Exchange) -> None:
        """Begins an exchange's upload. The bytes that came with the head travel with the head."""
        body, more = self._reader.next_body()
        exchange.count_received(len(body))
        self._rate = self._limit = None
        self._unsent = body[MAX_BODY:]
        self._continued = bool(body) or not exchange.request.expects_continue
        self.goes_on = more or bool(self._unsent)
        exchange.begin_body(body[:MAX_BODY], self.goes_on)

    def forget(self) -> None:
        """Forgets the rest of a body whose exchange was answered before it needed that."""
        self._unsent, self._continued, self.goes_on = b"", True, False

    def take_back(self, exchange: Exchange, body: bytes) -> None:
        """Takes back `body`, a part that was handed on, to hand it on again."""
        self._unsent = body + self._unsent
        self.goes_on = True
        exchange.body_goes_on(True)

    def limit(self, exchange: Exchange, limit: SizeLimit) -> None:
        """Bounds the body. Raises RequestError if more has come already."""
        limit.check(exchange.body_received)
        self._limit = limit

    def push(self, exchange: Exchange) -> Wants:
        """Hands on what has credit. Raises RequestError for a body that can't be read further, or
        that the source has no room for."""
        source, reader = exchange.source, self._reader
        has_read = False
        while self.goes_on and source is not None:
            data, more = self._unsent, not reader.body_complete
            if not data:
                if has_read and reader.buffered:
                    self._wants = "turn"
                    return "turn"
                data, more = reader.next_body()
                has_read = True
                if more and not data:
                    self._wants = "turn" if reader.buffered else "bytes"
                    return self._wants
                exchange.count_received(len(data))
                if self._limit is not None:
                    self._limit.check(exchange.body_received)
                self._continued = True
            count = min(len(data), source.send_credit, MAX_BODY)
            if data and count <= 0:
                self._unsent = data
                self._wants = "credit"
                self._app_was_late = True
                return "credit"
            self._unsent = data[count:]
            goes_on = more or count < len(data)
            self.goes_on = goes_on
            exchange.body_goes_on(goes_on)
            source.send_body(data[:count] if count < len(data) else data, goes_on)
        return "nothing"

    def is_slow(self, exchange: Exchange, limit: RateLimit, now: float, partial: int = 0) -> bool:
        """Whether the client sends the body more slowly than the limit has it, and nobody else is
        late. It is to be asked again and again. What comes beside a response that has begun may be
        a conversation, in which both sides take their time."""
        total, rate = exchange.body_received + partial, self._rate
        if rate is None:
            rate = self._rate = MinRate(limit, total, now)
        if self._app_was_late or self.held or exchange.status:
            self._app_was_late = self._wants == "credit"
            rate.forgive(total, now)
            return False
        return rate.is_below(total, now)

    @property
    def waiting(self) -> int:
        """Bytes that wait here for credit."""
        return len(self._unsent)

    @property
    def held(self) -> bool:
        """Whether the client waits for `100 Continue`, so that it can't be late."""
        return not self._continued

    def owes_continue(self, exchange: Exchange) -> bool:
        """Whether the client waits for `100 Continue` and the app now wants its body; true once
        (RFC 9110 section 10.1.1)."""
        if self._continued:
            return False
        self._continued = True
        return exchange.status == 0 and not self._unsent and not self._reader.buffered
