"""What is done to a server, and what that may cost its clients: a table for each variant.

Whatever a variant's allowances do not name is a failure, of every kind of client. Three things are
no failures anywhere, and are counted as notes: an idle connection that the server closed before a
request was written, pipelined requests behind an announced last answer, and a WebSocket that was
closed with 1012.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch

from ..compare.strict_client import Failed

ANY = "*"
DEATH = 0.1
"""Seconds in which a killed process may still have accepted a connection."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """How every contestant is set up, as far as it has the notion."""

    workers: int = 2
    graceful: float = 10.0
    """Seconds that what is under way gets to finish; the slow download takes about half of it."""
    startup: float = 6.0
    heartbeat: float | None = None
    """Seconds after which a silent worker is hung; None: the product's default."""
    limit: int | None = None
    """Requests that one worker runs at once, and what else bounds a queue."""
    warm_up: bool = False
    """Whether new workers are asked something before clients' requests reach them."""


@dataclass(frozen=True, kw_only=True)
class Allowed:
    what: str
    """Pattern of causes."""
    clients: Sequence[str] = (ANY,)
    at_deadline: bool = False
    """Only if its request was sent the graceful timeout ago, or longer."""
    by_cut: bool = False
    """Only on connections that were there when a process that holds connections was killed."""
    under_way: bool = False
    """Only what had been sent when a process was killed."""
    why: str

    def covers(self, client: str, failure: Failed, graceful: float, cuts: Sequence[float]) -> bool:
        if not fnmatch(failure.what, self.what):
            return False
        if not any(fnmatch(client, pattern) for pattern in self.clients):
            return False
        if self.at_deadline and failure.age < graceful - 0.5:
            return False
        # A WebSocket has no request to be sent: it is under way since it was asked for.
        begun = time.monotonic() - failure.age if failure.age else failure.born
        if self.under_way and not any(begun - DEATH <= cut for cut in cuts):
            return False
        return not self.by_cut or any(failure.born - DEATH <= cut for cut in cuts)


DEADLINE = (
    # A stream without end must end some time. It never announced a length, its client sees that
    # the last chunk is missing, and EventSource connects again. What is younger than the timeout
    # cannot have had it in full, whichever reload or stop ended it.
    Allowed(what="truncated", clients=("events",), at_deadline=True, why="at the deadline"),
)
DEAD_WORKER = (
    # docs/ARCHITECTURE.md, "Failures": a worker that dies takes with it what its app had begun;
    # what is not idempotent must not be begun again ...
    Allowed(
        what="status 502",
        clients=("post", "slow upload", "http/2 post", "http/2 upload"),
        why="begun by a dead worker",
    ),
    # ... of an answer that has begun the rest cannot come, and the client must see that ...
    Allowed(what="truncated", why="begun by a dead worker"),
    # ... and a WebSocket's state is gone.
    Allowed(what="close code 1011", clients=("websocket",), why="its worker is dead"),
)
BOUNDED_QUEUE = (
    # What exceeds the capacity is turned away at once, says that nothing of it was done, and when
    # to come again. `records` proves that nothing was done.
    Allowed(what="status 503 with Retry-After", why="the queue is full"),
)
DEAD_GATEWAY = tuple(
    # Whoever holds a client's connection takes it along when it is killed: the kernel closes or
    # resets it. A connection that came later, or waits to be accepted, is not touched.
    Allowed(what=what, by_cut=True, why="held by a killed process")
    for what in (
        "reset*", "closed without an answer", "truncated", "cut without a close frame",
    )
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Variant:
    says: str
    action: str
    """A function of `actions`."""
    fault: str | None = None
    """Of the new code, where the action reloads."""
    first: str | None = None
    """Of the code that serves at the start."""
    allowed: Sequence[Allowed] = ()
    settings: Settings = Settings()
    crowd: float = 0.0
    """Requests per second, besides the clients; the capacity is 40 per worker."""
    needs: str = ""
    """What a contestant must have, or the variant does not apply to it."""
    seconds: float = 0.0
    """The least that makes sense."""
    wants: str = "an answer"
    """At the end: `an answer`, `the new code`, `no stopped worker`."""

    def allows(self, cuts: Sequence[float]) -> Callable[[str, Failed], str | None]:
        def allows(client: str, failure: Failed) -> str | None:
            for item in self.allowed:
                if item.covers(client, failure, self.settings.graceful, cuts):
                    return item.why
            return None

        return allows


def broken(
    says: str, fault: str, *more: Allowed, needs: str = "reload", **settings: bool
) -> Variant:
    """Reloads of code that is broken; at last of code that is not, which must get in."""
    return Variant(
        says=says, action="reload", fault=fault, allowed=(*DEADLINE, *more),
        settings=Settings(**settings), wants="the new code", needs=needs,
    )  # fmt: skip


VARIANTS: dict[str, Variant] = {
    "reload": Variant(
        says="reload every 2 s", action="reload", allowed=DEADLINE, needs="reload",
        wants="the new code",
    ),
    "import": broken("the new app fails at import", "import"),
    "startup": broken("the new app fails in lifespan's startup", "startup", needs="lifespan"),
    "hang": broken("the new app hangs at startup", "hang"),
    # What a canary had begun when it died is lost by the same table as anybody's.
    "dies": broken("the new app dies after ready", "exit", *DEAD_WORKER),
    # No 500 may reach a client: the warm-up is there to see it first.
    "500s": broken("the new app answers only 500s", "500", warm_up=True),
    "killed": Variant(
        says="a worker SIGKILLed, up to ten times a second", action="kill_workers",
        allowed=DEAD_WORKER, settings=Settings(workers=4),
    ),
    "forks": Variant(
        says="as before, and each worker has forked a process that outlives it",
        action="kill_workers", first="forks", allowed=DEAD_WORKER, settings=Settings(workers=4),
    ),
    "stopped": Variant(
        says="a worker SIGSTOPped, and another later", action="stop_workers",
        allowed=DEAD_WORKER, settings=Settings(heartbeat=2.0), wants="no stopped worker",
    ),
    "gateway": Variant(
        says="the gateway process SIGKILLed", action="kill_gateways",
        allowed=DEAD_GATEWAY, needs="gateway",
    ),
    "overload": Variant(
        says="reload under three times the capacity", action="reload",
        allowed=(*DEADLINE, *BOUNDED_QUEUE), settings=Settings(limit=16), crowd=240.0,
        needs="reload", wants="the new code",
    ),
    "stop": Variant(
        says="graceful stop under load, and a start", action="restart",
        allowed=DEADLINE, settings=Settings(graceful=8.0), seconds=8.0,
    ),
    # Nobody is there to start anything again; the orphans drain as at a stop, and free the port.
    "orphaned": Variant(
        says="the supervisor SIGKILLed, and a start", action="orphan",
        allowed=DEADLINE, settings=Settings(graceful=8.0), seconds=8.0, needs="one supervisor",
    ),
    "upgrade": Variant(
        says="the server's own code replaced", action="upgrade", allowed=DEADLINE, needs="upgrade",
    ),
}  # fmt: skip
