"""One client connection in HTTP/1.1, without its socket.

To read, `receive` bytes, then ask for the `next_request`, then for pieces of its body. Nothing is
parsed ahead: the next head waits as bytes until the exchange before it is over, so a connection
that will close never looks at a pipelined request.

To write, call `respond`, or `start`, `body` for each piece, and `end`. Each returns the bytes to
send.
"""

from dataclasses import dataclass
from typing import Final, Literal

from ...protocol.messages import Pairs
from ...protocol.outbox import LARGE
from ..exchange.errors import RequestError
from ..http.grammar import HTTP2_PREFACE
from ..http.head_limits import head_too_long
from ..http.rules import BODILESS, ended_before, ends_with_head, fit, went_over
from ..settings import HttpSettings
from .body import BodyFraming, ChunkedBody, LengthBody
from .head_cache import RepeatedFields
from .request_head import Http1Request, ParseFields, read_head
from .response_head import ResponseHeads
from .unfinished_head import UnfinishedHead
from .upgrade import check_upgrade

CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"


@dataclass(frozen=True, slots=True)
class HttpContext:
    """What all connections of a process share."""

    settings: HttpSettings
    parse_fields: ParseFields
    heads: ResponseHeads


class HttpMachine:
    __slots__ = (
        "_context",
        "_empty_line",
        "_left",
        "_phrase",
        "_refused",
        "_repeated",
        "_request",
        "_searched",
        "_send_framing",
        "_skipped",
        "_trailers",
        "_unfinished",
        "fault",
        "framing",
        "keep_alive",
        "unread",
    )

    def __init__(self, context: HttpContext) -> None:
        self._context = context
        self.unread: bytes = b""
        """What was received and not yet asked for."""
        self._repeated = RepeatedFields()
        self._searched = 0
        self._empty_line = False
        """Whether one came in front of the next head."""
        self._skipped = False
        """Whether one came in front of any."""
        self._unfinished: UnfinishedHead | None = None
        """None while the next head has not come in part."""
        self.framing: BodyFraming | None = None
        """How the body of the current request ends; None if it has none."""
        self._request: Http1Request | None = None
        self._refused = b""
        self._send_framing: Literal["none", "length", "chunked", "close"] = "none"
        self._left = 0
        self._phrase: tuple[int, bytes] | None = None
        self._trailers = b""
        """The lines that stand behind the last chunk of this response."""
        self.keep_alive = True
        """Whether another request may follow; final once a response's head was rendered."""
        self.fault = ""
        """What the app did wrong in a response that could not be taken back; "" for nothing."""

    # -- reading -----------------------------------------------------------------------------

    @property
    def buffered(self) -> int:
        """How many bytes were received and not yet asked for."""
        return len(self.unread)

    @property
    def head_so_far(self) -> bytes:
        """The bytes that have come of a head that was refused or is late, perhaps with more behind
        them."""
        return self._refused or self.unread

    @property
    def http2_so_far(self) -> bytes:
        """All that has come, if it is the preface of HTTP/2, the beginning of that, or that and
        more; else b"". It is to be asked when the first request was refused."""
        came = self._refused + self.unread
        size = len(HTTP2_PREFACE)
        return b"" if self._skipped or came[:size] != HTTP2_PREFACE[: len(came)] else came

    @property
    def head_began(self) -> bool:
        """Whether something of the next head has come; an empty line in front is nothing of it."""
        return self.unread not in (b"", b"\r")

    @property
    def body_complete(self) -> bool:
        """Whether the current request's body was received to its end."""
        return self.framing is None or self.framing.complete

    def body_left_is_at_most(self, most: int) -> bool:
        """Whether what is left of the current request's body is known to be no more bytes than
        that. Of a chunked body it is not known."""
        framing = self.framing
        return framing is None or (isinstance(framing, LengthBody) and framing.left <= most)

    def receive(self, data: bytes) -> None:
        self.unread = self.unread + data if self.unread else data

    def next_request(self) -> Http1Request | None:
        """Returns the next request when its head is whole. Raises RequestError, which is to be
        answered before the close."""
        buffer = self.unread
        if not buffer:
            return None
        self._request = None  # what goes wrong from here on is no answer to the last one
        if buffer[0] == 13 and not self._empty_line:  # CR
            # RFC 9112 section 2.2: one empty line before a request is from sloppy clients, who
            # mean the end of the body before.
            if buffer[1:2] != b"\n" and len(buffer) > 1:
                raise RequestError(400, "A bare CR came before the request.")
            self._skipped = True
            if len(buffer) <= 2:
                if len(buffer) == 2:
                    self.unread, self._empty_line = b"", True
                return None
            self.unread = buffer = buffer[2:]
            self._empty_line = True
        end = buffer.find(b"\r\n\r\n", self._searched)
        if end < 0:
            if self._unfinished is None:
                self._unfinished = UnfinishedHead(self._context.settings)
            self._unfinished.look(buffer)
            self._searched = max(0, len(buffer) - 3)
            return None
        if end + 4 > self._context.settings.limit_request_head:
            raise head_too_long(self._context.settings)
        end += 4
        if end == len(buffer):
            head, self.unread = buffer, b""
        else:
            head, self.unread = buffer[:end], buffer[end:]
        self._searched = 0
        self._empty_line, self._unfinished = False, None
        request = self._repeated.read(head, self._context.settings)
        if request is not None:
            self.framing, self._request = None, request
            self.keep_alive = request.keep_alive
            return request
        try:
            request = read_head(head, self._context.settings, self._context.parse_fields)
        except RequestError:
            self._refused = head
            raise
        self._repeated.learn(head, request)
        length = request.content_length
        if length is None:
            self.framing = ChunkedBody(self._context.settings.max_request_body_size)
        elif length:
            self.framing = LengthBody(length)
        else:
            self.framing = None
        self._request = request
        self.keep_alive = request.keep_alive
        if request.upgrade:
            # Even if it is refused, no further request is parsed on this connection.
            self.keep_alive = False
            self._refused = head
            check_upgrade(request, len(self.unread))
        return request

    def next_body(self) -> tuple[bytes, bool]:
        """Returns the bytes of the request's body that have arrived, and whether more will come.

        Raises RequestError if the body cannot be read to its end.
        """
        framing = self.framing
        if framing is None:
            return b"", False
        buffer = self.unread
        if not buffer:
            return b"", not framing.complete
        self.unread = b""
        body, self.unread = framing.decode(buffer)
        return body, not framing.complete

    # -- writing -----------------------------------------------------------------------------

    def phrase(self, status: int, reason: bytes) -> None:
        """Gives the next response the app's own reason phrase, if it has that status."""
        self._phrase = (status, reason)

    def _lines(self, status: int, headers: Pairs) -> tuple[list[bytes], int | None, bool]:
        phrase, self._phrase = self._phrase, None
        reason = phrase[1] if phrase is not None and phrase[0] == status else b""
        return self._context.heads.lines(status, headers, reason)

    def interim(self, status: int, headers: Pairs) -> bytes:
        """Returns an interim response to send (RFC 9110 section 15.2). Raises ResponseError."""
        return self._context.heads.interim(status, headers)

    def trailers(self, headers: Pairs) -> None:
        """Keeps the trailers of a response in chunks, the only one that can have any (RFC 9112
        section 7.1.2), until its end. Raises ResponseError."""
        if self._send_framing == "chunked":
            self._trailers = self._context.heads.trailers(headers)

    def respond(self, status: int, headers: Pairs, body: bytes, *, close: bool = False) -> bytes:
        """Returns a complete response to send. Raises ResponseError if it may not be sent."""
        request = self._request
        lines, length, app_closes = (
            self._context.heads.lines(status, headers)
            if self._phrase is None
            else self._lines(status, headers)
        )
        # As `ends_with_head`, and below as `_end_head`, without their calls: most responses come
        # this way.
        if status in BODILESS or (request is not None and request.method == "HEAD"):
            if length is None and body and status not in BODILESS:
                lines.append(b"content-length: %d\r\n" % len(body))
            body = b""
        else:
            size = len(body)
            if length is None:
                lines.append(b"content-length: %d\r\n" % size)
            elif length != size:
                body, fault = fit(body, length)
                self._app_fault(fault)
        if (
            close
            or app_closes
            or not self.keep_alive
            or request is None
            or request.http_version != "1.1"
        ):
            self._end_head(lines, close or app_closes)
        else:
            lines.append(b"\r\n")
        lines.append(body)
        return b"".join(lines)

    def start(self, status: int, headers: Pairs, *, close: bool = False) -> bytes:
        """Returns the head of a response whose body follows. Raises ResponseError if it may not be
        sent."""
        request = self._request
        lines, length, app_closes = self._lines(status, headers)
        if ends_with_head("" if request is None else request.method, status):
            self._send_framing = "none"
        elif length is not None:
            self._send_framing, self._left = "length", length
        elif request is None or request.http_version == "1.1":
            self._send_framing = "chunked"
            lines.append(b"transfer-encoding: chunked\r\n")
        else:
            self._send_framing, self.keep_alive = "close", False
        self._end_head(lines, close or app_closes)
        return b"".join(lines)

    def body(self, data: bytes) -> tuple[bytes, ...]:
        """Returns a framed piece of the body, as buffers to send; none if nothing is to be sent."""
        framing = self._send_framing
        if not data or framing == "none":
            return ()
        if framing == "chunked":
            if len(data) < LARGE:
                return (b"%x\r\n%b\r\n" % (len(data), data),)
            return b"%x\r\n" % len(data), data, b"\r\n"
        if framing == "length":
            if len(data) > self._left:
                self._app_fault(went_over(len(data) - self._left))
                data = data[: self._left]
            self._left -= len(data)
        return (data,)

    @property
    def has_length(self) -> bool:
        """Whether the body is what it is given, without framing, and has a length."""
        return self._send_framing == "length"

    def pass_on(self, count: int) -> int:
        """Notes that `count` bytes of a body that `has_length` are sent by somebody else. Returns
        how many may be."""
        if count > self._left:
            self._app_fault(went_over(count - self._left))
            count = self._left
        self._left -= count
        return count

    def end(self) -> bytes:
        """Returns the end of the body to send."""
        if self._send_framing == "chunked":
            if not self._trailers:
                return b"0\r\n\r\n"
            lines, self._trailers = self._trailers, b""
            return b"0\r\n%b\r\n" % lines
        if self._send_framing == "length" and self._left:
            self._app_fault(ended_before(self._left))
        return b""

    @property
    def end_shows(self) -> bool:
        """Whether a client can tell a cut body from a whole one if the connection simply closes."""
        return self._send_framing != "close"

    def _end_head(self, lines: list[bytes], close: bool) -> None:
        """The Connection field and the empty line (RFC 9112 section 9.3)."""
        if close or not self.keep_alive:
            self.keep_alive = False
            lines.append(b"connection: close\r\n\r\n")
        elif self._request is not None and self._request.http_version == "1.0":
            lines.append(b"connection: keep-alive\r\n\r\n")
        else:
            lines.append(b"\r\n")

    def _app_fault(self, sentence: str) -> None:
        self.fault = sentence
        self.keep_alive = False
