"""Takes the compression off a client's messages, step by step (RFC 7692). Pure.

DEFLATE makes a thousand bytes of one, so a client that has sent 16 KiB may have us make 16 MiB. Who
gives zlib all that has come gets all of it back, in one call that holds the process. So bytes are
fed here, and taken out in steps of `MOST_INFLATED` bytes, between which others have their turn.

A client may end its DEFLATE stream in the middle of a message (RFC 7692 section 7.2.3.4 has it end
one with each message). What follows is the next stream. zlib would keep it in `unused_data`, which
grows with each call and counts for no limit. Beginning a stream costs more than ending one, so each
end is a step of its own.
"""

import zlib
from typing import Final, Protocol

MOST_INFLATED: Final = 65_536
"""Plain bytes that one step gives at most."""
_TAIL: Final = b"\0\0\xff\xff"
"""What a sender has left out at the end of each message (RFC 7692 section 7.2.1)."""
_BEHIND_END: Final = frozenset({_TAIL, b"\0" + _TAIL})
"""What is left of a message that has ended its stream: the tail that nobody needs then."""


class _Stream(Protocol):
    """zlib's object, which has no public name."""

    @property
    def eof(self) -> bool: ...
    @property
    def unconsumed_tail(self) -> bytes: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, max_length: int, /) -> bytes: ...


class Inflater:
    """One direction of a WebSocket. Messages follow each other, and may share a window."""

    __slots__ = ("_bits", "_forgets", "_is_last", "_packed", "_stream", "pending")

    def __init__(self, window_bits: int, *, forgets: bool) -> None:
        """`forgets`: each message has a window of its own, and between them there is none."""
        self._bits = window_bits
        self._forgets = forgets
        self._stream: _Stream | None = None
        self._packed = b""
        self._is_last = False
        """Whether the last bytes of the message have come."""
        self.pending = False
        """Whether there are steps to be made. Nothing may be fed meanwhile, except for the rest of
        the same message."""

    def feed(self, packed: bytes, last: bool) -> None:
        """Takes bytes of a message. `last`: they are its last ones, and may be none."""
        self._packed += packed + _TAIL if last else packed
        self._is_last = last
        self.pending = bool(self._packed)

    def step(self) -> bytes:
        """Returns the next plain bytes, which may be none. Raises zlib.error for what is no
        DEFLATE."""
        stream = self._stream
        if stream is None:
            stream = self._stream = zlib.decompressobj(-self._bits)
        plain = stream.decompress(self._packed, MOST_INFLATED)
        if stream.eof:
            self._packed, self._stream = stream.unused_data, None
            if self._is_last and self._packed in _BEHIND_END:
                self._packed = b""
            self.pending = bool(self._packed)
        else:
            self._packed = stream.unconsumed_tail
            # A full step may have left bytes in zlib though it has read all that has come.
            self.pending = bool(self._packed) or len(plain) == MOST_INFLATED
        if self._is_last and not self.pending and self._forgets:
            self._stream = None
        return plain

    @property
    def held(self) -> int:
        """Bytes that were fed and have not been read."""
        return len(self._packed)

    @property
    def message_over(self) -> bool:
        """Whether the last step was the last one of its message."""
        return self._is_last and not self.pending

    def drop(self) -> None:
        """Forgets what was fed; nobody wants it any more."""
        self._packed, self.pending = b"", False
