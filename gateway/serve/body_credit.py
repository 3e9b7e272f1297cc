"""The credit that a source is owed for the part of its body that the client has yet to take. Pure.

A source may be ahead of its client by its credit, and gets it back as the client takes bytes
(protocol/SPEC.md). Credit is not given back for bytes that are only kept. So a slow client slows
its own response, and costs no more memory than the credit.
"""

from ..exchange.exchange import Source


class BodyCredit:
    """The account of one exchange at a time."""

    __slots__ = ("owed",)

    def __init__(self) -> None:
        self.owed = 0
        """Bytes of body for which the source has not got its credit back."""

    def charge(self, source: Source | None, count: int, kept: int) -> None:
        """Charges `count` bytes of the source's body that were sent or gathered. `kept` bytes,
        these or others, wait for the client now; if none do, the source has its credit at once."""
        if kept:
            self.owed += count
        elif source is not None:
            source.consumed(count)

    def owe(self, count: int) -> bool:
        """Notes `count` bytes of the source's body that were gathered or dropped. The next `pay`
        gives their credit, and that is not called from inside the source. Returns whether nothing
        was owed before."""
        before = self.owed
        self.owed = before + count
        return not before

    def pay(self, source: Source | None, sent: int, kept: int) -> None:
        """Gives credit: the client has taken `sent` bytes of what was kept, and `kept` bytes still
        wait. Framing counts as body here; when nothing is kept the account is even."""
        credit = min(self.owed, sent) if kept else self.owed
        if credit:
            self.owed -= credit
            if source is not None:
                source.consumed(credit)

    def forget(self) -> None:
        """Forgets what is owed, because the source has ended."""
        self.owed = 0
