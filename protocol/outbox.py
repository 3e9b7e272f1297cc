"""Messages that wait to go out on a link, in the order in which they go.

A message waits behind the waiting bodies of the *same call* only. Control messages overtake bodies,
and bodies of different calls take turns. So a large download on one call costs the others the time
of one message. (FastCGI lacks this, and its multiplexing was therefore hardly ever used.)
"""

from collections import deque
from collections.abc import Callable, Sequence
from typing import Final

from .codec import encode
from .errors import LocalProtocolError
from .messages import Message, name_of

BATCH: Final = 262_144
"""Bytes that one `take` returns, and the rest of the message that exceeds them."""
SEND_BUFFER: Final = 2 * BATCH
"""Bytes of the send buffer that a driver asks its socket for. The default does not hold a batch,
and a Unix socket is writable again only when it is nearly empty."""
LARGE: Final = 4_096
"""Bytes from which a buffer is sent from where it lies; smaller ones are joined, since a copy of so
little costs less than one more buffer in a system call."""


class Outbox:
    __slots__ = (
        "_has_large",
        "_last",
        "_ready",
        "_schedule_flush",
        "_size",
        "bodies",
        "max_message",
    )

    def __init__(self, schedule_flush: Callable[[], None], max_message: int) -> None:
        """`schedule_flush` is called whenever the outbox has gone from empty to not empty; it may
        `take` at once."""
        self._schedule_flush = schedule_flush
        self._ready: list[bytes] = []
        self._size = 0
        self._has_large = False
        """Whether `_ready` has buffers that are too large to be copied."""
        self.bodies: dict[int, deque[Sequence[bytes]]] = {}
        """Call id -> its messages that take turns. Others may only look whether there are any."""
        self._last = b""
        self.max_message = max_message
        """Bytes of the largest message that the peer takes."""

    def __bool__(self) -> bool:
        return bool(self._ready or self.bodies or self._last)

    def limit(self, max_message: int) -> None:
        """Sets the largest message that the peer takes, which HELLO has announced."""
        self.max_message = max_message

    def encode(self, message: Message) -> bytes:
        """Encodes a message. Raises LocalProtocolError if it is too large for the peer, and what
        `codec.encode` raises. Every `put` takes encoded messages, so that a caller can encode
        first and change its own state afterwards."""
        data = encode(message)
        if len(data) > self.max_message:
            raise LocalProtocolError(
                f"{name_of(message[0])} takes {len(data)} bytes, "
                f"the peer's limit is {self.max_message}"
            )
        return data

    def put(self, data: bytes) -> None:
        """Queues a message that overtakes bodies."""
        ready = self._ready
        ready.append(data)
        self._size += len(data)
        if len(ready) == 1 and not self.bodies and not self._last:
            self._schedule_flush()

    def put_body(self, call_id: int, buffers: Sequence[bytes]) -> None:
        """Queues a message with a body, made of these buffers. While little waits, it need not take
        turns."""
        if not self.bodies and self._size < BATCH:
            if len(buffers) == 1:  # most are small
                self.put(buffers[0])
            else:
                self._put_buffers(buffers)
        else:
            self.bodies.setdefault(call_id, deque()).append(buffers)

    def put_after(self, call_id: int, buffers: Sequence[bytes]) -> None:
        """Queues a message behind what waits for the same call."""
        queue = self.bodies.get(call_id)
        if queue is not None:
            queue.append(buffers)
        elif len(buffers) == 1:
            self.put(buffers[0])
        else:
            self._put_buffers(buffers)

    def put_small_after(self, call_id: int, data: bytes) -> None:
        """Does what `put_after` does, for one small buffer; nearly all are."""
        if call_id in self.bodies:
            self.bodies[call_id].append((data,))
        else:
            self.put(data)

    def _put_buffers(self, buffers: Sequence[bytes]) -> None:
        was_empty = not self
        self._add(buffers)
        if was_empty:
            self._schedule_flush()

    def _add(self, buffers: Sequence[bytes]) -> None:
        size = sum(map(len, buffers))
        self._ready += buffers
        self._size += size
        if size >= LARGE:
            self._has_large = True

    def put_last(self, data: bytes) -> None:
        """Queues a message behind everything that waits for any call."""
        was_empty = not self
        self._last = data
        if was_empty:
            self._schedule_flush()

    def drop(self, call_id: int) -> None:
        """Drops the waiting bodies of a call that was reset."""
        self.bodies.pop(call_id, None)

    def take(self) -> list[bytes]:
        """Returns the next batch, as buffers; an empty list if nothing waits."""
        if self.bodies:
            self._take_turns()
        batch = self._ready
        if self._last and not self.bodies:
            batch.append(self._last)
            self._last = b""
        if not batch:
            return []
        self._ready, self._size = [], 0
        if self._has_large:
            self._has_large = False
            return _small_ones_joined(batch)
        return batch if len(batch) == 1 else [b"".join(batch)]

    def _take_turns(self) -> None:
        """Takes one message from the queue of each call in turn, until the batch is full."""
        bodies = self.bodies
        while bodies and self._size < BATCH:
            call_id = next(iter(bodies))
            queue = bodies.pop(call_id)
            self._add(queue.popleft())
            if queue:
                bodies[call_id] = queue  # to the end of the row


def _small_ones_joined(buffers: list[bytes]) -> list[bytes]:
    """Returns the same bytes with each run of small buffers joined. Large ones stay as they are."""
    joined: list[bytes] = []
    run: list[bytes] = []
    for data in buffers:
        if len(data) < LARGE:
            run.append(data)
            continue
        if run:
            joined.append(b"".join(run))
            run.clear()
        joined.append(data)
    if run:
        joined.append(b"".join(run))
    return joined
