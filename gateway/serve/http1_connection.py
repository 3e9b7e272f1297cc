"""The driver of HTTP/1.1: one client connection's life, bytes in, exchanges, bytes out.

A connection has no task. All that happens to it is a call (the poller brings bytes, a link a
response, the sweeper a deadline), and none of them waits. It is the `ExchangeStream` of its one
current exchange; its sink does what does not depend on the HTTP version (see `exchange_sink`).

States: `idle` between exchanges (and before the first), `head` while one comes in, `exchange`,
`discarding` behind it, and those of its end (see `lingering_close`).

    idle            -> head       something of a head has come, and not all
    idle, head      -> exchange   a head is whole
    idle, head      -> flushing   what has come is refused, and the answer to that is the last
    idle, head      -> closed     what has come first is HTTP/2's, and its driver has the client
    exchange        -> idle       its response is whole, and another request may follow
    exchange        -> discarding the same, but the request's body has not come to its end
    discarding      -> idle       it has
    exchange        -> flushing   its response is the last one, or was cut short
    exchange        -> closed     it has become a WebSocket
    any             -> closed     nobody is there any more
    idle            -> lingering  no request has come in time

A response may be whole before its request is: a full queue refuses an upload with its first bytes.
The rest has to be read, or the connection has to close, since nobody could tell the rest from the
next request (RFC 9112 section 9.3). To close is dear, and at the worst time: a refused client would
connect anew, with a new handshake. So a rest that is known to be short is read and dropped
(`MOST_DISCARDED`). The connection closes behind a long rest, a chunked one, and the body of a
client that waits for `100 Continue`: it may send the body now or leave it out (RFC 9110 section
10.1.1), and we could not tell which.

A client may send many requests before it has had one answer, and those that the gateway answers by
itself are answered at once; or it sends chunks of one byte. A connection handles its share of them
in a turn (`MOST_REQUESTS`, and `http1.body.MOST_CHUNKS`), reads nothing meanwhile, and goes on in
the next turn.

Two clocks run, for the two ways in which a client can be late: `_deadline` for what it has to send
in this state, and its transport's `send_by` for what it has to take.
"""

import sys
from collections.abc import Callable
from logging import getLogger
from typing import ClassVar, Final, Self

from ...protocol.messages import Pairs
from ..exchange import end_codes
from ..exchange.endpoint import Endpoint
from ..exchange.errors import Http2Preface, RequestError
from ..exchange.exchange import Exchange, OpenFile, log_app_fault, log_facts, log_tail
from ..http1.machine import CONTINUE, HttpMachine
from ..http1.refused_request import refused_request
from ..http1.upgrade import switching_protocols
from ..transport.client_socket import MOST_BUFFERED
from ..transport.transport import Transport
from ..websocket.handshake import check_handshake
from .exchange_sink import (
    BODY_LATE,
    BODY_SLOW,
    HEAD_LATE,
    LEFT,
    TOOK_LITTLE,
    TOOK_NOTHING,
    WAS_CUT,
    ExchangeSink,
)
from .lingering_close import FIRST_BYTE_OF_NEXT, MOST_PUT_OFF, ClosingConnection, LastAct
from .service_state import ServiceState

log = getLogger("propylon.gateway")

MOST_REQUESTS: Final = 16
"""Pipelined requests of one client that are answered in a turn, if nobody has to be asked for the
answer: about a millisecond of the gateway's time."""
MOST_DISCARDED: Final = 65_536
"""Bytes of a request's body that are read and dropped behind the response, so that the connection
can be kept. It is what one read may bring; a longer rest costs more than a new connection."""


TakeOver = Callable[[Transport, bytes], None]
"""Takes a client over from here, with all that was received."""

_HOW_TO_ALLOW_HTTP2: Final = "On listeners without TLS --h2c prior-knowledge allows it."


class Http1Connection(ClosingConnection):
    __slots__ = (
        "_advancing",
        "_cut_short",
        "_goes_on",
        "_http2",
        "_lingers",
        "_machine",
        "_requests_left",
        "_sink",
    )

    protocol: ClassVar[str] = "http/1.1"
    accepts_with: ClassVar[int] = 101

    def __init__(
        self,
        transport: Transport,
        endpoint: Endpoint,
        service: ServiceState,
        http2: TakeOver | None = None,
    ) -> None:
        """`http2`: what takes over a client that begins with HTTP/2; None: it is refused."""
        super().__init__(transport, service)
        self._machine = HttpMachine(service.http)
        self._sink = ExchangeSink(self, self._machine, endpoint, service)
        self._requests_left = service.settings.limit_requests_per_connection or sys.maxsize
        """Requests that the connection may have yet."""
        self._http2 = http2
        self._advancing = False
        self._goes_on = False
        """Whether it has had its share of a turn, and something is left for the next."""
        self._cut_short = False
        """Whether the last response was cut short."""
        self._lingers = False
        """Whether the client may be sending bytes that will not be read."""

    # -- reading -----------------------------------------------------------------------------

    def readable(self) -> Self | None:
        try:
            if self._goes_on:
                self._goes_on = False
                return self
            if self._state in ("lingering", "flushing"):
                if not self._transport.drop():
                    self._client_gone()
                return None
            data = self._transport.recv()
            if data:
                self._machine.receive(data)
                if len(data) <= MOST_PUT_OFF:
                    return self
                self._advance()
            elif data is not None:
                # A half-closed client counts as gone, as with nginx.
                self._client_gone()
        except OSError:
            self._client_gone()
        except Exception:
            self._failed()
        return None

    def advance(self) -> None:
        try:
            self._advance()
        except OSError:
            self._client_gone()
        except Exception:
            self._failed()

    def _failed(self) -> None:
        """The barrier of one connection: the others go on."""
        exchange = self._sink.exchange
        log.exception("a connection failed%s", log_tail(exchange), extra=log_facts(exchange))
        self._client_gone(end_code=end_codes.GATEWAY_FAILED)

    def writable(self) -> None:
        """Sends kept bytes."""
        transport = self._transport
        try:
            sent = transport.send_kept()
        except OSError:
            self._client_gone()
            return
        self._sink.taken(sent, transport.kept)
        if transport.kept:
            return
        if self._state == "flushing":
            self._close_gently()
        elif self._state == "idle":
            self._await_request(self._service.clock())

    def _advance(self) -> None:
        """Goes as far as the received bytes allow: the next exchange, or the current one's body."""
        if self._advancing:
            return  # an exchange was answered at once: the loop below goes on
        self._advancing = True
        sink, requests = self._sink, MOST_REQUESTS
        try:
            while self._state in ("idle", "head", "exchange", "discarding"):
                exchange = sink.exchange
                if self._state == "discarding":
                    if self._machine.next_body()[1]:
                        break
                    if self._transport.kept:
                        self._begin_idle()
                    else:
                        self._await_request(self._service.clock())
                elif exchange is not None:
                    if sink.upload.goes_on:
                        self._push_body(exchange)
                    elif len(self._machine.unread) >= MOST_BUFFERED:
                        self._transport.pause()
                    if sink.exchange is exchange:
                        break
                elif self._transport.kept >= MOST_BUFFERED:
                    self._transport.pause()
                    break
                elif not requests:
                    self._go_on()
                    break
                elif not self._next_exchange():
                    break
                else:
                    requests -= 1
        except Http2Preface as error:
            self._leave_to_http2(error)
        except RequestError as error:
            self._refuse(error)
        finally:
            self._advancing = False

    def _leave_to_http2(self, error: Http2Preface) -> None:
        """Hands over a client that has begun with HTTP/2, if that is taken here. What it sends
        after a request, or what only looks like the preface, is refused."""
        most = self._service.settings.limit_requests_per_connection or sys.maxsize
        received = self._machine.http2_so_far
        if self._http2 is None and self._service.settings.limits_are_options:
            self._refuse(Http2Preface(error.status, f"{error.sentence} {_HOW_TO_ALLOW_HTTP2}"))
        elif self._http2 is None or self._requests_left != most or not received:
            self._refuse(error)
        else:
            self._http2(self.hand_over(), received)

    def _next_exchange(self) -> bool:
        """Opens the next exchange if its head is there."""
        request = self._machine.next_request()
        if request is None:
            if self._state == "idle" and self._machine.head_began:
                self._state = "head"
                self._deadline = self._service.clock() + self._service.settings.header_timeout
            return False
        if request.upgrade:
            check_handshake(request)
        self._state = "exchange"
        self._deadline = 0.0
        self._requests_left -= 1
        sink = self._sink
        exchange = sink.open(request)
        if exchange.more_body and not sink.upload.held:
            self._deadline = self._service.clock() + self._service.settings.body_timeout
        if request.upgrade:
            self._transport.pause()  # until the answer is out, the client has nothing to say
        self._service.answer(exchange)
        return True

    def _push_body(self, exchange: Exchange) -> None:
        upload = self._sink.upload
        wants = upload.push(exchange)
        if self._sink.exchange is not exchange:
            return  # the last of the body has come, and the answer was there at once
        if wants == "bytes" and not upload.held:
            self._deadline = self._service.clock() + self._service.settings.body_timeout
            return
        self._deadline = 0.0  # it does not wait for the client
        if wants == "credit":
            self._transport.pause()
        elif wants == "turn":
            self._go_on()

    def _go_on(self) -> None:
        """Leaves what is left of the received bytes to the next turn."""
        if self._machine.unread:
            self._goes_on = True
            self._transport.go_on()

    def body_wanted(self, exchange: Exchange) -> None:
        if self._sink.upload.owes_continue(exchange):
            try:
                self._transport.send(CONTINUE)
            except OSError:
                self._client_gone()
        self._transport.pause(False)
        self._advance()

    def slots_held(self) -> int:
        return 0  # it opens the next exchange when it has none

    # -- writing: the stream of its sink -----------------------------------------------------

    def write_response(self, exchange: Exchange, status: int, fields: Pairs, body: bytes) -> None:
        machine = self._machine
        if exchange.phrase is not None:
            machine.phrase(*exchange.phrase)
        close = self._service.says_close or not self._requests_left
        if machine.framing is not None and not machine.body_complete:
            short = machine.body_left_is_at_most(MOST_DISCARDED)
            close = close or not short or self._sink.upload.held
        data = machine.respond(status, fields, body, close=close)
        if machine.fault:
            exchange.give_end(end_codes.APP_WRONG_LENGTH)
        self._transport.send(data)

    def write_head(self, exchange: Exchange, status: int, fields: Pairs) -> bool:
        machine = self._machine
        if exchange.phrase is not None:
            machine.phrase(*exchange.phrase)
        close = self._service.says_close or not (machine.body_complete and self._requests_left)
        return self._transport.gather((machine.start(status, fields, close=close),))

    def write_body(self, data: bytes) -> bool:
        if self._deadline:  # the rest of the upload may wait for what the app says meanwhile
            self._deadline = self._service.clock() + self._service.settings.body_timeout
        return self._transport.gather(self._machine.body(data))

    @property
    def takes_files(self) -> bool:
        return self._transport.sends_files and self._machine.has_length

    def write_file(self, file: OpenFile, offset: int, count: int) -> bool:
        if self._deadline:
            self._deadline = self._service.clock() + self._service.settings.body_timeout
        return self._transport.gather_file(file, offset, self._machine.pass_on(count))

    def write_end(self) -> None:
        data, transport = self._machine.end(), self._transport
        if self._machine.fault and self._sink.exchange is not None:
            self._sink.exchange.give_end(end_codes.APP_WRONG_LENGTH)
        if data or (transport.kept and not transport.blocked):
            transport.send(data)

    def write_accept(self, fields: Pairs) -> None:
        self._transport.send(switching_protocols(b"websocket", fields, self._service.http.heads))

    def write_interim(self, status: int, fields: Pairs) -> None:
        if not self._transport.kept:
            self._transport.send(self._machine.interim(status, fields))

    def write_trailers(self, fields: Pairs) -> None:
        self._machine.trailers(fields)

    def flush(self) -> None:
        try:
            # While it is blocked the poller tells when it is not.
            if not self._transport.blocked and (self._transport.kept or self._sink.credit.owed):
                self.writable()
        except Exception:
            self._failed()

    # -- between two exchanges ---------------------------------------------------------------

    def finished(self, exchange: Exchange, now: float) -> None:
        machine = self._machine
        if machine.fault:
            log_app_fault(exchange, machine.fault)
        if not machine.keep_alive:
            self._close_when_sent()
            return
        credit = self._sink.credit
        if credit.owed:
            credit.forget()
        if machine.framing is not None and not machine.body_complete:
            self._state = "discarding"
            self._deadline = now + self._service.settings.body_timeout
            self._transport.pause(False)
            self._advance()
        elif self._transport.kept:
            self._begin_idle()
        else:
            self._await_request(now)

    def _begin_idle(self) -> None:
        """Nothing is left of the request, and its response is not all sent."""
        self._state = "idle"
        self._deadline = 0.0
        self._transport.pause(False)
        if self._machine.unread:
            self._advance()

    def _await_request(self, now: float) -> None:
        """Waits for the next request, when everything is sent."""
        service = self._service
        self._state = "idle"
        self._idle_since = now
        self._deadline = now + (
            FIRST_BYTE_OF_NEXT if service.draining else service.settings.timeout_keep_alive
        )
        if self._transport.paused:
            self._transport.pause(False)
        if self._machine.unread:
            self._advance()

    @property
    def held(self) -> int:
        return self._machine.buffered + self._sink.upload.waiting + self._transport.held

    # -- the end -----------------------------------------------------------------------------

    def end_if_idle(self) -> None:
        """Also ends a connection whose response is out, in a moment: a stop would wait as long as
        the client may take for the rest of a request, of which nobody reads anything."""
        if self._state == "discarding":
            moment = self._service.clock() + FIRST_BYTE_OF_NEXT
            self._deadline = min(self._deadline, moment)
        else:
            super().end_if_idle()

    def hand_over(self) -> Transport:
        self._state = "closed"
        self._service.connections.discard(self)
        self._sink.release()
        return self._transport

    def _last_act(self) -> LastAct:
        machine = self._machine
        if self._cut_short and not machine.end_shows:
            return "reset"
        quiet = machine.body_complete and not machine.buffered and not self._lingers
        return "close" if quiet else "linger"

    def _closed(self) -> None:
        self._sink.release()

    def open_refused(self, data: bytes, error: RequestError) -> None:
        """Answers `data`, the first bytes, with an error, whatever they ask for. It joins the
        service behind that: to join is to read, and what comes next is no request."""
        self._machine.receive(data)
        self._refuse(error)
        if self._state != "closed":
            self.open()

    def _refuse(self, error: RequestError) -> None:
        """Refuses the client's request: an answer if there is room for one, then the close."""
        self._machine.keep_alive = False
        self._lingers = True
        self._sink.refuse(error, refused_request(self._machine.head_so_far))

    def cut_short(self) -> None:
        self._cut_short = True
        self._close_when_sent()

    def broken(self) -> None:
        self._client_gone()

    def _why_file_broke(self, fault: str) -> tuple[str, str]:
        """Logs what was wrong with a file, for the operator. Returns the reason and the end code of
        the exchange under way. If more waits than that has sent, the file was that of a response
        before, which is over: the client has asked for more before it had taken all of it."""
        exchange = self._sink.exchange
        if exchange is not None and self._transport.kept > exchange.body_sent:
            log.error("%s, for a response before", fault)
            return "The file of the response before could not be sent.", end_codes.GATEWAY_CUT
        log.error("%s%s", fault, log_tail(exchange), extra=log_facts(exchange))
        return "The file could not be sent to its end.", end_codes.GATEWAY_FILE_BROKE

    def _client_gone(self, why: str = LEFT, end_code: str = "") -> None:
        """Ends the connection of a client that is gone, as the sink's `client_gone` says; or of one
        that can't be sent the rest of a file."""
        if fault := self._transport.fault:
            why, end_code = self._why_file_broke(fault)
        was_under_way = self._sink.client_gone(why, end_code)
        if (was_under_way or self._transport.kept) and not self._machine.end_shows:
            self._transport.reset()  # else a cut response would look whole
        self._close()

    # -- deadlines ---------------------------------------------------------------------------

    def sweep(self, now: float) -> None:
        """Ends what has lasted too long. It is called a few times a second."""
        transport = self._transport
        if transport.send_by and transport.takes_too_little(now):
            # After a close the kernel would send on for it, and keep megabytes meanwhile.
            transport.reset()
            self._client_gone(TOOK_LITTLE)
        elif transport.send_by and now >= transport.send_by:
            # The client does not take sent bytes: nothing more can be sent to it.
            self._client_gone(TOOK_NOTHING)
        elif self._state == "exchange" and self._sink.sends_too_slowly(now):
            self._refuse(BODY_SLOW)
        elif self._deadline and now >= self._deadline:
            if self._state == "head":
                self._refuse(HEAD_LATE)
            elif self._state == "idle":
                self._close_idle()
            elif self._state not in ("exchange", "discarding"):
                self._close()
            elif self._transport.kept:
                pass  # it is busy taking what it is sent
            elif self._state == "exchange":
                self._refuse(BODY_LATE)
            else:
                self._close_when_sent()

    def cut(self) -> None:
        self._client_gone(WAS_CUT)
