"""Absorbs a response that its client takes more slowly than the app makes it.

A WSGI app holds its thread until the last byte of its response is handed on. If credit came back
only when the client has taken bytes, a client in no hurry would hold that thread for as long as it
likes, and four of them would stop a site with four threads. So the response is taken from the app
as fast as it comes, kept, and handed to the client as it takes it.

When is that wrong? A stream of events lives of each piece being sent at once, and no field of its
head says reliably that it is one. What the app does, says it: as long as the client keeps up, each
piece is passed on in the turn in which it came, and its credit comes back when the client has taken
it, as if nothing stood between. Only what comes while the client has not taken what it was given
before (AHEAD bytes, beside what the kernel holds) is kept. So no byte that the client could take
waits here, and nothing has to be switched off for any kind of response.

    source --body--> [ahead of the client? spool] --> sink      passed on while little is under way
    source <-credit-  at the turn's end, if kept  <-- consumed  the client took bytes: more of the
                                                                spool is passed on

If there is no room (see `store`), what comes is held and its credit kept back: then the app waits
for its client, as it would without this. When the app has ended, the rest goes out without it; and
if it has failed, the client gets what came before the failure and then the visible cut.
"""

from logging import getLogger
from typing import Final, Literal

from ...protocol.messages import CLIENT_GONE, FIRST_WINDOW, MAX_BODY, WINDOW, Pairs
from ..exchange import end_codes
from ..exchange.exchange import (
    Account,
    Between,
    Exchange,
    OpenFile,
    Sink,
    Source,
    log_facts,
    log_tail,
)
from .response_spool import ResponseSpool
from .store import BufferStore

log = getLogger("propylon.gateway")

AHEAD: Final = WINDOW // 2
"""Bytes that are passed on before the client has taken them. It is enough for the kernel always to
find more. A worker is told of its credit in steps of half a window (`protocol.credit`), so the
other half has to be left for what is kept, or no step would ever be whole."""


class ResponseBuffer:
    """What stands between the source of one streamed response and its sink: a `Between`."""

    __slots__ = (
        "_ahead",
        "_before",
        "_due",
        "_exchange",
        "_failure",
        "_has_window",
        "_owed",
        "_sink",
        "_source",
        "_spool",
        "_state",
        "_store",
    )

    def __init__(self, exchange: Exchange, source: Source, store: BufferStore) -> None:
        """Puts it between `source`, which is about to send the head, and the exchange's sink."""
        self._exchange: Exchange | None = exchange
        self._sink: Sink = exchange.sink
        self._source = source
        self._store = store
        self._spool = ResponseSpool(store, exchange.collected)
        self._ahead = 0
        """Bytes that were passed on and that the client has not taken."""
        self._owed = 0
        """Those of them that the source has no credit for yet."""
        self._due = 0
        """Credit that the source gets at the end of this turn."""
        self._has_window = False
        """Whether the source was told to use its whole window."""
        self._state: Literal["open", "ended", "failed", "over"] = "open"
        """What the source has said: not all yet, everything, or that there is no more; or the
        exchange is over."""
        self._failure: tuple[int, str, str] = (0, "", "")
        self._before: Between | None = exchange.put_between(self, self, self)

    # -- between -----------------------------------------------------------------------------

    def connect(self, source: Source) -> None:
        """Takes another source. A response that has begun has only one, so this never comes."""
        self._source = source

    def leave(self) -> None:
        """Drops what the client has not got: the exchange is over."""
        self._state, self._exchange = "over", None
        self._spool.close()
        before, self._before = self._before, None
        if before is not None:
            before.leave()

    # -- a sink, for the source --------------------------------------------------------------

    def respond(self, exchange: Exchange, status: int, fields: Pairs, body: bytes) -> int:
        return self._sink.respond(exchange, status, fields, body)

    def head(self, exchange: Exchange, status: int, fields: Pairs) -> int:
        return self._sink.head(exchange, status, fields)

    def body(self, exchange: Exchange, data: bytes) -> None:
        if self._state != "open":
            return
        size, spool = len(data), self._spool
        # The first piece may be longer: kept, it would wait for the credit of nothing.
        if (self._ahead + size <= AHEAD or not self._ahead) and not spool.size:
            self._ahead += size
            self._owed += size
            if not self._has_window and self._owed >= FIRST_WINDOW // 2:
                self._has_window = True
                self._give(0)  # here the app need not wait until the client takes some
            self._sink.body(exchange, data)
            return
        held = spool.held
        spool.put(data)
        if credit := held + size - spool.held:
            self._give(credit)

    def file(self, exchange: Exchange, file: OpenFile, offset: int, count: int) -> bool:
        if self._state == "open" and not self._spool.size:
            # A source of files is ahead of its client only by what stays in the file, or by one
            # window: nothing of it has to be kept.
            stays = self._sink.file(exchange, file, offset, count)
            self._ahead += count
            self._owed += count
            return stays
        # In pieces as a worker's: a longer one than may be under way would be kept whole, and
        # nothing would be under way whose credit could send it on.
        while count and self._state == "open":
            size = min(count, MAX_BODY)
            self.body(exchange, file.read(offset, size))
            offset, count = offset + size, count - size
        return False

    def end(self, exchange: Exchange) -> None:
        if self._state != "open":
            return
        self._state = "ended"
        if not self._spool.size:
            self._sink.end(exchange)

    def interim(self, exchange: Exchange, status: int, fields: Pairs) -> None:
        self._sink.interim(exchange, status, fields)

    def trailers(self, exchange: Exchange, fields: Pairs) -> None:
        """Hands them on at once: the sink keeps them until the end."""
        self._sink.trailers(exchange, fields)

    def fail(self, exchange: Exchange, status: int, sentence: str, option: str = "") -> int:
        if self._state == "open" and self._spool.size:
            self._state, self._failure = "failed", (status, sentence, option)
            return 0
        return self._sink.fail(exchange, status, sentence, option)

    # -- a source, for the sink --------------------------------------------------------------

    def account(self) -> Account | None:
        return self._source.account()

    @property
    def send_credit(self) -> int:
        return self._source.send_credit

    def send_body(self, data: bytes, more: bool) -> None:
        self._source.send_body(data, more)

    def consumed(self, count: int) -> None:
        self._ahead -= count
        credit = min(count, self._owed)
        self._owed -= credit
        exchange, spool = self._exchange, self._spool
        if exchange is not None and spool.size:
            held = spool.held
            self._pass_on(exchange)
            credit += held - spool.held
        if credit and self._state == "open":
            self._source.consumed(credit)

    def abandon(self, code: int, reason: str) -> None:
        self._source.abandon(code, reason)

    @property
    def is_running(self) -> bool:
        return self._source.is_running

    # -- what was kept -----------------------------------------------------------------------

    def _pass_on(self, exchange: Exchange) -> None:
        """Passes on as much as may be under way, and at last the end."""
        spool = self._spool
        try:
            while self._ahead + MAX_BODY <= AHEAD and (data := spool.take(MAX_BODY)):
                self._ahead += len(data)
                self._sink.body(exchange, data)
        except OSError as error:
            self._lose(exchange, error)
            return
        if spool.size:
            return
        if self._state == "ended":
            self._sink.end(exchange)
        elif self._state == "failed":
            self._sink.fail(exchange, *self._failure)

    def _lose(self, exchange: Exchange, error: OSError) -> None:
        """Cuts a response whose rest cannot be read from the disk."""
        tail, facts = log_tail(exchange), log_facts(exchange)
        log.error("a kept body could not be read from its file: %s%s", error, tail, extra=facts)
        self._source.abandon(CLIENT_GONE, "the rest of the response is lost")
        exchange.give_end(end_codes.GATEWAY_FAILED)
        self._sink.fail(exchange, 502, "The rest of the response could not be read again.")

    def _give(self, count: int) -> None:
        """Gives the source credit, at the end of this turn: it may send at once when it gets it."""
        if not self._due:
            self._store.later(self._pay)
        self._due += count

    def _pay(self) -> None:
        due, self._due = self._due, 0
        if self._state == "open":
            self._source.consumed(due)
