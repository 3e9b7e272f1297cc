"""One call of a WSGI app (PEP 3333). It occupies a thread for as long as it lasts.

The call touches its link under the host's one lock, and also the fields that the thread which reads
the links writes. Bytes that have to go out at once are sent through the socket itself before the
lock is released; no other thread is woken unless that would block. The last bytes of a call wait
for the host, which may send other answers with them.
"""

import logging
import threading
from collections import deque
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Final, Protocol, cast

from ...protocol.messages import (
    APP_FAILED,
    BAD_RESPONSE,
    CONFIRM_START,
    IDENTIFIED,
    MAX_BODY,
    NAMES_AS_WRITTEN,
    REASON,
    TAKES_HINTS,
    Open,
    Pairs,
)
from ..app.client_disconnected import ClientDisconnected, is_disconnect
from ..app.files import at_its_position
from ..app.request_scope import METHOD, REQUEST_ID, TYPE, call_name, request_id
from ..app.response_head import stated_length
from ..app.tracebacks import strip_frames, summary
from ..host.link_session import HostedCall, LinkSession
from .early_hints import EarlyHints
from .environ import FileWrapper, wsgi_environ
from .input import WsgiInput
from .spool import Spool, SpoolError
from .start_response import read_headers, read_status

logger = logging.getLogger("propylon.worker")

ExcInfo = tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None]
StartResponse = Callable[..., Callable[[bytes], None]]
WsgiApp = Callable[[dict[str, object], StartResponse], Iterable[bytes]]

_LENGTH: Final = "CONTENT_LENGTH"
_CODING: Final = "HTTP_TRANSFER_ENCODING"
_NO_ROOM: Final = (
    507,
    ((b"content-type", b"text/plain; charset=utf-8"),),
    b"507 Insufficient Storage\n\nThere is no room here for a body of this size.\n"
    b"If you run this server, its log says which folder is full.\n",
)
_NO_WEBSOCKETS: Final = (
    400,
    ((b"content-type", b"text/plain; charset=utf-8"),),
    b"400 Bad Request\n\nThis app is served by WSGI, which has no WebSockets.\n"
    b"If you run this server: serve an ASGI app instead. Flask apps move to Quart,\n"
    b"python-socketio has socketio.ASGIApp, Django has get_asgi_application and channels.\n",
)
_NO_CONTENT: Final = frozenset({204, 304})
_OVER: Final = frozenset({"complete", "failed"})


class CallHost(Protocol):
    """The part of the host that a call needs, besides what its session needs."""

    lock: threading.Lock
    underscores: bool
    """Whether the environ takes fields with an underscore in their names."""

    @property
    def shutdown(self) -> object:
        """The shutdown event, which the app finds in its environ."""
        ...

    def websocket_asked(self, name: str) -> None:
        """A client asks for a WebSocket, which WSGI does not have. Called under the lock."""
        ...

    def waits(self) -> None:
        """This thread is about to wait for news from its link. Called under the lock."""
        ...

    def answered(self, session: LinkSession) -> None:
        """A response is whole and can be sent. Called under the lock."""
        ...


class WsgiCall(HostedCall):
    __slots__ = (
        "_chunks",
        "_condition",
        "_confirmed",
        "_head",
        "_host",
        "_left",
        "_lock",
        "_more",
        "_reason",
        "_spool",
        "environ",
    )  # fmt: skip

    waits_for_a_thread = True

    def __init__(self, session: LinkSession, host: CallHost) -> None:
        super().__init__(session)
        self._lock = host.lock
        self._host = host
        self._condition: threading.Condition | None = None
        self._chunks: deque[bytes] | None = None
        self._more = False
        self._spool: Spool | None = None
        """The whole body of a request without a Content-Length."""
        self._confirmed = True
        """Whether the app may be entered, as far as STARTED is concerned."""
        self._head: tuple[int, Pairs] | None = None
        """Status and fields, from start_response until the first bytes of the body."""
        self._reason = b""
        """The app's own reason phrase; b"" for the usual one."""
        self._left: int | None = None
        """Bytes that have still to come by the response's Content-Length; None if it has none."""
        self.environ: dict[str, object]

    # -- the link's side, under the lock -----------------------------------------------------

    def opened(self, message: Open) -> None:
        _, _, self.message, body, self._more, flags = message
        if self.message[TYPE] == "websocket":
            self._refuse_websocket()
            return
        self._confirmed = not flags & CONFIRM_START
        self.environ = wsgi_environ(self.message, underscores=self._host.underscores)
        self.environ["propylon.shutdown"] = self._host.shutdown
        if flags >= IDENTIFIED:  # a flag of which the environ says something
            if flags & TAKES_HINTS:
                self.environ["wsgi.early_hints"] = EarlyHints(self.hint)
            if name := request_id(self.message, flags):
                self.environ[REQUEST_ID] = self.request_id = name
        self.environ["wsgi.input"] = WsgiInput(body, self._next_chunk if self._more else None)
        if body and self._more:
            self.session.link.taken(self, len(body))
        if (body or self._more or _CODING in self.environ) and _LENGTH not in self.environ:
            if self._more:
                self._spool = Spool()
            else:
                self._state_length(len(body))

    def _refuse_websocket(self) -> None:
        """Refuses a WebSocket, which WSGI (PEP 3333) does not know. Apps that take over the
        server's socket (flask-sock, python-socketio with threads) find none, because the gateway
        holds it."""
        self._host.websocket_asked(call_name(self.message))
        self.session.link.respond(self, *_NO_WEBSOCKETS)
        self.disconnected = True  # so that it never enters the app

    def body_arrived(self, body: bytes, more: bool) -> None:
        self._more = more
        if self._chunks is None:
            self._chunks = deque()
        self._chunks.append(body)
        self.wake()

    def confirmed(self) -> None:
        self._confirmed = True
        self.wake()

    def wake(self) -> None:
        if self._condition is not None:
            self._condition.notify_all()

    # -- the app's side: its thread ----------------------------------------------------------

    def run(self, app: WsgiApp) -> None:
        """Calls the app. It raises nothing. The last bytes are still to be flushed."""
        whole = None
        try:
            if not self._confirmed:
                self._confirm()
            if not self.disconnected:
                if self._spool is not None:
                    self._take_whole_body(self._spool)
                whole = self._call(app)
        except SpoolError as error:
            self._log_error(str(error))
            whole = _NO_ROOM
        except BaseException as error:  # a thread has no cancellation to pass on
            if self._log(error):
                with self._lock:
                    self.fail(APP_FAILED, summary(error)[:500])
        finally:
            if self._spool is not None:
                self._spool.close()
            with self._lock:  # held to the end, so that response and END are one message
                self._leave(whole)

    def _confirm(self) -> None:
        """Says STARTED, before the app is called but as late as possible (SPEC.md 6.3): until then
        the gateway may give the call to another worker if this one dies."""
        with self._lock:
            if not self.disconnected:
                self.session.confirm([self])
            while not (self._confirmed or self.disconnected):
                self._park()

    def _take_whole_body(self, spool: Spool) -> None:
        """Takes a chunked body whole before the app is called, and states its length.

        PEP 3333 has no other way to say where a body ends, and an app that asks for the length
        (Django, Bottle, Falcon) would find an empty body. It is a body like any other then, so the
        app does not see the coding that the client used (RFC 9112 section 7.1.3).
        """
        arriving = cast("WsgiInput", self.environ["wsgi.input"])
        while data := arriving.read(MAX_BODY):
            spool.write(data)
        spool.rewind()
        self.environ["wsgi.input"] = WsgiInput(b"", spool.read)
        self._state_length(spool.size)

    def _state_length(self, size: int) -> None:
        self.environ[_LENGTH] = str(size)
        self.environ.pop(_CODING, None)

    def _leave(self, whole: tuple[int, Pairs, bytes] | None) -> None:
        """Ends the call, sends what is left of its response, and frees the slot in any case."""
        try:
            if whole is not None and not self.disconnected:
                self._say_reason(whole[0])
                self.session.link.respond(self, *whole)
        except Exception as error:  # a head that is too large for the link
            self._log(error)
            self.fail(APP_FAILED, summary(error)[:500])
        finally:
            self.disconnected = True
            self.session.leave(self)
            self.wake()

    def _call(self, app: WsgiApp) -> tuple[int, Pairs, bytes] | None:
        """Calls the app. Returns a whole response that is still to be sent; None if it was sent on
        the way."""
        result = app(self.environ, self._start_response)
        if type(result) is list or type(result) is tuple:  # a subclass may have a close()
            return self._whole(cast("list[bytes]", result))
        try:
            if type(result) is FileWrapper and self._send_file(result):
                return None
            for chunk in result:
                if chunk:
                    self._write(chunk)
                else:  # an app may wait in this way, and has to notice that its client has left
                    self._check_connected()
            self._finish()
        finally:
            close = getattr(result, "close", None)
            if close is not None:
                close()
        return None

    def _start_response(
        self, status: str, headers: list[tuple[str, str]], exc_info: ExcInfo | None = None
    ) -> Callable[[bytes], None]:
        if exc_info is not None:
            try:
                if self.response not in ("opened", "started") and exc_info[1] is not None:
                    raise exc_info[1].with_traceback(exc_info[2])
            finally:
                exc_info = None  # PEP 3333: no circular reference through the traceback
        elif self._head is not None or self.response not in ("opened", "started"):
            raise AssertionError("start_response was called already, and without exc_info")
        number, self._reason = read_status(status)
        as_written = NAMES_AS_WRITTEN in self.session.link.features
        pairs = read_headers(headers, as_written=as_written)
        self._left = stated_length(pairs)
        self._head = (number, pairs)
        return self._write

    def hint(self, event: dict[str, object]) -> None:
        """Sends early hints at once, unless the response's head is out or nobody waits for it."""
        with self._lock:
            if self.response in ("opened", "started") and not self.disconnected:
                self.session.link.event(self, event)
                self.session.flush()

    def _whole(self, parts: list[bytes]) -> tuple[int, Pairs, bytes] | None:
        """The response of an app that has returned a list, so that its length is known. None if it
        is too large for one message."""
        body = parts[0] if len(parts) == 1 else b"".join(parts)
        if type(body) is not bytes:
            body = _as_bytes(body)
        if self._head is not None and self._left is None:
            self._add_length(len(body))
        if self._head is not None and len(body) <= MAX_BODY and self._left in (None, len(body)):
            return (*self._head, body)
        if body:
            self._write(body)
        self._finish()
        return None

    def _add_length(self, size: int) -> None:
        if self._head is None or self._head[0] in _NO_CONTENT:
            return
        if not size and self.message[METHOD] == "HEAD":
            return  # an app may leave out the body of HEAD, although that of GET has a length
        status, pairs = self._head
        self._left = size
        as_written = NAMES_AS_WRITTEN in self.session.link.features
        name = b"Content-Length" if as_written else b"content-length"
        self._head = (status, (*pairs, (name, b"%d" % size)))

    def _write(self, data: bytes) -> None:
        """Sends a part of the body at once (PEP 3333 forbids to delay it)."""
        if type(data) is not bytes:
            data = _as_bytes(data)
        link = self.session.link
        with self._lock:
            self._check_connected()
            if self.response == "complete":
                if data:
                    raise RuntimeError("the response is longer than its content-length")
                return
            if not data and self._head is None:
                return
            if self._head is not None:
                head, self._head = self._head, None
                self._say_reason(head[0])
                if len(data) == self._left and data and len(data) <= MAX_BODY:
                    link.respond(self, *head, data)
                    self.wake()
                    self._host.answered(self.session)
                    return
                link.start_response(self, *head)
            elif self.response != "body":
                raise AssertionError("write() or a body before start_response")
            self._send_pieces(data)
            self.session.flush()

    def _send_file(self, wrapper: FileWrapper) -> bool:
        """Has the gateway send the rest of a file (PEP 3333, "Optional Platform-Specific File
        Handling"). Returns whether it does; else the file is to be read as any iterable."""
        if not self.session.passes_files:
            return False
        part = at_its_position(wrapper.file)
        if part is None or not part.passable:
            return False
        with self._lock:
            head = self._head
            if head is None or self.disconnected:
                return False
            if self._left is not None:
                part = part.cut(self._left)
                if part.length < self._left:  # shorter than the app says: an error as any other
                    return False
            number = self.session.files.pass_on(part.fd)
            if number is None:
                return False
            self._head = None
            self._say_reason(head[0])
            of = (number, part.offset, part.length)
            self.session.link.respond_file(self, *head, of)
            self.wake()
            self._host.answered(self.session)
        return True

    def _say_reason(self, status: int) -> None:
        """Says the app's own reason phrase. Called under the lock, before the head."""
        if self._reason:
            event: dict[str, object] = {"type": REASON, "status": status, "reason": self._reason}
            self.session.link.event(self, event)

    def _send_pieces(self, data: bytes) -> None:
        done, size = 0, len(data)
        while done < size:
            if self.send_credit <= 0:
                self.session.flush()
                self._park()
                self._check_connected()
                continue
            piece = data[done : done + min(self.send_credit, MAX_BODY)]
            done += len(piece)
            more = True
            if self._left is not None:
                self._left -= len(piece)
                # The response is complete by its Content-Length, so the client need not wait for
                # close(). If the app writes more, the next write names its error.
                more = self._left != 0 or done < size
            self.session.link.send_body(self, piece, more)
            if not more:
                self.wake()

    def _finish(self) -> None:
        with self._lock:
            if self.response == "complete":
                return
            self._check_connected()
            if self._head is not None:
                head, self._head = self._head, None
                self._say_reason(head[0])
                self.session.link.respond(self, *head, b"")
            elif self.response == "body":
                self.session.link.send_body(self, b"", False)
            else:
                reason = "the app returned without calling start_response"
                self._log_error(reason)
                self.fail(BAD_RESPONSE, reason)
            self.session.flush()

    def _next_chunk(self) -> bytes:
        with self._lock:
            while not self._chunks:
                if not self._more:
                    return b""
                self._check_connected()
                if self.response in _OVER:
                    # The rest of the body need not come (SPEC.md 6.1). b"" would say that the
                    # request was whole (PEP 3333, "Input and Error Streams").
                    raise ClientDisconnected("the rest of the request is lost: it was answered")
                self.session.link.wanted(self)
                self.session.flush()
                self._park()
            chunk = self._chunks.popleft()
            if not self.disconnected and self.receive_window is not None:
                self.session.link.taken(self, len(chunk))
                self.session.flush()
            return chunk

    def _park(self) -> None:
        """Waits until the link has news for this call. The lock is released meanwhile."""
        self._host.waits()
        if self._condition is None:
            self._condition = threading.Condition(self._lock)
        self._condition.wait()

    def _check_connected(self) -> None:
        if self.disconnected:
            raise ClientDisconnected("the client is gone")

    # -- ends --------------------------------------------------------------------------------

    def _log(self, error: BaseException) -> bool:
        """Logs an error. Returns whether it is one of the app's own."""
        strip_frames(error)
        if is_disconnect(error) and not self.awaited:
            logger.debug("%s: the app left on the disconnect", call_name(self.message))
            return False
        logger.error(
            "%s: the app raised %s%s",
            call_name(self.message),
            type(error).__name__,
            self.log_end(),
            extra=self.log_facts(),
            exc_info=(type(error), error, error.__traceback__),
        )
        return True

    def _log_error(self, sentence: str) -> None:
        """Logs what was wrong with this call."""
        logger.error(
            "%s: %s%s",
            call_name(self.message),
            sentence,
            self.log_end(),
            extra=self.log_facts(),
        )


def _as_bytes(data: object) -> bytes:
    if isinstance(data, (bytes, bytearray, memoryview)):
        return bytes(data)  # pyright: ignore[reportUnknownArgumentType]
    raise TypeError(f"a WSGI body is bytes, not {type(data).__name__}")
