"""A WebSocket's life after its handshake: frames in, messages to the app; and back.

It uses a `Transport`, which it takes over from the HTTP connection or stream of the handshake, and
is the exchange's sink from then on. It does not know which HTTP version that was.
States: `open`, `failed` (the client has broken the rules: what the app has to say to the
messages before goes out, and then our close frame), `lingering` (that is out; what the client was
still sending is dropped), `closing` (our close frame is out, the client's is awaited), `flushing`
(all that is left is to send what is kept), `closed`: the socket is.

What one turn has for the client, messages and pongs, goes out in one `send` at its end. What the
client has sent is handled in shares of `MOST_FRAMES` frames a turn, and no further while the app
gives no credit: the rest stays in the machine.

The app is one step behind: a client may say much and close before the app has taken any of it, so
the app hears of the end behind the last message, and the exchange may outlive the socket.
"""

from collections import deque
from collections.abc import Callable
from logging import getLogger
from typing import ClassVar, Final, Literal

from ...protocol.fragmenter import Fragmenter
from ...protocol.link import utf8_size
from ...protocol.messages import MAX_BODY, Pairs
from ..exchange import end_codes
from ..exchange.exchange import (
    Exchange,
    OpenFile,
    Request,
    SizeLimit,
    WebSocketSource,
    log_facts,
    log_tail,
)
from ..settings import WebSocketSettings
from ..transport.client_socket import LINGER, MOST_BUFFERED
from ..transport.transport import Transport
from ..websocket.frames import (
    ABNORMAL,
    INTERNAL_ERROR,
    NO_STATUS,
    POLICY_VIOLATION,
    SERVICE_RESTART,
    TOO_BIG,
    Closed,
    Failed,
    Messages,
    Piece,
    WebSocketMachine,
    negotiate_deflate,
)
from ..websocket.handshake import accept_fields, extension_offers
from .body_credit import BodyCredit
from .max_rate import MaxRate, max_rate
from .service_state import ServiceState

log = getLogger("propylon.gateway")

CLOSE_TIMEOUT: Final = 10.0
"""Seconds that a client has to answer our close frame, and that an app has to take one more of the
messages before the end."""


State = Literal["open", "failed", "lingering", "closing", "flushing", "closed"]


def agree(
    request: Request, subprotocol: str | None, fields: Pairs, settings: WebSocketSettings
) -> tuple[Pairs, WebSocketMachine]:
    """Returns the fields of the answer that accepts a request, in any HTTP version, and the machine
    that reads the frames behind it. Raises ResponseError for what can't be sent."""
    deflate, extension = negotiate_deflate(extension_offers(request), settings)
    lines = accept_fields(request, subprotocol, extension, fields)
    return lines, WebSocketMachine(settings, deflate)


class WebSocketConnection:
    __slots__ = (
        "_awaits_pong",
        "_byte_rate",
        "_credit",
        "_deadline",
        "_exchange",
        "_gathered",
        "_hears_by",
        "_machine",
        "_next_ping",
        "_overhead",
        "_pending_close",
        "_rate",
        "_service",
        "_source",
        "_state",
        "_transport",
        "_unfinished",
        "_unsent",
        "_window",
    )

    protocol: ClassVar[str] = "websocket"

    def __init__(
        self,
        transport: Transport,
        exchange: Exchange,
        source: WebSocketSource,
        machine: WebSocketMachine,
        service: ServiceState,
    ) -> None:
        """Takes over the transport of the exchange."""
        self._transport = transport
        self._credit = BodyCredit()
        self._gathered: list[bytes] = []
        """Frames for the client, which go out together at the end of the turn."""
        self._machine = machine
        self._service = service
        self._exchange: Exchange | None = exchange
        """The exchange; None when it is over, while the connection may still finish its close."""
        self._pending_close: tuple[int, str] | None = None
        """Code and reason of an end that the app was not told yet."""
        self._hears_by = 0.0
        """Monotonic seconds at which the app is told of it at the latest; 0.0 if there is none."""
        self._source: WebSocketSource | None = source
        """The app's side; None once the exchange is over."""
        self._window = source.send_credit
        """The app's credit when it has taken every message and asks for more."""
        self._overhead = source.message_overhead
        self._unfinished = 0
        """Credit that was spent on pieces of a message that has not ended."""
        self._state: State = "open"
        self._unsent: deque[tuple[Fragmenter[bytes | str], bool]] = deque()
        """Pieces of messages without credit of the app, each with whether more of its message
        follows."""
        self._deadline = 0.0
        """Monotonic seconds at which the client is late with its part of the end; 0.0: never."""
        self._awaits_pong = False
        self._rate = max_rate(service.websocket.max_rate, service.clock())
        self._byte_rate = max_rate(service.websocket.max_byte_rate, service.clock())
        interval = service.websocket.ping_interval
        self._next_ping = service.clock() + interval if interval else float("inf")
        exchange.become_websocket(self)
        service.connections.add(self)
        transport.join(self)
        self._pause()

    # -- from the client ---------------------------------------------------------------------

    def readable(self) -> None:
        """Reads once, or handles more of what was read before. The barrier: an exception ends only
        this WebSocket."""
        try:
            if self._machine.unread and self._state in ("open", "closing"):
                self._hear()
                return
            data = self._transport.recv()
            if data:
                if self._state in ("open", "closing"):
                    self._machine.receive(data)
                    self._hear(len(data))
            elif data is not None:
                self._gone()
        except OSError:
            self._gone()
        except Exception:
            self._failed()

    def _failed(self) -> None:
        exchange = self._exchange
        log.exception("a WebSocket failed%s", log_tail(exchange), extra=log_facts(exchange))
        self._gone(end_codes.GATEWAY_FAILED)

    def _hear(self, received: int = 0) -> None:
        """Handles this turn's share of what has come. `received`: the bytes that are new."""
        if self._awaits_pong:  # any bytes show that it is there
            self._awaits_pong = False
            self._next_ping = self._service.clock() + self._service.websocket.ping_interval
        count = 0
        for event in self._machine.read():
            if isinstance(event, Messages):
                count += len(event.data)
                for message in event.data:
                    self._pass_on(message, False)
            elif isinstance(event, Piece):
                count += not event.more
                self._pass_on(event.data, event.more)
            elif isinstance(event, Closed):
                if event.reply:
                    self._send(event.reply)
                self._give_end(end_codes.CLIENT_CLOSED_WEBSOCKET)
                self._over_behind_messages(event.code, event.reason)
                self._close_when_sent()
                return
            elif isinstance(event, Failed):
                too_large = event.code == TOO_BIG
                self._fail(
                    end_codes.CLIENT_MESSAGE_TOO_LARGE if too_large else end_codes.CLIENT_BAD_FRAME,
                    event.code,
                    event.reason,
                )
                return
            else:
                self._gather(event.data)
        if count and _exceeds(self._rate, count, self._service.clock):
            self._fail(end_codes.CLIENT_MESSAGE_RATE, POLICY_VIOLATION, "too many messages")
            return
        received += self._machine.inflated
        if _exceeds(self._byte_rate, received, self._service.clock):
            self._fail(end_codes.CLIENT_BYTE_RATE, POLICY_VIOLATION, "too many bytes")
            return
        self._push()

    def _fail(self, end_code: str, code: int, reason: str) -> None:
        """Ends the WebSocket of a client that has broken the rules, behind the messages before."""
        if self._state == "open":
            self._state = "failed"
            if self._source is not None:
                self._source.settle()
        self._give_end(end_code)
        self._over_behind_messages(code, reason)

    def _pass_on(self, data: bytes | str, more: bool) -> None:
        """Passes a piece of a message to the app, or keeps it behind others that have no credit.
        `more`: the message goes on."""
        source = self._source
        if source is None:
            return
        size = len(data) if isinstance(data, bytes) else 4 * len(data)  # at most, as UTF-8
        if not self._unsent and size <= self._room(source):
            self._tell(source, data, more)
        else:
            self._unsent.append((Fragmenter(data), more))

    def _room(self, source: WebSocketSource) -> int:
        """Bytes that the next piece may have; below 0 if not even an empty one has its credit."""
        return min(source.send_credit - self._overhead, MAX_BODY)

    def _push(self) -> None:
        """Hands pieces on as far as the app gives credit; reading waits for the rest."""
        source, unsent = self._source, self._unsent
        while unsent and source is not None:
            fragmenter, more = unsent[0]
            data = fragmenter.take(self._room(source))
            if data is None:
                break
            if fragmenter.done:
                unsent.popleft()
            self._tell(source, data, more or not fragmenter.done)
        if self._pending_close is not None:
            if unsent or (self._state == "failed" and not self._caught_up):
                self._hears_by = self._service.clock() + CLOSE_TIMEOUT
            else:
                self._over(*self._pending_close)
        self._pause()

    def _tell(self, source: WebSocketSource, data: bytes | str, more: bool) -> None:
        before = source.send_credit
        source.send_message(data, more)
        cost = before - source.send_credit
        if self._exchange is not None:
            self._exchange.count_received(cost - self._overhead)
        if not more:
            self._service.counts.receive_message()
        self._unfinished = self._unfinished + cost if more else 0

    @property
    def _caught_up(self) -> bool:
        """Whether the app has taken every whole message and asks for more: it has answered."""
        source = self._source
        return source is None or source.send_credit + self._unfinished >= self._window

    def credit_arrived(self, exchange: Exchange) -> None:
        if exchange is self._exchange and (self._unsent or self._pending_close):
            self._push()

    # -- from the app: the sink --------------------------------------------------------------

    def message(self, exchange: Exchange, data: bytes | str, more: bool) -> None:
        if exchange is not self._exchange:
            return
        size = len(data) if isinstance(data, bytes) else utf8_size(data)
        if self._state not in ("open", "failed"):
            # The client is gone and the app does not know yet: it must not wait for ever.
            if self._source is not None:
                self._source.consumed(size + self._overhead)
            return
        exchange.count_sent(size)
        if not more:
            self._service.counts.send_message()
        self._credit.owe(size + self._overhead)
        self._gather(self._machine.message(data, more))

    def accept(
        self,
        exchange: Exchange,
        source: WebSocketSource,
        subprotocol: str | None,
        fields: Pairs,
    ) -> int:
        """Does nothing: the WebSocket was accepted before."""
        return 0

    def close(self, exchange: Exchange, code: int, reason: str) -> int:
        if exchange is self._exchange:
            is_restart = code == SERVICE_RESTART  # so a worker closes that stops
            exchange.give_end(
                end_codes.GATEWAY_RESTART if is_restart else end_codes.APP_CLOSED_WEBSOCKET
            )
            self._close(code, reason)
        return 0

    def fail(self, exchange: Exchange, status: int, sentence: str, option: str = "") -> int:
        """Ends the WebSocket, because the app or its worker is gone."""
        if exchange is self._exchange:
            exchange.give_reason(sentence)
            self._close(INTERNAL_ERROR, "")
        return 0

    def respond(self, exchange: Exchange, status: int, fields: Pairs, body: bytes) -> int:
        return self.head(exchange, status, fields)

    def head(self, exchange: Exchange, status: int, fields: Pairs) -> int:
        """Ends the WebSocket: an HTTP response has no place here any more."""
        exchange.give_end(end_codes.WORKER_PROTOCOL)
        return self.fail(exchange, status, "")

    def body(self, exchange: Exchange, data: bytes) -> None: ...

    def file(self, exchange: Exchange, file: OpenFile, offset: int, count: int) -> bool:
        return False

    def interim(self, exchange: Exchange, status: int, fields: Pairs) -> None: ...

    def trailers(self, exchange: Exchange, fields: Pairs) -> None: ...

    def end(self, exchange: Exchange) -> None: ...

    def take_back(self, exchange: Exchange, body: bytes) -> None: ...

    def limit_body(self, exchange: Exchange, limit: SizeLimit) -> None: ...

    @property
    def held(self) -> int:
        waiting = sum(piece.size for piece, _ in self._unsent) + sum(map(len, self._gathered))
        return self._machine.held + waiting + self._transport.held

    # -- to the client -----------------------------------------------------------------------

    def writable(self) -> None:
        try:
            sent = self._transport.send_kept()
        except OSError:
            self._gone()
            return
        self._credit.pay(self._source, sent, self._transport.kept)
        all_sent = not self._transport.kept
        if all_sent and self._state == "flushing":
            self._shut()
        elif all_sent and self._state == "lingering":
            self._linger()
        else:
            self._pause()

    def _gather(self, frame: bytes) -> None:
        """Keeps a frame until the end of the turn, which may have more of them."""
        gathered = self._gathered
        gathered.append(frame)
        if len(gathered) == 1:
            self._service.poller.at_end_of_turn(self._flush)

    def _flush(self) -> None:
        """Sends what this turn has gathered. The source has its credit when all is sent, or as the
        client takes it."""
        try:
            if self._gathered:
                self._send(b"")
            kept = self._transport.kept
            if self._credit.owed:
                self._credit.pay(self._source, 0, kept)
            if kept:
                self._pause()
        except Exception:
            # The barrier of one WebSocket, as in `readable`.
            self._failed()

    def _send(self, frame: bytes) -> None:
        """Sends a frame at once, behind those that were gathered."""
        gathered = self._gathered
        if gathered:
            self._gathered = []
            gathered.append(frame)
            frame = b"".join(gathered)
        try:
            self._transport.send(frame)
        except OSError:
            self._gone()

    def _pause(self) -> None:
        """Pauses reading for an app that gives no credit, and for a client that takes nothing:
        it may be sending pings, and each has a pong. It is deaf then: a client that has ended its
        side would have all that it has sent before read into memory. If it reads, it first goes on
        with what was read before."""
        paused = (
            bool(self._unsent)
            or self._transport.kept >= MOST_BUFFERED
            or self._state in ("failed", "flushing")
        )
        self._transport.pause(paused, deaf=True)
        if (self._machine.unread and not paused) or self._transport.pending:
            self._transport.go_on()

    # -- the end -----------------------------------------------------------------------------

    def _close(self, code: int, reason: str) -> None:
        """Sends our close frame, and waits for the client's."""
        self._unsent.clear()
        if self._state != "open":
            self._over(*(self._pending_close or (code, reason)))  # the client was faster
            return
        self._state = "closing"
        self._over(code, reason)
        self._deadline = self._service.clock() + CLOSE_TIMEOUT
        data = self._machine.close(code, reason)
        if data:
            self._send(data)
        self._pause()

    def _over(self, code: int, reason: str) -> None:
        """Ends the exchange: the app is told the code, the log has its duration."""
        exchange, self._exchange = self._exchange, None
        source, self._source = self._source, None
        if exchange is None:
            return
        if source is not None:
            source.hang_up(
                {"type": "websocket.disconnect", "code": code or NO_STATUS, "reason": reason}
            )
        self._hears_by = 0.0
        exchange.end(self._service.clock())
        if self._state == "failed":
            self._state = "lingering"
            self._send(self._machine.close(code, reason))
            if not self._transport.kept:
                self._linger()
        elif self._state == "closed":
            self._service.connections.discard(self)

    def _over_behind_messages(self, code: int, reason: str) -> None:
        """Ends the exchange when the app has taken the client's messages, which are all."""
        if self._pending_close is None:
            self._pending_close = (code, reason)
        self._push()

    def _give_end(self, end_code: str) -> None:
        """Gives the exchange its end code, if it is not over."""
        if self._exchange is not None:
            self._exchange.give_end(end_code)

    def _gone(self, end_code: str = end_codes.CLIENT_LEFT_WEBSOCKET) -> None:
        """Ends the WebSocket, because its transport is of no use any more."""
        self._give_end(end_code)
        self._shut()
        self._over_behind_messages(ABNORMAL, "")

    def _linger(self) -> None:
        """Lingers, when everything is sent. To close over bytes that the client is still sending
        would reset the connection, and our close frame could be lost with it."""
        if self._state == "closed":
            return
        self._deadline = self._service.clock() + LINGER
        try:
            self._transport.shut_writing()
        except OSError:
            self._gone()

    def _close_when_sent(self) -> None:
        if self._state == "closed":
            return
        if self._gathered:
            self._send(b"")
        if self._transport.kept:
            self._state = "flushing"
            self._pause()
        else:
            self._shut()

    def _shut(self) -> None:
        self._state = "closed"
        self._gathered.clear()
        self._transport.close()
        if self._exchange is None:
            self._service.connections.discard(self)

    # -- time --------------------------------------------------------------------------------

    def sweep(self, now: float) -> None:
        """Ends what has lasted too long, and sends the pings that find out whether the client is
        still there."""
        if self._hears_by and now >= self._hears_by:
            self._wait_no_longer()
        transport = self._transport
        if transport.closed:
            return
        if transport.send_by and transport.takes_too_little(now):
            transport.reset()
            self._gone(end_codes.CLIENT_SEND_RATE)
            return
        send_by = transport.send_by
        if (self._deadline and now >= self._deadline) or (send_by and now >= send_by):
            self._gone(end_codes.CLIENT_SEND_TIMEOUT)
        elif now >= self._next_ping and self._state == "open" and not self._transport.paused:
            # While reading pauses its pong could not be seen.
            settings = self._service.websocket
            if self._awaits_pong and self._transport.moves():
                # The ping is behind what the client is still taking.
                self._next_ping = now + settings.ping_timeout
            elif self._awaits_pong:
                # RFC 6455 has no code for it; 1011 is what the field's servers send.
                self._give_end(end_codes.CLIENT_PING_TIMEOUT)
                self._close(INTERNAL_ERROR, "keepalive ping timeout")
            else:
                self._send(self._machine.ping())
                self._awaits_pong = settings.ping_timeout > 0
                self._next_ping = self._service.clock() + (
                    settings.ping_timeout or settings.ping_interval
                )
                self._transport.moves()  # from here on

    def drain(self) -> None:
        """Has the WebSocket closed in its turn, since the service ends; its client may come back to
        the next one."""
        self._service.restarts.add(self)

    def end_if_idle(self) -> None:
        """Does nothing: a WebSocket is never between two requests. It ends with its worker."""

    def worker_leaves(self, exchange: Exchange) -> None:
        """Has the WebSocket closed in its turn; its client may come back to another worker."""
        if exchange is self._exchange:
            self.drain()

    def restart(self) -> None:
        """Closes the WebSocket, when it is its turn."""
        if self._state == "open":
            self._give_end(end_codes.GATEWAY_RESTART)
            self._close(SERVICE_RESTART, "service restart")

    def cut(self) -> None:
        self._gone(end_codes.GATEWAY_CUT)
        self._wait_no_longer()

    def _wait_no_longer(self) -> None:
        """Drops the messages before the end, when the app has had its time to take them."""
        self._unsent.clear()
        self._window = 0
        self._push()


def _exceeds(rate: MaxRate | None, count: int, clock: Callable[[], float]) -> bool:
    return rate is not None and rate.is_exceeded(count, clock())
