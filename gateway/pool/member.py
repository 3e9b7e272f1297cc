"""One worker, over one link: the driver of its socket.

Two tasks for each link: one reads until the end and hands every message on in the same turn, one
writes what the outbox holds, all that one turn of the scheduler has put there in one `send`.
"""

import socket
from logging import getLogger
from typing import cast

import trio

from ...protocol.codec import RECEIVE_SIZE
from ...protocol.errors import LocalProtocolError, RemoteProtocolError
from ...protocol.gateway_link import GatewayLink
from ...protocol.hello import Greeting
from ...protocol.messages import (
    APP_FAILED,
    BYE,
    BYE_NORMAL,
    CONFIRM_START,
    CREDIT,
    DRAIN,
    END,
    HELLO,
    HOLD_BODY,
    NOT_READY,
    READY,
    RESET,
    RESPONSE,
    RESPONSE_BODY,
    RESPONSE_START,
    SLOTS,
    Message,
)
from ..exchange import Exchange
from .call import PoolCall
from .pool import Pool, needs_confirmation

log = getLogger("propylon.gateway")

EAGER = 16
"""Calls in the outbox at which it is sent without waiting for the turn's end: the worker should
begin while we still read; one `send` for so many calls costs next to nothing."""
TURNS = 8
"""Successful reads in a row before other tasks get their turn."""


class Member:
    def __init__(self, pool: Pool, sock: socket.socket, gateway: int) -> None:
        self.machine = GatewayLink(Greeting(who={"gateway": gateway}), self._ring)
        self.running = 0
        self.slots = 0
        self.ready = False
        self.name = "a worker that never said HELLO"
        self._pool = pool
        self._sock = sock
        self._unsent = memoryview(b"")
        self._opened = 0
        """Calls opened since the last flush."""
        self._parked: trio.lowlevel.Task | None = None
        self._draining = False
        self._why_ended = "closed its link"

    # -- calls -------------------------------------------------------------------------------

    def open(self, call: PoolCall) -> None:
        exchange = call.exchange
        assert exchange is not None, "only exchanges that somebody waits for are handed over"
        request = exchange.request
        call.member = self
        flags = CONFIRM_START if needs_confirmation(exchange) else 0
        if request.expects_continue and exchange.more_body and not exchange.body:
            flags |= HOLD_BODY
        scope = (
            "http",
            request.http_version,
            request.method,
            exchange.scheme,
            exchange.path,
            request.query,
            exchange.root_path,
            request.headers,
            exchange.client,
            exchange.server,
            None,
        )
        try:
            self.machine.open(call, scope, exchange.body, exchange.more_body, flags)
        except LocalProtocolError as error:
            log.error("%s cannot take a request: %s", self.name, error)
            call.response = "ended"
            self._pool.ended(call, self)
            return
        self._opened += 1
        if self._opened >= EAGER and not self._unsent:
            self._flush()

    def drain(self) -> None:
        """Tells the worker that no call will come any more."""
        if not self._draining and self.machine.state == "open":
            self._draining = True
            self.slots = 0
            self.machine.drain("the gateway opens no more calls")

    # -- the socket --------------------------------------------------------------------------

    async def run(self) -> None:
        """The whole life of the link. Calls that are still on it at its end are lost."""
        self._pool.join(self)
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._write)
                self.machine.greet()
                await self._read()
                nursery.cancel_scope.cancel()
        except OSError as error:
            self._why_ended = f"lost its link ({error})"
        finally:
            self._sock.close()
            calls = [cast("PoolCall", call) for call in self.machine.calls.values()]
            reason = f"{self.name} {self._why_ended}"
            if calls:
                log.warning("%s with %d calls running", reason, len(calls))
            self._pool.leave(self, calls, reason)

    async def _read(self) -> None:
        sock, receive = self._sock, self.machine.receive
        turns = 0
        while self.machine.state != "closed":
            try:
                data = sock.recv(RECEIVE_SIZE)
            except BlockingIOError:
                turns = 0
                await trio.lowlevel.wait_readable(sock)
                continue
            if not data:
                return
            try:
                for call, message in receive(data):
                    if call is None:
                        self._hear(message)
                    else:
                        self._deliver(cast("PoolCall", call), message)
            except RemoteProtocolError as error:
                self._why_ended = f"broke the link protocol ({error.reason})"
                log.error("%s %s", self.name, self._why_ended)
                self._close_door()
                self.machine.bye(error.code, error.reason)
                self._send_last()
                return
            turns += 1
            if turns >= TURNS:
                turns = 0
                await trio.lowlevel.checkpoint()

    async def _write(self) -> None:
        """Sends what one turn of the scheduler has put into the outbox, and what is left over
        when the socket takes no more."""
        sock, machine = self._sock, self.machine
        while True:
            if not machine.has_output and not self._unsent:
                self._parked = trio.lowlevel.current_task()
                await trio.lowlevel.wait_task_rescheduled(self._unpark)
            if not self._flush():
                return
            if self._unsent:
                await trio.lowlevel.wait_writable(sock)

    def _flush(self) -> bool:
        """Sends as much as the socket takes. False: the link is broken, and the reader meets its
        end behind what it still brings."""
        self._opened = 0
        data = self._unsent or memoryview(self.machine.take_output())
        try:
            while data:
                sent = self._sock.send(data)
                data = data[sent:] if sent < len(data) else memoryview(self.machine.take_output())
        except BlockingIOError:
            pass
        except OSError:
            return False
        self._unsent = data
        return True

    def _ring(self) -> None:
        task = self._parked
        if task is not None:
            self._parked = None
            trio.lowlevel.reschedule(task)

    def _unpark(self, _: object) -> trio.lowlevel.Abort:
        self._parked = None
        return trio.lowlevel.Abort.SUCCEEDED

    def _send_last(self) -> None:
        """BYE, if it fits into the socket: the peer may be gone or stuck."""
        try:
            self._sock.send(self.machine.take_output())
        except OSError as error:
            log.debug("%s did not hear BYE: %s", self.name, error)

    # -- messages ----------------------------------------------------------------------------

    def _deliver(self, call: PoolCall, message: Message) -> None:
        """A call's message, straight on to the client: in the same turn, without a task."""
        exchange = call.exchange
        try:
            if message[0] == RESPONSE:
                if exchange is not None:
                    call.exchange = None
                    exchange.sink.respond(exchange, message[2], message[3], message[4])
            elif exchange is not None:
                self._deliver_piece(call, exchange, message)
        except Exception:
            # The barrier of one call: whatever is wrong with it, the link's others go on.
            log.exception("a call's message could not be handed on")
            call.exchange = None
            if exchange is not None:
                exchange.sink.fail(exchange, 502, "The response could not be handed on.")
        if call.response == "ended":
            self._pool.ended(call, self)

    def _deliver_piece(self, call: PoolCall, exchange: Exchange, message: Message) -> None:
        sink = exchange.sink
        if message[0] == RESPONSE_BODY:
            _, _, body, more, _ = message
            if body:
                sink.body(exchange, body)
            if not more:
                call.exchange = None
                sink.end(exchange)
        elif message[0] == RESPONSE_START:
            sink.start(exchange, message[2], message[3])
        elif message[0] == CREDIT:
            sink.credit_arrived(exchange)
        elif message[0] == RESET:
            call.exchange = None
            status = 500 if message[2] == APP_FAILED else 502
            sink.fail(exchange, status, "The app failed to answer this request.")
        elif message[0] == END and exchange.status:
            call.exchange = None
            sink.fail(exchange, 502, "The app ended in the middle of its response.")

    def _hear(self, message: Message) -> None:
        """The link's own messages."""
        if message[0] == HELLO:
            who = message[6]
            self.name = f"worker {who.get('worker')} (pid {who.get('pid')})"
        elif message[0] == READY:
            self.ready = True
            log.debug("%s is ready", self.name)
        elif message[0] == SLOTS:
            self.slots = 0 if self._draining else max(0, message[1])
            self._pool.changed()
        elif message[0] == DRAIN:
            self.ready = False
            self.drain()
            self._pool.changed()
        elif message[0] == NOT_READY:
            self._pool.last_failure = message[2]
            log.debug("%s could not start: %s", self.name, message[2])
        elif message[0] == BYE:
            self._close_door()
            if message[1] != BYE_NORMAL:
                self._why_ended = f"ended its link ({message[2]})"

    def _close_door(self) -> None:
        """Nothing more can be opened on this link."""
        self.slots = 0
        self.ready = False
