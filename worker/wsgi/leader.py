"""Leader/Followers: which thread of a WSGI worker hears the links.

A WSGI app blocks, so its calls run on threads, and yet some thread has to hear the links on which
calls come. There are three obvious ways to share the work, and each fails for some app.

**One thread hears, others run the calls** (a queue between them). Every call changes threads twice,
and a change costs about a tenth of a millisecond: one thread has to be woken, and to be given the
interpreter's lock by the other. That is more than a quick call takes by itself. For calls that only
compute it buys nothing, since the lock lets one thread compute at a time anyway.

**One thread does it all**, as an event loop does: it hears, calls the app, answers, hears. No call
changes threads, which is the fastest way while calls only compute. But the first call that waits,
for a database or for its client's body, makes all others wait behind it. Meanwhile no thread hears
the links: no PING is answered, and the gateway takes the worker for hung.

**Every thread hears for itself.** All of them wake up for each batch, and the one that reads it has
sixty calls of which it can run one.

The Leader/Followers pattern (Schmidt et al., "Pattern-Oriented Software Architecture" 2, 2000) is
the second way that turns into the first where it must. One thread is the *leader*: it hears the
links. The others are *followers*: they run calls, or wait for one. In the pattern a leader that has
something to do first promotes a follower to leader. That would be a change of threads for each call
again; so here a leader keeps the lead while it calls the app, as long as that goes well. Three
things make it safe:

- The main thread looks every `HELD_UP` seconds whether the leader is still in the app. If so, it
  takes the lead back, hears the links itself, and wakes followers for the calls that wait. So links
  are unheard for two milliseconds at most, whatever an app does.
- A call that is about to wait for news of its own link (a body, credit) makes its thread step down
  first, since no other thread would hear the news.
- `leader_policy` measures how much the calls wait. Where waiting beside each other would be worth
  the changes of threads, the leader steps down, and it is a while before another is promoted.

While the main thread leads, it hands calls out to followers, which is the first way: the right one
when all is quiet, and when calls wait.

=========  =======================  ==============  ====================  ============
leader     who hears the links      promote_next    promote               step down,
                                                                          or taken back
=========  =======================  ==============  ====================  ============
main       the main thread          offered
offered    nobody, for a moment                     thread (who takes     main
                                                    the next call)
thread     that thread, whenever                                          main
           it is not in the app
=========  =======================  ==============  ====================  ============

A leader whose lead was taken back is in the app at that moment and cannot be told. It finds out
when it comes back: each promotion begins a new *term*, and its own is over. From there on it is a
follower like any other.

Everything but `look` happens under the host's lock.
"""

import threading
import time
from typing import Final, Literal

HELD_UP: Final = 0.001
"""Seconds for which the links may go unheard: ten times the cost of a change of threads, and less
than a client notices."""


class Leadership:
    """Which of a host's threads leads."""

    __slots__ = ("_returned", "_term", "_thread", "leader", "unheard_since")

    def __init__(self) -> None:
        self.leader: Literal["main", "offered", "thread"] = "main"
        self._term = 0
        """The number of promotions so far."""
        self._thread = 0
        """The identity of the thread that was promoted last."""
        self.unheard_since = 0.0
        """When the leader went into the app, or the lead was offered, in monotonic seconds; 0.0
        while a thread hears the links."""
        self._returned = threading.Lock()
        """A lock on which the main thread sleeps; it is released when a leader has stepped down."""
        self._returned.acquire()

    # -- the main thread ---------------------------------------------------------------------

    def promote_next(self, now: float) -> None:
        """Offers the lead to the follower that takes the next call."""
        self._returned.acquire(blocking=False)  # a leader may have stepped down after the last look
        self.leader = "offered"
        self.unheard_since = now

    def look(self, timeout: float) -> bool:
        """Waits until the leader steps down, `timeout` seconds at most. Returns whether the leader
        seems to be held up; `is_held_up`, under the lock, says so for sure."""
        if self._returned.acquire(timeout=min(timeout, HELD_UP)):
            return False
        return self.is_held_up()

    def is_held_up(self) -> bool:
        """Whether the links have been unheard for too long."""
        since = self.unheard_since
        return since > 0.0 and time.monotonic() - since >= HELD_UP

    def take_back(self) -> None:
        """Makes the main thread the leader, whatever the leader is doing."""
        self._main_leads()

    # -- a thread that is promoted -----------------------------------------------------------

    def promote(self) -> int:
        """Makes this thread the leader. Returns the number of its term."""
        self.leader = "thread"
        self._term += 1
        self._thread = threading.get_ident()
        return self._term

    def still_leads(self, term: int) -> bool:
        """Whether the leader of this term has not lost the lead meanwhile."""
        return self._term == term and self.leader == "thread"

    @property
    def is_leader(self) -> bool:
        """Whether this thread leads, and is not the main thread."""
        return self.leader == "thread" and self._thread == threading.get_ident()

    def enters_app(self, now: float) -> None:
        """Notes that the leader is about to call the app, so no thread hears the links."""
        self.unheard_since = now

    def hears_links(self) -> None:
        """Notes that the leader is about to hear the links."""
        self.unheard_since = 0.0

    def step_down(self) -> None:
        """Makes the leader a follower, and wakes the main thread, which leads from now on."""
        self._main_leads()
        self._returned.release()

    def _main_leads(self) -> None:
        self.leader = "main"
        self.unheard_since = 0.0
