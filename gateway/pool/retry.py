"""Retry: which calls of a worker that died another worker may answer. Pure.

A worker is killed with ten calls on it. To fail them all would be honest; but nine clients in ten
would be glad to have theirs answered by the next worker, and never know. What stands in the way?

**A request that is done twice.** A payment must not be made twice because a process died, so "a
proxy MUST NOT automatically retry non-idempotent requests" (RFC 9110 section 9.2.2). What matters
is whether the app was called, and that cannot be seen from outside: OPEN may lie unread in the dead
worker's socket. So the worker says it beforehand. For a method that may not be done twice it has
STARTED on the wire before it calls the app (SPEC.md 6.3). If no STARTED came, the app was not
called, and the request may go to another worker whatever its method. Methods that may be done twice
do without that message; each such call counts as started.

**A response that has begun.** The client has its head, and another worker's would not match. There
is no retry from there on.

**The body.** The next worker needs it from the first byte on, and a gateway hands bodies on as they
come. To keep all of each would let clients fill our memory. But credit has bounded it already: a
worker gives credit only as its app takes bytes, so to an app that was never called no more can
have gone than the initial window. So as much is kept as a window holds (`KeptBody`; it keeps the
objects that were sent), and every call that may certainly be retried can be. If more than the
window was sent, an app has taken it: that call cannot be retried, and its kept body is dropped at
once. The body of a started call that may be done twice is kept as well, as long as all of these
together are not too large.

At a retry the first bytes travel in the new OPEN, as many as it carries. The rest goes back to
where the client's body comes from (`Uploader.take_back`), which sends it again in front of what the
client has still to send, as the new worker gives credit.

**A request that kills.** Some requests end every worker that they meet, and to send them on and on
would take the whole app down. Two deaths are enough (`MOST_DEATHS`).

**A storm.** If all workers die of overload, retries are more load. Calls that the app has had
already are done again only within a budget (`RetryBudget`).

The failure table of docs/ARCHITECTURE.md has the outcome, row by row.
"""

from collections import deque
from typing import Final

from ...protocol.messages import WINDOW
from ..exchange.exchange import IDEMPOTENT, Exchange

MOST_DEATHS: Final = 2
"""Workers that may die with a request on them. After that it is answered 502."""
MOST_REFUSALS: Final = 2
"""Workers that may refuse a request. After that it is answered 502."""

MOST_KEPT: Final = WINDOW
"""Bytes of one request's body that are kept. A worker gives credit when its app takes bytes. So if
the app was never called, no more than the initial window was sent (SPEC.md 7.1), and it can be sent
again. With a worker that announces a larger window than ours, a longer body cannot."""

MOST_KEPT_IN_ALL: Final = 67_108_864
"""Bytes of bodies that are kept for all started calls of a pool: 256 whole windows. To retry a
started call is a courtesy, and clients must not fill our memory by slow uploads. The body of a call
that has not started is kept in any case: there are no more of these than slots."""

BUDGET_SECONDS: Final = 10
"""Seconds that count as recent, as in the retry budgets of Finagle and Linkerd."""
BUDGET_RATIO: Final = 0.1
BUDGET_FLOOR: Final = 100
"""Retries within BUDGET_SECONDS that are always allowed: ten a second, as in Finagle and Linkerd.
The death of one worker must not cost the clients of a quiet server anything."""


class KeptBodies:
    """The bytes of all kept bodies of one pool."""

    __slots__ = ("size",)

    def __init__(self) -> None:
        self.size = 0
        """Bytes of all kept bodies."""

    def grow(self, size: int) -> None:
        self.size += size

    def shrink(self, size: int) -> None:
        self.size -= size


class KeptBody:
    """The body that went to a worker behind OPEN, kept for as long as it may be needed again. The
    pieces are the objects that were sent, so nothing is copied."""

    __slots__ = ("_all", "_opened", "_pieces", "_size", "whole")

    def __init__(self, opened: int, together: KeptBodies) -> None:
        """`opened` is the number of bytes that OPEN carried and the exchange keeps."""
        self._all = together
        self._opened = opened
        self._size = 0
        self._pieces: list[bytes] = []
        self.whole = True
        """Whether all pieces are kept."""

    def add(self, data: bytes, *, began: bool) -> None:
        """Keeps a piece. `began` says whether the app may have been called."""
        if not self.whole:
            return
        size = len(data)
        if self._opened + self._size + size > MOST_KEPT or (
            began and self._all.size + size > MOST_KEPT_IN_ALL
        ):
            self.drop()
        elif size:
            self._pieces.append(data)
            self._size += size
            self._all.grow(size)

    def drop(self) -> None:
        self.whole = False
        self._pieces.clear()
        self._all.shrink(self._size)
        self._size = 0

    def take(self, opened: bytes) -> bytes:
        """Returns the whole body, with OPEN's part in front, and keeps it no longer."""
        body = b"".join((opened, *self._pieces))
        self.drop()
        return body


def needs_confirmation(exchange: Exchange) -> bool:
    """Whether the worker has to say STARTED before the app is called. After its death only STARTED
    tells whether another worker may do a request that must not be done twice."""
    return exchange.request.method not in NEVER_CONFIRMED


NEVER_CONFIRMED: Final = frozenset({"GET", "HEAD", "OPTIONS", "PUT", "DELETE"})


def may_retry(
    exchange: Exchange, *, started: bool, whole: bool, deaths: int, refusals: int
) -> bool:
    """Whether another worker may have the exchange. `started` says that the app may have been
    called, `whole` that the whole body can be sent again."""
    if exchange.status or not whole or deaths >= MOST_DEATHS or refusals >= MOST_REFUSALS:
        return False
    return not started or exchange.request.method in IDEMPOTENT


class RetryBudget:
    """Limits how much is done twice: a tenth of recent requests, plus a floor.

    Only calls that may have started cost budget. To do them again is work that an app has had
    already, and it may be what killed the worker. To place a call that never reached an app costs
    nothing twice, so it is always allowed.
    """

    __slots__ = ("_history", "_retries")

    def __init__(self) -> None:
        self._retries = 0
        self._history: deque[tuple[float, int, int]] = deque()
        """An entry for each second: the time, and the number of requests and retries until then."""

    def look(self, now: float, requests: int) -> None:
        """Takes the time, in monotonic seconds, and the number of all requests so far. To be called
        a few times a second."""
        history = self._history
        if not history or now - history[-1][0] >= 1.0:
            history.append((now, requests, self._retries))
        while len(history) > 1 and now - history[1][0] >= BUDGET_SECONDS:
            history.popleft()

    def spend(self, requests: int) -> bool:
        """Takes one retry from the budget. Returns False if none is left."""
        _, requests_before, retries_before = self._history[0] if self._history else (0.0, 0, 0)
        allowed = BUDGET_FLOOR + BUDGET_RATIO * (requests - requests_before)
        if self._retries - retries_before >= allowed:
            return False
        self._retries += 1
        return True
