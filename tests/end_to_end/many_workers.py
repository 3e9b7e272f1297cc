"""Hundreds of workers in one thread: the real dialer and the real link, without an app.

A process for each would cost gigabytes. What is left out is only what a worker does with a call:
these answer at once, with their number.
"""

import os
import random
import select
import socket
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Literal

from propylon.protocol.calls import Call
from propylon.protocol.errors import ProtocolError
from propylon.protocol.hello import Greeting
from propylon.protocol.messages import BYE_NORMAL, DRAIN, HELLO, OPEN, PING, Message
from propylon.protocol.worker_link import WorkerLink
from propylon.worker.host.dialer import DialPlan, connect
from propylon.worker.host.host import TICK

SLOTS = 4


@dataclass(eq=False)
class _Link:
    path: str
    sock: socket.socket
    machine: WorkerLink
    state: Literal["silent", "greeted", "draining", "released"] = "silent"


@dataclass(eq=False)
class _Worker:
    number: int
    plan: DialPlan
    next_tick: float
    links: dict[str, _Link] = field(default_factory=dict[str, _Link])


class ManyWorkers:
    """Workers of one pool, which run in a thread while the context lasts."""

    def __init__(self, directory: Path, count: int, *, together: bool = False) -> None:
        """`together`: all look for gateways at the same moments, as processes do that were frozen
        and go on."""
        now = time.monotonic()
        phases = random.Random(1)
        self._pool = directory.name
        self._workers = [
            _Worker(
                number, DialPlan(directory), now + (0.0 if together else phases.random() * TICK)
            )
            for number in range(1, count + 1)
        ]
        self._poll = select.epoll()
        self._links: dict[int, tuple[_Worker, _Link]] = {}
        self._over = threading.Event()
        self._leaving = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.fault: BaseException | None = None
        self.dials: list[float] = []
        """When each dial was tried, in monotonic seconds."""
        self.refused = 0
        """Dials that have failed."""

    def __enter__(self) -> "ManyWorkers":
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, _: BaseException | None, __: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()
        self._poll.close()
        if kind is None and self.fault is not None:
            raise self.fault

    @property
    def linked(self) -> int:
        """How many workers are linked to a gateway that has said HELLO."""
        return sum(
            any(link.state != "silent" for link in [*one.links.values()]) for one in self._workers
        )

    def _run(self) -> None:
        try:
            while not self._over.is_set():
                self._turn()
        except BaseException as fault:
            self.fault = fault
        finally:
            for _, link in self._links.values():
                link.sock.close()

    def leave(self) -> None:
        """All ask to be let go, as workers do on SIGTERM, and dial no more."""
        self._leaving.set()

    def _drain(self) -> None:
        for worker, link in [*self._links.values()]:
            if link.state == "greeted":
                link.state = "draining"
                link.machine.drain("the worker stops")
                self._flush(worker, link)

    def _turn(self) -> None:
        now = time.monotonic()
        if self._leaving.is_set():
            self._drain()
        for worker in self._workers:
            if worker.next_tick <= now:
                worker.next_tick = max(worker.next_tick + TICK, now)
                self._dial(worker, now)
        rest = min(worker.next_tick for worker in self._workers) - time.monotonic()
        for fd, _ in self._poll.poll(max(rest, 0.0)):
            if fd in self._links:
                self._read(*self._links[fd])

    def _dial(self, worker: _Worker, now: float) -> None:
        if self._leaving.is_set():
            return
        for path in worker.plan.due(now, worker.links):
            self.dials.append(now)
            try:
                sock = connect(path)
            except OSError:
                self.refused += 1
                worker.plan.ended(path, now)
                continue
            who: dict[str, object] = {"pool": self._pool, "worker": worker.number}
            who |= {"pid": os.getpid(), "generation": 1}
            machine = WorkerLink(Greeting(who=who), lambda: None)
            link = worker.links[path] = _Link(path, sock, machine)
            self._links[sock.fileno()] = (worker, link)
            self._poll.register(sock.fileno(), select.EPOLLIN)
            machine.greet()
            self._flush(worker, link)

    def _read(self, worker: _Worker, link: _Link) -> None:
        try:
            data = link.sock.recv(262_144)
            if not data:
                self._lost(worker, link)
                return
            for call, message in link.machine.receive(data):
                self._hear(worker, link, call, message)
        except (OSError, ProtocolError):
            self._lost(worker, link)
            return
        self._flush(worker, link)

    def _hear(self, worker: _Worker, link: _Link, call: Call | None, message: Message) -> None:
        if message[0] == HELLO:
            link.state = "greeted"
            worker.plan.succeeded(link.path)
            link.machine.ready({})
            link.machine.slots(SLOTS)
        elif call is not None and message[0] == OPEN:
            link.machine.started([call])
            link.machine.respond(call, 200, (), b"%d" % worker.number)
            link.machine.end(call)
        elif message[0] == PING:
            link.machine.pong(message[1], {})
        elif message[0] == DRAIN:
            link.state = "released"
            link.machine.bye(BYE_NORMAL, "drained")

    def _flush(self, worker: _Worker, link: _Link) -> None:
        data = link.machine.take_output()
        try:
            link.sock.setblocking(True)
            link.sock.sendall(data)
            link.sock.setblocking(False)
        except OSError:
            self._lost(worker, link)

    def _lost(self, worker: _Worker, link: _Link) -> None:
        if worker.links.get(link.path) is not link:
            return
        self._poll.unregister(link.sock.fileno())
        del self._links[link.sock.fileno()], worker.links[link.path]
        link.sock.close()
        worker.plan.ended(link.path, time.monotonic(), for_long=link.state == "released")
