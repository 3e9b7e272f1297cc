"""What a worker says of itself, made fit for a log and a report. Pure.

An app's container may be hostile, and its words are not ours: a line feed would forge a line of the
log, an escape would colour a terminal, and a megabyte would fill a disk.
"""

from typing import Final

MOST_OF_A_NAME: Final = 64
"""Characters of what it calls itself."""
MOST_OF_A_REASON: Final = 1_000
"""Characters of a sentence (SPEC.md 5: at most a few kilobytes)."""


def name_of(value: object) -> str:
    """A number or a text in one short line; a word for what is neither."""
    if isinstance(value, (str, int)) or value is None:
        return _clipped(str(value), MOST_OF_A_NAME)
    return f"({type(value).__name__})"


def reason_of(text: str) -> str:
    """A sentence in one line."""
    return _clipped(text, MOST_OF_A_REASON)


def _clipped(text: str, most: int) -> str:
    cut = text[:most]
    if not cut.isprintable():
        cut = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in cut)
    return f"{cut}..." if len(text) > most else cut
