"""Cuts and escapes texts of workers, for the log and for reports. Pure.

The container of an app may be hostile. A line feed in its text would forge a line of the log, an
escape would control a terminal, and a megabyte would fill a disk.
"""

from typing import Final

MOST_OF_A_NAME: Final = 64
"""Characters of a worker's name."""
MOST_OF_A_REASON: Final = 1_000
"""Characters of a sentence (SPEC.md 5: at most a few kilobytes)."""
LARGEST_NUMBER: Final = 1 << 63


def name_of(value: object) -> str:
    """A worker's name in one short line. A value that is neither text nor number is named by its
    type."""
    if isinstance(value, (str, int)) or value is None:
        return _clipped(str(value), MOST_OF_A_NAME)
    return f"({type(value).__name__})"


def plain(value: object) -> int | str | None:
    """A worker's name or number as a short plain value; None for anything else."""
    if isinstance(value, str):
        return name_of(value)
    return value if type(value) is int and abs(value) < LARGEST_NUMBER else None


def reason_of(text: str) -> str:
    """A worker's sentence in one line."""
    return _clipped(text, MOST_OF_A_REASON)


def _clipped(text: str, most: int) -> str:
    cut = text[:most]
    if not cut.isprintable():
        cut = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in cut)
    return f"{cut}..." if len(text) > most else cut
