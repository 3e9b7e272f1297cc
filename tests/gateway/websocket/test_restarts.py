"""WebSockets that are told to come back: few at once, many over seconds, all in time."""

from hypothesis import given
from hypothesis import strategies as st
from propylon.gateway.websocket.restarts import FEW, LONGEST, RATE, Restarts


class Socket:
    def __init__(self, told: list[float], clock: list[float]) -> None:
        self._told, self._clock = told, clock

    def restart(self) -> None:
        self._told.append(self._clock[0])


def closed(counts: list[int], most: float, every: float = 0.25) -> list[float]:
    """When each is told, from the first addition on; `counts` are added, one a second."""
    clock, told = [500.0], list[float]()
    restarts = Restarts(most)
    waiting = list(counts)
    sweeps = 0
    while waiting or len(told) < sum(counts):
        if waiting and sweeps % 4 == 0:
            for _ in range(waiting.pop(0)):
                restarts.add(Socket(told, clock))
        restarts.sweep(clock[0])
        clock[0] += every
        sweeps += 1
        assert sweeps < 10_000
    return [at - 500.0 for at in told]


def test_few_at_once() -> None:
    assert closed([FEW], 15) == [0.0] * FEW


def test_some_at_a_steady_rate() -> None:
    times = closed([FEW + 200], 15)
    assert times[-1] == 200 / RATE
    assert max(times.count(at) for at in set(times) - {0.0}) == RATE * 0.25


def test_very_many_within_the_longest_time_and_evenly() -> None:
    times = closed([20_000], 15)
    assert LONGEST - 0.5 <= times[-1] <= LONGEST
    in_first_half = sum(at <= LONGEST / 2 for at in times)
    assert 9_000 < in_first_half < 11_000


@given(
    counts=st.lists(st.integers(0, 3_000), min_size=1, max_size=5),
    most=st.floats(1, 60),
)
def test_all_are_told_in_time(counts: list[int], most: float) -> None:
    times = closed(counts, most)
    assert len(times) == sum(counts)
    assert times == sorted(times)
    if times:
        assert times[-1] <= len(counts) - 1 + min(LONGEST, most) + 0.25


def test_one_that_is_added_twice_is_told_once() -> None:
    told: list[float] = []
    socket, restarts = Socket(told, [0.0]), Restarts(15)
    restarts.add(socket)
    restarts.add(socket)
    restarts.sweep(1.0)
    assert len(told) == 1
