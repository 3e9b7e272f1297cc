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
        """Behind what waits. Many small buffers become one, so that what a peer leaves lying takes
        hardly more memory than its bytes."""
        if data:
            buffers = self.buffers
            buffers.append(data)
            self.size += len(data)
            if len(buffers) > MOST_BUFFERS:
                joined = b"".join(buffers)
                buffers.clear()
                buffers.append(joined)

    def add_all(self, buffers: Iterable[bytes]) -> None:
        for data in buffers:
            self.add(data)

    def sent(self, count: int) -> None:
        """The socket took the first `count` bytes, at most `size`."""
        self.size -= count
        buffers = self.buffers
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
