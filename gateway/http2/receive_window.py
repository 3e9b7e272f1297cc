"""A window of what the client may send (RFC 9113 section 5.2). Pure."""

from typing import Final

LEAST_TOLD: Final = 1_024
"""Bytes of which even a client is not told that may send nothing, unless they are half of the
window."""


class ReceiveWindow:
    """A window of one size, that of a stream or of a connection.

    The client is told of what was taken when that is half of the window, so that a WINDOW_UPDATE
    does not go with each frame; of less, when it cannot send anything.
    """

    __slots__ = ("_left", "_size", "_untold")

    def __init__(self, size: int) -> None:
        """`size` in bytes; the client knows of it."""
        self._size = self._left = size
        self._untold = 0
        """Bytes that were taken, of which the client does not know."""

    def take(self, size: int) -> bool:
        """Notes that so many bytes of DATA have come. Returns False if they were more than were
        allowed."""
        self._left -= size
        return self._left >= 0

    def give_back(self, size: int) -> int:
        """Notes that so many of them are out of the way. Returns by how much the client is to be
        told that the window grows; 0: not now."""
        self._untold += size
        untold = self._untold
        if 2 * untold >= self._size or (self._left <= 0 and untold >= LEAST_TOLD):
            self._untold = 0
            self._left += untold
            return untold
        return 0
