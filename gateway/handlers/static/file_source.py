"""The source of a response that is a file, or parts of one.

It pushes as a worker's call does: at most its window ahead of the client, and more when the client
has taken some (`consumed`). So a slow reader of a large file costs a window of memory, and one open
file. What is pushed comes from the page cache; what is not there is read by a thread meanwhile.

The response has said how long it is, and the file may become shorter before its end is read. Then
the response is cut visibly. What is appended is not sent, and a file that is replaced is another
one: the one that was opened goes out whole.
"""

import os
from collections import deque
from collections.abc import Iterable
from logging import getLogger
from typing import Final

from ....protocol.messages import WINDOW
from ...exchange import end_codes
from ...exchange.exchange import Account, Exchange, log_facts, log_tail
from .disk_threads import DiskThreads, read_from_memory
from .ranges import Part

log = getLogger("propylon.gateway")

PIECE: Final = 65_536
"""Bytes of one read. A response that is not longer goes out in one piece."""


class FileSource:
    """A `Source`. It owns the descriptor."""

    __slots__ = ("_credit", "_disk", "_exchange", "_fd", "_name", "_reading", "_todo")

    def __init__(
        self,
        exchange: Exchange,
        fd: int,
        name: str,
        todo: Iterable[bytes | Part],
        disk: DiskThreads,
    ) -> None:
        """`todo` is what the body is made of, in order: bytes, and parts of the file. `name` is the
        file's, for the log."""
        self._exchange = exchange
        self._fd = fd
        self._name = name
        self._todo = deque(todo)
        self._disk = disk
        self._credit = WINDOW
        self._reading = False
        """Whether a thread reads what comes next."""

    def begin(self) -> None:
        """Pushes the beginning; the head is on its way."""
        self._push()

    # -- as a source -------------------------------------------------------------------------

    def account(self) -> Account | None:
        return None

    @property
    def send_credit(self) -> int:
        return 0  # a request for a file has no use for a body

    def send_body(self, data: bytes, more: bool) -> None:
        """Ignores the request's body."""

    def consumed(self, count: int) -> None:
        self._credit += count
        self._push()

    def abandon(self, code: int, reason: str) -> None:
        self.close()

    def close(self) -> None:
        """Closes the file, once."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)

    # -- the file ----------------------------------------------------------------------------

    def _push(self) -> None:
        while self._fd >= 0 and self._todo and self._credit > 0 and not self._reading:
            piece = self._todo[0]
            if isinstance(piece, bytes):
                self._todo.popleft()
                self._send(piece)
                continue
            size, again = min(PIECE, self._credit, piece.size), -1
            try:
                data = read_from_memory(self._fd, size, piece.start)
                if data is None:
                    again = os.dup(self._fd)
            except OSError as error:
                data = error
            if data is None:
                self._reading = True
                self._disk.read(again, size, piece.start, self._was_read)
            else:
                self._take(data)
        if self._fd >= 0 and not self._todo:
            self.close()
            self._exchange.give_end(end_codes.GATEWAY_FILE)
            self._exchange.sink.end(self._exchange)

    def _was_read(self, found: bytes | OSError) -> None:
        self._reading = False
        if self._fd >= 0:  # else nobody waits for it any more
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
            rest = Part(part.start + len(found), part.stop)
            if rest.size:
                self._todo[0] = rest
            else:
                self._todo.popleft()
            self._send(found)

    def _send(self, data: bytes) -> None:
        self._credit -= len(data)
        self._exchange.sink.body(self._exchange, data)

    def _break_off(self, what: str) -> None:
        exchange = self._exchange
        tail, facts = log_tail(exchange), log_facts(exchange)
        log.error("the file %s %s%s", self._name, what, tail, extra=facts)
        self._todo.clear()
        self.close()
        exchange.give_end(end_codes.GATEWAY_FILE_BROKE)
        exchange.sink.fail(exchange, 500, "The file could not be read to its end.")
