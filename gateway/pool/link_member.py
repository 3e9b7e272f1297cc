"""A pool member over a link: the driver of one worker's socket.

Every message is handed on in the turn that received it. All that one turn of the poller has put
into the outbox goes out at the turn's end, in one `send`.
"""

import socket
import sys
from collections.abc import Callable, Iterator
from logging import getLogger
from time import monotonic
from typing import Literal, cast

from ...protocol.codec import RECEIVE_SIZE
from ...protocol.errors import LocalProtocolError, RemoteProtocolError, VersionMismatch
from ...protocol.gateway_link import GatewayLink
from ...protocol.hello import Greeting
from ...protocol.link import Received
from ...protocol.messages import (
    APP_FAILED,
    BAD_RESPONSE,
    BYE,
    BYE_NORMAL,
    CLIENT_GONE,
    CONFIRM_START,
    CREDIT,
    DRAIN,
    EARLY_HINT,
    END,
    EVENT,
    FEATURES,
    FILE,
    FILES,
    FIRST_WINDOW,
    HELLO,
    HOLD_BODY,
    IDENTIFIED,
    NOT_READY,
    PONG,
    READY,
    REASON,
    REFUSED,
    RESET,
    RESPONSE,
    RESPONSE_BODY,
    RESPONSE_FILE,
    RESPONSE_START,
    SHUTDOWN,
    SLOTS,
    STARTED,
    TRAILERS,
    WINDOW,
    WS_MESSAGE,
    File,
    Message,
    ResponseFile,
)
from ...protocol.outbox import SEND_BUFFER
from ...protocol.send_buffer import SendBuffer
from ..exchange import end_codes
from ..exchange.errors import ResponseError
from ..exchange.exchange import Exchange, log_app_fault, log_facts, log_tail
from ..transport.poller import READ, WRITE, Poller
from .call import PoolCall, under_way
from .clip_text import name_of, reason_of
from .event_shapes import acceptance_of, closure_of, hints_of, phrase_of, trailers_of
from .file_delivery import Receiver, deliver_file, named_part
from .health import Health
from .passed_files import CONTROL_ROOM, READ_FLAGS, PassedFiles, passed_files
from .pool import Pool
from .pool_member import PoolMember
from .retry import NEVER_CONFIRMED

log = getLogger("propylon.gateway")

WIND_DOWN = "propylon.wind_down"
"""The event that tells a worker that no new clients come (SPEC.md 10.4)."""
MOST_SAID = 1_000
"""Messages about the link itself between two sweeps at most. A worker sends a handful when it
starts, and one in answer to a PING."""
MOST_MESSAGES = 256
"""Messages of a worker that are handed on in a turn. That is some milliseconds if they are whole
responses, and far more than there are in a usual turn."""
MOST_READS = 64
"""Reads of what a dead worker has left in its socket, which holds less than that."""
EAGER = 16
"""Calls in the outbox at which it is sent before the turn's end. The worker should begin while the
gateway still reads, and one `send` for so many calls costs next to nothing."""


class Member(PoolMember):
    __slots__ = (
        "_buffer",
        "_changed",
        "_draining",
        "_ended",
        "_files",
        "_health",
        "_is_over",
        "_is_read",
        "_opened",
        "_poller",
        "_pool",
        "_received",
        "_recv_into",
        "_said",
        "_sock",
        "_unsent",
        "_why_ended",
        "machine",
        "name",
    )

    def __init__(self, pool: Pool, sock: socket.socket, gateway: int, poller: Poller) -> None:
        """Joins the pool, greets the worker and has its socket watched."""
        super().__init__()
        greeting = Greeting(
            who={"gateway": gateway},
            window=FIRST_WINDOW,
            features=FEATURES if pool.disk is not None else FEATURES - {FILES},
            request_timeout=pool.request_timeout,
        )
        self.machine = GatewayLink(greeting, self._schedule_flush, WINDOW)
        self.name = "a worker that never said HELLO"
        self._pool = pool
        self._sock = sock
        self._unsent = SendBuffer()
        self._buffer = memoryview(bytearray(RECEIVE_SIZE))
        self._recv_into: Callable[[memoryview], int] = self._recv_first
        self._files: PassedFiles | None = None
        """The open files that the worker passes; None if it passes none."""
        self._opened = 0
        """Calls opened since the last flush."""
        self._health = Health(pool.awake, pool.settings.heartbeat_timeout)
        self._draining = False
        self._ended = False
        self._why_ended = "closed its link"
        self._is_over = False
        """Whether nothing that matters follows, although there is no end of file yet."""
        self._received: Iterator[Received] | None = None
        """The messages of the last read; None when all were handed on."""
        self._is_read = False
        """Whether the last read has found nothing."""
        self._changed: Literal["", "slots", "state"] = ""
        """What the last read has changed: its slots only, or whether it gets calls, or wants to
        leave; "": nothing."""
        self._said = 0
        """Messages about the link itself since the last sweep."""
        self._poller = poller
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)
        poller.add(sock.fileno(), self, READ)
        pool.join(self)
        self.machine.greet()

    # -- calls -------------------------------------------------------------------------------

    def open(self, call: PoolCall) -> None:
        exchange = call.exchange
        assert exchange is not None, "only exchanges that somebody waits for are handed over"
        request = exchange.request
        self.running += 1
        call.place_on(self)
        flags = request.takes
        if request.method not in NEVER_CONFIRMED:  # `needs_confirmation` without its call
            flags |= CONFIRM_START
        if request.expects_continue and exchange.more_body and not exchange.body:
            flags |= HOLD_BODY
        if exchange.request_id:
            flags |= IDENTIFIED
        scope = (
            request.upgrade or "http",
            request.http_version,
            request.method,
            exchange.scheme,
            exchange.path,
            request.query,
            exchange.root_path,
            request.headers,
            exchange.client,
            exchange.server,
            exchange.extensions,
        )
        try:
            self.machine.open(call, scope, exchange.body, exchange.more_body, flags)
        except LocalProtocolError as error:
            tail, facts = log_tail(exchange), log_facts(exchange)
            log.error("%s cannot take a request: %s%s", self.name, error, tail, extra=facts)
            exchange.give_end(end_codes.WORKER_REFUSED)
            call.never_opened()
            self.running -= 1
            self._pool.ended(call, self)
            return
        if request.upgrade:
            self.machine.widen(call)  # without credit the worker would cut messages into fragments
        if self._pool.winding_down:
            self.machine.event(call, {"type": WIND_DOWN})
        self._opened += 1
        if self._opened >= EAGER and not self._unsent.size:
            self._flush()

    def drain(self) -> None:
        if not self._draining and self.machine.state == "open":
            self._draining = True
            self._close_connecting()
            self.machine.drain("the gateway opens no more calls")
            for call in list(self.machine.calls.values()):
                exchange = cast("PoolCall", call).exchange
                if exchange is not None and exchange.websocket is not None:
                    exchange.websocket.worker_leaves(exchange)

    def wind_down(self) -> None:
        if self.machine.state == "open":
            for call in list(self.machine.calls.values()):
                if call.request != "reset":
                    self.machine.event(call, {"type": WIND_DOWN})

    def under_way(self) -> tuple[int, int, int]:
        return under_way(cast("PoolCall", call) for call in self.machine.calls.values())

    def sweep(self) -> None:
        self._said = 0
        if not self.ready or self.machine.state != "open":
            return
        token = self._health.ping()
        if token is not None:
            self.machine.ping(token)
        self._health.look()
        self._heed_health()
        if self._files is not None:
            self._tidy(self._files)

    def _tidy(self, files: PassedFiles) -> None:
        if not self.machine.calls:
            files.close_unnamed()
            return
        try:
            files.read_ahead()
        except RemoteProtocolError as error:
            self._break_off(error)

    def _heed_health(self) -> None:
        """Tells the log and the pool, which ranks its members, of each change of the grade."""
        before, now = self.grade, self._health.grade
        if now == before:
            return
        self.grade = now
        if now == "hung":
            log.warning("%s hangs: %s", self.name, self._health.why)
        elif now == "late":
            log.info("%s is late: %s", self.name, self._health.why)
        else:
            log.info("%s is punctual again", self.name)
        self._pool.changed()

    # -- the socket --------------------------------------------------------------------------

    def readable(self, most: int = MOST_MESSAGES) -> None:
        """Hands on what it reads at once, which may be many messages: `most` of them, a turn's
        share. The machine has its own copy of what was read, so the rest may wait for the next
        turn, and is handed on before anything is read."""
        received = self._received
        if received is None:
            try:
                count = self._recv_into(self._buffer)
            except BlockingIOError:
                self._is_read = True
                return
            except OSError as error:
                self._end(f"lost its link ({error})")
                return
            if not count:
                self._end()
                return
            received = self.machine.receive(self._buffer[:count])
        self._received = None
        try:
            # Its calls are those that `open` gave it: `cast` would cost a call for each message.
            for call, message in received:
                if call is None:
                    self._hear(message)
                else:
                    self._deliver(call, message)  # pyright: ignore[reportArgumentType]
                most -= 1
                if not most:
                    self._received = received
                    break
        except RemoteProtocolError as error:
            self._break_off(error)
        if self._is_over:
            self._end()
        elif self._changed:
            self._tell_pool()
        if self._received is not None and not self._ended:
            self._poller.go_on(self._sock.fileno())

    def _tell_pool(self) -> None:
        changed, self._changed = self._changed, ""
        if changed == "slots":
            self._pool.slots_changed()
        else:
            self._pool.changed()

    def _break_off(self, error: RemoteProtocolError) -> None:
        """Ends the link of a worker that has broken the protocol, and tells it why."""
        reason = f"broke the link protocol ({reason_of(error.reason)})"
        if isinstance(error, VersionMismatch):
            log.debug("%s %s", self.name, reason)
            self._pool.versions.refused(error, monotonic())
        else:
            log.error("%s %s", self.name, reason)
        self.machine.bye(error.code, error.reason)
        self._flush()
        self._end(reason, end_codes.WORKER_PROTOCOL)

    def _recv_first(self, buffer: memoryview) -> int:
        """Reads the link for the first time, and the descriptor socket with it (SPEC.md 6.7)."""
        count, control, _, _ = self._sock.recvmsg_into([buffer], CONTROL_ROOM, READ_FLAGS)
        self._files = passed_files(control)
        self._recv_into = self._sock.recv_into
        return count

    def worker_ended(self) -> None:
        self._is_read = False
        for _ in range(MOST_READS):
            if self._is_read or self._ended:
                break
            self.readable(sys.maxsize)
        self._end("has ended")

    def cut(self) -> None:
        self._end("failed in the gateway", end_codes.GATEWAY_FAILED)

    def writable(self) -> None:
        self._flush()
        if not self._unsent.size and not self._ended:
            self._poller.want(self._sock.fileno(), READ)

    def _schedule_flush(self) -> None:
        self._poller.at_end_of_turn(self._flush_or_end)

    def _flush_or_end(self) -> None:
        try:
            self._flush()
        except Exception:
            # A fault of one link ends that link only: its calls are lost, and placed again.
            log.exception("%s cannot be written to", self.name)
            self.cut()

    def _flush(self) -> None:
        """Sends as much as the socket takes. If that is not all, the poller watches for room."""
        if self._ended:
            return
        self._opened = 0
        unsent = self._unsent
        was_blocked = unsent.size > 0
        try:
            unsent.send(self._sock.sendmsg, self.machine.take_batch)
        except OSError as error:
            # The worker is gone, but what it has sent is still to be read, up to the end of file.
            log.debug("%s takes nothing more: %s", self.name, error)
            unsent.clear()
        if unsent.size and not was_blocked:
            self._poller.want(self._sock.fileno(), READ | WRITE)

    def _end(self, reason: str = "", end_code: str = "") -> None:
        """Ends the link, which was read to its end. The calls that are still on it are lost.
        `end_code` is theirs, if the worker has not simply died."""
        if self._ended:
            return
        self._ended = True
        self._received = None
        self._close_connecting()
        self._poller.remove(self._sock.fileno())
        self._sock.close()
        if self._files is not None:
            self._files.close()
        calls = [cast("PoolCall", call) for call in self.machine.calls.values()]
        reason = f"{self.name} {reason or self._why_ended}"
        if calls:
            log.warning("%s with %d calls running", reason, len(calls))
        self._pool.leave(self, calls, reason, end_code)

    # -- messages ----------------------------------------------------------------------------

    def _deliver(self, call: PoolCall, message: Message) -> None:
        """Hands a call's message on to the exchange's sink, in the same turn and without a task."""
        exchange = call.exchange
        try:
            if message[0] == RESPONSE:
                if exchange is not None:
                    call.detach()
                    status = exchange.sink.respond(exchange, message[2], message[3], message[4])
                    self.answered += 1
                    if status >= 500:
                        self.errors += 1
            elif exchange is not None:
                self._deliver_piece(call, exchange, message)
            elif (message[0] == RESPONSE_FILE or message[0] == FILE) and self._files is not None:
                self._files.close_named(named_part(message).number)
        except RemoteProtocolError:
            raise  # the worker's whole link is at fault
        except Exception:
            # The barrier of one call: whatever is wrong with it, the link's other calls go on.
            tail, facts = log_tail(exchange), log_facts(exchange)
            log.exception("a call's message could not be handed on%s", tail, extra=facts)
            call.detach()
            if exchange is not None:
                exchange.give_end(end_codes.GATEWAY_FAILED)
                exchange.sink.fail(exchange, 502, "The response could not be handed on.")
        finally:
            if call.response == "ended":
                self.running -= 1
                self._pool.ended(call, self)

    def _deliver_piece(self, call: PoolCall, exchange: Exchange, message: Message) -> None:
        sink = exchange.sink
        if message[0] == RESPONSE_BODY:
            _, _, body, more, _ = message
            if body:
                sink.body(exchange, body)
            if not more:
                call.detach()
                sink.end(exchange)
        elif message[0] == RESPONSE_START:
            if self._pool.buffers.responses:
                sink = self._pool.buffers.absorb(exchange)
            self.count(sink.head(exchange, message[2], message[3]))
            call.forget_body()
        elif message[0] == RESPONSE_FILE or message[0] == FILE:
            self._deliver_file(call, exchange, message)
        elif message[0] == CREDIT:
            exchange.uploader.credit_arrived(exchange)
        elif message[0] == WS_MESSAGE:
            if exchange.websocket is not None:
                exchange.websocket.message(exchange, message[2], message[3])
        elif message[0] == STARTED:
            call.entered()
        elif message[0] == EVENT:
            self._deliver_event(call, exchange, message[2])
        elif message[0] == RESET:
            self._deliver_reset(call, exchange, message[2])
        elif message[0] == END and exchange.status:
            call.detach()
            exchange.give_end(end_codes.APP_NO_END)
            sink.fail(exchange, 502, "The app ended in the middle of its response.")

    def _deliver_file(
        self, call: PoolCall, exchange: Exchange, message: File | ResponseFile
    ) -> None:
        """Sends a file that the worker has passed. The call has its whole response with it."""
        call.forget_body()
        call.detach()
        try:
            disk = self._pool.deliver_file()
            if self._files is None or disk is None:
                raise RemoteProtocolError("a file was named, and none can be passed here")
            fd = self._files.take(named_part(message).number)
        except RemoteProtocolError:
            exchange.give_end(end_codes.WORKER_PROTOCOL)
            status = exchange.sink.fail(exchange, 502, "The worker has not passed the file.")
            self.count(status or 502)
            raise
        deliver_file(exchange, message, fd, Receiver(self.name, disk, self.count))

    def _deliver_event(self, call: PoolCall, exchange: Exchange, event: dict[str, object]) -> None:
        call.entered()
        kind = event.get("type")
        if kind == REASON:
            if not exchange.status and (phrase := phrase_of(event)) is not None:
                exchange.set_phrase(*phrase)
            return
        if kind in (EARLY_HINT, TRAILERS):
            try:
                if kind == EARLY_HINT:
                    exchange.sink.interim(exchange, 103, hints_of(event))
                else:
                    exchange.sink.trailers(exchange, trailers_of(event))
            except ResponseError as error:
                self._refuse(call, exchange, error)
            return
        websocket, status = exchange.websocket, 0
        if websocket is None:
            return
        if kind == "websocket.accept":
            try:
                status = websocket.accept(exchange, call, *acceptance_of(event))
            except ResponseError as error:
                status = self._refuse(call, exchange, error)
        elif kind == "websocket.close":
            status = websocket.close(exchange, *closure_of(event))
        if status:  # accepted, or refused
            self.count(status)
            if self._draining and call.exchange is not None and exchange.websocket is not None:
                exchange.websocket.worker_leaves(exchange)  # by now the accepted one

    def _refuse(self, call: PoolCall, exchange: Exchange, error: ResponseError) -> int:
        """Answers an exchange whose app has sent a malformed event. Returns the status."""
        log_app_fault(exchange, f"was refused: {error}")
        call.abandon(CLIENT_GONE, "the response was refused")
        exchange.give_end(end_codes.APP_BAD_RESPONSE)
        exchange.give_reason(f"The app's response was refused: {error}")
        return exchange.sink.fail(exchange, 500, "The app's response was not valid HTTP.")

    def _deliver_reset(self, call: PoolCall, exchange: Exchange, code: int) -> None:
        """The worker has reset the call. The slot is not free before END."""
        if code == REFUSED and not exchange.request.upgrade:
            self._pool.refused(call)
        elif code == SHUTDOWN and not exchange.status:
            reason = f"{self.name} had no time left"
            stopped = end_codes.WORKER_STOPPED
            self._pool.broken_off(call, stopped, reason, started=call.started)
        else:
            call.detach()
            exchange.give_end(_end_code_of(code, has_begun=exchange.status != 0))
            status = exchange.sink.fail(exchange, *_answer_to(code))
            if status:
                self.count(status)

    def _hear(self, message: Message) -> None:
        """Handles a message about the link itself. Each may cost the pool a look at all its
        members, so the messages of a turn are looked at together. They are rare: a peer that sends
        too many of them is not a worker of ours, and its link ends."""
        self._said += 1
        if self._said > MOST_SAID:
            raise RemoteProtocolError(f"more than {MOST_SAID} messages in a moment, of no call")
        if message[0] == HELLO:
            self.who = message[6]
            who, pid = name_of(self.who.get("worker")), name_of(self.who.get("pid"))
            self.name = f"worker {who} (pid {pid})"
            self._pool.introduced()
            self._is_over = self._pool.has_ended(self.who)
        elif message[0] == READY:
            self.ready = True
            log.debug("%s is ready", self.name)
        elif message[0] == SLOTS:
            slots = 0 if self._draining else max(0, message[1])
            if slots != self.slots:
                begins_or_ends = not (slots and self.slots)
                self._changed = "state" if begins_or_ends else self._changed or "slots"
            self.slots = slots
        elif message[0] == PONG:
            self._pool.awake.look(monotonic())
            self._health.pong(message[1], message[2])
            self._heed_health()
        elif message[0] == DRAIN:
            if self.asked_to_leave is None:
                self.asked_to_leave = self._pool.clock()
            if not self.ready:
                self.drain()
            self._changed = "state"
        elif message[0] == NOT_READY:
            why = reason_of(message[2])
            self._pool.could_not_start(why)
            log.debug("%s could not start: %s", self.name, why)
        elif message[0] == BYE:
            # Whatever comes behind BYE is ignored, and we close too (SPEC.md 9). The end of file
            # may take long, if a child of the worker holds the link.
            self._is_over = True
            self._close_connecting()
            if message[1] != BYE_NORMAL:
                self._why_ended = f"ended its link ({reason_of(message[2])})"

    def _close_connecting(self) -> None:
        """Makes sure that no more calls are opened on this link."""
        self.slots = 0
        self.ready = False


def _answer_to(code: int) -> tuple[int, str]:
    """The status and sentence for a call that its worker has reset, by the code of the RESET."""
    if code == REFUSED:
        return 400, "The app behind this address takes no WebSockets."
    if code in (APP_FAILED, BAD_RESPONSE):
        return 500, "The app failed to answer this request."
    return 502, "The app did not answer this request as it should."


def _end_code_of(code: int, *, has_begun: bool) -> str:
    """The end code of an exchange whose call the worker has reset, by the code of the RESET.
    `has_begun` says whether its response has, or its WebSocket."""
    if code == REFUSED:
        return end_codes.APP_NO_WEBSOCKETS
    if code == BAD_RESPONSE:
        return end_codes.APP_NO_END if has_begun else end_codes.APP_NO_RESPONSE
    if code == SHUTDOWN:
        return end_codes.WORKER_STOPPED_RESPONSE
    return end_codes.APP_FAILED_RESPONSE if has_begun else end_codes.APP_FAILED
