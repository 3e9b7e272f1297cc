"""Bytes on their way into a socket that takes as many of them as it likes.

They lie in the buffers in which they came and are not joined for the road: `sendmsg` takes a list.
`send` is the one loop that sends what is left, for both ends of a link; it is given the socket's
`sendmsg` and so knows no socket. A driver that sends by itself calls `sendmsg` with `buffers` and
says to `sent` what it took.
"""

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Final, Literal

MOST_BUFFERS: Final = 1_024
"""Buffers that one `sendmsg` takes (IOV_MAX, limits.h): more are EMSGSIZE, with nothing sent."""


class SendBuffer:
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

    def send(
        self,
        sendmsg: Callable[[Iterable[bytes | memoryview]], int],
        refill: Callable[[], Sequence[bytes]],
    ) -> Literal["sent", "blocked"]:
        """Sends what is here, and then what `refill` gives, batch by batch, until that is nothing:
        "sent"; or until the socket takes no more: "blocked", and it is to be asked again when it is
        writable. Raises what `sendmsg` raises when nobody is there (OSError)."""
        while True:
            if not self.size:
                batch = refill()
                if not batch:
                    return "sent"
                self.add_all(batch)
            try:
                self.sent(sendmsg(self.buffers))
            except (BlockingIOError, InterruptedError):
                return "blocked"
            if self.size:
                return "blocked"

    def clear(self) -> None:
        """Nothing of it will go out."""
        self.buffers.clear()
        self.size = 0
