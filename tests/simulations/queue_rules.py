"""Rules for a queue that is too long, beside each other: who is served next, and who is refused.

    python -m tests.simulations.queue_rules

Clients arrive at random (Poisson), whether or not others are served. A client that has waited for
longer than its patience (10 s, where nothing else is said) leaves the queue. One that is served too
late has left meanwhile, and the work was for nothing. Goodput is what was answered in time, as a
share of what the threads can do, and the waits are of those that were. "Told" is the time after
which the refused ones were told.

`gateway/pool/queue.py` has the rule that was chosen, and is simulated here itself.
"""

import random
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from heapq import heappop, heappush
from typing import Protocol

from propylon.gateway.pool.queue import PoolQueue

THREADS = 16
SIZE = 1_024
SECONDS = 60.0


@dataclass(eq=False, slots=True)
class Client:
    came: float
    needs: float
    """Seconds of a thread."""
    leaves: float
    awaited: bool = True


class Rule(Protocol):
    def put(self, client: Client, now: float) -> Client | None:
        """Returns who is refused for it."""
        ...

    def leave(self, client: Client) -> None:
        """It is not `awaited` any more."""
        ...

    def take(self, now: float) -> Client | None: ...

    def overdue(self, now: float) -> Iterator[Client]: ...


class Fifo:
    """The oldest first; who comes when it is full is refused."""

    def __init__(self, patience: float) -> None:
        self.patience = patience
        self.line: deque[tuple[float, Client]] = deque()
        """Until when each may wait."""
        self.emptied = 0.0

    def patience_now(self, now: float) -> float:
        return self.patience

    def put(self, client: Client, now: float) -> Client | None:
        if not self.line:
            self.emptied = now
        if len(self.line) >= SIZE:
            return client
        self.line.append((now + self.patience_now(now), client))
        return None

    def leave(self, client: Client) -> None:
        """It is passed over when its turn comes."""

    def take(self, now: float) -> Client | None:
        while self.line:
            client = self.pop(now)
            if client.awaited:
                return client
        return None

    def pop(self, now: float) -> Client:
        return self.line.popleft()[1]

    def overdue(self, now: float) -> Iterator[Client]:
        while self.line and (self.line[0][0] < now or not self.line[0][1].awaited):
            yield self.line.popleft()[1]


class ControlledDelay(Fifo):
    """CoDel as in "Fail at scale" (ACM Queue 13:8, 2015): who comes to a queue that was not empty
    for `interval` may wait for `target` only."""

    interval, target = 0.1, 0.005

    def patience_now(self, now: float) -> float:
        return self.target if now - self.emptied > self.interval else self.patience

    def overdue(self, now: float) -> Iterator[Client]:
        kept: deque[tuple[float, Client]] = deque()
        for until, client in self.line:
            if until < now or not client.awaited:
                yield client
            else:
                kept.append((until, client))
        self.line = kept


class SlowControlledDelay(ControlledDelay):
    """The same, for services that take a tenth of a second."""

    interval, target = 1.0, 0.1


class NewestFirst(Fifo):
    """Newest first, always."""

    interval = -1.0

    def put(self, client: Client, now: float) -> Client | None:
        oldest = None
        if len(self.line) >= SIZE:
            oldest = self.line.popleft()[1]
        super().put(client, now)
        return oldest

    def pop(self, now: float) -> Client:
        if now - self.emptied > self.interval:
            return self.line.pop()[1]
        return self.line.popleft()[1]


class AdaptiveLifo(NewestFirst):
    """Newest first when the queue was not empty for `interval`, as in the same article."""

    interval = 0.1


class SlowAdaptiveLifo(NewestFirst):
    interval = 1.0


class Chosen:
    """The gateway's own: newest first while the oldest has waited for longer than the target, and
    more wait than are served in that time."""

    def __init__(self, patience: float, target: float) -> None:
        self.queue: PoolQueue[Client] = PoolQueue(SIZE, patience, target)

    def put(self, client: Client, now: float) -> Client | None:
        return self.queue.put(client, now)

    def leave(self, client: Client) -> None:
        self.queue.remove(client)

    def take(self, now: float) -> Client | None:
        return self.queue.take(now) if self.queue.line else None

    def overdue(self, now: float) -> Iterator[Client]:
        while (client := self.queue.take_overdue(now)) is not None:
            yield client


class Both(AdaptiveLifo, ControlledDelay):
    """The two of them, as the article has it."""


RULES: dict[str, Callable[[float], Rule]] = {
    "FIFO": Fifo,
    "CoDel 100 ms, 5 ms": ControlledDelay,
    "CoDel 1 s, 100 ms": SlowControlledDelay,
    "newest first": NewestFirst,
    "adaptive LIFO 100 ms": AdaptiveLifo,
    "adaptive LIFO 1 s": SlowAdaptiveLifo,
    "both, 100 ms, 5 ms": Both,
    "target 0.5 s": partial(Chosen, target=0.5),
    "target 1 s": partial(Chosen, target=1.0),
    "target 2 s": partial(Chosen, target=2.0),
}


def mixed(at: random.Random) -> float:
    """5 % of requests take 1 s, the others 5 ms."""
    return 1.0 if at.random() < 0.05 else 0.005


def alike(at: random.Random) -> float:
    """50 ms, give or take a fifth."""
    return 0.05 * at.uniform(0.8, 1.2)


@dataclass(frozen=True)
class Scene:
    title: str
    load: Callable[[float], float]
    """Of what the threads can do, at that second."""
    needs: Callable[[random.Random], float] = alike
    patience: float = 10.0
    queue_timeout: float = 30.0


def burst(now: float) -> float:
    return 3.0 if now % 15.0 < 3.0 else 0.7


SCENES = (
    Scene("80 %, all alike", lambda _: 0.8),
    Scene("80 %, mixed", lambda _: 0.8, mixed),
    Scene("95 %, mixed", lambda _: 0.95, mixed),
    Scene("bursts of 3 s at 3x, else 70 %", burst),
    Scene("bursts, mixed", burst, mixed),
    Scene("1.2x, mixed", lambda _: 1.2, mixed),
    Scene("3x, all alike", lambda _: 3.0),
    Scene("3x, all alike, clients of 2 s patience", lambda _: 3.0, patience=2.0),
    Scene("3x, mixed", lambda _: 3.0, mixed),
    Scene("3x, mixed, clients of 2 s patience", lambda _: 3.0, mixed, patience=2.0),
)


@dataclass
class Outcome:
    came: int = 0
    in_time: int = 0
    useful: float = 0.0
    """Seconds of threads for answers that came in time."""
    waits: list[float] = field(default_factory=list)
    """Of those that were answered in time."""
    refusals: list[float] = field(default_factory=list)
    """Seconds until they were told."""


def simulate(scene: Scene, rule: Rule, seconds: float = SECONDS, seed: int = 1) -> Outcome:
    at = random.Random(seed)
    mean = sum(scene.needs(random.Random(n)) for n in range(20_000)) / 20_000
    out, free, number = Outcome(), THREADS, 0
    queue: list[tuple[float, int, str, Client | None]] = []

    def plan(when: float, kind: str, client: Client | None = None) -> None:
        nonlocal number
        number += 1
        heappush(queue, (when, number, kind, client))

    def begin(client: Client, now: float) -> None:
        nonlocal free
        free -= 1
        done = now + client.needs
        if done <= client.leaves:
            out.in_time += 1
            out.useful += client.needs
            out.waits.append(now - client.came)
        client.awaited = False
        plan(done, "done")

    def refuse(client: Client, now: float) -> None:
        if client.awaited:
            client.awaited = False
            out.refusals.append(now - client.came)

    plan(0.0, "comes")
    plan(0.2, "sweep")
    while queue:
        now, _, kind, one = heappop(queue)
        if now > seconds:
            break
        if kind == "comes":
            out.came += 1
            client = Client(now, scene.needs(at), now + scene.patience)
            plan(now + at.expovariate(scene.load(now) * THREADS / mean), "comes")
            if free:
                begin(client, now)
                continue
            plan(client.leaves, "leaves", client)
            refused = rule.put(client, now)
            if refused is not None:
                refuse(refused, now)
        elif kind == "leaves" and one is not None:
            one.awaited = False
            rule.leave(one)
        elif kind == "sweep":
            for client in rule.overdue(now):
                refuse(client, now)
            plan(now + 0.2, "sweep")
        elif kind == "done":
            free += 1
            waiter = rule.take(now)
            if waiter is not None:
                begin(waiter, now)
    return out


def share(values: list[float], of: float) -> float:
    """The value below which that share of them lies; 0.0 of none."""
    return sorted(values)[min(len(values) - 1, int(of * len(values)))] if values else 0.0


COLUMNS = "goodput", "wait p50", "p90", "p99", "refused", "told p50", "left"


def row(out: Outcome) -> list[str]:
    left = out.came - out.in_time - len(out.refusals)
    return [
        f"{out.useful / SECONDS / THREADS:.0%}",
        *(f"{share(out.waits, of):.3f} s" for of in (0.5, 0.9, 0.99)),
        f"{len(out.refusals) / out.came:.1%}",
        f"{share(out.refusals, 0.5):.3f} s" if out.refusals else "-",
        f"{left / out.came:.1%}",
    ]


def main() -> None:
    print(f"| | {' | '.join(COLUMNS)} |\n|---{'|--:' * len(COLUMNS)}|")
    for scene in SCENES:
        print(f"| **{scene.title}** {'|' * len(COLUMNS)}|")
        for name, make in RULES.items():
            out = simulate(scene, make(scene.queue_timeout))
            print(f"| {name} | {' | '.join(row(out))} |")


if __name__ == "__main__":
    main()
