"""Gathers what an app says of one response in one turn of its loop, so that it travels together.

An app says a head, bodies and the end one by one. What it says in one turn becomes as few messages
as can carry it, and one complete RESPONSE if that is enough (SPEC.md 6.6). Nothing waits for later
turns: what is gathered goes out with the link's next batch.
"""

from typing import Final, Literal

from .codec import RESPONSE_FRAME, encode_response, encode_response_body
from .messages import MAX_BODY
from .outbox import LARGE, Outbox

MOST_PIECES: Final = 1_024
"""Pieces of one message. They are joined no later than this: objects of a few bytes each would
take many times the memory that their credit allows for."""


class ResponseBatch:
    """The gathered part of one call's response, from its first piece until the batch goes out."""

    __slots__ = ("_call_id", "_head", "_pieces", "_size", "state")

    def __init__(self, call_id: int, head: bytes = b"") -> None:
        """`head` is the encoded RESPONSE_START; b"" if that was sent in an earlier turn."""
        self._call_id = call_id
        self._head = head
        self._pieces: list[bytes] = []
        self._size = 0
        self.state: Literal["body", "complete"] = "body"
        """The state of the response half after the batch, as in `calls.RESPONSE_TABLE`."""

    def has_room(self, size: int) -> bool:
        """Whether `size` more bytes fit into one message."""
        return self._size + size <= MAX_BODY and len(self._pieces) < MOST_PIECES

    def add(self, body: bytes, more: bool) -> None:
        """Adds a piece of the body, for which there is room."""
        if body:
            self._pieces.append(body)
            self._size += len(body)
        if not more:
            self.state = "complete"

    def release(self, outbox: Outbox, *, ended: bool = False) -> None:
        """Puts everything into the outbox, as messages, and empties the batch. `ended` says that
        the call has left the app, which only a message with the whole response can carry."""
        head, pieces, size = self._head, self._pieces, self._size
        complete = self.state == "complete"
        self._head, self._pieces, self._size = b"", [], 0
        if size < LARGE * len(pieces):
            pieces = [b"".join(pieces)]
        if complete and head and len(head) + size < outbox.max_message - RESPONSE_FRAME:
            message = encode_response(head, pieces, size, ended)
            if size < LARGE:
                outbox.put_after(self._call_id, message)
            else:  # it takes turns with the bodies of other calls (SPEC.md 8)
                outbox.put_body(self._call_id, message)
            return
        if head:
            outbox.put_after(self._call_id, (head,))
        if pieces:
            body = encode_response_body(self._call_id, pieces, size, not complete, ended)
            outbox.put_body(self._call_id, body)
        elif complete:  # an end without a body need not take turns
            end = encode_response_body(self._call_id, [], 0, False, ended)
            outbox.put_after(self._call_id, end)
