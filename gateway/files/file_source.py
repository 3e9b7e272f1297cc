"""The source of a response that is a file, or parts of one.

It pushes as a worker's call does: at most its window ahead of the client, and more when the client
has taken some (`consumed`). What is in the page cache is handed to the sink as a piece of the file.
A plain connection leaves it there until the kernel sends it, so that to be far ahead of the client
costs nothing, and a larger window saves turns. Any other sink makes bytes of it, and a slow reader
costs a window of memory. What is not in the page cache is read by a thread meanwhile, because the
loop must never wait for a disk.

The response has said how long it is, and the file may become shorter before its end is read. Then
the response is cut visibly. What is appended is not sent, and a file that is replaced is another
one: the one that was opened goes out whole.
"""

from collections import deque
from collections.abc import Callable, Iterable
from functools import partial
from logging import getLogger
from typing import Final

from ...protocol.messages import WINDOW
from ..exchange import end_codes
from ..exchange.exchange import Account, Exchange, log_facts, log_tail
from .disk_file import DiskFile
from .disk_threads import DiskThreads, on_the_loop
from .page_cache import is_in_memory, read_from_memory
from .ranges import Part

log = getLogger("propylon.gateway")

PIECE: Final = 65_536
"""Bytes of one read. A response that is not longer goes out in one piece."""
FILE_WINDOW: Final = 1_048_576
"""Bytes that may be under way while they stay in the file. As much may go to one client in a
turn."""
FILE_PIECE: Final = 262_144
"""Bytes of a file that are looked for in memory together, or read by a thread together, if not all
of it is there."""
Done = Callable[[bytes | OSError], None]


class SentFile:
    """An `OpenFile` of the exchange: a file, and who waits for the disk that it lies on."""

    __slots__ = ("_disk", "_file")

    def __init__(self, file: DiskFile, disk: DiskThreads) -> None:
        self._file = file
        self._disk = disk

    @property
    def fd(self) -> int:
        return self._file.fd

    @property
    def name(self) -> str:
        return self._file.name

    def read(self, offset: int, count: int) -> bytes:
        return self._file.read(offset, count)

    def read_from_memory(self, offset: int, count: int) -> bytes | None:
        return read_from_memory(self._file, offset, count)

    def read_slowly(self, offset: int, count: int, done: Done) -> None:
        """Has a thread read up to `count` bytes, and calls `done` with them, or with the error."""
        self._disk.run(partial(self._file.read_slowly, offset, count), done)

    def is_in_memory(self, offset: int, count: int) -> bool:
        try:
            return is_in_memory(self._file, offset, count)
        except OSError:
            return True  # whoever sends it is told the same

    def bring(self, offset: int, count: int, then: Callable[[], None]) -> None:
        self.read_slowly(offset, count, lambda _: then())


class OpeningSource:
    """The source of a response whose file is being opened, or looked at, by a thread."""

    __slots__ = ("_account",)

    def __init__(self, account: Account | None) -> None:
        """`account` is that of the app."""
        self._account = account

    def account(self) -> Account | None:
        return self._account

    @property
    def send_credit(self) -> int:
        return 0  # the app has answered, and needs no more of the request's body

    def send_body(self, data: bytes, more: bool) -> None:
        """Ignores the request's body."""

    def consumed(self, count: int) -> None:
        """Does nothing: nothing was sent."""

    def abandon(self, code: int, reason: str) -> None:
        """Does nothing: `on_the_loop` finds that the exchange is over."""

    @property
    def is_running(self) -> bool:
        return False


class FileSource:
    """A `Source`."""

    __slots__ = (
        "_account",
        "_credit",
        "_end_code",
        "_exchange",
        "_file",
        "_reading",
        "_todo",
        "_window",
    )

    def __init__(
        self,
        exchange: Exchange,
        file: DiskFile,
        todo: Iterable[bytes | Part],
        disk: DiskThreads,
    ) -> None:
        """`todo` is what the body is made of, in order: bytes, and parts of the file. If the
        exchange has a source already, the response is that one's (an app has handed the file over),
        and so are the account and the end."""
        source = exchange.source
        self._account = None if source is None else source.account()
        self._end_code = end_codes.GATEWAY_FILE if source is None else ""
        self._exchange = exchange
        self._file: SentFile | None = SentFile(file, disk)
        self._todo = deque(todo)
        self._credit = self._window = WINDOW
        self._reading = False
        """Whether a thread reads what comes next."""

    def begin(self) -> None:
        """Pushes the beginning; the head is on its way."""
        self._push()

    # -- as a source -------------------------------------------------------------------------

    def account(self) -> Account | None:
        return self._account

    @property
    def send_credit(self) -> int:
        return 0  # a request for a file has no use for a body

    def send_body(self, data: bytes, more: bool) -> None:
        """Ignores the request's body."""

    def consumed(self, count: int) -> None:
        self._credit += count
        self._push()

    def abandon(self, code: int, reason: str) -> None:
        self._file = None

    @property
    def is_running(self) -> bool:
        return False

    # -- the file ----------------------------------------------------------------------------

    def _push(self) -> None:
        while self._todo and self._credit > 0 and not self._reading:
            file, piece = self._file, self._todo[0]
            if file is None:
                return
            if isinstance(piece, bytes):
                self._todo.popleft()
                self._send(piece)
                continue
            try:
                if not self._send_from(file, piece):
                    self._read(file, piece)
            except OSError as error:
                self._break_off(f"could not be read to its end: {error.strerror}")
        if self._file is not None and not self._todo:
            self._file = None
            self._exchange.give_end(self._end_code)
            self._exchange.sink.end(self._exchange)

    def _send_from(self, file: SentFile, part: Part) -> bool:
        """Sends a piece of the file as it lies in memory. Returns whether it does."""
        size = min(self._credit, part.size)
        if not file.is_in_memory(part.start, size):
            size = min(FILE_PIECE, size)
            if not file.is_in_memory(part.start, size):
                return False
        self._credit -= size
        self._sent(part, size)
        if self._exchange.sink.file(self._exchange, file, part.start, size):
            self._credit += FILE_WINDOW - self._window
            self._window = FILE_WINDOW
        return True

    def _read(self, file: SentFile, part: Part) -> None:
        """Reads a piece: what memory has of a file that has become shorter, else in a thread."""
        size = min(PIECE, self._credit, part.size)
        data = file.read_from_memory(part.start, size)
        if data is not None:
            self._take(data)
        else:
            size = min(FILE_PIECE, self._credit, part.size)
            self._reading = True
            file.read_slowly(part.start, size, on_the_loop(self._exchange, self._was_read))

    def _was_read(self, found: bytes | OSError) -> None:
        self._reading = False
        if self._file is not None:  # else nobody waits for it any more
            self._take(found)
            self._push()

    def _take(self, found: bytes | OSError) -> None:
        """Sends what was read of the part that is the next."""
        part = self._todo[0]
        assert isinstance(part, Part), "only parts are read"
        if isinstance(found, OSError):
            self._break_off(f"could not be read to its end: {found.strerror}")
        elif not found:
            self._break_off(f"became shorter while it was sent: {part.start} bytes are left")
        else:
            self._sent(part, len(found))
            self._send(found)

    def _sent(self, part: Part, size: int) -> None:
        """Notes that the part, which is the next, has begun to be sent."""
        rest = Part(part.start + size, part.stop)
        if rest.size:
            self._todo[0] = rest
        else:
            self._todo.popleft()

    def _send(self, data: bytes) -> None:
        self._credit -= len(data)
        self._exchange.sink.body(self._exchange, data)

    def _break_off(self, what: str) -> None:
        exchange, name = self._exchange, "" if self._file is None else self._file.name
        tail, facts = log_tail(exchange), log_facts(exchange)
        log.error("the file %s %s%s", name, what, tail, extra=facts)
        self._todo.clear()
        self._file = None
        exchange.give_end(end_codes.GATEWAY_FILE_BROKE)
        exchange.sink.fail(exchange, 500, "The file could not be read to its end.")
