"""What an app has said of a response and the link has not yet: it travels together.

An app says a head, bodies and the end one by one. What it says of one response in one turn of its
loop becomes as few messages as can carry it, one complete RESPONSE where that is enough (SPEC.md
6.6). Nothing waits for more to come: what is held goes out with the batch, as anything else.
"""

from typing import Final

from .codec import response, response_body
from .messages import MAX_BODY
from .outbox import LARGE, Outbox

MOST_PIECES: Final = 1_024
"""Pieces of one message. They are joined no later than this: objects of a few bytes each would
take many times the memory that their credit allows for."""


class ResponseBatch:
    """Of one call, from the first word in a batch until the batch goes out."""

    __slots__ = ("_call_id", "_head", "_pieces", "_size", "complete")

    def __init__(self, call_id: int, head: bytes = b"") -> None:
        """`head`: the RESPONSE_START, encoded; b"" if it is on its way already."""
        self._call_id = call_id
        self._head = head
        self._pieces: list[bytes] = []
        self._size = 0
        self.complete = False
        """Whether the response's end is among what is held."""

    def has_room(self, size: int) -> bool:
        """Whether so many bytes more still fit into one message."""
        return self._size + size <= MAX_BODY and len(self._pieces) < MOST_PIECES

    def add(self, body: bytes, more: bool) -> None:
        """A piece for which there is room."""
        if body:
            self._pieces.append(body)
            self._size += len(body)
        self.complete = not more

    def release(self, outbox: Outbox, *, ended: bool = False) -> None:
        """As messages into the outbox; from here on this holds nothing. `ended`: the call has left
        the app, which only a complete response can say."""
        head, pieces, size = self._head, self._pieces, self._size
        self._head, self._pieces, self._size = b"", [], 0
        if size < LARGE * len(pieces):
            pieces = [b"".join(pieces)]
        if self.complete and head and len(head) + size < outbox.max_message - _FRAME:
            message = response(head, pieces, size, ended)
            if size < LARGE:
                outbox.put_after(self._call_id, message)
            else:  # a body like any other: it takes its turn (SPEC.md 8)
                outbox.put_body(self._call_id, message)
            return
        if head:
            outbox.put_after(self._call_id, (head,))
        if pieces:
            more = not self.complete
            outbox.put_body(self._call_id, response_body(self._call_id, pieces, size, more, ended))
        elif self.complete:  # the bare end is no body, and need not take turns with any
            outbox.put_after(self._call_id, response_body(self._call_id, [], 0, False, ended))


_FRAME: Final = 16
"""More than the bytes that RESPONSE has beside its head and its body."""
