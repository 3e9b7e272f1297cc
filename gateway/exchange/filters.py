"""Filters stand between the source of a response and its sink. Pure.

A filter changes a response on its way: it compresses the body, counts it, injects a script. In one
direction that is easy, `source -> filter -> sink`, and it stalls for ever. A source may be ahead of
its client by its credit only, and gets it back in the sink's units. A gzip filter takes 256 KB of
zeros and passes 300 bytes on: the client takes these, the sink gives credit for 300 bytes, and a
source that has used up its 256 KB cannot go on. Or the filter passes nothing on, because the
compressor keeps the first bytes for itself: then no credit comes at all.

So a chain of filters works in both directions. It is the sink of the source and the source of the
sink, and translates: it notes how many bytes went into a filter and how many came out behind them
(`Ledger`), and when the client has taken what came out, it gives credit for what went in. For bytes
that a filter keeps or drops, nothing comes out that a client could take. Their credit is given at
the end of the turn: not at once, because the source may push from inside of that, and would push
its whole file into a filter that swallows it, as a recursion and in one turn.

    source --respond/head/body/end--> [filter -> filter] --> sink
    source <-------consumed---------- [filter <- filter] <-- sink

A retry gives the exchange another source; the chain stays and is connected to it. A retry comes
before the head only, so a filter never sees two responses. Error pages are made by the sink, so
they pass no filter; nor do the request's body and WebSockets.
"""

from collections import deque
from collections.abc import Callable, Iterable
from typing import Literal

from ...protocol.messages import Pairs
from .exchange import Account, Exchange, OpenFile, Sink, Source

Later = Callable[[Callable[[], None]], None]
"""A function that has its argument called at the end of this turn (`Poller.at_end_of_turn`)."""


class Filter:
    """One filter, for one response. This class changes nothing; a filter overrides what it needs.

    In `head` it decides whether it has something to do, and corrects the fields about the body
    (Content-Length, Content-Encoding, ETag). A filter that keeps bytes has to bound them itself.
    """

    __slots__ = ()

    def head(self, status: int, fields: Pairs) -> tuple[int, Pairs]:
        """Takes the response's head, once and first, and returns what goes on instead."""
        return status, fields

    def body(self, data: bytes) -> Iterable[bytes]:
        """Takes a piece of the body, never empty, and returns what goes on instead, perhaps
        nothing yet."""
        return (data,)

    def end(self) -> Iterable[bytes]:
        """Ends the body, and returns what is still to go on."""
        return ()

    def abort(self) -> None:
        """Ends the response without `end`: the client or the app is gone. It is called once at
        most, and nothing follows."""

    def taken(self, count: int) -> int:
        """Returns how many bytes of credit go to the source when the client has taken the output
        of `count` bytes of input. A filter that returns less has to give the rest later."""
        return count


class Ledger:
    """Translates credit across one filter, from bytes that came out to bytes that went in.

    It lists the pieces that went in, each with the number of bytes that had come out when it was
    through. A piece has its credit when the client has taken as many.
    """

    __slots__ = ("_came_out", "_pieces", "_taken")

    def __init__(self) -> None:
        self._came_out = 0
        self._taken = 0
        self._pieces: deque[tuple[int, int]] = deque()
        """(bytes that had come out, bytes that went in since the piece before)."""

    def pass_through(self, size: int, came_out: int) -> None:
        """Notes that a piece of `size` bytes went in, and `came_out` bytes came out behind it."""
        self._came_out += came_out
        if self._pieces and not came_out:
            mark, before = self._pieces.pop()
            self._pieces.append((mark, before + size))
        else:
            self._pieces.append((self._came_out, size))

    def taken(self, count: int) -> int:
        """Notes that the client has taken `count` more bytes of output (0 or more). Returns how
        many bytes of input have their credit now."""
        self._taken += count
        credit = 0
        while self._pieces and self._pieces[0][0] <= self._taken:
            credit += self._pieces.popleft()[1]
        return credit


class FilterChain:
    """The filters of one exchange, in the order in which a response passes them. Towards the source
    it is a `Sink`, towards the sink a `Source`."""

    __slots__ = (
        "_filters",
        "_is_asked",
        "_later",
        "_ledgers",
        "_sink",
        "_source",
        "_state",
    )

    def __init__(self, exchange: Exchange, filters: Iterable[Filter], later: Later) -> None:
        """Puts the chain between the exchange's source, which may come later, and its sink."""
        self._filters = tuple(filters)
        self._ledgers = tuple(Ledger() for _ in self._filters)
        self._later = later
        self._sink: Sink = exchange.sink
        self._source: Source | None = exchange.source
        self._state: Literal["head", "body", "over"] = "head"
        """The part of the response that the source has to send next."""
        self._is_asked = False
        """Whether the end of the turn will give credit for bytes without output."""
        exchange.put_between(self, self, self)

    # -- between -----------------------------------------------------------------------------

    def connect(self, source: Source) -> None:
        """Connects the chain to the exchange's source, at a retry to another one."""
        self._source = source

    def leave(self) -> None:
        """Ends the chain with the exchange. If the response was not complete, its filters are
        aborted here and only here."""
        if self._state != "over":
            self._state = "over"
            for each in self._filters:
                each.abort()

    # -- a sink, for the source --------------------------------------------------------------

    def respond(self, exchange: Exchange, status: int, fields: Pairs, body: bytes) -> int:
        if self._state != "head":
            return 0
        status, fields = self._through_heads(status, fields)
        pieces = self._through_bodies(0, body) if body else []
        pieces += self._through_ends()
        self._state = "over"
        return self._sink.respond(exchange, status, fields, b"".join(pieces))

    def head(self, exchange: Exchange, status: int, fields: Pairs) -> int:
        if self._state != "head":
            return 0
        self._state = "body"
        return self._sink.head(exchange, *self._through_heads(status, fields))

    def body(self, exchange: Exchange, data: bytes) -> None:
        if self._state != "body" or not data:
            return
        for piece in self._through_bodies(0, data):
            self._sink.body(exchange, piece)
        if not self._is_asked:
            self._is_asked = True
            self._later(self._ask)

    def file(self, exchange: Exchange, file: OpenFile, offset: int, count: int) -> bool:
        if self._state == "body":
            self.body(exchange, file.read(offset, count))  # a filter wants to see it
        return False

    def end(self, exchange: Exchange) -> None:
        if self._state != "body":
            return
        for piece in self._through_ends():
            self._sink.body(exchange, piece)
        self._state = "over"
        self._sink.end(exchange)

    def interim(self, exchange: Exchange, status: int, fields: Pairs) -> None:
        self._sink.interim(exchange, status, fields)

    def trailers(self, exchange: Exchange, fields: Pairs) -> None:
        self._sink.trailers(exchange, fields)

    def fail(self, exchange: Exchange, status: int, sentence: str, option: str = "") -> int:
        return self._sink.fail(exchange, status, sentence, option)

    def _through_heads(self, status: int, fields: Pairs) -> tuple[int, Pairs]:
        for each in self._filters:
            status, fields = each.head(status, fields)
        return status, fields

    def _through_bodies(self, first: int, data: bytes) -> list[bytes]:
        """Passes `data` through the filter number `first` and all behind it."""
        pieces = [data]
        for each, ledger in zip(self._filters[first:], self._ledgers[first:], strict=True):
            passed: list[bytes] = []
            for piece in pieces:
                out = [one for one in each.body(piece) if one]
                ledger.pass_through(len(piece), sum(map(len, out)))
                passed += out
            pieces = passed
        return pieces

    def _through_ends(self) -> list[bytes]:
        """Ends each filter, and passes its rest through the filters behind it."""
        last: list[bytes] = []
        for number, each in enumerate(self._filters):
            for piece in each.end():
                if piece:
                    self._ledgers[number].pass_through(0, len(piece))
                    last += self._through_bodies(number + 1, piece)
        return last

    # -- a source, for the sink --------------------------------------------------------------

    def account(self) -> Account | None:
        return None if self._source is None else self._source.account()

    @property
    def send_credit(self) -> int:
        return 0 if self._source is None else self._source.send_credit

    def send_body(self, data: bytes, more: bool) -> None:
        if self._source is not None:
            self._source.send_body(data, more)

    def consumed(self, count: int) -> None:
        for each, ledger in zip(reversed(self._filters), reversed(self._ledgers), strict=True):
            count = each.taken(ledger.taken(count))
        if count and self._source is not None and self._state == "body":
            self._source.consumed(count)

    def abandon(self, code: int, reason: str) -> None:
        if self._source is not None:
            self._source.abandon(code, reason)

    @property
    def is_running(self) -> bool:
        return self._source is not None and self._source.is_running

    def _ask(self) -> None:
        """Gives credit for bytes without output, at the end of a turn."""
        self._is_asked = False
        self.consumed(0)
