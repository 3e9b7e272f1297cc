"""The account of seconds of a slow client; a pure rule, told the time."""

import pytest
from propylon.gateway.transport.min_rate import MOST_UNSEEN, MinRate, RateLimit, rate_limit

LEAST, GRACE, SILENCE = 100, 5.0, 20.0
LIMIT = RateLimit(LEAST, GRACE, SILENCE)
LOOK = 0.25


def seconds_until_below(pieces: dict[float, int], most: float = 200.0) -> float:
    """When a client is too slow that sends so many bytes at these seconds; `most` if never."""
    rate, total, now = MinRate(LIMIT, 0, 0.0), 0, 0.0
    waiting = sorted(pieces.items())
    while now < most:
        now += LOOK
        while waiting and waiting[0][0] <= now:
            total += waiting.pop(0)[1]
        if rate.is_below(total, now):
            return now
    return most


@pytest.mark.parametrize("every", [0.01, 0.1, 0.3, 1.0, 3.0])
def test_drops_are_too_slow_when_the_grace_is_over(every: float) -> None:
    found = seconds_until_below({every * n: 1 for n in range(1, int(100 / every))})
    lasts = GRACE / (1 - 1 / every / LEAST) if every * LEAST > 1 else 200.0
    assert lasts <= found <= lasts + every + LOOK


def test_the_least_rate_is_enough_for_ever() -> None:
    assert seconds_until_below({2.0 * n: 2 * LEAST for n in range(1, 100)}) == 200.0


def test_silence_is_not_measured_here() -> None:
    assert seconds_until_below({}) == 200.0


def test_a_fast_client_may_stand_still_for_as_long_as_it_may_be_silent() -> None:
    assert seconds_until_below({0.5: 1_000_000, SILENCE: 1}) == 200.0


def test_a_fast_start_does_not_pay_for_hours() -> None:
    drops = {0.5: 1_000_000} | {1.0 * n: 1 for n in range(1, 200)}
    assert SILENCE <= seconds_until_below(drops) <= SILENCE + 2


def test_what_others_were_late_for_is_forgiven() -> None:
    rate = MinRate(LIMIT, 0, 0.0)
    for n in range(1, 400):
        rate.forgive(0, n * LOOK)
    assert not rate.is_below(1, 400 * LOOK)


def test_time_in_which_nobody_looked_is_forgiven() -> None:
    rate = MinRate(LIMIT, 0, 0.0)
    assert not any(rate.is_below(n, n * (MOST_UNSEEN + 0.1)) for n in range(1, 100))


def test_no_rate_is_no_limit() -> None:
    assert rate_limit(0, GRACE, SILENCE) is None
    assert rate_limit(LEAST, GRACE, 1.0) == RateLimit(LEAST, GRACE, GRACE)
