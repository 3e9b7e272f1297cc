"""What an exchange keeps of itself, and who is told."""

import pytest
from propylon.gateway.exchange.exchange import Exchange, Observers, Request

from ...fakes.exchange_sides import FakeClient, FakeSource


def test_observers_are_told_at_the_start_and_once_at_the_end() -> None:
    told: list[tuple[str, int, float]] = []
    observers = Observers(
        (lambda one: told.append(("start", one.status, one.ended)),),
        (lambda one: told.append(("end", one.status, one.ended)),) * 2,
    )
    exchange = Exchange(Request("GET", b"/", "1.1"), FakeClient(), opened=1.0, observers=observers)
    assert told == [("start", 0, 0.0)]
    exchange.complete(200, (), 3, 2.0)
    assert told[1:] == [("end", 200, 2.0)] * 2


def test_an_observer_that_fails_costs_nobody_anything(caplog: pytest.LogCaptureFixture) -> None:
    told: list[Exchange] = []

    def fails(exchange: Exchange) -> None:
        raise RuntimeError("a fault of ours")

    observers = Observers((fails,), (fails, told.append))
    exchange = Exchange(Request("GET", b"/", "1.1"), FakeClient(), opened=1.0, observers=observers)
    exchange.end(2.0)
    assert told == [exchange]
    assert caplog.messages == ["an exchange could not be observed"] * 2


def test_time_marks() -> None:
    exchange = Exchange(Request("GET", b"/", "1.1"), FakeClient(), opened=1.0)
    exchange.connect(FakeSource(), 2.0)
    assert exchange.started == 2.0, "at once"
    exchange.wait()
    assert exchange.started == 0.0
    exchange.start(3.0)
    assert exchange.started == 3.0
    exchange.connect(FakeSource(), 5.0)
    exchange.begin_response(200, (), 6.0)
    exchange.end(7.0)
    marks = (exchange.opened, exchange.queued, exchange.started, exchange.first_byte)
    assert (*marks, exchange.ended) == (1.0, 2.0, 5.0, 6.0, 7.0)


def test_a_client_that_leaves_is_499_before_the_head_only() -> None:
    for begun, status, reason in ((False, 499, "It left."), (True, 200, "")):
        exchange = Exchange(Request("GET", b"/", "1.1"), FakeClient())
        if begun:
            exchange.begin_response(200, (), 1.0)
        exchange.abandon("It left.", 2.0)
        assert (exchange.status, exchange.reason) == (status, reason)


def test_whoever_gives_a_reason_first_knows_best() -> None:
    exchange = Exchange(Request("GET", b"/", "1.1"), FakeClient())
    exchange.give_reason("")
    exchange.give_reason("The worker was killed.")
    exchange.give_reason("The response had no end.")
    assert exchange.reason == "The worker was killed."


def test_the_answer_to_head_has_no_bytes() -> None:
    exchange = Exchange(Request("HEAD", b"/", "1.1"), FakeClient())
    exchange.complete(200, (), 13, 1.0)
    assert exchange.body_sent == 0
