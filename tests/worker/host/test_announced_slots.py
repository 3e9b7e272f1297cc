"""The slots that a worker tells its gateways, over real links."""

from pathlib import Path

import pytest
from propylon.worker.host.adaptive_limit import FIRST_LIMIT
from propylon.worker.host.announced_slots import as_busy_as, is_worth_a_line, part_of

from ..gateway_peer import Listener, PeerCall, running, scope

AUTO = ("--limit-concurrency", "auto")
ON_OTHERS = [
    pytest.param(loop, marks=pytest.mark.slow) for loop in ("uvloop", "trio")
]  # the rules are the same on every loop


@pytest.mark.parametrize("loop", ["asyncio", *ON_OTHERS])
def test_the_limit_is_told_anew_as_it_moves_and_what_streams_comes_on_top(
    run_dir: Path, loop: str
) -> None:
    with running("asgi_apps:app", run_dir, "--loop", loop, *AUTO) as (worker, peer):
        assert peer.slots == FIRST_LIMIT
        waiting = [peer.open(scope(path=b"/waits_for_disconnect")) for _ in range(FIRST_LIMIT)]
        peer.flush()
        peer.until(lambda: peer.slots > FIRST_LIMIT)
        assert peer.slots == 2 * FIRST_LIMIT
        report = worker.reports("vitals", lambda said: said["limit"] >= peer.slots)
        assert report["limit_why"] == "it was in use, and nothing was slow"
        for call in waiting:
            peer.link.reset(call, 1, "gone")
        peer.flush()
        peer.until(lambda: all(call.ended for call in waiting))
        limit = peer.slots
        for _ in range(limit // 2):
            peer.open(scope(path=b"/streams"))
        peer.flush()
        peer.until(lambda: peer.slots >= limit + limit // 4)


def test_gateways_share_the_limit(run_dir: Path) -> None:
    with running("asgi_apps:app", run_dir, *AUTO) as (_, first):
        listener = Listener(run_dir, name="2")
        second = listener.accept()
        first.until(lambda: first.slots == FIRST_LIMIT // 2)
        assert first.hello[6]["slots"] == "shared"
        second.until(lambda: second.slots == FIRST_LIMIT // 2)
        second.sock.close()
        listener.close()
        first.until(lambda: first.slots == FIRST_LIMIT)


@pytest.mark.slow
@pytest.mark.parametrize("loop", ["asyncio", "uvloop", "trio"])
def test_a_late_loop_takes_fewer_than_are_open_and_all_are_served(run_dir: Path, loop: str) -> None:
    with running("asgi_apps:app", run_dir, "--loop", loop, *AUTO) as (_, peer):
        calls = [peer.open(scope(path=b"/slow_sync")) for _ in range(20)]
        while peer.slots == FIRST_LIMIT:
            calls += [peer.open(scope(path=b"/slow_sync")) for _ in range(20 - open_of(calls))]
            peer.flush()
            peer.pump(1.0)
        assert peer.slots < open_of(calls)
        peer.until(lambda: not open_of(calls))
        assert {call.status for call in calls} == {200}


def open_of(calls: list[PeerCall]) -> int:
    return sum(not call.ended for call in calls)


@pytest.mark.parametrize("links", [1, 2, 3, 4, 6, 8, 33])
@pytest.mark.parametrize("limit", [4, 10, 32, 397])
def test_full_parts_are_the_limit_and_no_more(limit: int, links: int) -> None:
    part = part_of(limit, links)
    assert part * links >= limit
    assert as_busy_as(part, limit, links) == limit
    assert as_busy_as(0, limit, links) == 0
    assert as_busy_as(part + 1, limit, links) > limit


@pytest.mark.parametrize(
    ("logged", "before", "limit", "is_worth_it"),
    [
        (32, 32, 64, True),
        (32, 17, 16, True),
        (32, 16, 63, False),
        (32, 32, 17, False),
        (32, 4, 6, False),  # it was cut, and has just grown
        (4, 20, 16, False),
    ],
)
def test_a_line_comes_with_a_change_that_led_where_the_limit_is(
    logged: int, before: int, limit: int, *, is_worth_it: bool
) -> None:
    assert is_worth_a_line(logged, before, limit) is is_worth_it


def test_wsgi_has_its_threads(run_dir: Path) -> None:
    with running("wsgi_apps:application", run_dir, "--threads", "3", *AUTO) as (_, peer):
        assert peer.slots == 3
