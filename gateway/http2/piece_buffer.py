"""A body that waits to be sent, in the pieces in which it came. Pure.

A response comes in pieces of one size, and goes out in frames of another. To join all that waits in
one buffer would copy each byte twice more. Here a frame is cut out of the pieces, and a piece that
fits is the frame.
"""

from typing import Final

MOST_SMALL_PIECES: Final = 256
"""Pieces behind which they are joined: one of a byte takes fifty of memory."""


class PieceBuffer:
    __slots__ = ("_at", "_pieces", "size")

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self._at = 0
        """Bytes of the first piece that are gone."""
        self.size = 0
        """Bytes that wait."""

    def add(self, data: bytes) -> None:
        if data:
            self._pieces.append(data)
            self.size += len(data)
            if len(self._pieces) > MOST_SMALL_PIECES:
                joined = self.take(self.size)
                self._pieces, self.size = [joined], len(joined)

    def take(self, count: int) -> bytes:
        """Takes the first `count` bytes; there have to be as many."""
        pieces, at = self._pieces, self._at
        self.size -= count
        parts: list[bytes] = []
        while count:
            first = pieces[0]
            left = len(first) - at
            if count < left:
                parts.append(first[at : at + count])
                at += count
                break
            parts.append(first[at:] if at else first)
            del pieces[0]
            count -= left
            at = 0
        self._at = at
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def clear(self) -> None:
        self._pieces.clear()
        self._at = self.size = 0
