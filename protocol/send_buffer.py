"""Bytes on their way into a socket that takes as many of them as it likes.

They lie in the buffers in which they came and are not joined for the road: `sendmsg` takes a list.
Who has the socket calls it with `buffers` and says to `sent` what it took.
"""

from collections import deque
from collections.abc import Iterable
from typing import Final

MOST_BUFFERS: Final = 1_024
"""Buffers that one `sendmsg` takes (IOV_MAX, limits.h): more are EMSGSIZE, with nothing sent."""


class Unsent:
    __slots__ = ("buffers", "size")

    def __init__(self) -> None:
        self.buffers: deque[bytes | memoryview] = deque()
        """What `sendmsg` is to be given: never more than it takes, none of them empty."""
        self.size = 0
        """Bytes in them."""

    def __bool__(self) -> bool:
        return bool(self.buffers)

    def add(self, data: bytes | memoryview) -> None:
        """Behind what waits."""
        self.add_all((data,))

    def add_all(self, buffers: Iterable[bytes | memoryview]) -> None:
        """As `add`. Many small buffers become one, so that what a peer leaves lying takes hardly
        more memory than its bytes."""
        kept, size = self.buffers, self.size
        for data in buffers:
            if data:
                kept.append(data)
                size += len(data)
                if len(kept) > MOST_BUFFERS:
                    joined = b"".join(kept)
                    kept.clear()
                    kept.append(joined)
        self.size = size

    def sent(self, count: int) -> None:
        """The socket took the first `count` bytes, at most `size`."""
        buffers = self.buffers
        if count == self.size:
            self.size = 0
            buffers.clear()
            return
        self.size -= count
        while count:
            first = buffers[0]
            if count < len(first):
                buffers[0] = memoryview(first)[count:]
                return
            count -= len(first)
            buffers.popleft()

    def clear(self) -> None:
        """Nothing of it will go out."""
        self.buffers.clear()
        self.size = 0
