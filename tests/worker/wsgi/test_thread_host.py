"""One thread for calls that compute, all of them for calls that wait, as seen over a real link."""

import signal
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from propylon.protocol.messages import CONFIRM_START, RESPONSE, STARTED

from ..gateway_peer import TIMEOUT, GatewayPeer, Listener, PeerCall, running, scope

THREADS = 4


@pytest.fixture(scope="module")
def peer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayPeer]:
    run_dir = tmp_path_factory.mktemp("threads")
    options = ("--threads", str(THREADS))
    with running("wsgi_loads:application", run_dir, *options) as (worker, peer):
        peer.worker = worker
        yield peer


def open_all(peer: GatewayPeer, *paths: str, flags: int = 0) -> list[PeerCall]:
    """In one batch."""
    calls = [peer.open(scope(path=path.encode()), flags=flags) for path in paths]
    peer.flush()
    return calls


def load(peer: GatewayPeer, path: str, count: int, at_once: int) -> tuple[float, list[PeerCall]]:
    """So many calls, with so many open at any time; the seconds they took."""
    began = time.monotonic()
    calls: list[PeerCall] = []
    under_way: list[PeerCall] = []
    while under_way or len(calls) < count:
        fresh = min(at_once - len(under_way), count - len(calls))
        under_way += open_all(peer, *[path] * fresh)
        calls += under_way[-fresh:] if fresh else []
        peer.pump(1.0)
        under_way = [call for call in under_way if not call.ended]
    return time.monotonic() - began, calls


def most_at_once(call: PeerCall) -> int:
    return int(call.body.split()[1])


def threads_of(calls: list[PeerCall]) -> set[bytes]:
    return {call.body.split()[0] for call in calls}


def until_running(peer: GatewayPeer, count: int) -> None:
    """Asks again and again: no message comes when a call is begun."""
    deadline = time.monotonic() + TIMEOUT
    while peer.ping()["calls"] != count:
        assert time.monotonic() < deadline


def switches(peer: GatewayPeer) -> int:
    """How often the worker's threads have gone to sleep, ever."""
    tasks = Path(f"/proc/{peer.worker.process.pid}/task").glob("*/status")
    lines = [line for task in tasks for line in task.read_text().splitlines()]
    return sum(int(line.split()[1]) for line in lines if line.startswith("voluntary"))


def test_calls_that_compute_stay_on_one_thread(peer: GatewayPeer) -> None:
    """As long as the machine has nothing else to do: one of several attempts finds it so."""

    def changes() -> int:
        _, calls = load(peer, "/compute/0.1", 300, THREADS)
        names = [call.body.split()[0] for call in calls]
        return sum(one != other for one, other in pairwise(names))

    assert any(changes() < 30 for _ in range(20))


def test_calls_that_wait_overlap_also_behind_thousands_that_compute(peer: GatewayPeer) -> None:
    load(peer, "/compute/0", 3000, THREADS)
    open_all(peer, "/reset/0")
    calls = open_all(peer, *["/wait/300"] * THREADS)
    began = time.monotonic()
    peer.until(lambda: all(call.ended for call in calls))
    assert time.monotonic() - began < 2 * 0.3
    assert most_at_once(calls[-1]) >= THREADS
    assert len(threads_of(calls)) == THREADS


@pytest.mark.parametrize(
    ("path", "count"), [("/compute/2/wait/5", 80), ("/compute/0.3/wait/0.6", 500)]
)
def test_calls_that_compute_and_wait_wait_beside_each_other(
    peer: GatewayPeer, path: str, count: int
) -> None:
    load(peer, "/compute/0", 500, THREADS)
    one_by_one, _ = load(peer, path, count, 1)
    together, _ = load(peer, path, count, THREADS)
    assert together < 0.75 * one_by_one


@pytest.mark.parametrize("slow", ["/wait/400", "/compute/400"])
def test_a_quick_call_is_not_held_behind_a_slow_one(peer: GatewayPeer, slow: str) -> None:
    load(peer, "/compute/0", 200, THREADS)
    before, slow_call, behind = open_all(peer, "/compute/0", slow, "/compute/0")
    peer.until(lambda: before.ended and behind.ended)
    assert not slow_call.ended
    (later,) = open_all(peer, "/compute/0")
    peer.until(lambda: later.ended)
    assert not slow_call.ended
    peer.until(lambda: slow_call.ended)


def test_an_answer_does_not_wait_for_a_slow_call_behind_it(peer: GatewayPeer) -> None:
    load(peer, "/compute/0", 200, THREADS)
    quick, slow = open_all(peer, "/compute/0", "/wait/400")
    peer.until(lambda: quick.ended)
    assert not slow.ended
    peer.until(lambda: slow.ended)


def test_the_links_are_heard_while_calls_are_waiting(peer: GatewayPeer) -> None:
    load(peer, "/compute/0", 200, THREADS)
    calls = open_all(peer, *["/compute/0.3"] * 1000)
    peer.ping()
    assert sum(call.ended for call in calls) < len(calls) / 2
    peer.until(lambda: all(call.ended for call in calls))


def test_a_ping_is_answered_while_the_app_computes(peer: GatewayPeer) -> None:
    load(peer, "/compute/0", 200, THREADS)
    (call,) = open_all(peer, "/compute/400")
    until_running(peer, 1)
    vitals = [peer.ping() for _ in range(3)]
    assert not call.ended
    assert [each["calls"] for each in vitals] == [1, 1, 1]
    peer.until(lambda: call.ended)


def test_nobody_polls(peer: GatewayPeer) -> None:
    """Neither without calls nor while they wait: the main thread's ticks are ten a second."""
    load(peer, "/compute/0", 200, THREADS)
    peer.quiet(0.05)
    before = switches(peer)
    peer.quiet(0.5)
    assert switches(peer) - before < 50
    calls = open_all(peer, *["/wait/500"] * THREADS)
    until_running(peer, THREADS)
    before = switches(peer)
    peer.until(lambda: all(call.ended for call in calls))
    assert switches(peer) - before < 70


def test_each_call_is_started_by_the_thread_that_takes_it(peer: GatewayPeer) -> None:
    """Also where one thread takes them all: those behind the first are not started with it."""
    calls = [peer.open(scope("POST", b"/wait/300"), flags=CONFIRM_START) for _ in range(6)]
    peer.flush()
    peer.until(lambda: sum(call.started for call in calls) == THREADS)
    assert peer.ping()["queued"] == 2
    peer.until(lambda: all(call.ended for call in calls))
    assert {tuple(call.kinds) for call in calls} == {(STARTED, RESPONSE)}


def test_several_links_share_the_threads(run_dir: Path) -> None:
    options = ("--threads", str(THREADS))
    with running("wsgi_loads:application", run_dir, *options) as (_, peer):
        listener = Listener(run_dir, name="2")
        other = listener.accept()
        load(peer, "/compute/0", 200, THREADS)
        slow = open_all(peer, *["/wait/300"] * 2)
        (quick,) = open_all(other, "/compute/0")
        other.until(lambda: quick.ended)
        assert other.ping()["calls"] == 2
        peer.until(lambda: all(call.ended for call in slow))
        other.sock.close()
        listener.close()


def test_one_thread_is_enough_to_hear_and_to_call(run_dir: Path) -> None:
    with running("wsgi_loads:application", run_dir, "--threads", "1") as (_, peer):
        load(peer, "/compute/0", 200, 8)
        calls = open_all(peer, *["/wait/100"] * 3)
        until_running(peer, 1)
        vitals = peer.ping()
        assert (vitals["calls"], vitals["queued"]) == (1, 2)
        peer.until(lambda: all(call.ended for call in calls))


def test_a_drain_finishes_what_one_thread_has_before_it(run_dir: Path) -> None:
    options = ("--threads", str(THREADS))
    with running("wsgi_loads:application", run_dir, *options) as (worker, peer):
        load(peer, "/compute/0", 200, THREADS)
        calls = open_all(peer, *["/compute/0.3"] * 500)
        worker.process.send_signal(signal.SIGTERM)
        peer.until(lambda: peer.drained)
        calls += open_all(peer, *["/compute/0", "/wait/50"])
        peer.link.drain("go")
        peer.flush()
        peer.until(lambda: peer.bye)
        assert all(call.ended and call.complete for call in calls)
        assert worker.wait() == 0
