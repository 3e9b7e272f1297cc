"""What a source is owed for the part of its body that the client has yet to take. Pure.

A source may be ahead of its client by its credit, and gets it back as the client takes bytes
(protocol/SPEC.md). So credit is not given back for what is only kept: then a slow client slows its
own response, and it costs no more memory than the credit.
"""

from ..exchange.exchange import Source


class BodyCredit:
    """The account of one exchange at a time."""

    __slots__ = ("owed",)

    def __init__(self) -> None:
        self.owed = 0
        """Body bytes kept, for which the source has not been given credit again."""

    def charge(self, source: Source | None, count: int, kept: int) -> None:
        """`count` body bytes of the source were sent or gathered, and now `kept` bytes, theirs or
        others', wait for the client: the source has its credit as soon as none does."""
        if kept:
            self.owed += count
        elif source is not None:
            source.consumed(count)

    def owe(self, count: int) -> bool:
        """`count` body bytes of the source were gathered, or dropped: it has its credit when this
        is next looked at, which is not from inside of what it says. Returns whether nothing was
        owed before."""
        before = self.owed
        self.owed = before + count
        return not before

    def pay(self, source: Source | None, sent: int, kept: int) -> None:
        """The client has taken `sent` bytes of what was kept, and still `kept` bytes wait. Framing
        counts as body here; when nothing is kept the account is even."""
        credit = min(self.owed, sent) if kept else self.owed
        if credit:
            self.owed -= credit
            if source is not None:
                source.consumed(credit)

    def forget(self) -> None:
        """What is kept now is nobody's any more: its source has ended."""
        self.owed = 0
