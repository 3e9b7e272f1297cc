"""The body of a stream's request, as far as it has come and nobody has asked for it. Pure.

It is a `BodyReader`, and keeps the account of the client's window: what has come counts until
somebody has taken it, and the client may then send as much more.
"""

from typing import Final

from .request_fields import BodyLength

MOST_PIECES: Final = 64
"""Pieces that are kept as they came. One of a byte takes fifty of memory."""


class RequestBody:
    __slots__ = ("_length", "_pieces", "_untold", "buffered", "ended")

    def __init__(self) -> None:
        self._pieces: list[bytes | bytearray] = []
        self.buffered = 0
        """Bytes of it that are here."""
        self.ended = True
        """Whether the client has said everything, or nobody asks for the rest."""
        self._length: BodyLength | None = None
        self._untold = 0
        """Bytes of flow control that the client has used and was not given back."""

    @property
    def is_spent(self) -> bool:
        """Whether it has come to its end, and all of it was taken."""
        return self.ended and not self._untold

    def begin(self, length: BodyLength | None) -> None:
        """Begins one that is as long as `length` has it; None: it is no body of HTTP."""
        self.ended = False
        self._length = length

    def add(self, data: bytes, size: int, ended: bool) -> None:
        """Takes a piece; `size` is what it takes of the windows. Raises MalformedRequest and
        RequestError."""
        self.skip(size, ended)
        if self._length is not None:
            self._length.add(len(data), ended)
        if data:
            self._pieces.append(data)
            self.buffered += len(data)
            if len(self._pieces) > MOST_PIECES:
                self._join()

    def skip(self, size: int, ended: bool) -> None:
        """Takes a piece that nobody will ask for."""
        self._untold += size
        self.ended = ended

    def _join(self) -> None:
        first, *rest = self._pieces
        whole = first if isinstance(first, bytearray) else bytearray(first)
        whole += b"".join(rest)
        self._pieces = [whole]

    def end(self) -> None:
        """Notes that nobody asks for the rest."""
        self.ended = True

    @property
    def is_long_enough(self) -> bool:
        """Whether all that its Content-Length says has come, so that only the end is missing."""
        return self._length is not None and self._length.is_reached

    @property
    def body_complete(self) -> bool:
        return self.ended and not self.buffered

    def next_body(self) -> tuple[bytes, bool]:
        pieces = self._pieces
        if not pieces:
            return b"", not self.ended
        data = bytes(pieces[0]) if len(pieces) == 1 else b"".join(pieces)
        self._pieces = []
        self.buffered = 0
        return data, not self.ended

    def give_back(self, waiting: int) -> int:
        """Returns how much of the window the client gets back now, once, if `waiting` bytes of what
        was asked for still wait for somebody."""
        count = max(0, self._untold - self.buffered - waiting)
        self._untold -= count
        return count

    def drop(self) -> int:
        """Forgets what is here. Returns how much of the window the client gets back."""
        self._pieces = []
        self.buffered = 0
        return self.give_back(0)
