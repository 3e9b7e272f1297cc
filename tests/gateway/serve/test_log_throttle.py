"""Once per source and minute, in bounded memory."""

from propylon.gateway.serve.log_throttle import MOST_SOURCES, Seldom


def test_once_a_minute() -> None:
    seldom = Seldom()
    assert [seldom.may("a", now) for now in (0.0, 59.9, 60.0, 60.1, 120.0)] == [
        True,
        False,
        True,
        False,
        True,
    ]
    assert seldom.may("b", 120.0)


def test_many_sources_are_not_all_remembered() -> None:
    seldom = Seldom()
    assert all(seldom.may(str(number), 0.0) for number in range(MOST_SOURCES))
    assert not seldom.may("one more", 1.0)
    assert seldom.may("one more", 61.0)  # the first thousand are forgotten
    assert not seldom.may("one more", 62.0)
    assert seldom.may("0", 62.0)
