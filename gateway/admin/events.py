"""The status once a second, as server-sent events, for everybody who has the page open.

https://html.spec.whatwg.org/multipage/server-sent-events.html is the format. There is one sampling
for all viewers, and none while nobody looks. A viewer that does not read is skipped: while it has
yet to take what it was sent, it is sent nothing more, and it gets the newest status when it reads
again. So a viewer costs one status at most, however slow it is; and if it takes nothing at all, the
connection's own deadline ends it.
"""

from collections.abc import Awaitable, Callable
from logging import getLogger
from time import monotonic
from typing import Final

import trio

from ...protocol.messages import Pairs
from ..exchange.exchange import Account, Exchange

log = getLogger("propylon.admin")

MOST_VIEWERS: Final = 16
SAMPLE_EVERY: Final = 1.0
"""Seconds between two events."""
COME_BACK: Final = b"retry: 2000\n\n"
"""How many milliseconds a browser waits until it connects again: an upgrade takes as long."""


class Viewer:
    """A `Source` of events for one client."""

    __slots__ = ("_exchange", "_leave", "_untaken")

    def __init__(self, exchange: Exchange, leave: Callable[["Viewer"], None]) -> None:
        """`leave` is called when the client has gone."""
        self._exchange = exchange
        self._leave = leave
        self._untaken = 0
        """Bytes that the client has yet to take."""

    def begin(self, fields: Pairs) -> bool:
        """Sends the head. Returns whether the client is there."""
        self._exchange.connect(self, monotonic())
        if self._exchange.sink.head(self._exchange, 200, fields) != 200:
            return False
        self._send(COME_BACK)
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


class Viewers:
    """All viewers, and the sampling that they share."""

    def __init__(self, sample: Callable[[], Awaitable[bytes]], most: int = MOST_VIEWERS) -> None:
        """`sample` makes the next event."""
        self._sample = sample
        self._most = most
        self._viewers: list[Viewer] = []
        self._somebody_looks = trio.Event()

    @property
    def full(self) -> bool:
        return len(self._viewers) >= self._most

    def add(self, exchange: Exchange, fields: Pairs) -> None:
        """Begins to send events as the response of an exchange."""
        viewer = Viewer(exchange, self._gone)
        self._viewers.append(viewer)
        if viewer.begin(fields):
            self._somebody_looks.set()
        else:
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
        """Samples, while somebody looks, until it is cancelled."""
        while True:
            while not self._viewers:
                self._somebody_looks = trio.Event()
                await self._somebody_looks.wait()
            try:
                event = await self._sample()
            except Exception:
                # The next one may be well, and the listener has more to do than this.
                log.exception("the status could not be sampled")
            else:
                for viewer in self._viewers.copy():
                    viewer.show(event)
            await trio.sleep(SAMPLE_EVERY)


def event_of(name: str, data: bytes) -> bytes:
    """An event whose data is one line."""
    return b"event: %b\ndata: %b\n\n" % (name.encode(), data)
