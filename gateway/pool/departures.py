"""Decides when a worker that asks to leave is let go. Pure: time is passed in.

A worker that drains serves on until the gateway has answered (SPEC.md 10.4). It is let go while
others stay. If all workers of a pool ask, the pool itself leaves, as at the end of a pod: there the
workers hear of it first and the load balancer last (docs/ARCHITECTURE.md, "Lifecycle"). So they are
kept for `delay` seconds and still get calls, and the responses close their connections. A client
whose connection was idle all that time has not been told. It would send its next request to a
gateway without workers, because a native sidecar of Kubernetes gets its own SIGTERM only when the
workers have exited. So before they go, such clients are sent away, and a request that crosses is
still answered: the workers stay for IDLE_ENDS seconds more.
"""

from collections.abc import Iterable, Sequence
from typing import Final, Protocol, TypeVar

SETTLE: Final = 1.0
"""Seconds after which it is known whether a worker leaves alone or together with all others. The
workers of one container get their SIGTERM within milliseconds and look at it ten times a second;
the containers of one pod get it within the same second. Without a delay it is not waited for."""
IDLE_ENDS: Final = 1.5
"""Seconds for which the workers stay when idle clients are sent away. An idle connection is closed
after 0.75 s and lingers for 0.25 s; the sweeps that do this and that add up to less than 0.5 s."""


class Leaver(Protocol):
    ready: bool
    asked_to_leave: float | None
    """When it asked, in monotonic seconds; None if it did not."""

    @property
    def hung(self) -> bool: ...


M = TypeVar("M", bound=Leaver)


class Departures:
    """The departures of one pool's workers."""

    def __init__(self, delay: float) -> None:
        self._delay = delay
        self._since: float | None = None
        self._held = False

    @property
    def pool_leaves(self) -> bool:
        """Whether every worker has asked to leave, and none has come since."""
        return self._since is not None

    def sends_away(self, now: float) -> bool:
        """Whether the pool leaves, and its delay is over: clients that are idle should go."""
        return self._since is not None and now - self._since >= self._delay

    def hold(self) -> None:
        """Whether the gateway itself is about to end. Then no worker is let go before the gateway
        has finished, unless others stay."""
        self._held = True

    def due(self, members: Iterable[M], now: float) -> Sequence[M]:
        """Returns the members that may go now."""
        ready = [member for member in members if member.ready]
        asking = [member for member in ready if member.asked_to_leave is not None]
        stays = any(member.asked_to_leave is None and not member.hung for member in ready)
        if self._held and not stays:
            return ()
        if not self._delay:
            return asking
        if stays:
            self._since = None
        elif asking and self._since is None:
            self._since = now
        if self._since is not None:
            return asking if now - self._since >= self._delay + IDLE_ENDS else ()
        patience = min(SETTLE, self._delay)
        return [m for m in asking if now - (m.asked_to_leave or 0.0) >= patience]
