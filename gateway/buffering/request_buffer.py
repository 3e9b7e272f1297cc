"""Keeps a request's body until it is whole, and then hands it to worker after worker.

A WSGI app reads its body while it holds a thread, and a client may take a minute for it. So a body
that did not come with its head is collected here first, and a slot is taken when it is complete.
What came whole with its head never comes here, and most bodies do.

    collecting -> whole       the last byte has come; the exchange is handed on (`ready`)
    collecting -> over        there is no room for more, the client has left, or was too slow
    whole      -> forgotten   no worker may get the body again; what is left of it still goes out
    whole, forgotten -> over  the exchange has ended, or the body that nobody needs again is out

While it collects it is the exchange's source, which takes bytes and makes no response. Then it is
its uploader: a worker's credit comes here and not to the client's connection. A worker that dies
with the request costs nothing more: the next one gets the body from its first byte, however long it
is, while other bodies can be sent again only as far as a window goes (`pool.retry`).

The bytes are kept in memory up to the bound of one body, and behind that in a file. A client in no
hurry (one byte in each packet) costs no more than the bytes themselves.
"""

from collections.abc import Callable
from logging import getLogger
from typing import Final, Literal

from ...protocol.messages import CLIENT_GONE, MAX_BODY
from ..exchange import end_codes
from ..exchange.errors import RequestError
from ..exchange.exchange import Account, Exchange, SizeLimit, log_facts, log_tail
from .body_file import BodyFile, NoRoom
from .store import BufferStore

log = getLogger("propylon.gateway")

WINDOW: Final = 1_048_576
"""Bytes that it takes at once; it takes all that come, one piece after the other."""


class RequestBuffer:
    """The body of one exchange: a `Source` while it comes, a `CollectedBody` from then on."""

    __slots__ = ("_exchange", "_file", "_front", "_ready", "_sent", "_size", "_state", "_store")

    def __init__(
        self, exchange: Exchange, store: BufferStore, ready: Callable[["RequestBuffer"], None]
    ) -> None:
        """Takes what has come of the body already. `ready` is called once, when it is whole or when
        it will never be (`is_whole`)."""
        self._exchange: Exchange | None = exchange
        """The exchange and `ready` until the body is handed on; the exchange has the buffer."""
        self._ready: Callable[[RequestBuffer], None] | None = ready
        self._store = store
        self._front = bytearray()
        """The body's first bytes, which are in memory; its file has the rest."""
        self._file: BodyFile | None = None
        self._size = 0
        self._sent = 0
        """Bytes that the present worker has got."""
        self._state: Literal["collecting", "whole", "forgotten", "over"] = "collecting"

    def begin(self) -> None:
        """Asks the client for the body. Raises RequestError if there is no room for it."""
        exchange = self._exchange
        assert exchange is not None, "it begins once"
        exchange.collect(self)
        first = exchange.body
        exchange.begin_body(b"", True)
        if first:
            self._keep(first)
        exchange.uploader.credit_arrived(exchange)

    @property
    def exchange(self) -> Exchange | None:
        """The exchange whose body is still coming; None if it is not."""
        return self._exchange

    @property
    def is_whole(self) -> bool:
        return self._state in ("whole", "forgotten")

    @property
    def has_file(self) -> bool:
        return self._file is not None and self._state != "over"

    # -- a source, while the body comes ------------------------------------------------------

    def account(self) -> Account | None:
        return None

    @property
    def send_credit(self) -> int:
        return WINDOW

    def send_body(self, data: bytes, more: bool) -> None:
        """Takes a piece of the body. Raises RequestError if there is no room for it."""
        if self._state != "collecting":
            return
        if data:
            self._keep(data)
        if not more:
            self._complete()

    def consumed(self, count: int) -> None:
        """Does nothing: there is no response yet."""

    def abandon(self, code: int, reason: str) -> None:
        """Drops the body: nobody waits for an answer."""
        self.leave()

    @property
    def is_running(self) -> bool:
        return False  # nobody was asked yet

    def _keep(self, data: bytes) -> None:
        store, count = self._store, len(data)
        try:
            if (
                self._file is None
                and len(self._front) + count <= store.settings.body
                and store.take_memory(count)
            ):
                self._front += data
            else:
                if self._file is None:
                    self._file = store.new_file()
                self._file.append(data)
        except NoRoom as fault:
            raise RequestError(
                507,
                "There is no room here for the request's body.",
                option=fault.option,
                end_code=end_codes.GATEWAY_NO_ROOM,
            ) from fault
        self._size += count

    def _complete(self) -> None:
        exchange, ready = self._exchange, self._ready
        assert exchange is not None
        assert ready is not None
        self._state, self._exchange, self._ready = "whole", None, None
        if exchange.request.content_length is None:
            exchange.request.has_length(self._size)
        exchange.upload_from(self)
        self.rewind(exchange)
        ready(self)

    # -- an uploader, when it is whole -------------------------------------------------------

    def credit_arrived(self, exchange: Exchange) -> None:
        """Sends as much as the source takes."""
        source = exchange.source
        try:
            while exchange.more_body and source is not None:
                count = min(source.send_credit, MAX_BODY, self._size - self._sent)
                if count <= 0 or self._state == "over":
                    return
                data = self._read(self._sent, count)
                self._sent += len(data)
                exchange.body_goes_on(self._sent < self._size)
                source.send_body(data, exchange.more_body)
        except OSError as error:
            self._fail(exchange, error)
        if self._state == "forgotten" and self._sent == self._size:
            self.leave()

    def take_back(self, exchange: Exchange, body: bytes) -> None:
        """Takes back bytes that were sent: all of them are here."""
        self._sent -= len(body)
        exchange.body_goes_on(True)

    def limit_body(self, exchange: Exchange, limit: SizeLimit) -> None:
        """Refuses what is here already."""
        limit.check(self._size)

    def rewind(self, exchange: Exchange) -> None:
        """Begins again, for another worker: the first bytes travel with the request."""
        count = min(self._size, MAX_BODY)
        try:
            first = self._read(0, count) if count else b""
        except OSError as error:
            self._fail(exchange, error)
            return
        self._sent = len(first)
        exchange.begin_body(first, len(first) < self._size)

    def forget(self) -> None:
        """No other worker will get the body."""
        if self._state == "whole":
            self._state = "forgotten"
            if self._sent == self._size:
                self.leave()

    def leave(self) -> None:
        """The exchange has ended, or does not need the body any more: what was kept is dropped."""
        ready = self._ready
        self._state, self._exchange, self._ready = "over", None, None
        if self._file is not None:
            self._file.close()
        self._store.give_memory(len(self._front))
        self._front = bytearray()
        if ready is not None:
            ready(self)

    def _read(self, offset: int, count: int) -> bytes:
        """Reads at most `count` bytes, and one at least."""
        front = len(self._front)
        if offset < front:
            return bytes(self._front[offset : min(offset + count, front)])
        if self._file is None:
            raise OSError("there is no file")
        return self._file.read(offset - front, count)

    def _fail(self, exchange: Exchange, error: OSError) -> None:
        """Ends the exchange: its body cannot be read back from the disk."""
        tail, facts = log_tail(exchange), log_facts(exchange)
        log.error(
            "a body could not be read from its temporary file: %s%s", error, tail, extra=facts
        )
        if exchange.source is not None:
            exchange.source.abandon(CLIENT_GONE, "the request's body is lost")
        exchange.give_end(end_codes.GATEWAY_FAILED)
        exchange.sink.fail(exchange, 500, "The request's body could not be read again.")
