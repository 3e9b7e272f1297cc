from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from propylon.gateway.http2.flood_guard import (
    ALLOWANCES,
    LEAST_CONTINUATIONS,
    MOST_SETTINGS_BYTES,
    MOST_UNPAID,
    UNKNOWN_FRAMES,
    Flood,
    FloodGuard,
)
from propylon.gateway.http2.frames import FrameKind
from propylon.gateway.settings import Http2Settings

MOST_HEAD = 65_536


def guard(**settings: int) -> FloodGuard:
    return FloodGuard(Http2Settings(**settings), MOST_HEAD, 100.0)


def until_it_ends(act: Callable[[], None], most: int = 100_000) -> tuple[int, str]:
    """How often something may be done, and why no more often; `most` and "" without an end."""
    for count in range(most):
        try:
            act()
        except Flood as flood:
            return count, flood.reason
    return most, ""


KINDS = {**ALLOWANCES, 0xBB: UNKNOWN_FRAMES, FrameKind.PUSH_PROMISE: UNKNOWN_FRAMES}


@pytest.mark.parametrize("kind", KINDS)
def test_a_full_bucket_and_no_more(kind: int) -> None:
    rule, one = KINDS[kind], guard()
    assert until_it_ends(lambda: one.frame(kind, 6, 100.0)) == (rule.most, rule.reason)


@pytest.mark.parametrize("kind", KINDS)
def test_time_pays(kind: int) -> None:
    rule, one = KINDS[kind], guard()
    now = 100.0

    def act() -> None:
        nonlocal now
        now += 1.01 / rule.each_second
        one.frame(kind, 6, now)

    assert until_it_ends(act, 5 * int(rule.most)) == (5 * int(rule.most), "")


@pytest.mark.parametrize("kind", [kind for kind, rule in ALLOWANCES.items() if rule.each_stream])
def test_streams_pay(kind: int) -> None:
    one = guard()

    def act() -> None:
        one.opened(1)
        for _ in range(int(ALLOWANCES[FrameKind(kind)].each_stream)):
            one.frame(kind, 6, 100.0)

    assert until_it_ends(act, 5_000) == (5_000, "")


def test_what_was_sent_pays_for_windows_and_pings() -> None:
    one = guard()

    def act() -> None:
        one.sent(1)
        for _ in range(8):
            one.frame(FrameKind.WINDOW_UPDATE, 4, 100.0)
        one.frame(FrameKind.PING, 8, 100.0)
        one.dribbled(100.0)

    assert until_it_ends(act, 5_000) == (5_000, "")


def test_what_was_not_used_is_saved_only_once() -> None:
    one = guard()
    most = int(ALLOWANCES[FrameKind.PING].most)
    assert until_it_ends(lambda: one.frame(FrameKind.PING, 8, 1e6))[0] == 2 * most


def test_what_was_sent_or_opened_pays_once() -> None:
    one = guard()
    one.sent(10_000)
    one.opened(10_000)
    for kind, rule in ALLOWANCES.items():
        if rule.each_sent or rule.each_stream:
            count = until_it_ends(lambda kind=kind: one.frame(kind, 6, 100.0))[0]
            assert count == 2 * rule.most


def test_settings_with_many_entries() -> None:
    one = guard()
    one.frame(FrameKind.SETTINGS, MOST_SETTINGS_BYTES, 100.0)
    with pytest.raises(Flood, match="entries"):
        one.frame(FrameKind.SETTINGS, MOST_SETTINGS_BYTES + 6, 100.0)


def test_continuations_of_one_block() -> None:
    one = guard()
    for _ in range(3):
        one.begin_block(0)
        for _ in range(LEAST_CONTINUATIONS):
            one.continue_block(0)
    with pytest.raises(Flood, match="CONTINUATION"):
        one.continue_block(0)


def test_a_large_head_is_in_as_many_frames_as_it_needs() -> None:
    one = FloodGuard(Http2Settings(), 786_432, 100.0)
    one.begin_block(16_384)
    for _ in range(786_432 // 16_384):
        one.continue_block(16_384)


def test_bytes_of_one_block() -> None:
    one = guard()
    one.begin_block(MOST_HEAD)
    one.continue_block(MOST_HEAD)
    with pytest.raises(Flood) as caught:
        one.continue_block(1)
    assert caught.value.reason == "header_block"
    with pytest.raises(Flood):
        guard().begin_block(2 * MOST_HEAD + 1)


WASTE: dict[str, Callable[[FloodGuard], None]] = {
    "rapid_reset": lambda one: one.client_reset(True, 100.0),
    "made_reset": lambda one: one.we_reset(100.0),
    "refused_stream": lambda one: one.refused(100.0),
}


@pytest.mark.parametrize("reason", WASTE)
def test_requests_in_vain(reason: str) -> None:
    one = guard(max_resets=300)
    assert until_it_ends(lambda: WASTE[reason](one)) == (300, reason)


@pytest.mark.parametrize("reason", WASTE)
def test_each_request_pays_for_half_of_one_in_vain(reason: str) -> None:
    one = guard(max_resets=300)

    def act() -> None:
        one.opened(1)
        WASTE[reason](one)

    count, why = until_it_ends(act)
    assert (abs(count - 600) <= 2, why) == (True, reason)


def test_who_cancels_each_second_request_is_no_attacker() -> None:
    one = guard()

    def act() -> None:
        one.opened(2)
        one.client_reset(True, 100.0)

    assert until_it_ends(act, 5_000) == (5_000, "")


def test_who_wastes_requests_is_known_while_they_are_not_paid_for() -> None:
    one = guard(max_resets=300)
    assert not one.has_wasted
    for _ in range(int(MOST_UNPAID)):
        one.client_reset(True, 100.0)
    assert one.has_wasted
    assert not one.wastes(100.0)
    one.client_reset(True, 100.0)
    assert one.wastes(100.0)
    one.opened(4)
    assert not one.wastes(100.0), "requests have paid for two"
    assert one.has_wasted
    assert not one.wastes(130.0), "and time for the others"
    assert not one.has_wasted


def test_nobody_wastes_what_is_not_counted() -> None:
    one = guard(max_resets=0)
    for _ in range(1_000):
        one.client_reset(True, 100.0)
    assert not one.has_wasted


def test_ways_to_waste_requests_are_not_added_up() -> None:
    """An attacker who does them in turn has no more than with one of them."""
    one = guard()

    def act() -> None:
        for waste in WASTE.values():
            one.opened(1)
            waste(one)

    assert until_it_ends(act)[0] <= 2 * 1_000 // 3 + 2


def test_a_reset_behind_the_beginning_of_a_response_is_nothing() -> None:
    one = guard()
    assert until_it_ends(lambda: one.client_reset(False, 100.0), 5_000) == (5_000, "")


@pytest.mark.parametrize(("settings", "most"), [
    ({"max_resets": 10, "max_streams": 100}, 200),
    ({"max_resets": 10, "max_streams": 1}, 10),
    ({"max_resets": 0}, 100_000),
])  # fmt: skip
def test_limits_that_the_settings_give(settings: dict[str, int], most: int) -> None:
    one = guard(**settings)
    assert until_it_ends(lambda: one.client_reset(True, 100.0))[0] == most


@given(st.lists(st.tuples(st.sampled_from(list(ALLOWANCES)), st.floats(0, 10)), max_size=400))
def test_a_few_of_each_are_always_allowed(acts: list[tuple[FrameKind, float]]) -> None:
    one, now, used = guard(), 100.0, dict[FrameKind, int]()
    for kind, later in acts:
        now += later
        used[kind] = used.get(kind, 0) + 1
        if used[kind] <= ALLOWANCES[kind].most:
            one.frame(kind, 6, now)
