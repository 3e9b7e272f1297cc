"""The lead: which thread hears the links.

Only one does at a time. The main thread has the lead when all is quiet and when calls wait for
something; it then hands the calls out to other threads. While calls only compute, it gives the
lead away together with a call. Who has it then calls the app too, and is therefore not always
there to hear: the main thread looks every millisecond, and takes the lead back from a thread that
is held up. A term tells such a thread, when it comes back from the app, that it leads no more.

Everything but `look` happens under the host's lock.
"""

import threading
import time
from typing import Final, Literal

HELD_UP: Final = 0.001
"""Seconds that the links may go unheard."""


class Leadership:
    __slots__ = ("_returned", "_term", "_thread", "away_since", "leader")

    def __init__(self) -> None:
        self.leader: Literal["main", "offered", "thread"] = "main"
        self._term = 0
        self._thread = 0
        self.away_since = 0.0
        """Since when nobody hears the links, by the monotonic clock; 0.0 while somebody does."""
        self._returned = threading.Lock()
        """Locked, but when the lead has come back by itself."""
        self._returned.acquire()

    # -- the main thread ---------------------------------------------------------------------

    def promote_next(self, now: float) -> None:
        """To the thread that takes the next call."""
        self._returned.acquire(blocking=False)  # it may have rung behind the last look
        self.leader = "offered"
        self.away_since = now

    def look(self, timeout: float) -> bool:
        """Waits for the lead's return, so many seconds at most. Whether its holder is held up,
        as far as can be seen without the lock: ask `is_held_up`, under it."""
        if self._returned.acquire(timeout=min(timeout, HELD_UP)):
            return False
        return self.is_held_up()

    def is_held_up(self) -> bool:
        since = self.away_since
        return since > 0.0 and time.monotonic() - since >= HELD_UP

    def take_back(self) -> None:
        self._main_leads()

    # -- who leads beside it -----------------------------------------------------------------

    def promote(self) -> int:
        """The number of this term."""
        self.leader = "thread"
        self._term += 1
        self._thread = threading.get_ident()
        return self._term

    def still_leads(self, term: int) -> bool:
        return self._term == term and self.leader == "thread"

    @property
    def is_leader(self) -> bool:
        return self.leader == "thread" and self._thread == threading.get_ident()

    def goes_away(self, now: float) -> None:
        """Nobody hears the links from now on: their thread is about to call the app."""
        self.away_since = now

    def is_back(self) -> None:
        self.away_since = 0.0

    def step_down(self) -> None:
        self._main_leads()
        self._returned.release()

    def _main_leads(self) -> None:
        self.leader = "main"
        self.away_since = 0.0
