"""When a worker ended with calls on it: which of them another worker may answer. Pure.

A worker is killed with ten calls on it. To fail them all would be honest; but nine clients in ten
would be glad to have theirs answered by the next worker, and never know. What stands in the way?

**A request that is done twice.** A payment must not be made twice because a process died, so "a
proxy MUST NOT automatically retry non-idempotent requests" (RFC 9110 section 9.2.2). What matters
for that is whether the app was called, and from outside nobody can tell: OPEN may lie in the dead
worker's socket, unread. So the worker tells it beforehand. For a method that may not be done twice
it has STARTED on the wire before it calls the app (SPEC.md 6.3); where no STARTED came, the app was
not called, and the request may go elsewhere whatever it is. Methods that may be done twice do
without that message: of these, each counts as started.

**A response that has begun.** The client has its head, and another worker's would not match. There
is no retry from there on.

**The body.** The next worker needs it from the first byte on, and a gateway hands bodies on as they
come. To keep all of each would let clients fill our memory. But credit has bounded it already: a
worker gives credit only as its app takes bytes, so to an app that was never called no more can have
gone than the initial window. So as much is kept as a window holds (`KeptBody`, of the very objects
that were sent), and the calls that may certainly be retried can be. What goes beyond the window has
been taken by an app: that call cannot be retried, and what was kept of it is dropped at once. What
began and may be done twice is kept as well, as long as all of these together are not too much.

At a retry the first bytes travel in the new OPEN, as many as it carries. The rest goes back to
where the client's body comes from (`Uploader.take_back`), which sends it again in front of what the
client has still to send, as the new worker gives credit.

**A request that kills.** Some requests end every worker that they meet, and to send them on and on
would take the whole app down. Two deaths are enough (`MOST_DEATHS`).

**A storm.** Where all workers die of overload, retries are more load. What the app had already is
done again only within a budget (`RetryBudget`).

The failure table of docs/ARCHITECTURE.md says what comes of it, row by row.
"""

from collections import deque
from typing import Final

from ...protocol.messages import WINDOW
from ..exchange.exchange import IDEMPOTENT, Exchange

MOST_DEATHS: Final = 2
"""A request that two workers died of gets no third."""
MOST_REFUSALS: Final = 2
"""So often a worker may say that it would not take the request: no death, but no end either."""

MOST_KEPT: Final = WINDOW
"""Bytes of one request's body. A worker gives credit when its app takes bytes, so to one that was
never called no more than the initial window can have gone (SPEC.md 7.1), and it can always be sent
again. A worker that announces a larger window than ours does without."""

MOST_KEPT_IN_ALL: Final = 67_108_864
"""Bytes of the bodies of all calls of a pool that have begun: 256 whole windows. To do such a call
again is a courtesy, and clients must not fill our memory by uploading slowly. A call that never
began is kept in any case: of these there are no more than slots."""

BUDGET_SECONDS: Final = 10
"""Seconds that count as recent; as long as Finagle's and Linkerd's retry budgets look back."""
BUDGET_RATIO: Final = 0.1
BUDGET_FLOOR: Final = 100
"""Retries per span that need no requests to allow them: Finagle's and Linkerd's ten a second. One
worker's end must not cost a quiet server anything."""


class KeptBodies:
    """Those of one pool, in all."""

    __slots__ = ("size",)

    def __init__(self) -> None:
        self.size = 0
        """In bytes."""

    def grow(self, size: int) -> None:
        self.size += size

    def shrink(self, size: int) -> None:
        self.size -= size


class KeptBody:
    """The body that went to a worker behind OPEN's, for as long as it may be needed again. The
    pieces are the very objects that were sent: to keep them copies nothing."""

    __slots__ = ("_all", "_opened", "_pieces", "_size", "whole")

    def __init__(self, opened: int, together: KeptBodies) -> None:
        """`opened`: bytes that OPEN carried and that the exchange keeps."""
        self._all = together
        self._opened = opened
        self._size = 0
        self._pieces: list[bytes] = []
        self.whole = True
        """Whether nothing is missing."""

    def add(self, data: bytes, *, began: bool) -> None:
        """`began`: the app may have been called with it."""
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
        """The whole body, which is not kept any more."""
        body = b"".join((opened, *self._pieces))
        self.drop()
        return body


def needs_confirmation(exchange: Exchange) -> bool:
    """Whether the worker must say STARTED before the app is called: after its death, only that
    tells whether a second worker may do what can't be done twice."""
    return exchange.request.method not in _NEVER_CONFIRMED


_NEVER_CONFIRMED: Final = frozenset({"GET", "HEAD", "OPTIONS", "PUT", "DELETE"})


def may_retry(
    exchange: Exchange, *, started: bool, whole: bool, deaths: int, refusals: int
) -> bool:
    """`started`: the app may have been called. `whole`: the body that was sent is still here."""
    if exchange.status or not whole or deaths >= MOST_DEATHS or refusals >= MOST_REFUSALS:
        return False
    return not started or exchange.request.method in IDEMPOTENT


class RetryBudget:
    """How much is done twice: at most a tenth of recent requests, plus a floor.

    Only calls that may have started cost budget: doing them again is work that the app has had
    already, and it may be what killed the worker. A call that never reached the app is no work done
    twice, and to drop it would save nobody anything.
    """

    __slots__ = ("_history", "_retries")

    def __init__(self) -> None:
        self._retries = 0
        self._history: deque[tuple[float, int, int]] = deque()
        """Once a second: the time, and how many requests and retries there were until then."""

    def look(self, now: float, requests: int) -> None:
        """`now`: monotonic seconds; `requests`: all that ever came. A few times a second."""
        history = self._history
        if not history or now - history[-1][0] >= 1.0:
            history.append((now, requests, self._retries))
        while len(history) > 1 and now - history[1][0] >= BUDGET_SECONDS:
            history.popleft()

    def spend(self, requests: int) -> bool:
        """Takes one retry, if there is one left."""
        _, requests_before, retries_before = self._history[0] if self._history else (0.0, 0, 0)
        allowed = BUDGET_FLOOR + BUDGET_RATIO * (requests - requests_before)
        if self._retries - retries_before >= allowed:
            return False
        self._retries += 1
        return True
