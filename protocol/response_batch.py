"""What an app has said of a response and the link has not yet: it travels together.

An app says a head, bodies and the end one by one. What it says of one response in one turn of its
loop becomes as few messages as can carry it, one complete RESPONSE where that is enough (SPEC.md
6.6). Nothing waits for more to come: what is gathered goes out with the batch, as anything else.
"""

from typing import Final, Literal

from .codec import RESPONSE_FRAME, encode_response, encode_response_body
from .messages import MAX_BODY
from .outbox import LARGE, Outbox

MOST_PIECES: Final = 1_024
"""Pieces of one message. They are joined no later than this: objects of a few bytes each would
take many times the memory that their credit allows for."""


class ResponseBatch:
    """Of one call, from the first word in a batch until the batch goes out."""

    __slots__ = ("_call_id", "_head", "_pieces", "_size", "state")

    def __init__(self, call_id: int, head: bytes = b"") -> None:
        """`head`: the RESPONSE_START, encoded; b"" if it is on its way already."""
        self._call_id = call_id
        self._head = head
        self._pieces: list[bytes] = []
        self._size = 0
        self.state: Literal["body", "complete"] = "body"
        """Of the response's half, once the batch is out: as in `calls.RESPONSE_TABLE`."""

    def has_room(self, size: int) -> bool:
        """Whether so many bytes more still fit into one message."""
        return self._size + size <= MAX_BODY and len(self._pieces) < MOST_PIECES

    def add(self, body: bytes, more: bool) -> None:
        """A piece for which there is room."""
        if body:
            self._pieces.append(body)
            self._size += len(body)
        if not more:
            self.state = "complete"

    def release(self, outbox: Outbox, *, ended: bool = False) -> None:
        """Puts it all into the outbox, as messages; from here on the batch is empty. `ended`: the
        call has left the app, which only a complete response can say."""
        head, pieces, size = self._head, self._pieces, self._size
        complete = self.state == "complete"
        self._head, self._pieces, self._size = b"", [], 0
        if size < LARGE * len(pieces):
            pieces = [b"".join(pieces)]
        if complete and head and len(head) + size < outbox.max_message - RESPONSE_FRAME:
            message = encode_response(head, pieces, size, ended)
            if size < LARGE:
                outbox.put_after(self._call_id, message)
            else:  # a body like any other: it takes its turn (SPEC.md 8)
                outbox.put_body(self._call_id, message)
            return
        if head:
            outbox.put_after(self._call_id, (head,))
        if pieces:
            body = encode_response_body(self._call_id, pieces, size, not complete, ended)
            outbox.put_body(self._call_id, body)
        elif complete:  # the bare end is no body, and need not take turns with any
            end = encode_response_body(self._call_id, [], 0, False, ended)
            outbox.put_after(self._call_id, end)
