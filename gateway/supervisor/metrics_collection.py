"""Asks all gateway processes what they have counted, without depending on any of them.

A scrape wants numbers of this moment, and a gateway answers within a millisecond or two. But it may
be busy, stopped or hung, and whoever scrapes should learn of that instead of waiting too. So the
answers are waited for only for a short time, and not those of a gateway that hangs or that still
owes an answer to an earlier question. Who needs the numbers then takes the last ones there are.

Several may ask at once: scrapers, people, the status page. They share one collection.
"""

from collections.abc import Callable, Iterable
from typing import Final

import trio

from ...protocol.supervision.messages import CollectMetrics, Order

ANSWERS_WITHIN: Final = 0.1
"""Seconds that answers are waited for."""

Tell = Callable[[Order], None]
"""Gives an order to a process."""


class MetricsCollection:
    def __init__(self, gateways: Callable[[], Iterable[tuple[int, Tell]]]) -> None:
        """`gateways` returns the processes to ask at this moment, those left out that hang."""
        self._gateways = gateways
        self._token = 0
        self._owed: dict[int, int] = {}
        """Process -> the token of a question that it has not answered."""
        self._awaited: set[int] = set()
        """Processes whose answers the collection under way waits for."""
        self._all_answered = trio.Event()
        self._under_way: trio.Event | None = None
        """Set when the collection under way is over."""

    async def collect(self) -> None:
        """Returns when all that can be expected to answer have done so, or at the end of the time.
        A collection that is under way already is shared."""
        if self._under_way is not None:
            await self._under_way.wait()
            return
        over = self._under_way = trio.Event()
        self._ask()
        # It is shielded because others may share it when the one who began it has gone.
        with trio.move_on_after(ANSWERS_WITHIN, shield=True):
            await self._all_answered.wait()
        self._awaited.clear()
        self._under_way = None
        over.set()

    async def collect_every(self, seconds: float) -> None:
        """Collects for ever, unless somebody else has done so since the last look."""
        while True:
            seen = self._token
            await trio.sleep(seconds)
            if self._token == seen:
                await self.collect()

    def answered(self, process: int, token: int) -> None:
        """A process has reported. The token is that of the last question it has read; 0 if it
        reports unasked."""
        if process in self._owed and token >= self._owed[process]:
            self.ended(process)

    def ended(self, process: int) -> None:
        """Nothing more is to be expected of a process."""
        self._owed.pop(process, None)
        self._awaited.discard(process)
        if not self._awaited:
            self._all_answered.set()

    def _ask(self) -> None:
        self._token += 1
        self._all_answered = trio.Event()
        for process, tell in self._gateways():
            if process not in self._owed:
                self._owed[process] = self._token
                self._awaited.add(process)
                tell(CollectMetrics(self._token))
        if not self._awaited:
            self._all_answered.set()
