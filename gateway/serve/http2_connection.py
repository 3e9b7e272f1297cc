"""The driver of HTTP/2: one client connection's life, frames in, streams, frames out (RFC 9113).

As in HTTP/1.1 nothing here has a task, and no call waits: the poller brings bytes, a link a
response, the sweeper a deadline. The bytes go through the reader (`http2.frame_reader`), which
gives the engine a share of them in a turn and has the guard count floods. The engine's events go to
the streams (`http2_stream`), each of which is an exchange.

What one turn has for the client goes out in one `send` at its end (`flush`): first what was written
at once (heads, small responses, answers to PING), then DATA of those streams that have had to wait
(`waiting_streams`), a frame at a time, in the order of RFC 9218. No more is taken out of the
streams than the socket takes, so that a response which becomes urgent does not stand behind a
megabyte.

A connection reads no further while its client takes nothing: it could ask for ever and never read.

**The end** is announced by two GOAWAYs, so that no request is lost (`http2.graceful_shutdown`).

States (see `lingering_close`): `idle` without streams, `exchange` with some.
"""

from logging import getLogger
from typing import ClassVar, Final, Self

from ..exchange import end_codes
from ..exchange.endpoint import Endpoint
from ..exchange.errors import RequestError
from ..exchange.exchange import Source
from ..http2.engine import (
    Data,
    ErrorCode,
    GoingAway,
    Head,
    OtherEvent,
    Pong,
    PriorityUpdate,
    Reset,
    Room,
    StreamFailed,
    Trailers,
)
from ..http2.flood_guard import HEAD_LIST, Flood, FloodGuard
from ..http2.frame_reader import FrameFault, FrameReader
from ..http2.graceful_shutdown import GracefulShutdown
from ..http2.head_cache import HeadCache
from ..http2.priority import EarlyUpdates, read_priority
from ..http2.request_fields import MalformedRequest, check_trailers
from ..transport.client_socket import MOST_BUFFERED
from ..transport.transport import Transport
from .exchange_sink import LEFT, TOOK_LITTLE, TOOK_NOTHING, WAS_CUT
from .http2_stream import Http2Stream
from .lingering_close import FIRST_BYTE_OF_NEXT, MOST_PUT_OFF, ClosingConnection, LastAct
from .service_state import ServiceState
from .waiting_streams import WaitingStreams

log = getLogger("propylon.gateway")

MOST_RESTING: Final = 32
"""Streams that are kept for the next requests, as their last ones are over."""
MOST_HALF_CLOSED: Final = 64
"""Streams that are not reset though they are answered and the client has not ended its body, of
which all has come: the end is under way. Clients written with h2 (httpx) take a reset that crosses
it for an error of their own."""


class Http2Connection(ClosingConnection):
    __slots__ = (
        "_all_have_room",
        "_due",
        "_early",
        "_goes_on",
        "_guard",
        "_half_closed",
        "_head_by",
        "_heard",
        "_reader",
        "_requests_left",
        "_resting",
        "_shutdown",
        "_still_running",
        "_streams",
        "_waiting",
        "endpoint",
        "engine",
        "fields",
        "requests",
        "service",
        "settings",
    )

    protocol: ClassVar[str] = "http/2"

    def __init__(
        self,
        transport: Transport,
        endpoint: Endpoint,
        service: ServiceState,
        received: bytes = b"",
    ) -> None:
        """`received` are bytes of the client that were read before."""
        super().__init__(transport, service)
        context = service.http2
        assert context is not None, "HTTP/2 is not spoken here"
        self.endpoint, self.service = endpoint, service
        self.settings, self.fields = context.settings, context.fields
        self.requests = HeadCache(service.http.settings, context.settings)
        self.engine = context.engine()
        self._guard = FloodGuard(context.settings, context.most_head, self._idle_since)
        self._reader = FrameReader(context.settings.max_frame_size, self._guard)
        self._reader.receive(received)
        self._streams: dict[int, Http2Stream] = {}
        self._waiting: WaitingStreams | None = None
        """Streams that have something to send which did not go out at once, or a priority."""
        self._still_running: list[Source] = []
        """What runs on for streams that were reset, as of the last look."""
        self._heard: dict[int, Http2Stream] = {}
        """Streams of whose bodies something has come in this share."""
        self._resting: list[Http2Stream] = []
        """Streams that are over, and that the next requests can have."""
        self._early: EarlyUpdates | None = None
        """Priorities of streams that are not open yet."""
        self._half_closed: dict[int, None] = {}
        """Streams that are over but for the client's END_STREAM."""
        self._requests_left = service.settings.limit_requests_per_connection
        """Requests that it may have yet; 0 and below: it is not counted, or has had the last."""
        self._shutdown = GracefulShutdown(self.engine, FIRST_BYTE_OF_NEXT)
        self._head_by = 0.0
        """Monotonic seconds at which the client is late with the rest of a head, or of any frame
        but DATA; 0.0: never."""
        self._goes_on = False
        """Whether it has had its share of a turn, and something is left for the next."""
        self._all_have_room = False
        """Whether the client has allowed more on the connection, which is yet to be looked at."""
        self._due = False
        """Whether `flush` will be called."""

    def open(self) -> None:
        super().open()
        self.flush_soon()  # our SETTINGS
        if self._reader.unread and self._state != "closed":
            self._transport.go_on()
            self._goes_on = True

    # -- reading -----------------------------------------------------------------------------

    def readable(self) -> Self | None:
        try:
            if self._goes_on:
                self._goes_on = False
                return self
            data = self._transport.recv()
            if data:
                if self._state in ("idle", "exchange"):
                    self._reader.receive(data)
                    if len(data) <= MOST_PUT_OFF:
                        return self
                    self.advance()
            elif data is not None:
                # A half-closed client counts as gone, as with nginx.
                self._gone(LEFT)
        except OSError:
            self._gone(LEFT)
        except Exception:
            self._failed()
        return None

    def advance(self) -> None:
        """Handles a share of what has come."""
        if self._state not in ("idle", "exchange"):
            return
        try:
            now = self.service.clock()
            reader, engine = self._reader, self.engine
            frames = reader.share(now)
            if frames:
                for event in engine.receive(frames):
                    if isinstance(event, Head):
                        self._open(event, now)
                    else:
                        self._handle(event, now)
                if self._all_have_room:
                    self._all_have_room = False
                    if self._waiting is not None:
                        self._waiting.room_given_to_all()
                if self._heard:
                    self._hand_on(now)
                if self._state not in ("idle", "exchange"):
                    return
            left = reader.unread
            if left or reader.in_block:
                self._watch_head(now, begins_anew=bool(frames) and not reader.in_block)
            else:
                self._head_by = 0.0
            if engine.has_output or (self._waiting is not None and self._waiting.streams):
                self.flush_soon()
            if frames and left and not self._transport.paused:
                self._go_on()
        except Flood as flood:
            self._flooded(flood)
        except FrameFault as fault:
            self._end_badly(fault.code, f"HTTP/2: {fault.sentence}")
        except OSError:
            self._gone(LEFT)
        except Exception:
            self._failed()

    def _failed(self) -> None:
        log.exception("an HTTP/2 connection failed")
        self._gone(LEFT, end_codes.GATEWAY_FAILED)

    def _watch_head(self, now: float, *, begins_anew: bool) -> None:
        """Some of a frame or header block is here, and not all."""
        if not self._reader.in_head:
            self._head_by = 0.0
        elif not self._head_by or begins_anew:
            self._head_by = now + self.service.settings.header_timeout

    def _go_on(self) -> None:
        """Leaves what is left of the received bytes to the next turn."""
        self._goes_on = True
        self._transport.go_on()

    def _handle(self, event: OtherEvent, now: float) -> None:
        if isinstance(event, Data):
            self._hear(event, now)
        elif isinstance(event, Room):
            if not event.stream:
                self._all_have_room = True
            elif self._waiting is not None:
                self._waiting.room_given(event.stream)
        elif isinstance(event, Reset):
            self._reset(event, now)
        elif isinstance(event, Trailers):
            self._hear_trailers(event, now)
        elif isinstance(event, StreamFailed):
            self._stream_failed(event, now)
        elif isinstance(event, PriorityUpdate):
            self._update_priority(event)
        elif isinstance(event, Pong):
            if self._shutdown.pong(event.data):
                self.flush_soon()
        elif isinstance(event, GoingAway):
            self._begin_shutdown()
            self._send_notice()  # it knows of ends
        elif event.code == ErrorCode.ENHANCE_YOUR_CALM:
            self.service.counts.flood(HEAD_LIST)
            sentence = f"HTTP/2: {event.sentence}"
            self._end_badly(event.code, sentence, told=True, end_code=end_codes.CLIENT_FLOOD)
        else:
            self._end_badly(event.code, f"HTTP/2: {event.sentence}", told=True)

    def _open(self, head: Head, now: float) -> None:
        number, service = head.stream, self.service
        if self._shutdown.is_final or self._is_full():
            self.engine.reset(number, ErrorCode.REFUSED_STREAM)
            self._guard.refused(now)
            return
        stream = self._resting.pop() if self._resting else Http2Stream(self)
        self._streams[number] = stream
        self._state, self._deadline = "exchange", 0.0
        if service.says_close:
            self._begin_shutdown()
        if self._requests_left:
            self._requests_left -= 1
            if not self._requests_left:
                self._begin_shutdown()
        try:
            stream.open(head, b"" if self._early is None else self._early.take(number))
        except MalformedRequest as error:
            stream.refuse_malformed(error, head.fields)
            self._guard.we_reset(now)
        except RequestError as error:
            stream.refuse(error, head.fields)

    def _is_full(self) -> bool:
        """Whether it has as many requests as it may. A client that resets its streams, or has us
        reset them, has not freed their apps."""
        most, streams = self.settings.max_streams, len(self._streams)
        if streams + len(self._still_running) < most:
            return False
        self._forget_ended()
        return streams + len(self._still_running) >= most

    def _forget_ended(self) -> None:
        """Forgets what runs on no more for streams that were reset."""
        if self._still_running:
            self._still_running = [source for source in self._still_running if source.is_running]

    def source_runs_on(self, source: Source) -> None:
        if source.is_running:
            if len(self._still_running) >= self.settings.max_streams:
                self._forget_ended()
            self._still_running.append(source)

    def _hear(self, data: Data, now: float) -> None:
        stream = self._streams.get(data.stream)
        if stream is None:
            # It was reset, or its request was refused, or is answered.
            self.engine.taken(data.stream, data.size)
            if data.stream in self._half_closed:
                if data.data:
                    self.engine.reset(data.stream, ErrorCode.PROTOCOL_ERROR)
                    self._guard.we_reset(now)
                if data.data or data.ended:
                    del self._half_closed[data.stream]
            return
        self._heard[data.stream] = stream
        try:
            stream.hear(data.data, data.size, data.ended)
        except MalformedRequest as error:
            stream.refuse_malformed(error)
            self._guard.we_reset(now)
        except RequestError as error:
            stream.refuse(error)
            self._guard.we_reset(now)

    def _hear_trailers(self, trailers: Trailers, now: float) -> None:
        stream = self._streams.get(trailers.stream)
        if stream is None:
            if not trailers.ended:  # nobody else would end it
                self.engine.reset(trailers.stream, ErrorCode.PROTOCOL_ERROR)
                self._guard.we_reset(now)
            self._half_closed.pop(trailers.stream, None)
            return
        try:
            check_trailers(trailers.fields, trailers.ended)
            self._heard[trailers.stream] = stream
            stream.hear(b"", 0, True)
        except MalformedRequest as error:
            stream.refuse_malformed(error)
            self._guard.we_reset(now)
        except RequestError as error:
            stream.refuse(error)
            self._guard.we_reset(now)

    def _hand_on(self, now: float) -> None:
        """Has streams hand on what has come of their bodies, many frames at a time."""
        heard, self._heard = self._heard, {}
        for number, stream in heard.items():
            if number in self._streams:
                try:
                    stream.hand_on()
                except RequestError as error:
                    stream.refuse(error)
                    self._guard.we_reset(now)

    def _reset(self, reset: Reset, now: float) -> None:
        stream = self._streams.get(reset.stream)
        if stream is not None:
            before_response = not stream.has_begun
            stream.gone(LEFT)
            self._guard.client_reset(before_response, now)
        else:
            self._half_closed.pop(reset.stream, None)

    def _stream_failed(self, failed: StreamFailed, now: float) -> None:
        stream = self._streams.get(failed.stream)
        if stream is not None:
            stream.gone(f"HTTP/2: {failed.sentence}", end_codes.CLIENT_MALFORMED)
        self._half_closed.pop(failed.stream, None)
        self._guard.we_reset(now)

    def _update_priority(self, update: PriorityUpdate) -> None:
        number = update.stream
        if number in self._streams:
            self._streams[number].note_priority()
            self._waiting_streams().set_priority(number, read_priority(update.value))
        elif number > self.engine.last_stream:
            self._early = self._early or EarlyUpdates()
            self._early.keep(number, update.value)

    def partial_data(self, number: int) -> int:
        return self._reader.partial_data(number)

    # -- writing -----------------------------------------------------------------------------

    @property
    def transport(self) -> Transport:
        return self._transport

    def slots_held(self) -> int:
        self._forget_ended()
        streams = self._streams.values()
        return len(self._still_running) + sum([1 for stream in streams if stream.holds_slot])

    def set_priority(self, number: int, text: bytes) -> None:
        self._waiting_streams().set_priority(number, read_priority(text))

    def wait(self, stream: Http2Stream) -> None:
        self._waiting_streams().add(stream)

    def _waiting_streams(self) -> WaitingStreams:
        if self._waiting is None:
            self._waiting = WaitingStreams(self.engine, self._guard, self.service)
        return self._waiting

    def await_end(self, number: int) -> None:
        half_closed = self._half_closed
        half_closed[number] = None
        if len(half_closed) > MOST_HALF_CLOSED:
            first = next(iter(half_closed))
            del half_closed[first]
            self.engine.reset(first, ErrorCode.NO_ERROR)

    def forget(self, stream: Http2Stream) -> None:
        if self._streams.pop(stream.number, None) is None:
            return
        if self._waiting is not None:
            self._waiting.remove(stream.number)
        stream.release()
        if not self._streams:
            self.flush_soon()  # it may be idle behind that

    def put_by(self, stream: Http2Stream) -> None:
        del self._streams[stream.number]
        if stream.has_priority and self._waiting is not None:
            self._waiting.remove(stream.number)
        if len(self._resting) < MOST_RESTING:
            self._resting.append(stream)
        else:
            stream.release()
        if not self._streams:
            self.flush_soon()  # it may be idle behind that

    def claim_flush(self) -> bool:
        was_due, self._due = self._due, True
        return not was_due

    def flush_soon(self) -> None:
        if not self._due:
            self._due = True
            self.service.poller.at_end_of_turn(self.flush)

    def flush(self) -> None:
        """Sends what this turn has, and as much of what waits as the client takes. The barrier of
        one connection, as in `advance`."""
        self._due = False
        if self._state == "closed":
            return
        try:
            transport, waiting = self._transport, self._waiting
            if (
                waiting is not None
                and waiting.streams
                and self._state in ("idle", "exchange")
                and not transport.blocked
            ):
                waiting.send(MOST_BUFFERED - transport.kept)
            data = self.engine.output()
            if data:
                transport.send(data)
            elif transport.kept and not transport.blocked:
                transport.send_kept()
            if kept := transport.kept:  # `writable` comes when the client has taken some
                if kept >= MOST_BUFFERED and self._state in ("idle", "exchange"):
                    transport.pause()
            elif waiting is not None and waiting.may_send:
                self.flush_soon()
            elif self._state == "flushing":
                self._close_gently()
            elif not self._streams:
                self._rest()
        except Flood as flood:
            self._flooded(flood)
        except OSError:
            self._gone(LEFT)
        except Exception:
            self._failed()

    def writable(self) -> None:
        """Sends kept bytes."""
        transport = self._transport
        try:
            transport.send_kept()
        except OSError:
            self._gone(LEFT)
            return
        if transport.kept:
            return
        if transport.paused and self._state in ("idle", "exchange"):
            transport.pause(False)
            if self._head_by:
                self._head_by = self.service.clock() + self.service.settings.header_timeout
            if self._reader.unread:
                self._go_on()
        self.flush()

    # -- between two requests ----------------------------------------------------------------

    def _rest(self) -> None:
        """Nothing is under way, and everything is sent."""
        if self._state == "exchange":
            self._await_request(self.service.clock())
        if not self._shutdown.has_begun:
            return
        self._send_notice()
        if self._shutdown.is_final and self._state == "idle":
            self._close_when_sent()

    def _await_request(self, now: float) -> None:
        self._state = "idle"
        self._idle_since = now
        self._deadline = now + self.service.settings.timeout_keep_alive
        if not self.service.settings.timeout_keep_alive:
            self._deadline = now + self.service.settings.header_timeout

    @property
    def held(self) -> int:
        streams = sum(stream.held for stream in self._streams.values())
        return self._reader.unread + self._transport.held + streams

    # -- the end -----------------------------------------------------------------------------

    def _begin_shutdown(self) -> None:
        if not self._shutdown.has_begun and self._state in ("idle", "exchange"):
            self._shutdown.begin(self.service.clock(), self.service.settings.graceful_timeout)
            if not self._streams:
                self._send_notice()

    def _send_notice(self) -> None:
        if self._shutdown.notice(self.service.clock()):
            self.flush_soon()

    def drain(self) -> None:
        self._begin_shutdown()

    def end_if_idle(self) -> None:
        if self._state == "idle":
            self._begin_shutdown()

    def close_if_idle(self) -> bool:
        since = self.idle_since
        self._look()
        if self._state == "closed" or self.idle_since != since:
            return False
        self._say_goodbye(ErrorCode.NO_ERROR)
        self._close()
        return True

    def _close_idle(self) -> None:
        self._look()
        if self._state == "idle" and not self._streams:
            self._say_goodbye(ErrorCode.NO_ERROR)
            self._close_when_sent()

    def refuse(self, code: int, sentence: str) -> None:
        """Ends a connection that may not be HTTP/2's, before anything is read of it."""
        self._end_badly(code, sentence)

    def _say_goodbye(self, code: int, text: str = "") -> None:
        """Sends GOAWAY, if anybody is there to read it."""
        engine = self.engine
        engine.go_away(engine.last_stream, code, text.encode("ascii", "replace")[:200])
        self._send_output()

    def _send_output(self) -> None:
        try:
            if data := self.engine.output():
                self._transport.send(data)
        except OSError:
            self._gone(LEFT)

    def _end_badly(
        self,
        code: int,
        sentence: str,
        *,
        told: bool = False,
        end_code: str = end_codes.CLIENT_MALFORMED,
    ) -> None:
        """Ends the connection of a client that has broken the rules. `told`: the engine has said so
        already."""
        if self._state not in ("idle", "exchange"):
            return
        self._head_by = 0.0
        self.service.client_faults.say(sentence, self.endpoint.client)
        for stream in list(self._streams.values()):
            stream.gone(sentence, end_code)
        if told:
            self._send_output()
        else:
            self._say_goodbye(code, sentence)
        self._close_when_sent()

    def _flooded(self, flood: Flood) -> None:
        self.service.counts.flood(flood.reason)
        self._end_badly(flood.code, flood.sentence, end_code=end_codes.CLIENT_FLOOD)

    def _last_act(self) -> LastAct:
        return "linger"  # it may be sending

    def _closed(self) -> None:
        """Its streams are gone before."""
        self._forget_resting()

    def _forget_resting(self) -> None:
        resting, self._resting = self._resting, []
        for stream in resting:
            stream.release()

    def _gone(self, why: str, end_code: str = "") -> None:
        """Ends the connection at once, and all that is under way on it."""
        for stream in list(self._streams.values()):
            stream.gone(why, end_code)
        self._close()

    def cut(self) -> None:
        if self._state in ("idle", "exchange"):
            self._say_goodbye(ErrorCode.NO_ERROR)
        self._gone(WAS_CUT)

    # -- time --------------------------------------------------------------------------------

    def sweep(self, now: float) -> None:
        """Ends what has lasted too long. It is called a few times a second."""
        transport = self._transport
        if transport.send_by and transport.takes_too_little(now):
            transport.reset()
            self._gone(TOOK_LITTLE)
        elif transport.send_by and now >= transport.send_by:
            self._gone(TOOK_NOTHING)
        elif self._head_by and now >= self._head_by and not transport.paused:
            self._end_badly(
                ErrorCode.ENHANCE_YOUR_CALM, "HTTP/2: the rest of a frame or head did not come"
            )
        elif self._deadline and now >= self._deadline:
            if self._state == "idle":
                if not self._head_by:
                    self._close_idle()
            else:
                self._close()
        elif self._shutdown.sweep(now):
            self.flush_soon()
        if self._waiting is not None:
            self._waiting.sweep(now)
        if self._state == "idle":  # it takes as little memory as it can
            self._waiting = None
            if self._resting:
                self._forget_resting()
        for stream in list(self._streams.values()):
            stream.sweep(now)
