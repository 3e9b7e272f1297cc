"""The bucket of a WebSocket's messages, or of its bytes."""

from propylon.gateway.serve.max_rate import SAVED_UP, MaxRate

RATE = 4


def test_a_burst_and_then_the_rate() -> None:
    rate = MaxRate(RATE, 100.0)
    burst = int(RATE * SAVED_UP)
    assert not rate.is_exceeded(burst, 100.0)
    assert not any(rate.is_exceeded(1, 100.0 + n / RATE) for n in range(1, 50))
    assert rate.is_exceeded(1, 100.0 + 49 / RATE)


def test_silence_pays_for_one_burst_and_not_for_more() -> None:
    rate = MaxRate(RATE, 100.0)
    burst = int(RATE * SAVED_UP)
    assert not rate.is_exceeded(burst, 1_000.0)
    assert rate.is_exceeded(1, 1_000.0)
