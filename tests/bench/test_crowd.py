"""The crowd counts what becomes of each of its clients."""

import time

import pytest

from .crowd import Heard, crowd
from .test_loads import GOOD, Answer, serving

pytestmark = pytest.mark.slow  # it waits for those whose patience ends

BUSY = b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n"
LAST = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"


def heard_of(answer: Answer, patience: float = 5.0) -> Heard:
    with serving(answer) as server:
        return crowd(server.ground, 100.0, 1.0, lambda _: "/x", patience)


def test_the_served_and_the_refused() -> None:
    heard = heard_of(lambda number: BUSY if number % 2 else GOOD)
    assert len(heard.answers) > 50
    assert abs(heard.count(200) - heard.count(503)) <= 1
    assert len(heard.served("/x")) == heard.count(200)
    assert not heard.served("/y")


def test_whoever_comes_next_connects_anew_behind_a_close() -> None:
    heard = heard_of(lambda _: LAST)
    assert heard.count(200) == len(heard.answers) > 50


def test_a_lost_connection_is_counted_as_one() -> None:
    heard = heard_of(lambda number: b"" if number == 10 else GOOD)
    assert heard.count(-1) == 1


def test_it_comes_whether_or_not_others_are_answered_and_leaves_when_its_patience_ends() -> None:
    """The server does one at a time: behind the tenth, all wait."""

    def answer(number: int) -> bytes:
        if number == 10:
            time.sleep(3.0)
        return GOOD

    heard = heard_of(answer, patience=0.5)
    assert heard.count(0) > 30
    assert all(0.5 <= one.seconds < 3.0 for one in heard.answers if one.status == 0)
    assert heard.milliseconds()["p99"] < 550


def test_only_what_ended_during_the_load_counts_as_goodput() -> None:
    def answer(number: int) -> bytes:
        if number == 10:
            time.sleep(1.5)
        return GOOD

    heard = heard_of(answer)
    assert heard.count(200) == len(heard.answers)
    assert len(heard.during().answers) == 9
    assert heard.during().goodput() == 9.0
