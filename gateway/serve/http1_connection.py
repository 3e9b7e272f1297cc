"""A client connection's life: bytes in, exchanges, bytes out.

No task: whatever happens to a connection is a call (the poller brings bytes, a link a response,
the sweeper a deadline), and none of them waits. A connection is the sink of its one current
exchange.

States: `idle` between exchanges (and before the first), `head` while one comes in, `exchange`, and
those of its end (see `closing`).

Two clocks run, for the two ways in which a client can be late: `_deadline` for what it has to send
in this state, and its socket's `send_by` for what it has to take.
"""

from logging import getLogger
from typing import Final

from ...protocol.messages import CLIENT_GONE, Pairs
from ..exchange.endpoint import Endpoint
from ..exchange.errors import RequestError, ResponseError
from ..exchange.exchange import Exchange, WebSocketSource
from ..exchange.pages import error_page
from ..http1.machine import CONTINUE
from ..http1.refused_request import refused_request
from ..transport.client_socket import MOST_BUFFERED
from ..transport.transport import Transport
from ..websocket.handshake import check_handshake, check_origin
from .body_credit import BodyCredit
from .lingering_close import FIRST_BYTE_OF_NEXT, ClosingConnection
from .service_state import ServiceState
from .upload import Upload
from .websocket_connection import WebSocketConnection, accept_websocket

log = getLogger("propylon.gateway")

UNAVAILABLE: Final = frozenset({502, 503, 504})
"""Answers that say that the app could not be asked, or has not answered: the operator's to know."""
HEAD_LATE: Final = RequestError(
    408, "The request's head did not arrive in time.", option="header-timeout"
)
BODY_LATE: Final = RequestError(
    408, "The request's body did not arrive in time.", option="body-timeout"
)


class Http1Connection(ClosingConnection):
    __slots__ = ("_advancing", "_credit", "_endpoint", "_exchange", "_upload")

    def __init__(self, transport: Transport, endpoint: Endpoint, service: ServiceState) -> None:
        super().__init__(transport, service)
        self._endpoint = endpoint
        self._exchange: Exchange | None = None
        self._credit = BodyCredit()
        self._upload = Upload(self._machine)
        self._advancing = False

    # -- reading -----------------------------------------------------------------------------

    def open(self) -> None:
        """Joins the service: from here on the poller brings what the client sends."""
        self._service.connections.add(self)
        if self._service.draining:
            self.drain()
        self._transport.join(self)

    def readable(self) -> None:
        """One read; the poller comes again for more. The barrier: trouble stays here."""
        try:
            data = self._transport.recv()
            if data:
                if self._state not in ("lingering", "flushing"):
                    self._machine.receive(data)
                    self._advance()
            elif data is not None:
                # A half-closed client counts as gone, as with nginx.
                self._client_gone()
        except OSError:
            self._client_gone()
        except Exception:
            # The barrier of one connection: no other client notices.
            log.exception("a connection failed")
            self._client_gone()

    def writable(self) -> None:
        """Kept bytes can go out."""
        transport = self._transport
        try:
            sent = transport.send_kept()
        except OSError:
            self._client_gone()
            return
        exchange = self._exchange
        self._credit.pay(None if exchange is None else exchange.source, sent, transport.kept)
        all_sent = not transport.kept
        if all_sent and self._state == "flushing":
            self._close_gently()
        elif all_sent and self._state == "idle":
            self._await_request(self._service.clock())

    def _advance(self) -> None:
        """Goes as far as the received bytes allow: the next exchange, or the current one's body."""
        if self._advancing:
            return  # an exchange was answered at once: the loop below goes on
        self._advancing = True
        try:
            while self._state in ("idle", "head", "exchange"):
                exchange = self._exchange
                if exchange is not None:
                    if exchange.more_body:
                        self._push_body(exchange)
                    elif self._machine.buffered >= MOST_BUFFERED:
                        self._transport.pause()
                    if self._exchange is exchange:
                        break
                elif self._transport.kept >= MOST_BUFFERED:
                    self._transport.pause()
                    break
                elif not self._next_exchange():
                    break
        except RequestError as error:
            self._refuse(error)
        finally:
            self._advancing = False

    def _next_exchange(self) -> bool:
        """Opens the next exchange if its head is there."""
        machine = self._machine
        request = machine.next_request()
        if request is None:
            if self._state == "idle" and machine.head_began:
                self._state = "head"
                self._deadline = self._service.clock() + self._service.settings.header_timeout
            return False
        if request.upgrade:
            check_handshake(request)
        endpoint, service = self._endpoint, self._service
        exchange = Exchange(
            request, self, endpoint.client, endpoint.server, service.clock(), service.observers
        )
        exchange.scheme, exchange.extensions = endpoint.scheme, endpoint.extensions
        self._exchange = exchange
        self._state = "exchange"
        self._deadline = 0.0
        if request.forwarded and endpoint.is_known:
            service.apply_trust(exchange)
        if request.content_length != 0:
            self._upload.begin(exchange)
            if exchange.more_body and not self._upload.held:
                self._deadline = service.clock() + service.settings.body_timeout
        if request.upgrade:
            exchange.offer_websocket(self)
            if service.allowed_origins:
                check_origin(request, service.allowed_origins)
            self._transport.pause()  # until the answer is out, the client has nothing to say
        service.answer(exchange)
        return True

    def _push_body(self, exchange: Exchange) -> None:
        wants = self._upload.push(exchange)
        if wants == "bytes" and not self._upload.held:
            self._deadline = self._service.clock() + self._service.settings.body_timeout
            return
        self._deadline = 0.0  # whatever it waits for, it is not the client
        if wants == "credit":
            self._transport.pause()

    def credit_arrived(self, exchange: Exchange) -> None:
        if exchange is not self._exchange or not exchange.more_body:
            return
        if self._upload.owes_continue(exchange):
            self._send(CONTINUE)
        self._transport.pause(False)
        self._advance()

    def take_back(self, exchange: Exchange, body: bytes) -> None:
        if exchange is self._exchange:
            self._upload.take_back(exchange, body)

    # -- the sink ----------------------------------------------------------------------------

    def respond(self, exchange: Exchange, status: int, fields: Pairs, body: bytes) -> int:
        if exchange is not self._exchange:
            return 0
        machine, service = self._machine, self._service
        if exchange.phrase is not None:
            machine.phrase(*exchange.phrase)
        close = service.says_close or not machine.body_complete
        try:
            data = machine.respond(status, fields, body, close=close)
        except ResponseError as error:
            return self._refuse_response(exchange, error)
        try:
            self._transport.send(data)
        except OSError:
            exchange.begin_response(status, fields, service.clock())
            exchange.count_sent(len(body))
            self._client_gone()
            return status
        now = service.clock()
        self._exchange = None
        exchange.complete(status, fields, len(body), now)
        self._go_on(exchange, now)
        return status

    def head(self, exchange: Exchange, status: int, fields: Pairs) -> int:
        if exchange is not self._exchange:
            return 0
        machine, service = self._machine, self._service
        if exchange.phrase is not None:
            machine.phrase(*exchange.phrase)
        close = service.says_close or not machine.body_complete
        try:
            data = machine.start(status, fields, close=close)
        except ResponseError as error:
            return self._refuse_response(exchange, error)
        exchange.begin_response(status, fields, service.clock())
        self._gather((data,))
        return status

    def body(self, exchange: Exchange, data: bytes) -> None:
        if exchange is not self._exchange:
            return
        size = len(data)
        exchange.count_sent(size)
        self._gather(self._machine.body(data), size)
        if self._deadline:  # the rest of the upload may wait for what the app says meanwhile
            self._deadline = self._service.clock() + self._service.settings.body_timeout

    def end(self, exchange: Exchange) -> None:
        if exchange is not self._exchange:
            return
        data = self._machine.end()
        transport = self._transport
        if data or (transport.kept and not transport.blocked):
            self._send(data)
            if exchange is not self._exchange:
                return  # the client was gone when the last bytes were sent
        now = self._service.clock()
        self._exchange = None
        exchange.end(now)
        self._go_on(exchange, now)

    def fail(
        self,
        exchange: Exchange,
        status: int,
        sentence: str,
        option: str = "",
        extra: Pairs = (),
    ) -> int:
        if exchange is not self._exchange:
            return 0
        exchange.give_reason(f"{sentence} --{option}" if option else sentence)
        if status in UNAVAILABLE:
            self._service.client_faults.failed(exchange, status)
        if exchange.status == 0:
            again = 1 if status == 503 else None
            fields, body = error_page(status, sentence, again, option)
            return self.respond(exchange, status, fields + extra, body)
        # The head is out: what the client gets must not look like a whole response.
        self._exchange = None
        exchange.end(self._service.clock())
        self._cut_short = True
        self._close_when_sent()
        return 0

    # -- a WebSocket's handshake -------------------------------------------------------------

    def accept(
        self,
        exchange: Exchange,
        source: WebSocketSource,
        subprotocol: str | None,
        fields: Pairs,
    ) -> int:
        """101, and the socket is a WebSocket's from here on."""
        if exchange is not self._exchange or exchange.status:
            return 0
        service = self._service
        try:
            head, machine = accept_websocket(exchange.request, subprotocol, fields, service)
        except ResponseError as error:
            return self._refuse_response(exchange, error)
        exchange.begin_response(101, fields, service.clock())
        self._send(head)
        if self._transport.closed:
            return 101
        self._exchange = None
        self._state = "closed"
        service.connections.discard(self)
        websocket = WebSocketConnection(self._transport, exchange, source, machine, service)
        if service.draining:  # it began while the others were told
            websocket.drain()
        return 101

    def message(self, exchange: Exchange, data: bytes | str, more: bool) -> None:
        """No WebSocket yet: the worker has no business to send this."""

    def close(self, exchange: Exchange, code: int, reason: str) -> int:
        if exchange.status:
            return 0
        return self.fail(exchange, 403, "The app refused this WebSocket.")

    def worker_leaves(self, exchange: Exchange) -> None:
        """A response has an end, or it runs until the worker's time is over."""

    # -- between two exchanges ---------------------------------------------------------------

    def _refuse_response(self, exchange: Exchange, error: Exception) -> int:
        """The app's response may not reach the wire; nothing of it has."""
        self._log_app_fault(exchange, f"was refused: {error}")
        if exchange.source is not None:
            exchange.source.give_up(CLIENT_GONE, "the response was refused")
        exchange.give_reason(f"The app's response was refused: {error}")
        return self.fail(exchange, 500, "The app's response was not valid HTTP.")

    def _go_on(self, exchange: Exchange, now: float) -> None:
        """The response is complete, as far as the app is concerned."""
        machine = self._machine
        if machine.fault:
            self._log_app_fault(exchange, machine.fault)
        if not machine.keep_alive:
            self._close_when_sent()
            return
        self._state = "idle"
        self._deadline = 0.0
        self._credit.forget()
        self._transport.pause(False)
        if not self._transport.kept:
            self._await_request(now)
        elif machine.buffered:
            self._advance()

    def _await_request(self, now: float) -> None:
        """Everything is sent, and it is the client's turn."""
        service = self._service
        self._deadline = now + (
            FIRST_BYTE_OF_NEXT if service.draining else service.settings.timeout_keep_alive
        )
        self._transport.pause(False)
        if self._machine.buffered:
            self._advance()

    def _log_app_fault(self, exchange: Exchange, fault: str) -> None:
        request = exchange.request
        path = request.path.decode("ascii")
        log.error("the app's response to %s %s: %s", request.method, path, fault)

    def _send(self, data: bytes) -> None:
        try:
            self._transport.send(data)
        except OSError:
            self._client_gone()

    def _gather(self, buffers: tuple[bytes, ...], owed: int = 0) -> None:
        """What has come of a longer response goes out together when the turn ends, and its source
        has its credit for it then, also for what is not sent (the body of an answer to HEAD)."""
        first = self._transport.gather(buffers) and not self._credit.owed
        if owed:
            self._credit.owe(owed)
        if first:
            self._service.poller.at_end_of_turn(self._turn_ends)

    def _turn_ends(self) -> None:
        try:
            # While it is blocked the poller tells when it is not.
            if not self._transport.blocked and (self._transport.kept or self._credit.owed):
                self.writable()
        except Exception:
            # The barrier of one connection, as in `readable`.
            log.exception("a connection failed")
            self._client_gone()

    # -- the end -----------------------------------------------------------------------------

    def refuse(self, data: bytes, error: RequestError) -> None:
        """Has `data`, the first that came, answered with an error, whatever it asks for."""
        self._machine.receive(data)
        self._refuse(error)

    def _refuse(self, error: RequestError) -> None:
        """The client's request can't be taken (further): an answer if there is room, then close."""
        if error.log_line:
            self._service.client_faults.say(error.log_line, self._endpoint.client)
        exchange = self._exchange
        if exchange is None:
            request, service = refused_request(self._machine.head_so_far), self._service
            endpoint = self._endpoint
            exchange = Exchange(
                request, self, endpoint.client, endpoint.server, service.clock(), service.observers
            )
            exchange.scheme = endpoint.scheme
            self._exchange = exchange
        elif exchange.source is not None:
            exchange.source.give_up(CLIENT_GONE, error.sentence)
        self._machine.keep_alive = False
        self._lingers = True
        self.fail(exchange, error.status, error.sentence, error.option, error.headers)

    def _client_gone(self, why: str = "The client went away.") -> None:
        """Nobody is there any more: the app is told, the log says 499 where nothing was sent."""
        exchange, self._exchange = self._exchange, None
        if exchange is not None:
            if exchange.source is not None:
                exchange.source.give_up(CLIENT_GONE, "the client went away")
            exchange.abandon(why, self._service.clock())
        if (exchange is not None or self._transport.kept) and not self._machine.end_shows:
            self._transport.reset()  # else a cut response would look whole
        self._close()

    # -- deadlines ---------------------------------------------------------------------------

    def sweep(self, now: float) -> None:
        """Ends what has lasted too long. Called a few times a second."""
        if self._transport.send_by and now >= self._transport.send_by:
            # Sent bytes that the client does not take: nothing more can be said to it.
            self._client_gone("The client took nothing of its response. --send-timeout")
        elif self._deadline and now >= self._deadline:
            if self._state == "head":
                self._refuse(HEAD_LATE)
            elif self._state == "idle":
                self._close_idle()
            elif self._state != "exchange":
                self._close()
            elif not self._transport.kept:  # else it is busy taking what it is sent
                self._refuse(BODY_LATE)

    def cut(self) -> None:
        self._client_gone("The connection was cut.")
