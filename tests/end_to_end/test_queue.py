"""The queue of a pool that is overloaded: who is refused keeps the connection; who
leaves is noticed at once; and what is over is no overload."""

import os
import select
import signal
import socket
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import pytest

from .asking import Crowd
from .operating import status
from .server import DEADLINE, Propylon, wait_for

APP = """
import os, time

def app(environ, start_response):
    with open("asked", "a") as file:
        file.write(environ["PATH_INFO"] + "\\n")
    while environ["PATH_INFO"].startswith("/hold") and not os.path.exists("free"):
        time.sleep(0.01)
    start_response("200 OK", [("Content-Length", "2")])
    return [b"ok"]
"""
GET = b"GET %b HTTP/1.1\r\nHost: h\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\n1234"
MORE_THAN_IS_READ = 110_000
"""Bytes of a body, of which the gateway reads a part while it waits, and the kernel holds the rest.
Of a client with more than its window on the way nobody could know that it has left: its end is
behind bytes that are not read."""
IN_THE_QUEUE = ("--threads=1", "--buffer-requests=off")
"""A request waits in the queue while its body comes; with buffering it would enter it whole."""
SURE = 12
"""Clients in a row that are refused, when every gateway process is full."""


class Client:
    """One connection, and what it hears."""

    def __init__(self, propylon: Propylon, stack: ExitStack) -> None:
        self.sock = stack.enter_context(closing(socket.create_connection(propylon.address)))
        self.sock.settimeout(DEADLINE)
        self._file = self.sock.makefile("rb")

    def ask(self, data: bytes) -> None:
        self.sock.sendall(data)

    def hear(self) -> tuple[int, dict[bytes, bytes]]:
        """The status and the fields of the next response, whose body is dropped."""
        status = int(self._file.readline().split()[1])
        fields: dict[bytes, bytes] = {}
        while line := self._file.readline().strip():
            name, _, value = line.partition(b":")
            fields[name.lower()] = value.strip()
        self._file.read(int(fields[b"content-length"]))
        return status, fields

    def leave(self) -> None:
        self._file.close()
        self.sock.close()

    def is_answered(self, within: float) -> bool:
        return bool(select.select([self.sock], [], [], within)[0])


@contextmanager
def overloaded(
    folder: Path, *flags: str
) -> Iterator[tuple[Propylon, ExitStack, list[Client], list[Client]]]:
    """An instance with one thread and room for one request in the queue of each gateway process;
    the connections of clients that it has refused when both were taken, and of those that have the
    thread or wait."""
    (folder / "main.py").write_text(APP)
    options = ("main:app", *IN_THE_QUEUE, "--queue-size=1", "--queue-target=0", *flags)
    with Propylon(*options, cwd=folder) as propylon, ExitStack() as stack:
        refused, waiting = list[Client](), list[Client]()
        while len(refused) < SURE:
            client = Client(propylon, stack)
            client.ask(GET % b"/hold")
            if client.is_answered(0.1):  # else it has the thread, or waits
                assert client.hear()[0] == 503
                refused.append(client)
            else:
                waiting.append(client)
                refused.clear()
        yield propylon, stack, refused, waiting
        (folder / "free").touch()


GATEWAYS = [(), pytest.param(("--gateways=2",), marks=pytest.mark.slow)]


@pytest.mark.parametrize("flags", GATEWAYS)
def test_who_is_refused_keeps_the_connection(tmp_path: Path, flags: tuple[str, ...]) -> None:
    with overloaded(tmp_path, *flags) as (_, _, refused, _):
        for client in refused:
            client.ask(POST)
            status, fields = client.hear()
            assert status == 503
            assert b"connection" not in fields
            assert int(fields[b"retry-after"]) >= 1
            client.ask(b"56789" + GET % b"/")
            assert client.hear()[0] == 503
        (tmp_path / "free").touch()
        for client in refused:
            wait_for(lambda one=client: answers(one) == 200, "room in the queue")
    assert "/hold" in (tmp_path / "asked").read_text()


@pytest.mark.slow
@pytest.mark.parametrize("flags", [(), ("--gateways=2",)])
def test_who_leaves_the_queue_is_noticed_at_once(tmp_path: Path, flags: tuple[str, ...]) -> None:
    """Also with more of a body on the way than is read meanwhile. No thread works for it."""
    flags = (*flags, "--queue-size=8", "--access-logfile", "-")
    with overloaded(tmp_path, *flags) as (propylon, stack, _, waiting):
        (tmp_path / "free").touch()
        assert [client.hear()[0] for client in waiting] == [200] * len(waiting)
        (tmp_path / "free").unlink()
        first = Client(propylon, stack)
        first.ask(GET % b"/hold/first")
        wait_for(lambda: "/hold/first" in (tmp_path / "asked").read_text(), "a busy thread")
        gone = Client(propylon, stack)
        gone.ask(b"POST /gone HTTP/1.1\r\nHost: h\r\nContent-Length: 900000\r\n\r\n")
        gone.ask(bytes(MORE_THAN_IS_READ))
        gone.leave()
        propylon.stdout.find(r'"POST /gone HTTP/1.1" 499')
        (tmp_path / "free").touch()
        assert first.hear()[0] == 200
    assert "/gone" not in (tmp_path / "asked").read_text()


@pytest.mark.slow
def test_a_route_of_high_priority_passes_the_queue(tmp_path: Path) -> None:
    """It takes the place of the one that waits, and the app sees the path as it is."""
    (tmp_path / "propylon.toml").write_text(
        '[[routes]]\nprefix = "/healthz"\nroot_path = ""\npriority = "high"\n[[routes]]\n'
    )
    with overloaded(tmp_path) as (propylon, stack, refused, _):
        probe = Client(propylon, stack)
        probe.ask(GET % b"/healthz")
        propylon.stderr.find("GET /hold was answered with 503")
        assert answers(refused[0]) == 503
        assert not probe.is_answered(0.0)
        (tmp_path / "free").touch()
        assert probe.hear()[0] == 200
    assert "/healthz" in (tmp_path / "asked").read_text().splitlines()


def answers(client: Client) -> int:
    client.ask(GET % b"/")
    return client.hear()[0]


QUICK = """
import time

def app(environ, start_response):
    time.sleep(0.01)
    start_response("200 OK", [("Content-Length", "2")])
    return [b"ok"]
"""


@pytest.mark.slow
@pytest.mark.parametrize("gateways", ["1", "2"])
def test_after_a_stall_those_who_waited_meanwhile_are_served(tmp_path: Path, gateways: str) -> None:
    """All could be served within a fraction of the target, and ask again as soon as they are."""
    (tmp_path / "quick.py").write_text(QUICK)
    flags = ("--threads=1", f"--gateways={gateways}")
    with Propylon("quick:app", *flags, cwd=tmp_path) as propylon:
        (worker,) = propylon.pids("worker")
        with Crowd(propylon.address[1], 24) as crowd:
            os.kill(worker, signal.SIGSTOP)
            try:
                wait_for(lambda: order(propylon) == "newest-first", "a stall")
            finally:
                os.kill(worker, signal.SIGCONT)
            wait_for(lambda: order(propylon) == "oldest-first", "the order of arrival")
            enough = len(crowd.statuses) + 100
            wait_for(lambda: len(crowd.statuses) > enough, "answers")
            assert order(propylon) == "oldest-first"
        assert set(crowd.statuses) == {200}


def order(propylon: Propylon) -> str:
    (pool,) = status(propylon)["traffic"]
    return pool["order"]
