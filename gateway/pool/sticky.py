"""Sticky clients: whose requests go to the same worker as long as it is there. Pure.

Some apps keep something of a client in the memory of one process: a cache that is warm, a game, a
session of Socket.IO's long polling, which ends if its next request meets another process. With
`--balance sticky-cookie` or `sticky-address` a client has a *home*, which is a replica of a worker.
The least loaded worker becomes the home of a client that has none yet (`sticky_cookie`), or the
address decides (`sticky_address`).

A home is a replica and not a process: the worker that takes an old one's place when that is
recycled, reloaded or has died gets its clients. What the old process had in its memory is gone all
the same; but clients stay spread as they were, and the files or shards of a replica are its own.

What becomes of a request whose home can't take it? Three answers are in use. HAProxy sends it to
another server at once if its own is down and `option redispatch` is set, and lets it wait in the
server's own queue if that is full. nginx's ip_hash takes the next server in both cases. A strict
rule would refuse it. Ours is HAProxy's, with a bound:

- The home is gone, not ready, or hung: another worker at once. With a cookie that one is the
  client's home from now on. No request is ever lost because of where its client is at home.
- The home is late, or is kept although it has asked to leave (`departures`): the home. It still
  works, and it has what the client needs.
- The home has no free slot: the request waits in the home's own line, for `sticky_timeout` seconds
  (a second by default, from which on people feel that they wait: see `health`). Then any worker
  gets it; if none is free it waits in the pool's queue as any other, with a whole `queue_timeout`
  before it. An app that fails without its home wants a longer time; one that only has warm caches,
  a shorter one, or 0.

A slot that becomes free goes to the call that has waited longest, whether it stands in the worker's
own line or in the pool's queue. Under overload the queue's next call is its newest, which has never
waited longer; then the lines and the queue take turns. So neither can starve the other. Requests of
high priority go before both. All lines together hold as many
calls as the queue may; a call beyond that is for any worker.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Generic, Protocol, TypeVar

from ..exchange.exchange import Exchange
from .balance import Candidate
from .line import Line, W


class Home(Candidate, Protocol):
    @property
    def replica(self) -> str:
        """What names its replica; "" if it has not said."""
        ...

    @property
    def share(self) -> float:
        """The weight that it has when it is not fresh any more; above 0."""
        ...

    @property
    def leaves(self) -> bool:
        """Whether it has asked to leave."""
        ...


R = TypeVar("R", bound=Home)


class Homes(Protocol):
    """One way to know where a client is at home."""

    def rank(self, replicas: Mapping[str, Home]) -> None:
        """These workers may be homes, by the names of their replicas."""
        ...

    def home(self, exchange: Exchange) -> str | None:
        """The name of the replica that its client is at home with; None if it has no home."""
        ...

    def settle(self, exchange: Exchange, replica: str) -> None:
        """A worker of this replica gets the exchange."""
        ...


def replicas_of(members: Iterable[R]) -> dict[str, R]:
    """The workers that may be homes, by the names of their replicas. Of a worker that leaves and
    the one that takes its place, it is the latter."""
    found: dict[str, R] = {}
    for each in members:
        if each.replica and each.ready and not each.hung:
            other = found.get(each.replica)
            if other is None or (other.leaves and not each.leaves):
                found[each.replica] = each
    return found


class Sticky(Generic[R, W]):
    """The homes of a pool's clients, and the lines of those that wait for them."""

    __slots__ = ("_homes", "_lines", "_most", "_patience", "_replicas")

    def __init__(self, homes: Homes, patience: float, most: int) -> None:
        """`patience`: seconds that a call waits for its home, when that has no free slot; `most`:
        calls that do so at once."""
        self._homes = homes
        self._patience = patience
        self._most = most
        self._replicas: dict[str, R] = {}
        self._lines: dict[str, Line[W]] = {}
        """Replica -> who waits for it. There are no empty ones, but for those whose clients have
        all left."""

    def rank(self, members: Iterable[R]) -> None:
        """To be called when a worker has come, gone or changed its grade."""
        self._replicas = replicas_of(members)
        self._homes.rank(self._replicas)

    def choose(self, exchange: Exchange, otherwise: Callable[[], R | None]) -> R | None:
        """Returns the worker that gets the exchange, with a free slot; None if it has to wait.
        `otherwise` chooses among all."""
        home = self._home(exchange)
        if home is None:
            return otherwise()
        if home.running < home.slots:
            return home
        return None if self._may_wait() else otherwise()

    def wait(self, call: W, exchange: Exchange, now: float) -> bool:
        """Has the call wait for its home. Returns False if it has none, or may not."""
        home = self._home(exchange)
        if home is None or not self._may_wait():
            return False
        line = self._lines.get(home.replica)
        if line is None:
            line = self._lines[home.replica] = Line()
        line.put(call, now)
        return True

    def settle(self, exchange: Exchange, member: R) -> None:
        """The worker gets the exchange."""
        self._homes.settle(exchange, member.replica)

    def _home(self, exchange: Exchange) -> R | None:
        """The worker that its client is at home with; None if any may have it."""
        name = self._homes.home(exchange)
        return None if name is None else self._replicas.get(name)

    def _may_wait(self) -> bool:
        return self._patience > 0 and sum(map(len, self._lines.values())) < self._most

    def due(self, earlier: float) -> Iterator[tuple[W, R]]:
        """Takes out each call whose home has a free slot, and that waits since before `earlier`
        (monotonic seconds). The caller takes the slot before it asks for the next."""
        for name, line in list(self._lines.items()):
            home = self._replicas.get(name)
            while home is not None and home.running < home.slots:
                since = line.since()
                if since is None or since > earlier:
                    break
                yield line.take(), home
            if line.since() is None:
                del self._lines[name]

    def released(self, now: float) -> Iterator[W]:
        """Takes out each call that has waited for too long, or whose home is there no more, and
        forgets those whose clients have left. To be called a few times a second."""
        for name, line in list(self._lines.items()):
            line.waiting()
            while (since := line.since()) is not None:
                if name in self._replicas and now - since < self._patience:
                    break
                yield line.take()
            if line.since() is None:
                del self._lines[name]

    def take_all(self) -> Iterator[W]:
        """Takes all calls out."""
        for line in self._lines.values():
            while line.since() is not None:
                yield line.take()
        self._lines.clear()

    # -- what it looks like ------------------------------------------------------------------

    def waiting(self) -> int:
        """How many calls wait for their home."""
        return sum(line.waiting() for line in self._lines.values())

    def since(self) -> float | None:
        """Since when the first of them waits, in monotonic seconds; None if none does."""
        return min((s for s in (line.since() for line in self._lines.values()) if s), default=None)
