"""Who hears the links of a WSGI worker: the table of `leader`, and what each party finds out."""

import threading
import time
from collections.abc import Callable

import pytest
from propylon.worker.wsgi.leader import HELD_UP, Leadership

LONG_AGO = 1.0
"""Seconds that are far more than HELD_UP."""
MOVES: dict[str, Callable[[Leadership], object]] = {
    "offer": lambda leadership: leadership.promote_next(time.monotonic()),
    "promote": lambda leadership: leadership.promote(),
    "step down": lambda leadership: leadership.step_down(),
    "take back": lambda leadership: leadership.take_back(),
}


def led(*moves: str) -> Leadership:
    leadership = Leadership()
    for move in moves:
        MOVES[move](leadership)
    return leadership


@pytest.mark.parametrize(
    ("moves", "leader"),
    [
        ([], "main"),
        (["offer"], "offered"),
        (["offer", "take back"], "main"),
        (["offer", "promote"], "thread"),
        (["offer", "promote", "step down"], "main"),
        (["offer", "promote", "take back"], "main"),
        (["offer", "promote", "take back", "offer"], "offered"),
    ],
)
def test_the_table(moves: list[str], leader: str) -> None:
    leadership = led(*moves)
    assert leadership.leader == leader
    assert leadership.is_leader is (leader == "thread")
    assert (leadership.unheard_since > 0.0) is (leader in ("offered", "thread"))


def test_only_the_thread_that_was_promoted_leads() -> None:
    leadership = led("offer", "promote")
    found: list[bool] = []
    other = threading.Thread(target=lambda: found.append(leadership.is_leader))
    other.start()
    other.join()
    assert found == [False]
    assert leadership.is_leader


def test_a_term_is_over_when_the_lead_was_taken_back() -> None:
    leadership = led("offer")
    first = leadership.promote()
    assert leadership.still_leads(first)
    leadership.take_back()
    assert not leadership.still_leads(first)
    leadership.promote_next(time.monotonic())
    second = leadership.promote()
    assert leadership.still_leads(second)
    assert not leadership.still_leads(first), "another thread leads now"


@pytest.mark.parametrize("state", ["offered", "in the app"])
def test_links_that_are_unheard_for_long_are_noticed(state: str) -> None:
    leadership = Leadership()
    now = time.monotonic()
    leadership.promote_next(now - LONG_AGO)
    if state == "in the app":
        leadership.promote()
        leadership.hears_links()
        assert not leadership.is_held_up()
        assert not leadership.look(0.0)
        leadership.enters_app(now - LONG_AGO)
    assert leadership.is_held_up()
    assert leadership.look(HELD_UP)
    leadership.take_back()
    assert not leadership.is_held_up()


def test_the_main_thread_wakes_when_the_leader_steps_down() -> None:
    leadership = led("offer", "promote")
    leadership.hears_links()
    leadership.step_down()
    leadership.enters_app(time.monotonic() - LONG_AGO)  # had it slept on, it would see this
    assert not leadership.look(HELD_UP)


def test_an_offer_forgets_who_stepped_down_before() -> None:
    """Behind the main thread's last look: it must not take that for the new leader's return."""
    leadership = led("offer", "promote", "step down")
    leadership.promote_next(time.monotonic() - LONG_AGO)
    assert leadership.look(HELD_UP)
