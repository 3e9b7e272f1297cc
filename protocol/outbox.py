"""What waits to go out on a link, in the order in which it goes.

A message waits behind the *same call's* waiting bodies and nobody else's: control overtakes body
bytes, and the bodies of different calls take turns, so a large download on one call costs the
others one message's time (PROTOCOL rule: FastCGI died of the lack of this).
"""

from collections import deque
from collections.abc import Callable
from typing import Final

from .codec import encode
from .errors import LocalProtocolError
from .messages import Message, name_of

BATCH: Final = 262_144
"""Bytes that one `take` gives, short of the message that crosses the line."""


class Outbox:
    __slots__ = ("_bodies", "_doorbell", "_last", "_ready", "_size", "max_message")

    def __init__(self, doorbell: Callable[[], None], max_message: int) -> None:
        """`doorbell` is called whenever the outbox has gone from empty to not empty; it may `take`
        at once."""
        self._doorbell = doorbell
        self._ready: list[bytes] = []
        self._size = 0
        self._bodies: dict[int, deque[bytes]] = {}
        self._last = b""
        self.max_message = max_message

    def __bool__(self) -> bool:
        return bool(self._ready or self._bodies or self._last)

    def encode(self, message: Message) -> bytes:
        """The message as the peer can take it. Raises LocalProtocolError where it is too large,
        and what `codec.encode` raises. Every put takes what this gave, so that whoever puts can
        encode first and change its own state after."""
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
        if len(ready) == 1 and not self._bodies and not self._last:
            self._doorbell()

    def put_body(self, call_id: int, data: bytes) -> None:
        """Queues a message that carries a body. While little waits, bodies are not set apart."""
        if not self._bodies and self._size < BATCH:
            self.put(data)
        else:
            self._bodies.setdefault(call_id, deque()).append(data)

    def put_after(self, call_id: int, data: bytes) -> None:
        """Queues a message behind what waits for the same call."""
        queue = self._bodies.get(call_id)
        if queue is None:
            self.put(data)
        else:
            queue.append(data)

    def put_last(self, data: bytes) -> None:
        """Queues a message behind everything that waits for any call."""
        was_empty = not self
        self._last = data
        if was_empty:
            self._doorbell()

    def drop(self, call_id: int) -> None:
        """Forgets the waiting bodies of a call that was given up."""
        self._bodies.pop(call_id, None)

    def take(self) -> bytes:
        """The next batch of bytes, b"" when nothing waits."""
        ready = self._ready
        if self._bodies:
            self._take_turns()
        if self._last and not self._bodies:
            ready.append(self._last)
            self._last = b""
        self._size = 0
        output = ready[0] if len(ready) == 1 else b"".join(ready)
        ready.clear()
        return output

    def _take_turns(self) -> None:
        """One message from each call's queue, round and round, until the batch is full."""
        bodies = self._bodies
        while bodies and self._size < BATCH:
            call_id = next(iter(bodies))
            queue = bodies.pop(call_id)
            data = queue.popleft()
            self._ready.append(data)
            self._size += len(data)
            if queue:
                bodies[call_id] = queue  # to the end of the row
