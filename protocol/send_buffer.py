"""Bytes that wait for a socket to take them.

They stay in the buffers in which they came, because `sendmsg` takes a list of buffers. `send` is
the one loop that sends what is left, for both ends of a link. It is given the socket's `sendmsg`
and so knows no socket. A driver that sends by itself calls `sendmsg` with `buffers` and reports to
`sent` how many bytes it took.
"""

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Final, Literal

MOST_BUFFERS: Final = 1_024
"""Buffers that one `sendmsg` takes (IOV_MAX, limits.h). With more it sends nothing (EMSGSIZE)."""


class SendBuffer:
    __slots__ = ("buffers", "size")

    def __init__(self) -> None:
        self.buffers: deque[bytes | memoryview] = deque()
        """The buffers for `sendmsg`: never more than it takes, and none of them empty."""
        self.size: int = 0
        """Bytes in all buffers."""

    def __bool__(self) -> bool:
        return bool(self.buffers)

    def add(self, data: bytes | memoryview) -> None:
        """Adds bytes behind those that wait."""
        self.add_all((data,))

    def add_all(self, buffers: Iterable[bytes | memoryview]) -> None:
        """Adds buffers behind those that wait. Many small ones are joined, so that bytes which a
        peer does not take need hardly more memory than themselves."""
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
        """Removes the first `count` bytes, which the socket took."""
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
        """Sends the bytes that wait, and then the batches that `refill` returns, until it returns
        none.

        Returns "sent" then, or "blocked" as soon as the socket takes no more; it is to be called
        again when the socket is writable. Raises OSError, as `sendmsg` does, if the peer is gone.
        """
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
        """Drops the bytes that wait."""
        self.buffers.clear()
        self.size = 0
