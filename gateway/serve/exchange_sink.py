"""The part of an exchange's client side that is the same in every HTTP version, and the interface
to the part that is not.

A request over HTTP/1.1 and one over an HTTP/2 stream differ in how bytes are read and written. They
do not differ in what becomes of the exchange: when the gateway answers by itself and with which
page, what happens when an app's response may not reach the wire, who is told when the client
leaves and what the log says then, whose fault a failure is, when a source has its credit back, how
a WebSocket is accepted. If that were written in the connection's class, a second version would
write it again, and the two would drift apart.

So there are two objects. The `ExchangeSink` is the client's side of one exchange at a time, the
same for every version. Below it is an `ExchangeStream`, the version's own: it renders what it is
given and hands it to the transport, and knows no page, no fault and no log. An HTTP/1.1 connection
is one stream for all its exchanges, one after the other, and has one sink. An HTTP/2 connection
has a stream with a sink for each request that is under way, and keeps them by their numbers.

Who calls whom, from the head of a request to its end:

    stream -> sink    `open` (a request has come), `refuse` (what came can't be served),
                      `refuse_unanswered` (nor answered), `taken` (the client took bytes),
                      `client_gone` (nobody is there any more)
    source -> sink    `interim`..., then `respond`, or `head`, `body`..., `trailers`, `end`;
                      `fail`; a WebSocket's `accept`
    sink -> stream    `write_*`, `cut_short`, `finished`; `body_wanted`; `broken`

A write fails in two ways. `ResponseError`: nothing was written, the app is at fault, and the client
gets a page. `OSError`: the client is gone; the sink asks the stream to end itself (`broken`), and
the stream then calls the sink's `client_gone`, as when it finds out by itself.
"""

from typing import ClassVar, Final, Protocol

from ...protocol.messages import CLIENT_GONE, TAKES_HINTS, TAKES_TRAILERS, Pairs
from ..exchange import end_codes
from ..exchange.endpoint import Endpoint
from ..exchange.errors import RequestError, ResponseError
from ..exchange.exchange import (
    Exchange,
    OpenFile,
    Request,
    SizeLimit,
    WebSocketSource,
    log_app_fault,
)
from ..exchange.pages import error_page
from ..transport.transport import Transport
from ..websocket.handshake import check_origin
from .body_credit import BodyCredit
from .service_state import ServiceState
from .upload import BodyReader, Upload
from .websocket_connection import WebSocketConnection, agree

UNAVAILABLE: Final = frozenset({502, 503, 504})
"""Statuses of answers for an app that could not be asked or has not answered. The operator's log
has them."""
HEAD_LATE: Final = RequestError(
    408,
    "The request's head did not arrive in time.",
    option="header-timeout",
    end_code=end_codes.CLIENT_HEAD_TIMEOUT,
)
BODY_LATE: Final = RequestError(
    408,
    "The request's body did not arrive in time.",
    option="body-timeout",
    end_code=end_codes.CLIENT_BODY_TIMEOUT,
)
BODY_SLOW: Final = RequestError(
    408,
    "The request's body arrived too slowly.",
    option="min-body-rate",
    end_code=end_codes.CLIENT_BODY_RATE,
)
LEFT: Final = "The client went away."
TOOK_NOTHING: Final = "The client took nothing of its response. --send-timeout"
TOOK_LITTLE: Final = "The client took its response too slowly. --min-send-rate"
WAS_CUT: Final = "The connection was cut."
"""The reason in the log for an exchange that has ended without its response."""
_CODES: Final = {
    TOOK_NOTHING: end_codes.CLIENT_SEND_TIMEOUT,
    TOOK_LITTLE: end_codes.CLIENT_SEND_RATE,
    WAS_CUT: end_codes.GATEWAY_CUT,
}
"""The end codes that go with these reasons. Where a client has left is asked of its exchange."""


class ExchangeStream(Protocol):
    """One HTTP version's way to carry an exchange. A `write_*` that gathers bytes for the end of a
    turn returns whether `flush` is to be called then."""

    accepts_with: ClassVar[int]
    """The status that accepts a WebSocket: 101, or 200 (RFC 8441 section 5)."""

    def slots_held(self) -> int:
        """How many calls of its connection workers run."""
        ...

    def write_response(self, exchange: Exchange, status: int, fields: Pairs, body: bytes) -> None:
        """Sends a complete response at once. Raises ResponseError with nothing written, OSError."""
        ...

    def write_head(self, exchange: Exchange, status: int, fields: Pairs) -> bool:
        """Gathers the head of a response whose body follows. Raises ResponseError with nothing
        written."""
        ...

    def write_body(self, data: bytes) -> bool:
        """Gathers a piece of the body; nothing if the response has none (HEAD)."""
        ...

    @property
    def takes_files(self) -> bool:
        """Whether the body of the response that has begun can be sent as a file lies on the disk:
        without framing of its own and without encryption."""
        ...

    def write_file(self, file: OpenFile, offset: int, count: int) -> bool:
        """Gathers a piece of a file, if it `takes_files`."""
        ...

    def write_end(self) -> None:
        """Sends the end of the body, and all that was gathered before it. Raises OSError."""
        ...

    def write_accept(self, fields: Pairs) -> None:
        """Sends the head that accepts a WebSocket at once. Raises ResponseError with nothing
        written, OSError."""
        ...

    def write_interim(self, status: int, fields: Pairs) -> None:
        """Sends an interim response at once, or drops it while the client takes nothing. Raises
        ResponseError with nothing written, OSError."""
        ...

    def write_trailers(self, fields: Pairs) -> None:
        """Keeps the fields that `write_end` sends behind the body; nothing if the response has no
        body. Raises ResponseError with nothing kept."""
        ...

    def flush(self) -> None:
        """Sends what was gathered, at the end of a turn, and tells the sink what the client
        took."""
        ...

    def body_wanted(self, exchange: Exchange) -> None:
        """Notes that the source takes request body again."""
        ...

    def finished(self, exchange: Exchange, now: float) -> None:
        """Notes that the exchange is over, and the app's response is whole."""
        ...

    def cut_short(self) -> None:
        """Notes that the exchange is over and its response, with a head that was sent, is not
        whole. The client has to see that."""
        ...

    def broken(self) -> None:
        """Ends the stream after a write to a client that is gone, and calls the sink's
        `client_gone`."""
        ...

    def hand_over(self) -> Transport:
        """Ends the stream for a WebSocket that was accepted. Returns the transport, which is the
        WebSocket's from now on."""
        ...


class ExchangeSink:
    """The client's side of an exchange: its `OpeningSide`, and until it is accepted a
    `WebSocketSink`."""

    __slots__ = ("_endpoint", "_service", "_stream", "credit", "exchange", "upload")

    def __init__(
        self,
        stream: ExchangeStream,
        body: BodyReader,
        endpoint: Endpoint,
        service: ServiceState,
    ) -> None:
        """`body` reads the requests' bodies."""
        self._stream = stream
        self._endpoint = endpoint
        self._service = service
        self.exchange: Exchange | None = None
        """The exchange under way. A call about an earlier one, which is over, is ignored."""
        self.upload = Upload(body)
        self.credit = BodyCredit()

    def release(self) -> None:
        """Releases the stream, which has ended with no exchange under way. Otherwise both would
        stay in memory until the garbage collector finds them."""
        del self._stream

    # -- from the stream ---------------------------------------------------------------------

    def open(self, request: Request) -> Exchange:
        """Opens the exchange of a request; it is to be answered next. Raises RequestError, with
        which the stream then calls `refuse`."""
        service, endpoint = self._service, self._endpoint
        self.exchange = exchange = Exchange(
            request, self, endpoint, service.clock(), service.observers
        )
        if request.forwarded and endpoint.is_known:
            service.apply_trust(exchange)
        if service.request_ids is not None:
            service.request_ids.identify(exchange, endpoint)
        if request.content_length != 0:
            self.upload.begin(exchange)
        elif self.upload.goes_on:
            self.upload.forget()
        if request.upgrade:
            exchange.offer_websocket(self)
            if service.allowed_origins:
                check_origin(request, service.allowed_origins)
        return exchange

    def refuse(self, error: RequestError, unread: Request) -> None:
        """Refuses what the client sends: an answer, if there is room for one. `unread` is what is
        known of the request if no exchange is under way."""
        exchange = self._refused(error, unread)
        self.fail(exchange, error.status, error.sentence, error.option, error.headers)

    def refuse_unanswered(self, error: RequestError, unread: Request) -> None:
        """Refuses what the client sends, where the stream is reset instead of an answer. If no
        response has begun, the log has the error's status, and no byte was sent. `unread` is what
        is known of the request if no exchange is under way."""
        exchange = self._refused(error, unread)
        exchange.give_reason(error.sentence)
        self.exchange = None
        now = self._service.clock()
        if exchange.status:
            exchange.end(now)
            self._stream.cut_short()
        else:
            exchange.complete(error.status, (), 0, now)
            self._stream.finished(exchange, now)

    def _refused(self, error: RequestError, unread: Request) -> Exchange:
        """Ends the app's part in the exchange that is refused. Returns the exchange."""
        service, endpoint = self._service, self._endpoint
        if error.log_line:
            service.client_faults.say(error.log_line, endpoint.client)
        exchange = self.exchange
        if exchange is None:
            self.exchange = exchange = Exchange(
                unread, self, endpoint, service.clock(), service.observers
            )
        elif exchange.source is not None:
            exchange.source.abandon(CLIENT_GONE, error.sentence)
        if service.request_ids is not None and not exchange.request_id:
            service.request_ids.identify(exchange, endpoint)
        exchange.give_end(error.end_code)
        return exchange

    def taken(self, sent: int, kept: int) -> None:
        """Notes that the client took `sent` bytes, and `kept` bytes wait for it."""
        exchange = self.exchange
        self.credit.pay(None if exchange is None else exchange.source, sent, kept)

    def sends_too_slowly(self, now: float, partial: int = 0) -> bool:
        """Whether the client sends its request's body below the least rate. It is to be asked a few
        times a second. `partial`: bytes that have come, and that the body cannot show yet."""
        exchange, limit = self.exchange, self._service.body_rate
        if exchange is None or limit is None or not self.upload.goes_on:
            return False
        return self.upload.is_slow(exchange, limit, now, partial)

    def client_gone(self, why: str, end_code: str = "") -> bool:
        """Ends the exchange of a client that is gone: the app is told, and the log has 499 if
        nothing was sent. `end_code` is given if `why` does not tell it. Returns whether an exchange
        was under way."""
        exchange, self.exchange = self.exchange, None
        if exchange is None:
            return False
        if exchange.source is not None:
            exchange.source.abandon(CLIENT_GONE, "the client went away")
        end_code = end_code or _CODES.get(why, "")
        exchange.give_end(end_code or end_codes.where_client_left(exchange))
        exchange.abandon(why, self._service.clock())
        return True

    # -- from the source: the response -------------------------------------------------------

    def slots_held(self) -> int:
        return self._stream.slots_held()

    def respond(self, exchange: Exchange, status: int, fields: Pairs, body: bytes) -> int:
        if exchange is not self.exchange:
            return 0
        stream = self._stream
        if self._service.returns_ids:
            fields = self._with_id(exchange, fields)
        if exchange.cookie:
            fields = (*fields, (b"set-cookie", exchange.cookie))
        try:
            stream.write_response(exchange, status, fields, body)
        except ResponseError as error:
            return self._refuse_response(exchange, error)
        except OSError:
            exchange.begin_response(status, fields, self._service.clock())
            exchange.count_sent(len(body))
            stream.broken()
            return status
        self.exchange = None
        now = self._service.clock()
        exchange.complete(status, fields, len(body), now)
        stream.finished(exchange, now)
        return status

    def head(self, exchange: Exchange, status: int, fields: Pairs) -> int:
        if exchange is not self.exchange:
            return 0
        stream = self._stream
        if self._service.returns_ids:
            fields = self._with_id(exchange, fields)
        if exchange.cookie:
            fields = (*fields, (b"set-cookie", exchange.cookie))
        try:
            is_first = stream.write_head(exchange, status, fields)
        except ResponseError as error:
            return self._refuse_response(exchange, error)
        exchange.begin_response(status, fields, self._service.clock())
        if is_first:
            self._service.poller.at_end_of_turn(stream.flush)
        return status

    def body(self, exchange: Exchange, data: bytes) -> None:
        """Gathers a piece of a longer response until the turn ends. The source has its credit then,
        also for bytes that are not sent (the body of an answer to HEAD)."""
        if exchange is not self.exchange:
            return
        size = len(data)
        exchange.count_sent(size)
        is_first = self._stream.write_body(data)
        if self.credit.owe(size) and is_first:
            self._service.poller.at_end_of_turn(self._stream.flush)

    def file(self, exchange: Exchange, file: OpenFile, offset: int, count: int) -> bool:
        if exchange is not self.exchange:
            return False
        stream = self._stream
        if not stream.takes_files:
            self.body(exchange, file.read(offset, count))
            return False
        exchange.count_sent(count)
        is_first = stream.write_file(file, offset, count)
        if self.credit.owe(count) and is_first:
            self._service.poller.at_end_of_turn(stream.flush)
        return True

    def end(self, exchange: Exchange) -> None:
        if exchange is not self.exchange:
            return
        stream = self._stream
        try:
            stream.write_end()
        except OSError:
            stream.broken()
            return
        self.exchange = None
        now = self._service.clock()
        exchange.end(now)
        stream.finished(exchange, now)

    def interim(self, exchange: Exchange, status: int, fields: Pairs) -> None:
        if (
            exchange is not self.exchange
            or exchange.status
            or not exchange.request.takes & TAKES_HINTS
        ):
            return
        try:
            self._stream.write_interim(status, fields)
        except ResponseError as error:
            log_app_fault(exchange, f"an interim response was dropped: {error}")
        except OSError:
            self._stream.broken()

    def trailers(self, exchange: Exchange, fields: Pairs) -> None:
        if (
            exchange is not self.exchange
            or not exchange.status
            or not exchange.request.takes & TAKES_TRAILERS
        ):
            return
        try:
            self._stream.write_trailers(fields)
        except ResponseError as error:
            log_app_fault(exchange, f"the trailers were dropped: {error}")

    def fail(
        self,
        exchange: Exchange,
        status: int,
        sentence: str,
        option: str = "",
        extra: Pairs = (),
    ) -> int:
        """Fails an exchange, as every sink does. `extra` are further fields of the page."""
        if exchange is not self.exchange:
            return 0
        exchange.give_reason(f"{sentence} --{option}" if option else sentence)
        if status in UNAVAILABLE:
            self._service.client_faults.failed(exchange, status)
        if exchange.status == 0:
            again = exchange.retry_after if status == 503 else None
            shown = option if self._service.settings.limits_are_options else ""
            fields, body = error_page(status, sentence, again, shown, exchange.request_id)
            return self.respond(exchange, status, fields + extra, body)
        self.exchange = None
        exchange.end(self._service.clock())
        self._stream.cut_short()
        return 0

    def _with_id(self, exchange: Exchange, fields: Pairs) -> Pairs:
        """The fields of a response, with the id of its request."""
        ids = self._service.request_ids
        return fields if ids is None else ids.returned(exchange, fields)

    def _refuse_response(self, exchange: Exchange, error: ResponseError) -> int:
        """Answers in place of the app's response, which may not reach the wire."""
        log_app_fault(exchange, f"was refused: {error}")
        if exchange.source is not None:
            exchange.source.abandon(CLIENT_GONE, "the response was refused")
        exchange.forget_phrase()  # it may be what was refused, and the page may have its status
        exchange.give_end(end_codes.APP_BAD_RESPONSE)
        exchange.give_reason(f"The app's response was refused: {error}")
        return self.fail(exchange, 500, "The app's response was not valid HTTP.")

    # -- from the source: the request's body -------------------------------------------------

    def credit_arrived(self, exchange: Exchange) -> None:
        if exchange is self.exchange and self.upload.goes_on:
            self._stream.body_wanted(exchange)

    def take_back(self, exchange: Exchange, body: bytes) -> None:
        if exchange is self.exchange:
            self.upload.take_back(exchange, body)

    def limit_body(self, exchange: Exchange, limit: SizeLimit) -> None:
        if exchange is self.exchange:
            self.upload.limit(exchange, limit)

    # -- from the source: a WebSocket's handshake --------------------------------------------

    def accept(
        self,
        exchange: Exchange,
        source: WebSocketSource,
        subprotocol: str | None,
        fields: Pairs,
    ) -> int:
        """Sends the head; the transport of the exchange is a WebSocket's from then on."""
        if exchange is not self.exchange or exchange.status:
            return 0
        service, stream = self._service, self._stream
        status = stream.accepts_with
        if service.returns_ids:
            fields = self._with_id(exchange, fields)
        if exchange.cookie:
            fields = (*fields, (b"set-cookie", exchange.cookie))
        try:
            lines, machine = agree(exchange.request, subprotocol, fields, service.websocket)
            stream.write_accept(lines)
        except ResponseError as error:
            return self._refuse_response(exchange, error)
        except OSError:
            exchange.begin_response(status, fields, service.clock())
            stream.broken()
            return status
        exchange.begin_response(status, fields, service.clock())
        self.exchange = None
        transport = stream.hand_over()
        websocket = WebSocketConnection(transport, exchange, source, machine, service)
        if service.draining:  # it began while the others were told
            websocket.drain()
        return status

    def message(self, exchange: Exchange, data: bytes | str, more: bool) -> None:
        """Ignores a message before the accept, which a worker may not send."""

    def close(self, exchange: Exchange, code: int, reason: str) -> int:
        if exchange.status:
            return 0
        exchange.give_end(end_codes.APP_REFUSED_WEBSOCKET)
        return self.fail(exchange, 403, "The app refused this WebSocket.")

    def worker_leaves(self, exchange: Exchange) -> None:
        """Does nothing: a response has an end, or runs until the worker's time is over."""
