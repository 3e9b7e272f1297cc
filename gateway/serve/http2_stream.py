"""One stream of an HTTP/2 connection: a request and its response (RFC 9113 section 5.1).

It is the `ExchangeStream` of its exchange. What it sends at once goes to the engine at once: a
head, a small response. Of a longer body it keeps what the client has yet to allow, and the
connection decides which of its streams sends the next frame.

Both directions are paid for end to end. The client may send more of a body when the app's side has
taken what came (`_acknowledge`), and the source may push more when the body has gone out (`push`).
So a slow stream holds back itself and nobody else.

A response is `none`, `begun` with its head, `ending` when its source has said everything, and
`ended` when the client was sent that, or a reset. The stream is over then: a client that has yet to
send some of its request is told that nobody waits for it (RST_STREAM with NO_ERROR, RFC 9113
section 8.1).

Most requests have no body and most responses go out at once. The objects of such a stream are as
they were before, and a later stream of the connection has them (`put_by`): to make them would take
a fifth of the request's time.
"""

from collections.abc import Callable, Sequence
from typing import ClassVar, Final, Literal, Protocol

from ...protocol.messages import Pairs
from ..exchange import end_codes
from ..exchange.endpoint import Endpoint
from ..exchange.errors import RequestError
from ..exchange.exchange import Exchange, OpenFile, Source, log_app_fault
from ..http.rules import (
    BODILESS,
    Fields,
    ended_before,
    ends_with_head,
    fit,
    went_over,
)
from ..http2.engine import Engine, ErrorCode, Head
from ..http2.head_cache import HeadCache
from ..http2.piece_buffer import PieceBuffer
from ..http2.request_body import RequestBody
from ..http2.request_fields import BodyLength, MalformedRequest, refused_request
from ..http2.response_fields import ResponseFields
from ..settings import Http2Settings
from ..transport.min_rate import MinRate
from ..transport.transport import Transport
from ..websocket.handshake import check_handshake
from .exchange_sink import (
    BODY_LATE,
    BODY_SLOW,
    TOOK_LITTLE,
    TOOK_NOTHING,
    WAS_CUT,
    ExchangeSink,
)
from .service_state import ServiceState
from .stream_transport import StreamTransport

CONTINUE_FIELDS: Final[Fields] = [(b":status", b"100")]


class StreamConnection(Protocol):
    """The connection, as its streams see it."""

    endpoint: Endpoint
    engine: Engine
    service: ServiceState
    settings: Http2Settings
    requests: HeadCache
    fields: ResponseFields

    def claim_flush(self) -> bool:
        """Takes it on to have `flush` called for what was just written. Returns whether nobody has
        done so before, so that it is the caller who calls it."""
        ...

    def flush_soon(self) -> None:
        """Has `flush` called at the end of the turn."""
        ...

    def flush(self) -> None: ...

    @property
    def transport(self) -> Transport:
        """The client's, with all its streams."""
        ...

    def slots_held(self) -> int:
        """How many calls of its streams workers run, also of those that were reset."""
        ...

    def set_priority(self, number: int, text: bytes) -> None:
        """Notes the priority, in the client's words, of a stream that has yet to send something."""
        ...

    def wait(self, stream: "Http2Stream") -> None:
        """Notes that a stream has something to send."""
        ...

    def await_end(self, number: int) -> None:
        """Leaves a stream whose response is sent to the client, who has yet to say that the body,
        which has come, is at its end."""
        ...

    def forget(self, stream: "Http2Stream") -> None:
        """Notes that a stream is over."""
        ...

    def put_by(self, stream: "Http2Stream") -> None:
        """Notes that a stream is over which is as new, and was never `wait`ed for: the next request
        may have it."""
        ...

    def source_runs_on(self, source: Source) -> None:
        """Notes what may run on though its stream was reset."""
        ...

    def partial_data(self, number: int) -> int:
        """Bytes that have come of a DATA frame that is not whole."""
        ...


Response = Literal["none", "begun", "ending", "ended"]


class Http2Stream:
    __slots__ = (
        "_connection",
        "_exchange",
        "_fault",
        "_has_body",
        "_is_as_new",
        "_late_at",
        "_left",
        "_pace",
        "_partial",
        "_released",
        "_request_body",
        "_reset_with",
        "_response",
        "_response_body",
        "_sent",
        "_trailers",
        "_transport",
        "_websocket_transport",
        "has_priority",
        "number",
        "send_by",
        "sink",
    )

    accepts_with: ClassVar[int] = 200

    def __init__(self, connection: StreamConnection) -> None:
        self.number = 0
        self._connection = connection
        self._transport = connection.transport
        self._request_body = RequestBody()
        self.sink = ExchangeSink(self, self._request_body, connection.endpoint, connection.service)
        self._released = False
        self._is_as_new = False
        """Whether its request is over, went out at once, and has left nothing behind: no body that
        nobody has taken, no credit, no fault."""
        self.has_priority = False
        """Whether the connection was told how urgent it is."""
        self._late_at = 0.0
        """Monotonic seconds at which the client is late with the body; 0.0: never."""
        self._partial = 0
        """Bytes of a DATA frame that is not whole, as of the last look."""
        self._exchange: Exchange | None = None
        # -- the response
        self._response: Response = "none"
        self._has_body = True
        self._left: int | None = None
        """What its Content-Length promises further; None: it has none."""
        self._response_body = PieceBuffer()
        """What the client has yet to allow."""
        self._trailers: Fields = []
        self._reset_with: ErrorCode | None = None
        """How the response ends, if it does not end well."""
        self._fault = ""
        """What the app has done wrong."""
        self._sent = 0
        """Bytes of body that have gone out."""
        self.send_by = 0.0
        """Monotonic seconds by which the client has to allow some of what waits; 0.0: nothing
        does, or it is not this stream that is waited for."""
        self._pace: MinRate | None = None
        self._websocket_transport: StreamTransport | None = None
        """What a WebSocket stands on that has taken the stream over."""

    # -- the request -------------------------------------------------------------------------

    def open(self, head: Head, priority: bytes) -> None:
        """Opens the exchange of its request, which is answered from now on. `priority` counts
        instead of the request's own unless it is b"". Raises MalformedRequest and RequestError."""
        service = self._connection.service
        self.number = head.stream
        self._response = "none"
        self._is_as_new = self.has_priority = False
        self._late_at, self._partial = 0.0, 0
        if not head.ended:
            self._request_body.begin(None)
        request = self._connection.requests.read(head.fields, head.ended)
        if not head.ended and not request.upgrade:
            most = service.http.settings.max_request_body_size
            self._request_body.begin(BodyLength(request.content_length, most))
        if request.upgrade:
            check_handshake(request, has_key=False)
        self._exchange = exchange = self.sink.open(request)
        if exchange.more_body and not self.sink.upload.held:
            self._client_has_time()
        if priority := priority or request.priority:
            self.note_priority()
            self._connection.set_priority(self.number, priority)
        service.answer(exchange)

    def note_priority(self) -> None:
        """Notes that the connection was told how urgent it is."""
        self.has_priority = True

    def hear(self, data: bytes, size: int, ended: bool) -> None:
        """Takes a piece of the body; `size` is what it takes of the windows. `hand_on` is to be
        called when there is no more for now. Raises MalformedRequest and RequestError."""
        websocket = self._websocket_transport
        if self.sink.exchange is None and (websocket is None or websocket.closed):
            self._request_body.skip(size, ended)  # the response is all said: nobody reads the rest
            self._acknowledge()
        else:
            self._request_body.add(data, size, ended)

    def hand_on(self) -> None:
        """Hands on what has come of the body, as far as its source takes it. Raises
        RequestError."""
        if self._websocket_transport is not None:
            self._websocket_transport.received()
        else:
            self._push_upload()

    def _push_upload(self) -> None:
        sink = self.sink
        exchange = sink.exchange
        if exchange is not None and sink.upload.goes_on:
            self._late_at = 0.0
            if sink.upload.push(exchange) == "bytes" and not sink.upload.held:
                self._client_has_time()
        self._acknowledge()

    def _acknowledge(self) -> None:
        """Lets the client send as much more as was taken."""
        if taken := self._request_body.give_back(self.sink.upload.waiting):
            self._connection.engine.taken(self.number, taken)
            self._connection.flush_soon()

    def _client_has_time(self) -> None:
        service = self._connection.service
        self._late_at = service.clock() + service.settings.body_timeout

    def body_wanted(self, exchange: Exchange) -> None:
        if self.sink.upload.owes_continue(exchange):
            self._connection.engine.head(self.number, CONTINUE_FIELDS, False)
            self._connection.flush_soon()
        try:
            self._push_upload()
        except RequestError as error:
            self.refuse(error)

    def slots_held(self) -> int:
        return self._connection.slots_held()

    @property
    def holds_slot(self) -> bool:
        """Whether a worker runs its call."""
        exchange = self._exchange
        return exchange is not None and exchange.source is not None and exchange.source.is_running

    # -- refusals ----------------------------------------------------------------------------

    def refuse(self, error: RequestError, fields: Sequence[tuple[bytes, bytes]] = ()) -> None:
        """Answers with an error, if there is room for one. `fields` are those of a request that was
        refused."""
        if self._websocket_transport is not None:  # there is no answer but the WebSocket's own
            self.give_up(ErrorCode.PROTOCOL_ERROR, error.sentence, error.end_code)
            return
        self._late_at = 0.0
        if self._response != "none" and self.sink.exchange is None:
            self._request_body.end()  # the response is all said: nobody asks for the rest
            return
        self._release_source()
        self.sink.refuse(error, refused_request(fields))

    def refuse_malformed(
        self, error: MalformedRequest, fields: Sequence[tuple[bytes, bytes]] = ()
    ) -> None:
        """Resets the stream: nobody else shall read the request in another way than we do."""
        refusal = RequestError(400, error.sentence)
        if self._websocket_transport is not None:
            self.refuse(refusal)
            return
        if self._response != "none" and self.sink.exchange is None:
            self.give_up(ErrorCode.PROTOCOL_ERROR, error.sentence)  # its response is all said
            return
        self._late_at = 0.0
        self._reset_with = ErrorCode.PROTOCOL_ERROR
        if self._response != "begun":
            self._end()
        self.sink.refuse_unanswered(refusal, refused_request(fields))
        self._release_source()

    # -- the response ------------------------------------------------------------------------

    def write_response(self, exchange: Exchange, status: int, fields: Pairs, body: bytes) -> None:
        connection = self._connection
        number, engine = self.number, connection.engine
        out, length = connection.fields.head(status, fields)
        # As `HttpMachine.respond`, without a call for both: most responses come this way.
        if status in BODILESS or exchange.request.method == "HEAD":
            if length is None and body and status not in BODILESS:
                out = [*out, (b"content-length", b"%d" % len(body))]
            body = b""
        elif length is None:
            out = [*out, (b"content-length", b"%d" % len(body))]
        elif length != len(body):
            if len(body) < length:
                self._reset_with = ErrorCode.INTERNAL_ERROR
            body, self._fault = fit(body, length)
            exchange.give_end(end_codes.APP_WRONG_LENGTH)
        if self._reset_with is not None:
            engine.head(number, out, False)
            self._wait_with(body)
        elif not body:
            engine.head(number, out, True)
            self._end()
        elif not self._transport.blocked and engine.respond(number, out, body):
            if self._request_body.is_spent and not self._fault:
                self._response = "ended"
                self._is_as_new = True
            else:
                self._end()
        else:
            engine.head(number, out, False)
            self._wait_with(body)
        connection.flush_soon()

    def _wait_with(self, body: bytes) -> None:
        """Sends the last of a response when the client allows it."""
        self._response_body.add(body)
        self._response = "ending"
        self._connection.wait(self)

    def write_head(self, exchange: Exchange, status: int, fields: Pairs) -> bool:
        connection = self._connection
        out, length = connection.fields.head(status, fields)
        self._has_body = not ends_with_head(exchange.request.method, status)
        self._left = length if self._has_body else None
        connection.engine.head(self.number, out, not self._has_body)
        self._response = "begun"
        return connection.claim_flush()

    def write_body(self, data: bytes) -> bool:
        if self._late_at:  # the rest of the upload may wait for what the app says meanwhile
            self._client_has_time()
        if self._has_body:
            if self._left is not None:
                if len(data) > self._left:
                    self._fault = went_over(len(data) - self._left)
                    data = data[: self._left]
                self._left -= len(data)
            self._response_body.add(data)
            if data:
                self._connection.wait(self)
        if not self._response_body.size:
            # It was dropped: nobody sends it, and its source has its credit all the same.
            self._connection.service.poller.at_end_of_turn(self._pay_dropped)
        self._connection.flush_soon()  # also if its source is owed for what was said before
        return False

    def _pay_dropped(self) -> None:
        self._paid(0)

    @property
    def takes_files(self) -> bool:
        return False  # its body is in frames

    def write_file(self, file: OpenFile, offset: int, count: int) -> bool:
        raise AssertionError("a stream takes no files")

    def write_end(self) -> None:
        if self._left:
            self._fault = ended_before(self._left)
            self._reset_with = ErrorCode.INTERNAL_ERROR
        if self._fault and self.sink.exchange is not None:
            self.sink.exchange.give_end(end_codes.APP_WRONG_LENGTH)
        self._response = "ending"
        self._connection.wait(self)
        self._connection.flush_soon()

    def write_accept(self, fields: Pairs) -> None:
        connection = self._connection
        connection.engine.head(self.number, connection.fields.accept(fields), False)
        self._response = "begun"
        connection.flush_soon()

    def write_interim(self, status: int, fields: Pairs) -> None:
        connection = self._connection
        if not self._transport.blocked:
            connection.engine.head(self.number, connection.fields.interim(status, fields), False)
            connection.flush_soon()

    def write_trailers(self, fields: Pairs) -> None:
        trailers = self._connection.fields.trailers(fields)
        if self._has_body:
            self._trailers = trailers

    def flush(self) -> None:
        self._connection.flush()

    @property
    def kept(self) -> int:
        """Bytes of the response's body that wait here."""
        return self._response_body.size

    @property
    def held(self) -> int:
        """Bytes that are in memory for it."""
        uploaded = self._request_body.buffered + self.sink.upload.waiting
        return self._response_body.size + uploaded

    @property
    def has_begun(self) -> bool:
        """Whether its response has."""
        return self._response != "none"

    @property
    def may_send(self) -> bool:
        """Whether there is something to send, and the client allows it on this stream. As long as
        it allows none on the connection nobody can tell, and the stream keeps its place."""
        if self._response_body.size:
            engine = self._connection.engine
            return engine.room(self.number) > 0 or engine.room(0) <= 0
        return self._response == "ending"

    def push(self) -> int:
        """Sends one frame of what waits, and what comes behind the last. Returns the bytes of the
        frame."""
        engine, number, body = self._connection.engine, self.number, self._response_body
        size = body.size
        count = max(0, min(size, engine.room(number), engine.frame_size))
        ends = self._response == "ending" and count == size
        ends_well = ends and self._reset_with is None
        if count or (ends_well and self._has_body and not self._trailers):
            data = body.take(count)
            engine.body(number, data, ends_well and not self._trailers)
        if ends_well and self._trailers:
            engine.trailers(number, self._trailers)
        self._sent += count
        if count:
            self.send_by = 0.0
        if not body.size:
            self._pace = None
        if ends:
            self._end()
            if self._websocket_transport is not None:
                self._release_source()
                self._request_body.end()
                self._websocket_transport.go_on()
        self._paid(count)
        if ends and self.sink.exchange is None:
            self._connection.forget(self)
        return count

    def wait_for_room(self, now: float) -> None:
        """Notes that the client does not allow what waits."""
        if not self.send_by and (self._response_body.size or self._response == "ending"):
            self.send_by = now + self._connection.service.settings.send_timeout

    def room_given(self) -> None:
        """Notes that the client allows some of what waits; the connection may have to wait for it
        all the same."""
        self.send_by = 0.0

    def _paid(self, count: int) -> None:
        if self._websocket_transport is not None:
            self._websocket_transport.sent(count)
        elif not self._released:
            self.sink.taken(count, self._response_body.size)

    def _end(self) -> None:
        """The client was sent everything, or what was not whole is reset."""
        self._response = "ended"
        code = self._reset_with
        if code is None and not self._request_body.ended:
            if self._request_body.is_long_enough:
                self._connection.await_end(self.number)
            else:
                code = ErrorCode.NO_ERROR
        if code is not None:
            self._connection.engine.reset(self.number, code)
            self._connection.flush_soon()
            self._release_source()

    def _release_source(self) -> None:
        """The client may open another stream, while the app is still at work for this one."""
        exchange, self._exchange = self._exchange, None
        if exchange is not None and exchange.source is not None:
            self._connection.source_runs_on(exchange.source)

    # -- the end -----------------------------------------------------------------------------

    def finished(self, exchange: Exchange, now: float) -> None:
        """What is left goes out as the client takes it."""
        if self._is_as_new:
            self._exchange = None
            self._connection.put_by(self)
            return
        self._late_at = 0.0
        if self._fault:
            log_app_fault(exchange, self._fault)
        if self._response == "ended":
            self._connection.forget(self)

    def cut_short(self) -> None:
        if self._reset_with is None:
            self._reset_with = ErrorCode.INTERNAL_ERROR
        self._late_at = 0.0
        self._response = "ending"
        self._connection.wait(self)
        self._connection.flush_soon()

    def broken(self) -> None:
        raise AssertionError("a stream's bytes wait for the connection, which may break")

    def gone(self, why: str, end_code: str = "") -> None:
        """Ends the stream: the client has reset it, or is not there any more."""
        self._response = "ended"
        self._response_body.clear()
        self._request_body.end()
        transport = self._websocket_transport
        if transport is not None:
            if self._exchange is not None and not transport.closed:
                self._exchange.give_end(
                    end_code or (end_codes.GATEWAY_CUT if why == WAS_CUT else "")
                )
            transport.client_left()
        elif not self._released:
            self.sink.client_gone(why, end_code)
        self._release_source()
        self._connection.forget(self)

    def give_up(self, code: ErrorCode, why: str, end_code: str = "") -> None:
        """Resets the stream, and ends it."""
        self._connection.engine.reset(self.number, code)
        self._connection.flush_soon()
        self.gone(why, end_code)

    def release(self) -> None:
        """Lets go of what it has, as it is over."""
        if left := self._request_body.drop():
            self._connection.engine.taken(self.number, left)
            self._connection.flush_soon()
        if not self._released:
            self._released = True
            self.sink.release()

    def sweep(self, now: float) -> None:
        """Ends what has lasted too long. It is called a few times a second."""
        transport = self._websocket_transport
        if self.send_by and (transport is None or transport.closed):
            if now >= self.send_by:
                self.give_up(ErrorCode.CANCEL, TOOK_NOTHING)
                return
            if self.takes_too_little(now):
                self.give_up(ErrorCode.CANCEL, TOOK_LITTLE)
                return
        if transport is None and not self._request_body.ended:
            self._watch_upload(now)

    def _watch_upload(self, now: float) -> None:
        connection = self._connection
        before, self._partial = self._partial, connection.partial_data(self.number)
        if self._late_at:
            if self._transport.paused or self._partial > before:
                self._client_has_time()
            elif (
                now >= self._late_at and not self._response_body.size
            ):  # else it takes the response
                self.refuse(BODY_LATE)
                return
        if not self._transport.paused and self.sink.sends_too_slowly(now, self._partial):
            self.refuse(BODY_SLOW)

    def takes_too_little(self, now: float) -> bool:
        """Whether the client allows what waits for it too slowly. It is to be asked again and
        again."""
        limit = self._connection.service.transports.send_rate
        if limit is None or not self.send_by:
            return False
        if self._pace is None:
            self._pace = MinRate(limit, self._sent, now)
        return self._pace.is_below(self._sent, now)

    # -- a WebSocket -------------------------------------------------------------------------

    def hand_over(self) -> Transport:
        self._websocket_transport = transport = StreamTransport(self)
        self._released = True
        self.sink.release()
        return transport

    @property
    def has_ended(self) -> bool:
        """Whether the client has said everything."""
        return self._request_body.ended

    @property
    def buffered(self) -> int:
        """Bytes that the client of a WebSocket has sent, and nobody has taken."""
        return self._request_body.buffered

    def take(self) -> bytes:
        """What the client of a WebSocket has sent; it may send as much more."""
        data, _ = self._request_body.next_body()
        self._acknowledge()
        return data

    def keep(self, data: bytes) -> None:
        """Keeps bytes of a WebSocket, which go out at the end of the turn."""
        if self._response == "begun":
            self._response_body.add(data)
            self._connection.wait(self)
            self._connection.flush_soon()

    def end_sending(self, code: ErrorCode | None) -> None:
        """Ends a WebSocket's stream, behind what waits if `code` is None, else at once."""
        if self._response != "begun" and (code is None or self._response != "ending"):
            return
        if code is not None:
            self._response_body.clear()
            self._reset_with = code
        self._response = "ending"
        self._connection.wait(self)
        self._connection.flush_soon()

    def call_soon(self, call: Callable[[], None]) -> None:
        """Has `call` called in the next turn."""
        self._connection.service.poller.call_soon_threadsafe(call)
