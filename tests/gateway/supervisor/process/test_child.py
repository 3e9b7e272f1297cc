"""A child's channel at the supervisor's end: whatever the child says, this end lives on."""

import json
import logging
import signal
import socket
from collections.abc import Iterator

import pytest
import trio
import trio.testing
from propylon.gateway.supervisor.process.child import ChannelledProcess
from propylon.protocol.supervision.codec import line_of
from propylon.protocol.supervision.messages import (
    ExitNow,
    NotUnderstood,
    RecycleWish,
    ReopenLogs,
    Report,
    Vitals,
    WorkerEnded,
    WorkerReady,
)

Said = list[Report | NotUnderstood]


class Child(ChannelledProcess):
    """A process that ends when it is told."""

    def __init__(self, sock: socket.socket, unread: bytes = b"") -> None:
        super().__init__(sock, unread)
        self.gone = trio.Event()

    @property
    def pid(self) -> int:
        return 17

    def signal(self, number: signal.Signals) -> None:
        raise AssertionError("nobody signals it")

    async def _wait(self) -> int:
        await self.gone.wait()
        return 0


@pytest.fixture
def sockets() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Ours, which does not block, and the child's."""
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    with ours, theirs:
        yield ours, theirs


Sockets = tuple[socket.socket, socket.socket]


async def test_lines_of_any_kind_end_nobody(
    sockets: Sockets, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging.getLogger("propylon"), "propagate", True)
    ours, theirs = sockets
    child, said = Child(ours), Said()
    theirs.setblocking(False)

    def report(message: Report | NotUnderstood) -> None:
        said.append(message)
        if isinstance(message, RecycleWish):
            raise LookupError("a fault of ours")

    async with trio.open_nursery() as nursery:
        nursery.start_soon(child.run, report)
        for data in (
            b"\xff\x00\n\n[1]\nTraceback (most recent call last):\n",
            b'{"event": "sings", "x": 1}\n',
            line_of(RecycleWish("is old")),
            b'{"event": "vitals", "rss": {}, "calls": 3}\n{"event": "re',
        ):
            theirs.send(data)
        await trio.testing.wait_all_tasks_blocked()
        assert said == [
            NotUnderstood({"event": "sings", "x": 1}), RecycleWish("is old"), Vitals(calls=3),
        ]  # fmt: skip
        assert "a fault of Propylon's supervisor, at what a child says" in caplog.text
        assert child.unread == b'{"event": "re'
        theirs.send(b'ady"}\n')
        child.gone.set()  # its last words are heard, although it has ended
    assert said[-1] == WorkerReady()
    assert ours.fileno() == -1


async def test_older_code_has_heard_the_beginning_of_a_line(sockets: Sockets) -> None:
    ours, theirs = sockets
    line = json.dumps({"event": "recycle", "why": "is old"}).encode()
    child, said = Child(ours, line[:9]), Said()
    theirs.sendall(line[9:] + b"\n")
    child.gone.set()
    await child.run(said.append)
    assert said == [RecycleWish("is old")]


async def test_orders_wait_for_a_child_that_does_not_read(sockets: Sockets) -> None:
    ours, theirs = sockets
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1)
    child = Child(ours)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(child.run, lambda _: None)
        for number in range(600):
            child.order(WorkerEnded(number))
        child.order(ReopenLogs())
        child.order(ExitNow())
        heard = b""
        with trio.fail_after(20):
            while not heard.endswith(b"\nreopen\nnow\n"):
                heard += theirs.recv(65_536)
                theirs.sendall(line_of(Vitals()))
                await trio.testing.wait_all_tasks_blocked()
        assert heard.splitlines()[:-2] == [b"ended %d" % number for number in range(600)]
        child.gone.set()


async def test_one_that_has_ended_has_no_channel_any_more(sockets: Sockets) -> None:
    child = Child(sockets[0])
    child.gone.set()
    assert not child.has_ended
    await child.run(lambda _: None)
    assert child.has_ended
