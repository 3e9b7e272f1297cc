"""The loads see what they are there to see: servers that answer wrongly, drop or stall."""

import shutil
import socketserver
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ..compare import light_client
from ..compare.light_client import Wrong
from . import open_loop
from .closed_loop import Requests
from .load import Load
from .open_loop import AtShare, at_rate
from .pings import Pings
from .servers import Ground, Server

pytestmark = pytest.mark.slow  # it waits for real stalls

GOOD = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nright"
Answer = Callable[[int], bytes]
"""To the request of that number; b"" closes the connection."""


@contextmanager
def serving(answer: Answer) -> Iterator[Server]:
    """One request at a time, over all connections."""
    lock, count = threading.Lock(), 0

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            try:
                while line := self.rfile.readline():
                    if line == b"\r\n" and not self.tell():
                        return
            except OSError:  # the client has gone
                pass

        def tell(self) -> bytes:
            nonlocal count
            with lock:
                count += 1
                data = answer(count)
            self.wfile.write(data)
            return data

    class Threads(socketserver.ThreadingTCPServer):
        daemon_threads, request_queue_size = True, 128

    with Threads(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield Server(Ground(app="", port=server.server_address[1], folder=Path()))
        finally:
            server.shutdown()
            thread.join()


def after(few: int, then: bytes) -> Answer:
    return lambda number: GOOD if number <= few else then


WRONG = {
    "body": after(10, GOOD.replace(b"right", b"wrong")),
    "length": after(10, GOOD.replace(b"5\r\n\r\nright", b"6\r\n\r\nright!")),
    "status": after(10, GOOD.replace(b"200 OK", b"500 Oh")),
    "drop": after(10, b""),
}
PINGS = Pings("/", b"right", connections=4)
WRK = Requests(expected=b"right", connections=4)
needs_wrk = pytest.mark.skipif(shutil.which("wrk") is None, reason="wrk is not installed")


@pytest.fixture(autouse=True)
def haste(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(light_client, "PATIENCE", 2.0)
    monkeypatch.setattr(open_loop, "PATIENCE", 2.0)
    monkeypatch.setattr(open_loop, "CONNECTIONS", 4)


def rate_of(load: Load, answer: Answer) -> float:
    with serving(answer) as server:
        return load.measure(server, 1.0)["rate"]


@pytest.mark.parametrize("load", [PINGS, pytest.param(WRK, marks=needs_wrk)])
def test_right_answers_are_counted(load: Load) -> None:
    with serving(lambda _: GOOD) as server:
        load.warm_up(server, 1.0)
        assert load.measure(server, 1.0)["rate"] > 100


@pytest.mark.parametrize("fault", WRONG)
def test_what_is_wrong_has_no_rate(fault: str) -> None:
    with pytest.raises(Wrong):
        rate_of(PINGS, WRONG[fault])
    with serving(WRONG[fault]) as server, pytest.raises(Wrong):
        at_rate(server, Requests(expected=b"right"), 200.0, 1.0)


@needs_wrk
@pytest.mark.parametrize("fault", ["body", "length", "status"])
def test_wrk_compares_in_the_first_load(fault: str) -> None:
    with serving(WRONG[fault]) as server, pytest.raises(Wrong):
        WRK.warm_up(server, 1.0)


@needs_wrk
@pytest.mark.parametrize("fault", ["length", "status", "drop"])
def test_wrk_counts_in_the_others(fault: str) -> None:
    with pytest.raises(Wrong):
        rate_of(WRK, WRONG[fault])


def test_who_waits_for_a_stall_is_counted_from_when_its_request_was_due() -> None:
    """A client that asks only when it was answered would see four slow requests in 400."""
    stalled = threading.Event()

    def answer(number: int) -> bytes:
        if number > 100 and not stalled.is_set():
            stalled.set()
            time.sleep(0.5)
        return GOOD

    with serving(answer) as server:
        found = at_rate(server, Requests(expected=b"right"), 200.0, 2.0)
    assert found["p99"] > 300
    assert found["p50"] < 100
    assert found["count"] == 400


@needs_wrk
@pytest.mark.slow
def test_a_share_is_of_what_the_slowest_can_do() -> None:
    load = AtShare(WRK, equal=True, share=0.5)
    with serving(lambda _: GOOD) as server:
        load.capacity["http://slow"] = [100.0]
        load.warm_up(server, 1.0)
        assert load.measure(server, 1.0)["rate"] == pytest.approx(50, rel=0.1)
