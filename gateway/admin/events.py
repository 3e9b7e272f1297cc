"""Server-sent events, once a second, for everybody who has the page open.

https://html.spec.whatwg.org/multipage/server-sent-events.html is the format. There is one sampling
for all viewers (`status_events`), and it goes on while nobody looks. A viewer that does not read is
skipped: while it has yet to take what it was sent, it is sent nothing more, and it gets the newest
status when it reads again. So a viewer costs one history and one status at most, however slow it
is; and if it takes nothing at all, the connection's own deadline ends it.
"""

from collections.abc import Callable
from logging import getLogger
from time import monotonic
from typing import Final, Protocol

import trio

from ...protocol.messages import Pairs
from ..exchange.exchange import Account, Exchange

log = getLogger("propylon.admin")

MOST_VIEWERS: Final = 16
SAMPLE_EVERY: Final = 1.0
"""Seconds between two events."""
COME_BACK: Final = b"retry: 2000\n\n"
"""How many milliseconds a browser waits until it connects again: an upgrade takes as long."""


class Samples(Protocol):
    async def sample(self) -> None:
        """Takes the next sample."""
        ...

    def first(self) -> bytes:
        """Returns the events that a new viewer is sent; b"" if there are none yet."""
        ...

    def newest(self) -> bytes:
        """Returns the events that all viewers are sent after a sample."""
        ...


class Viewer:
    """A `Source` of events for one client."""

    __slots__ = ("_exchange", "_leave", "_untaken")

    def __init__(self, exchange: Exchange, leave: Callable[["Viewer"], None]) -> None:
        """`leave` is called when the client has gone."""
        self._exchange = exchange
        self._leave = leave
        self._untaken = 0
        """Bytes that the client has yet to take."""

    def begin(self, fields: Pairs, first: bytes) -> bool:
        """Sends the head and the first events. Returns whether the client is there."""
        self._exchange.connect(self, monotonic())
        if self._exchange.sink.head(self._exchange, 200, fields) != 200:
            return False
        self._send(COME_BACK + first)
        return True

    def show(self, event: bytes) -> None:
        """Sends an event, unless the client has yet to take an earlier one."""
        if not self._untaken:
            self._send(event)

    def end(self) -> None:
        self._exchange.sink.end(self._exchange)

    def _send(self, data: bytes) -> None:
        self._untaken += len(data)
        self._exchange.sink.body(self._exchange, data)

    # -- what the sink tells its source ------------------------------------------------------

    def account(self) -> Account | None:
        return None

    @property
    def send_credit(self) -> int:
        return 0

    def send_body(self, data: bytes, more: bool) -> None:
        """Takes no body: nothing is done with one."""

    def consumed(self, count: int) -> None:
        self._untaken -= count

    def abandon(self, code: int, reason: str) -> None:
        self._leave(self)

    @property
    def is_running(self) -> bool:
        return False


class Viewers:
    """All viewers, and the sampling that they share."""

    def __init__(self, samples: Samples, most: int = MOST_VIEWERS) -> None:
        self._samples = samples
        self._most = most
        self._viewers: list[Viewer] = []

    @property
    def full(self) -> bool:
        return len(self._viewers) >= self._most

    def add(self, exchange: Exchange, fields: Pairs) -> None:
        """Begins to send events as the response of an exchange."""
        viewer = Viewer(exchange, self._gone)
        self._viewers.append(viewer)
        if not viewer.begin(fields, self._samples.first()):
            self._gone(viewer)

    def _gone(self, viewer: Viewer) -> None:
        if viewer in self._viewers:
            self._viewers.remove(viewer)

    def end(self) -> None:
        """Ends every response; the clients come back later."""
        viewers, self._viewers = self._viewers, []
        for viewer in viewers:
            viewer.end()

    async def run(self) -> None:
        """Samples, and shows each sample to all viewers, until it is cancelled."""
        while True:
            try:
                await self._samples.sample()
                events = self._samples.newest() if self._viewers else b""
            except Exception:
                # The next one may be well, and the listener has more to do than this.
                log.exception("the status could not be sampled")
            else:
                for viewer in self._viewers.copy():
                    viewer.show(events)
            await trio.sleep(SAMPLE_EVERY)
