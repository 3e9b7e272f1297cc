"""Cuts a message that is longer than the credit into pieces, as credit comes.

A message may have any length. A piece is as long as the receiver allows at that moment, and
MAX_BODY at most. Every byte is copied once, into its piece: to cut a piece off the rest each time
would cost the square of the message's length.
"""

from typing import Generic, TypeVar, cast

Data = TypeVar("Data", bytes, str, bytes | str)


class Fragmenter(Generic[Data]):
    """One message on its way out: binary, or text, which is measured and cut as UTF-8 and never
    within a character (RFC 6455 section 5.6, SPEC.md 7.4)."""

    __slots__ = ("_data", "_offset", "_utf8", "done")

    def __init__(self, data: Data) -> None:
        """Raises UnicodeEncodeError, a ValueError, for a text that UTF-8 cannot carry (a lone
        surrogate): before the first piece, as a message that has begun cannot be taken back."""
        self._data: Data = data
        self._utf8: bytes | None = None
        """The text as UTF-8; None if an index counts bytes already (binary, ASCII)."""
        if isinstance(data, str) and not data.isascii():
            self._utf8 = data.encode()
        self._offset = 0
        self.done = False
        """Whether all of the message was taken."""

    @property
    def size(self) -> int:
        """Bytes of the message that are in memory, or characters of a text that is ASCII."""
        return len(self._data) if self._utf8 is None else len(self._utf8)

    @property
    def begun(self) -> bool:
        """Whether a part of the message was taken."""
        return self.done or self._offset > 0

    def take(self, limit: int) -> Data | None:
        """Returns the next piece, of `limit` bytes at most (a text is measured as UTF-8). None if
        the limit does not allow a single byte or character, and when all was taken. Only an empty
        message has an empty piece, which a limit of 0 allows and one below does not: then there is
        no credit for the overhead of a piece."""
        if self.done or limit < 0:
            return None
        whole = self._data if self._utf8 is None else self._utf8
        start, size = self._offset, len(whole)
        if size - start <= limit or not size:
            end = size
        elif limit <= 0:
            return None
        else:
            end = start + limit
            if self._utf8 is not None:
                end = _character_border(self._utf8, end)
                if end == start:
                    return None
        self._offset = end
        self.done = end == size
        if start == 0 and self.done:
            return self._data
        piece = whole[start:end]
        return cast("Data", piece if self._utf8 is None else cast("bytes", piece).decode())


def _character_border(utf8: bytes, index: int) -> int:
    """The last border between two characters at or before the index: a byte of the form 10xxxxxx
    continues a character (RFC 3629 section 3)."""
    while utf8[index] & 0xC0 == 0x80:
        index -= 1
    return index
