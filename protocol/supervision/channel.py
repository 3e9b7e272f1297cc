"""One end of a channel between a supervisor and a child: the same class on either end.

The problem. Both ends live in processes with something better to do than to wait for the other: a
supervisor that is stopped in a debugger must not hold up an app, and a child that hangs must not
hold up the supervisor. So neither may block in a write. Messages that are not written yet have to
wait somewhere, and for a peer that never reads they would wait for ever and grow. But of most
messages only the latest counts: the workers that are linked now, not those that were. So of each
kind one waits, in the order of the latest ones; the memory is bounded by the number of kinds, pools
and children. A sign of life that cannot go out at once is worth nothing later, and is dropped.

Lines are never torn: if the socket took a part of one, it is finished before another begins.

The class never waits and knows no event loop. It is given a socket that does not block; its driver
calls `hear` when the socket is readable, and `flush` when it is writable and something waits. The
drivers are `gateway.process` (trio), `worker.process.supervisor_channel` (the host looks ten times
a second), `worker.process.zygote` (poll) and `gateway.supervisor.process.child` (trio).
"""

from collections.abc import Callable, Sequence
from typing import Final, Generic, Protocol, TypeVar

from .codec import LONGEST_LINE, WIRE, key_of, line_of
from .messages import Order, Report

MOST_WAITING: Final = 1_024
"""The number of messages that wait at most. A further one is dropped: the peer has not read for a
very long time."""
READ_SIZE: Final = 65_536
MOST_READS: Final = 16
"""Reads in a row, because a peer that never stops must not keep the process busy."""
LAST_WORDS: Final = 5.0
"""Seconds that the peer has to take the messages of a process that is about to end."""
NAP: Final = 0.01

Heard = TypeVar("Heard")


class StreamSocket(Protocol):
    """The part of a non-blocking socket that a channel uses."""

    def send(self, data: bytes, /) -> int: ...

    def recv(self, size: int, /) -> bytes: ...


class LineReader:
    """Cuts a stream into lines. A line that is too long is dropped to its end."""

    __slots__ = ("_begun",)

    def __init__(self, unread: bytes = b"") -> None:
        self._begun = bytearray(unread)

    @property
    def unread(self) -> bytes:
        """The beginning of a line that has not come to its end."""
        return bytes(self._begun)

    def feed(self, data: bytes) -> list[bytes]:
        """Takes bytes, and returns the lines that are complete now, without line feeds."""
        first, *rest = data.split(b"\n")
        self._begin(first)
        if not rest:
            return []
        lines = [bytes(self._begun), *rest[:-1]]
        self._begun.clear()
        self._begin(rest[-1])
        return [line for line in lines if len(line) <= LONGEST_LINE]

    def _begin(self, data: bytes) -> None:
        # One byte more than a line may have, so that it is seen to be too long.
        self._begun += data[: LONGEST_LINE + 1 - len(self._begun)]


class Channel(Generic[Heard]):
    __slots__ = ("_lines", "_read", "_rest", "_send_fds", "_sock", "_waiting", "ended")

    def __init__(
        self,
        sock: StreamSocket,
        read: Callable[[bytes], Heard | None],
        unread: bytes = b"",
        send_fds: Callable[[bytes, Sequence[int]], int] | None = None,
    ) -> None:
        """`read` makes a message of a line, or None. `unread` is the part of a line that an earlier
        owner of the socket has read. `send_fds` sends descriptors along with the data."""
        self._sock = sock
        self._read = read
        self._send_fds = send_fds
        self._lines = LineReader(unread)
        self._rest = b""
        """The rest of a line of which the socket took a part."""
        self._waiting: dict[tuple[str, object], tuple[bytes, Sequence[int]]] = {}
        self.ended = False
        """Whether the peer has gone and nothing more will come."""

    # -- what is said ------------------------------------------------------------------------

    @property
    def all_said(self) -> bool:
        return not self._rest and not self._waiting

    @property
    def waiting_size(self) -> int:
        """How many bytes wait."""
        return len(self._rest) + sum(len(line) for line, _ in self._waiting.values())

    def say(self, message: Report | Order, fds: Sequence[int] = ()) -> None:
        """Sends a message, now or with a later `flush`. `fds` have to stay open until
        `all_said`."""
        key = key_of(message)
        self._waiting.pop(key, None)  # the later one goes behind the messages between them
        if len(self._waiting) < MOST_WAITING:
            self._waiting[key] = line_of(message), fds
        self.flush()
        if WIRE[type(message)].kept == "dropped":  # unless the socket took a part of it
            self._waiting.pop(key, None)

    def withdraw(self, message: Report | Order) -> None:
        """Takes back a message that has not begun to go out."""
        self._waiting.pop(key_of(message), None)

    def flush(self) -> bool:
        """Sends what waits, as far as the socket takes it. Returns whether nothing waits any
        more."""
        while self._rest or self._waiting:
            fds: Sequence[int] = ()
            line, key = self._rest, None
            if not line:
                key, (line, fds) = next(iter(self._waiting.items()))
            try:
                sent = self._send(line, fds)
            except (BlockingIOError, InterruptedError):
                return False
            except OSError:
                # The peer has gone; `hear` will notice.
                self._waiting.clear()
                self._rest = b""
                return True
            if key is not None:
                del self._waiting[key]
            self._rest = line[sent:]
        return True

    def _send(self, line: bytes, fds: Sequence[int]) -> int:
        if not fds:
            return self._sock.send(line)
        assert self._send_fds is not None, "this channel carries descriptors"
        return self._send_fds(line, fds)

    def flush_before_exit(
        self, clock: Callable[[], float], sleep: Callable[[float], object]
    ) -> None:
        """Waits until all is sent, for a bounded time, when the process is about to end."""
        until = clock() + LAST_WORDS
        while not self.flush() and clock() < until:
            sleep(NAP)

    # -- what is heard -----------------------------------------------------------------------

    @property
    def unread(self) -> bytes:
        """The beginning of a line that has not come to its end, for the next owner."""
        return self._lines.unread

    def hear(self) -> list[Heard]:
        """Returns the messages that have come. A socket that was not read to its end is readable
        still."""
        found: list[Heard] = []
        for _ in range(MOST_READS):
            if self.ended:
                break
            try:
                data = self._sock.recv(READ_SIZE)
            except (BlockingIOError, InterruptedError):
                break
            except OSError:
                data = b""  # reset: it was killed with our messages unread
            self.ended = not data
            for line in self._lines.feed(data):
                if (message := self._read(line)) is not None:
                    found.append(message)
        return found
