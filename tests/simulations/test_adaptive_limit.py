"""The adaptive limit in simulated workers: steady, overloaded, and with a step in between."""

from dataclasses import dataclass, field

import pytest

from .adaptive_limit import FIRST_LIMIT, LEAST_LIMIT, AdaptiveLimit

TICK = 0.1


@dataclass
class Service:
    """An event loop whose calls each wait for `waits` seconds and compute for `computes`; behind it
    is something that does `behind` calls at once (0: any number)."""

    waits: float
    computes: float
    behind: int = 0
    limit: AdaptiveLimit = field(default_factory=lambda: AdaptiveLimit(10_000))
    now: float = 1_000.0
    done: float = 0.0

    def run(self, seconds: float, demand: int) -> float:
        """With so many calls that want to run, for so long. Returns calls done a second."""
        done = 0.0
        for _ in range(int(seconds / TICK)):
            running = min(demand, self.limit.limit)
            alone = self.waits + self.computes
            crowd = running / self.behind * self.waits if self.behind else 0.0
            latency = max(alone, running * self.computes, crowd)
            ready = max(0.0, running - self.waits / self.computes) if not self.behind else 0.0
            for _ in range(max(1, int(running * TICK / latency))):
                self.limit.ended(latency)
            done += running * TICK / latency
            self.now += TICK
            self.limit.look(self.now, running, ready * self.computes)
        return done / seconds


@pytest.mark.parametrize(("waits", "computes"), [(0.05, 0.001), (0.2, 0.002), (1.0, 0.001)])
def test_overload_finds_the_number_that_fills_the_loop(waits: float, computes: float) -> None:
    service = Service(waits, computes)
    service.run(120.0, 10_000)
    assert service.run(60.0, 10_000) >= 0.9 / computes, "of what the loop could do at most"
    right = (waits + computes) / computes
    assert right / 2 <= service.limit.limit <= right * 2 + 0.2 / computes


def test_a_bottleneck_behind_the_app_is_seen_by_the_latency() -> None:
    service = Service(0.1, 0.0001, behind=20)
    service.run(120.0, 10_000)
    assert service.run(60.0, 10_000) >= 0.95 * 20 / 0.1
    assert service.limit.limit <= 4 * 20
    service.behind = 5
    service.run(20.0, 10_000)
    assert service.limit.limit <= 4 * 5
    service.behind = 20
    service.run(120.0, 10_000)
    service.waits = 0.3  # slower for good: the limit need not fall for that
    service.run(200.0, 10_000)
    assert service.run(120.0, 10_000) >= 0.95 * 20 / 0.3
    assert service.limit.limit <= 4 * 20


def test_a_step_is_followed_down_and_up() -> None:
    service = Service(0.2, 0.001)
    service.run(120.0, 10_000)
    before = service.limit.limit
    service.computes = 0.01
    service.run(30.0, 10_000)
    assert service.limit.limit < before / 2
    assert service.limit.limit * service.computes < 0.6, "seconds that a call waits for the loop"
    service.computes = 0.001
    service.run(180.0, 10_000)
    assert service.limit.limit > before / 2


def test_a_service_that_is_not_busy_keeps_its_limit() -> None:
    service = Service(0.05, 0.001)
    service.run(600.0, 3)
    assert service.limit.limit == FIRST_LIMIT
    assert service.limit.verdict == "stays"


def test_a_limit_that_nobody_has_reached_comes_down_from_what_ran() -> None:
    limit = AdaptiveLimit(10_000)
    limit.limit = 5_000
    limit.look(0.0, 100, 0.5)
    assert limit.look(1.0, 100, 0.0)
    assert (limit.limit, limit.verdict) == (80, "lag")


def test_it_stays_within_its_bounds() -> None:
    limit = AdaptiveLimit(40)
    for second in range(100):
        limit.look(float(second), limit.limit, 0.0)
    assert limit.limit == 40
    for second in range(100, 200):
        limit.look(float(second), limit.limit, 9.0)
    assert limit.limit == LEAST_LIMIT
    assert AdaptiveLimit(2).limit == 2
