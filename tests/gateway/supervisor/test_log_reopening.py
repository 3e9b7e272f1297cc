"""Who has still to open its logs again."""

import pytest
import trio
from propylon.gateway.supervisor.log_reopening import REOPENED_WITHIN, LogReopening

NAMES = {1: "gateway 1", 2: "worker 1", "z": "zygote"}


@pytest.fixture
def clock(autojump_clock: trio.testing.MockClock) -> trio.testing.MockClock:
    return autojump_clock


async def test_all_confirm(clock: trio.testing.MockClock) -> None:
    reopening = LogReopening()
    with reopening.waiting_for(NAMES) as confirmations:
        assert reopening.token == confirmations.token > 0
        for process in NAMES:
            reopening.confirmed(process, confirmations.token, "")
        assert await confirmations.all_come() == ""
    assert reopening.token == 0
    assert trio.current_time() < REOPENED_WITHIN


async def test_nobody_to_wait_for(clock: trio.testing.MockClock) -> None:
    with LogReopening().waiting_for({}) as confirmations:
        assert await confirmations.all_come() == ""


async def test_who_has_not_done_it_is_named(clock: trio.testing.MockClock) -> None:
    reopening = LogReopening()
    with reopening.waiting_for(NAMES) as confirmations:
        reopening.confirmed(1, confirmations.token, "no room")
        reopening.confirmed(2, confirmations.token - 1, "an older request's")
        reopening.confirmed(7, confirmations.token, "a stranger's")
        reopening.process_ended("z")
        assert await confirmations.all_come() == ("gateway 1: no room; worker 1: no answer in 10 s")


async def test_a_later_confirmation_counts_for_an_earlier_request(
    clock: trio.testing.MockClock,
) -> None:
    reopening, names = LogReopening(), {1: "gateway 1"}
    with reopening.waiting_for(names) as one, reopening.waiting_for(names) as two:
        reopening.confirmed(1, two.token, "")
        assert await one.all_come() == await two.all_come() == ""
