"""When a worker sends what it has said, as a table of states and as rules told the time."""

from collections.abc import Callable

import pytest
from propylon.worker.host.flush_policy import (
    ANSWER_WITHIN,
    SEND_WITHIN,
    FlushPolicy,
    PendingSends,
    State,
)

EVENTS: dict[str, Callable[[FlushPolicy], object]] = {
    "said": lambda policy: policy.said(1.0),
    "expects": lambda policy: policy.expects(),
    "read begin": lambda policy: policy.begin_reading(),
    "read end": lambda policy: policy.end_reading(),
    "sent": lambda policy: policy.sent(),
    "full": lambda policy: policy.blocked(),
    "writable": lambda policy: policy.writable(),
    "close": lambda policy: policy.close(),
}
TABLE: dict[State, dict[str, State]] = {
    # What is not here changes nothing.
    "idle": {
        "said": "scheduled",
        "expects": "scheduled",
        "read begin": "reading",
        "full": "blocked",
    },
    "reading": {"read end": "idle", "sent": "idle", "full": "blocked"},
    "scheduled": {"read begin": "reading", "sent": "idle", "full": "blocked"},
    "blocked": {"writable": "idle"},
    "closed": {},
}
NEVER = {("blocked", "sent"), ("blocked", "full"), ("closed", "sent"), ("closed", "full")}
"""Nothing is sent in these states."""


def in_state(state: State) -> FlushPolicy:
    policy = FlushPolicy()
    ways: dict[State, list[str]] = {
        "idle": [],
        "reading": ["read begin"],
        "scheduled": ["said"],
        "blocked": ["full"],
        "closed": ["close"],
    }
    for event in ways[state]:
        EVENTS[event](policy)
    assert policy.state == state
    return policy


MOVES = [(state, event) for state in TABLE for event in EVENTS if event != "close"]


@pytest.mark.parametrize(("state", "event"), [move for move in MOVES if move not in NEVER])
def test_the_table(state: State, event: str) -> None:
    policy = in_state(state)
    EVENTS[event](policy)
    assert policy.state == TABLE[state].get(event, state)


@pytest.mark.parametrize("state", TABLE)
def test_a_closed_link_stays_closed(state: State) -> None:
    policy = in_state(state)
    policy.close()
    assert policy.state == "closed"


@pytest.mark.parametrize("event", ["said", "expects"])
@pytest.mark.parametrize("state", TABLE)
def test_a_flush_is_asked_for_once(state: State, event: str) -> None:
    policy = in_state(state)
    assert EVENTS[event](policy) is (state == "idle")
    assert EVENTS[event](policy) is False
    if state in ("idle", "scheduled"):
        policy.sent()
        assert EVENTS[event](policy) is True, "and anew for what comes behind it"


def test_what_is_said_while_a_batch_is_read_is_known_at_its_end() -> None:
    policy = FlushPolicy()
    policy.begin_reading()
    assert policy.since == 0.0
    assert not policy.said(3.0)
    policy.end_reading()
    assert policy.since == 3.0, "it is to be flushed"
    policy.sent()
    assert policy.since == 0.0


@pytest.mark.parametrize(
    ("said", "now", "due"),
    [
        ([], 9.0, False),
        ([1.0], 1.0, False),
        ([1.0], 1.0 + ANSWER_WITHIN * 0.9, False),
        ([1.0], 1.0 + ANSWER_WITHIN * 1.1, True),
        ([1.0, 1.0 + ANSWER_WITHIN], 1.0 + ANSWER_WITHIN * 1.1, True),  # the oldest counts
    ],
)
def test_an_answer_waits_for_others_but_not_long(said: list[float], now: float, due: bool) -> None:
    policy = FlushPolicy()
    for at in said:
        policy.said(at)
    assert policy.is_due(now) is due
    policy.sent()
    assert not policy.is_due(now)


def test_the_first_that_is_said_in_a_turn_that_was_expected() -> None:
    policy = FlushPolicy()
    assert policy.expects()
    assert not policy.is_due(9.0), "nothing has been said yet"
    assert not policy.said(9.0)
    assert policy.is_due(9.0 + 2 * ANSWER_WITHIN)


# -- threads ---------------------------------------------------------------------------------


def test_a_link_is_taken_once() -> None:
    pending: PendingSends[str] = PendingSends()
    for link in ("one", "two", "one"):
        pending.add(link, 1.0)
    assert {pending.take(), pending.take()} == {"one", "two"}
    assert pending.take() is None


@pytest.mark.parametrize(
    ("added", "until", "may"),
    [
        ([1.0], 1.0 + SEND_WITHIN * 0.9, True),
        ([1.0], 1.0 + SEND_WITHIN * 1.1, False),
        ([1.0, 1.0 + SEND_WITHIN], 1.0 + SEND_WITHIN * 1.1, False),  # the oldest counts
    ],
)
def test_an_answer_waits_for_the_next_call_if_that_is_quick(
    added: list[float], until: float, may: bool
) -> None:
    pending: PendingSends[int] = PendingSends()
    for number, at in enumerate(added):
        pending.add(number, at)
    assert pending.may_wait(until) is may


def test_its_time_begins_anew_when_all_was_taken() -> None:
    pending: PendingSends[str] = PendingSends()
    pending.add("one", 1.0)
    assert pending.take() == "one"
    pending.add("one", 5.0)
    assert pending.may_wait(5.0 + SEND_WITHIN / 2)
