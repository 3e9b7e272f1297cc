"""A client's socket: bytes out at once or kept, what epoll watches, and how it ends.

A complete response is sent at once. The parts of a longer one are gathered, so that what one turn
has of it is one `sendmsg`. What the kernel does not take is kept, in one queue and with one loop
that empties it (`send_kept`), and then the time runs in which the client must take some
(`send_by`). The sender looks at `kept`: a slow client must slow its own response and nothing else.
"""

import fcntl
import socket
import struct
import sys
import termios
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import ClassVar, Final

from ...protocol.send_buffer import SendBuffer
from .file_buffer import FileBuffer, FileFaultError, SendableFile
from .min_rate import MinRate, RateLimit
from .poller import HANGUP, READ, WRITE, Poller, Watched, read_now

READ_SIZE: Final = 65_536
MOST_BUFFERED: Final = 65_536
"""Bytes kept for a client at which its own bytes are no longer read."""
_DROPPED: Final = bytearray(READ_SIZE)
"""Room for bytes that nobody wants; only those of a Unix socket are written to it."""
LINGER: Final = 2.0
"""Seconds that a client has to read the end before the socket goes."""


@dataclass(frozen=True, slots=True)
class TransportContext:
    """The context that all client sockets of a process share."""

    poller: Poller
    clock: Callable[[], float]
    """The clock, in monotonic seconds."""
    send_timeout: float
    """Seconds within which the client has to take some of the bytes that are kept for it."""
    send_rate: RateLimit | None = None
    """How fast it has to take them; None: there is no limit."""


class ClientSocket:
    """A `Transport`: the socket as it is."""

    __slots__ = (
        "_at_close",
        "_context",
        "_deaf",
        "_events",
        "_is_new",
        "_joined",
        "_pace",
        "_queued",
        "_sock",
        "_unsent",
        "blocked",
        "closed",
        "fault",
        "paused",
        "send_by",
    )

    sends_files: ClassVar[bool] = True

    def __init__(self, sock: socket.socket, context: TransportContext) -> None:
        """Takes over a connected, non-blocking socket."""
        self._sock = sock
        self._context = context
        self._unsent: SendBuffer | FileBuffer = SendBuffer()
        """What the client has yet to take; with files, once one was sent."""
        self._events = READ
        self._is_new = True
        """Whether it has had no owner yet."""
        self._joined = False
        """Whether the poller watches it."""
        self._queued = 0
        self._pace: _Pace | None = None
        """How fast the client takes what is kept; None while nothing is, or nobody has asked."""
        self._at_close: Callable[[], None] | None = None
        self._deaf: bool = False
        """Whether a pause is deaf to the client's end."""
        self.paused = False
        """Whether the owner does not want to read."""
        self.blocked = False
        """Whether the kernel has refused some of what is kept, and will say when it takes more."""
        self.send_by = 0.0
        """Monotonic seconds by which the client must take some of what is kept; 0.0: nothing is."""
        self.closed = False
        self.fault = ""
        """Why a send has failed, if that was not the client's end."""

    def join(self, owner: Watched) -> None:
        """Gives the socket an owner, which the poller calls from now on. The first one reads at
        once. A client that asks with its first packet does not wait for another turn then, and one
        that has left already is never watched."""
        if self._joined:
            self._context.poller.take_over(self._sock.fileno(), owner)
            return
        if self._is_new:
            self._is_new = False
            self._context.poller.catch_up()  # clients are heard in their order
            read_now(owner)
            if self._joined or self.closed:
                return  # another owner has it by now, or nobody
        self._joined = True
        self._context.poller.add(self._sock.fileno(), owner, self._events)

    def at_close(self, call: Callable[[], None]) -> None:
        """Has `call` called when the socket is closed, by whatever owner it has then."""
        self._at_close = call

    @property
    def pending(self) -> bool:
        return False  # the poller tells of a socket again and again

    # -- in ----------------------------------------------------------------------------------

    def recv(self) -> bytes | None:
        """Reads once: returns b"" at the end, None if there is nothing. Raises OSError."""
        try:
            return self._sock.recv(READ_SIZE)
        except BlockingIOError:
            return None

    def drop(self) -> bool:
        """Reads once and drops it: the kernel does not even copy the bytes (MSG_TRUNC, tcp(7)).
        Returns whether more may come. Raises OSError."""
        try:
            return self._sock.recv_into(_DROPPED, READ_SIZE, socket.MSG_TRUNC) > 0
        except BlockingIOError:
            return True

    def peek(self, most: int) -> bytes | None:
        """Reads once as `recv` does, and leaves the bytes in the kernel."""
        try:
            return self._sock.recv(most, socket.MSG_PEEK)
        except BlockingIOError:
            return None

    def take(self, count: int) -> bytes:
        """Reads the first `count` of the bytes that were peeked at. Raises OSError."""
        return self._sock.recv(count) if count else b""

    def pause(self, paused: bool = True, *, deaf: bool = False) -> None:
        """Reads no more, or reads again. The client's end is noticed all the same, unless `deaf`:
        epoll says it again in every turn, to have read what is before it. A reset is noticed in
        any case."""
        if paused is not self.paused or deaf is not self._deaf:
            self.paused = paused
            self._deaf = deaf
            self._watch()

    def go_on(self) -> None:
        """Has the owner called in the next turn, for what it has received and not handled yet."""
        if not self.closed:
            self._context.poller.go_on(self._sock.fileno())

    # -- out ---------------------------------------------------------------------------------

    @property
    def kept(self) -> int:
        """Bytes that the client has yet to take, gathered ones included."""
        return self._unsent.size

    @property
    def held(self) -> int:
        """Bytes of these that are in memory."""
        unsent = self._unsent
        return unsent.in_memory if isinstance(unsent, FileBuffer) else unsent.size

    def send(self, data: bytes) -> None:
        """Sends what was gathered and `data`, or keeps what the kernel does not take. Raises
        OSError if the client is gone."""
        unsent = self._unsent
        if unsent.size:
            unsent.add(data)
            if not self.blocked:
                self.send_kept()
            return
        try:
            sent = self._sock.send(data)
        except BlockingIOError:
            sent = 0
        if sent < len(data):
            unsent.add(memoryview(data)[sent:])
            self._await_room()

    def gather(self, buffers: Iterable[bytes]) -> bool:
        """Keeps bytes until the end of the turn, which may have more for the client. Returns
        whether they are the first: then `send_kept` is to be called at the turn's end."""
        unsent = self._unsent
        first = not unsent.size
        unsent.add_all(buffers)
        return first

    def gather_file(self, file: SendableFile, offset: int, count: int) -> bool:
        """Keeps a piece of a file, as `gather` keeps bytes."""
        unsent = self._unsent
        if not isinstance(unsent, FileBuffer):
            self._unsent = unsent = FileBuffer(unsent, self._was_brought)
        is_first = not unsent.size
        unsent.add_file(file, offset, count)
        return is_first

    def send_kept(self) -> int:
        """Offers the kernel what is kept; returns how many bytes it took. Raises OSError."""
        unsent = self._unsent
        sent = 0
        if unsent.size:
            if isinstance(unsent, FileBuffer):
                sent = self._send_with_files(unsent)
            else:
                try:
                    sent = self._sock.sendmsg(unsent.buffers)
                except BlockingIOError:
                    pass
                unsent.sent(sent)
            if self._pace is not None:
                self._pace.accept(sent)
        if sent or not unsent.size:
            self.send_by = 0.0  # what is left has its whole time again
        if unsent.size:
            self._await_room()
        elif self.blocked:
            self.blocked = False
            self._pace = None
            self._watch()
        return sent

    def _send_with_files(self, files: FileBuffer) -> int:
        try:
            return files.send_to(self._sock)
        except FileFaultError as error:
            self.fault = error.strerror or ""
            raise

    def _was_brought(self) -> None:
        """What comes next is in memory again: the poller says when the kernel takes it."""
        if self.blocked and not self.closed:
            self._await_room()

    def _await_room(self) -> None:
        self.blocked = True
        if self._waits_for_file():
            self.send_by = 0.0  # it is not the client that is waited for
        elif not self.send_by:
            self.send_by = self._context.clock() + self._context.send_timeout
        self._watch()

    def moves(self) -> bool:
        """Whether the client has taken some of what the kernel holds for it since this was last
        asked, and has yet to take more."""
        before, self._queued = self._queued, self._in_kernel()
        return 0 < self._queued < before

    def takes_too_little(self, now: float) -> bool:
        """Whether the client takes what is kept for it too slowly. It is to be asked again and
        again. A client that takes some of what the kernel holds has its whole time again, though
        the kernel may have no room for more yet."""
        if not self.blocked or self._waits_for_file():
            return False
        context, in_kernel = self._context, self._in_kernel()
        pace = self._pace
        if pace is None:
            self._pace = _Pace(context, in_kernel, now)
            return False
        if pace.has_moved(in_kernel):
            self.send_by = now + context.send_timeout
        return pace.is_slow(now)

    def _in_kernel(self) -> int:
        """Bytes sent that the client's side has not acknowledged (SIOCOUTQ, tcp(7))."""
        try:
            answer = fcntl.ioctl(self._sock.fileno(), termios.TIOCOUTQ, bytes(4))
        except OSError:
            return 0
        return int.from_bytes(answer, sys.byteorder)

    def _watch(self) -> None:
        pause = 0 if self._deaf else HANGUP
        events = (pause if self.paused else READ) | (WRITE if self._wants_room() else 0)
        if events != self._events and not self.closed:
            self._events = events
            if self._joined:
                self._context.poller.want(self._sock.fileno(), events)

    def _wants_room(self) -> bool:
        """Whether there is something to send as soon as the kernel takes it."""
        return self.blocked and not self._waits_for_file()

    def _waits_for_file(self) -> bool:
        """Whether what comes next is not in memory."""
        return isinstance(self._unsent, FileBuffer) and self._unsent.brings

    # -- the end -----------------------------------------------------------------------------

    def shut_writing(self) -> None:
        """Ends the sending only. The client may still be sending, and to close over that would
        reset the connection and take our last bytes with it (RFC 9112 section 9.6). Raises
        OSError."""
        self._sock.shutdown(socket.SHUT_WR)
        self.pause(False)

    def reset(self) -> None:
        """Closes so that the client sees that something is missing."""
        if not self.closed:
            self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self._forget()

    def close(self) -> None:
        """Closes at once. It is harmless when called twice."""
        if not self.closed:
            self._forget()

    def _forget(self) -> None:
        self.closed = True
        self.blocked = False
        self._unsent.clear()
        self._context.poller.remove(self._sock.fileno())
        self._sock.close()
        if self._at_close is not None:
            self._at_close()


class _Pace:
    """How fast a client takes what is kept for it, from the first look on."""

    __slots__ = ("_accepted", "_rate", "_taken")

    def __init__(self, context: TransportContext, in_kernel: int, now: float) -> None:
        self._accepted = in_kernel
        """Bytes that the kernel has taken from us."""
        self._taken = 0
        """Bytes that the client has taken from the kernel, as of the last look."""
        limit = context.send_rate
        self._rate = None if limit is None else MinRate(limit, 0, now)

    def accept(self, count: int) -> None:
        self._accepted += count

    def has_moved(self, in_kernel: int) -> bool:
        """Whether the client has taken some since the last look; the kernel holds `in_kernel` bytes
        for it now."""
        before = self._taken
        self._taken = max(before, self._accepted - in_kernel)
        return self._taken > before

    def is_slow(self, now: float) -> bool:
        return self._rate is not None and self._rate.is_below(self._taken, now)
