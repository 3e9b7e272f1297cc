"""What one pool keeps for its exchanges, and for which of them."""

from collections.abc import Callable, Iterable
from typing import Final

from ..exchange import end_codes
from ..exchange.exchange import Exchange, Sink
from ..settings import BufferSettings, PoolSettings
from .request_buffer import RequestBuffer
from .response_buffer import ResponseBuffer
from .store import BufferStore

HOLDS_A_THREAD: Final = "wsgi"
"""The interface of workers (HELLO's `interface`) that have a thread for each request. With `auto`
bodies are kept for them: a slow client would hold the thread. An ASGI app reads and writes without
one, and may want to see a body while it comes."""


class PoolBuffers:
    def __init__(self, settings: PoolSettings, store: BufferStore | None = None) -> None:
        self._settings = settings
        self._store = store or BufferStore(BufferSettings())
        self._collecting: set[RequestBuffer] = set()
        self.requests = settings.buffer_requests == "on"
        """Whether a worker gets a request when its body is whole."""
        self.responses = settings.buffer_responses == "on"
        """Whether a response is taken from its worker as fast as it comes."""

    @property
    def in_use(self) -> bool:
        """Whether bodies are kept at all."""
        return self.requests or self.responses

    def worker_speaks(self, interfaces: Iterable[object]) -> None:
        """Notes what the workers' apps speak, as each says; None where it has not said it yet."""
        said = [one for one in interfaces if one is not None]
        if said and self._settings.buffer_requests == "auto":
            self.requests = HOLDS_A_THREAD in said
        if said and self._settings.buffer_responses == "auto":
            self.responses = HOLDS_A_THREAD in said

    def absorb(self, exchange: Exchange) -> Sink:
        """Returns what takes the exchange's response, which comes in pieces: its head is next."""
        if exchange.source is not None and not exchange.request.upgrade:
            ResponseBuffer(exchange, exchange.source, self._store)
        return exchange.sink

    def collect(self, exchange: Exchange, ready: Callable[[Exchange], None]) -> None:
        """Collects the rest of the request's body, and calls `ready` when it is whole. Raises
        RequestError if there is no room for what has come."""

        def done(buffer: RequestBuffer) -> None:
            self._collecting.discard(buffer)
            if buffer.is_whole:
                ready(exchange)

        buffer = RequestBuffer(exchange, self._store, done)
        self._collecting.add(buffer)
        buffer.begin()

    @property
    def collecting(self) -> int:
        """How many requests have a body that is still coming."""
        return len(self._collecting)

    def fail_collecting(self) -> None:
        """Answers all clients whose request has not come whole: the gateway's time is over."""
        for buffer in list(self._collecting):
            exchange = buffer.exchange
            buffer.leave()
            if exchange is None:
                continue
            exchange.give_end(end_codes.GATEWAY_STOPPED_QUEUE)
            exchange.sink.fail(exchange, 503, "The server ends, and this request is not whole.")
