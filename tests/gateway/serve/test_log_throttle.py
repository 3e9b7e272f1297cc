"""Once per source and minute, in bounded memory."""

from propylon.gateway.serve.log_throttle import MOST_SOURCES, LogThrottle


def test_once_a_minute() -> None:
    throttle = LogThrottle()
    assert [throttle.may("a", now) for now in (0.0, 59.9, 60.0, 60.1, 120.0)] == [
        True,
        False,
        True,
        False,
        True,
    ]
    assert throttle.may("b", 120.0)


def test_many_sources_are_not_all_remembered() -> None:
    throttle = LogThrottle()
    assert all(throttle.may(str(number), 0.0) for number in range(MOST_SOURCES))
    assert not throttle.may("one more", 1.0)
    assert throttle.may("one more", 61.0)  # the first thousand are forgotten
    assert not throttle.may("one more", 62.0)
    assert throttle.may("0", 62.0)
