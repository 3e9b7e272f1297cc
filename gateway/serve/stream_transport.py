"""A transport that is one stream of an HTTP/2 connection: a WebSocket stands on it (RFC 8441).

The socket below is the connection's, with all of its streams. What one of them has to wait for is
its own window, so `blocked`, `kept` and `send_by` are those of the stream. What the WebSocket does
not read stays in the stream, and the client may send no more of it than the stream's window; the
others go on.
"""

from collections.abc import Callable, Iterable
from logging import getLogger
from typing import TYPE_CHECKING, ClassVar

from ..http2.engine import ErrorCode
from ..transport.file_buffer import SendableFile
from ..transport.poller import Watched, read_now

if TYPE_CHECKING:
    from typing import Protocol

    class WebSocketStream(Protocol):
        """The stream, as its transport sees it."""

        send_by: float

        @property
        def buffered(self) -> int: ...
        @property
        def has_ended(self) -> bool: ...
        @property
        def kept(self) -> int: ...
        def take(self) -> bytes: ...
        def keep(self, data: bytes) -> None: ...
        def end_sending(self, code: ErrorCode | None) -> None: ...
        def takes_too_little(self, now: float) -> bool: ...
        def call_soon(self, call: Callable[[], None]) -> None: ...


log = getLogger("propylon.gateway")


class StreamTransport:
    """A `Transport`."""

    __slots__ = (
        "_goes_on",
        "_gone",
        "_is_shut",
        "_knows_end",
        "_moved",
        "_owner",
        "_rest",
        "_stream",
        "_taken",
        "closed",
        "deaf",
        "fault",
        "paused",
    )

    sends_files: ClassVar[bool] = False

    def __init__(self, stream: "WebSocketStream") -> None:
        self._stream = stream
        self._owner: Watched | None = None
        self._gone = False
        """Whether the client has reset the stream, or left."""
        self._rest = b""
        """What it had sent before."""
        self._knows_end = False
        """Whether the owner was told of the client's end."""
        self._is_shut = False
        self._goes_on = False
        self._taken = 0
        """Bytes that have gone out since `send_kept` has told of them."""
        self._moved = False
        self.paused = False
        self.deaf = False
        self.closed = False
        self.fault = ""

    # -- from the stream ---------------------------------------------------------------------

    def received(self) -> None:
        """Notes that the client has sent something, or its end."""
        if self._owner is None or self.closed or self._goes_on:
            return
        if not self.paused or self._gone or (self._stream.has_ended and not self.deaf):
            read_now(self._owner)

    def sent(self, count: int) -> None:
        """Notes that the client was sent so many bytes of what waited."""
        self._taken += count
        self._moved = True
        if self._owner is not None and not self.closed:
            try:
                self._owner.writable()
            except Exception:
                # The barrier that the poller is for a socket: the other streams go on.
                log.exception("a stream's owner failed")
                self._owner.cut()

    def client_left(self) -> None:
        """Notes that nobody is there any more."""
        if not self.closed:
            self._gone = True
            self._rest = self._stream.take()
            self.received()

    # -- a transport -------------------------------------------------------------------------

    @property
    def kept(self) -> int:
        return self._stream.kept

    @property
    def held(self) -> int:
        return 0  # the connection counts what its streams hold

    @property
    def blocked(self) -> bool:
        return self._stream.kept > 0

    @property
    def send_by(self) -> float:
        return self._stream.send_by

    def join(self, owner: Watched) -> None:
        self._owner = owner
        if self._stream.buffered or self._stream.has_ended:
            self.go_on()

    def recv(self) -> bytes | None:
        if self._gone:
            if not self._rest:
                self._knows_end = True
                raise ConnectionResetError("the client has reset the stream")
            data, self._rest = self._rest, b""
            self.go_on()
            return data
        data = self._stream.take()
        if data:
            if self._stream.has_ended:
                self.go_on()  # there will be no event for the end
            return data
        if not self._stream.has_ended:
            return None
        self._knows_end = True
        return b""

    @property
    def pending(self) -> bool:
        if self.closed or self._knows_end:
            return False
        stream = self._stream
        return self._gone or (not self.paused and (stream.buffered > 0 or stream.has_ended))

    def drop(self) -> bool:
        return self.recv() != b""

    def send(self, data: bytes) -> None:
        if self._gone or self._is_shut:
            raise BrokenPipeError("the stream has ended")
        if data:
            self._stream.keep(data)

    def gather(self, buffers: Iterable[bytes]) -> bool:
        is_first = not self._stream.kept
        self._stream.keep(b"".join(buffers))
        return is_first

    def gather_file(self, file: SendableFile, offset: int, count: int) -> bool:
        raise AssertionError("files are sent as bytes in frames")

    def send_kept(self) -> int:
        taken, self._taken = self._taken, 0
        return taken

    def moves(self) -> bool:
        moved, self._moved = self._moved, False
        return moved and self._stream.kept > 0

    def takes_too_little(self, now: float) -> bool:
        return self._stream.takes_too_little(now)

    def pause(self, paused: bool = True, *, deaf: bool = False) -> None:
        was, self.paused, self.deaf = self.paused, paused, deaf
        if was and not paused and (self._stream.buffered or self._stream.has_ended):
            self.go_on()

    def go_on(self) -> None:
        if not self._goes_on and not self.closed:
            self._goes_on = True
            self._stream.call_soon(self._call_owner)

    def _call_owner(self) -> None:
        self._goes_on = False
        if self._owner is not None and not self.closed:
            read_now(self._owner)

    def shut_writing(self) -> None:
        if not self._is_shut:
            self._is_shut = True
            self._stream.end_sending(None)

    def reset(self) -> None:
        if not self.closed:
            self.closed = True
            self._stream.end_sending(ErrorCode.CANCEL)

    def close(self) -> None:
        if not self.closed:
            self.closed = True
            self._stream.end_sending(None)
