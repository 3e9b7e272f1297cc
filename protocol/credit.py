"""Byte credit, so that a slow call costs the other calls nothing.

The receiver of bytes allows the sender a window. Bytes that *arrive* use it up; bytes that the
consumer has *taken* (the app called receive, the client's kernel accepted them) give it back, and
the sender is told in steps of half a window, so that credit costs one small message for many
large ones. After h2's windows.py, without its resizing.

A window may begin with a part of its size. The rest is given with the first credit, when the sender
has used up half of that part and the consumer has taken some: whoever's consumer takes nothing has
no more under way than the part.
"""

from .errors import RemoteProtocolError


class ReceiveWindow:
    """The receiving side's account of one direction of one call, in bytes."""

    __slots__ = ("_allowed", "_least", "_owed", "_step")

    def __init__(self, size: int, *, allowed: int | None = None) -> None:
        """`allowed` is the number of bytes that the sender may send at first; None means the whole
        window. The rest of the window is owed: a window that allows 0 (HOLD_BODY) is announced by
        its first `open`."""
        self._allowed = size if allowed is None else allowed
        self._owed = size - self._allowed
        self._step = size // 2 or 1
        self._least = self._allowed // 2
        """The sender is told when it has no more than this left: half of what the window has begun
        with, and from the first `open` on half of the window."""

    def arrived(self, count: int) -> None:
        """`count` bytes came in. Raises RemoteProtocolError if they were never allowed."""
        if count > self._allowed:
            raise RemoteProtocolError(f"{count} bytes came where {self._allowed} were allowed")
        self._allowed -= count

    def taken(self, count: int) -> int:
        """The consumer took `count` bytes; returns the credit to announce now, often 0."""
        self._owed += count
        if self._owed < self._step or self._allowed > self._least:
            return 0
        return self.open()

    def wanted(self) -> int:
        """The consumer has taken everything and waits. Returns the credit to announce now: what is
        owed if the sender has less than half of the window, as in one that begins closed."""
        return self.open() if self._allowed < self._step else 0

    def open(self) -> int:
        """Returns all credit that is owed, to be announced now."""
        grant, self._owed = self._owed, 0
        self._allowed += grant
        self._least = self._step
        return grant
