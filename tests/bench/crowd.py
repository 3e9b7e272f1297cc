"""Clients that come at random, wait for as long as their patience lasts, and leave.

It is an open loop: a client comes when its time has come (Poisson), whether or not others have been
answered, and its wait counts from then. A refused client is heard, a client that waits for too long
closes its connection, and neither is a fault: they are counted. Whoever is answered leaves the
connection to the next one; if none is free, the next one connects.
"""

import gc
import random
import select
import socket
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from time import monotonic, process_time

from ..compare.light_client import PIECE, Wrong, complete, request
from .load import percentiles
from .servers import Ground

LAST = 0.5
"""Seconds that the last ones have beyond their patience."""


@dataclass(frozen=True)
class Answer:
    path: str
    came: float
    """Seconds since the beginning."""
    status: int
    """0: the client left; -1: the connection was lost."""
    seconds: float


@dataclass
class Heard:
    """What came of a crowd."""

    seconds: float
    answers: list[Answer] = field(default_factory=list[Answer])
    busy: float = 0.0
    """Share of a core that the clients have used."""

    def count(self, *statuses: int) -> int:
        return sum(answer.status in statuses for answer in self.answers)

    def served(self, path: str = "") -> list[Answer]:
        return [one for one in self.answers if one.status == 200 and path in ("", one.path)]

    def during(self) -> "Heard":
        """Without what ended after the last one had come: by then there is room for everybody."""
        inside = [one for one in self.answers if one.came + one.seconds <= self.seconds]
        return Heard(self.seconds, inside, self.busy)

    def goodput(self) -> float:
        """Answers a second that came in time."""
        return len(self.served()) / self.seconds

    def milliseconds(self, path: str = "") -> dict[str, float]:
        found = [one.seconds * 1e3 for one in self.served(path)]
        return percentiles(found) if found else dict.fromkeys(("p50", "p99", "p99.9"), float("nan"))


class Connection:
    """One request at a time."""

    def __init__(self, ground: Ground, poll: select.epoll) -> None:
        self.sock = socket.socket()
        self.sock.setblocking(False)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sock.connect_ex(ground.address)
        self._poll = poll
        self._unsent = b""
        self._heard = b""
        self.path = ""
        self.due = 0.0
        self.serial = 0
        poll.register(self.sock, select.EPOLLOUT)

    def ask(self, path: str, due: float, text: bytes, serial: int) -> None:
        self.path, self.due, self.serial, self._unsent, self._heard = path, due, serial, text, b""
        self.send()

    def send(self) -> None:
        try:
            self.sock.sendall(self._unsent)
        except BlockingIOError:
            self._poll.modify(self.sock, select.EPOLLOUT)
            return
        except OSError:
            pass  # it will be heard
        self._unsent = b""
        self._poll.modify(self.sock, select.EPOLLIN)

    def hear(self) -> int | None:
        """The status of the whole response; None while there is none. -1: the connection is
        lost."""
        try:
            data = self.sock.recv(PIECE)
        except BlockingIOError:
            return None
        except OSError:
            return -1
        self._heard += data
        if not data:
            return -1
        try:
            return int(self._heard[9:12]) if complete(self._heard) else None
        except (Wrong, ValueError):
            return -1

    @property
    def closes(self) -> bool:
        return b"\r\nconnection: close" in self._heard.partition(b"\r\n\r\n")[0].lower()


class Crowd:
    def __init__(self, ground: Ground, patience: float) -> None:
        self._ground, self._patience = ground, patience
        self._poll = select.epoll()
        self._all: dict[int, Connection] = {}
        self._free: list[Connection] = []
        self._waiting: deque[tuple[float, Connection, int]] = deque()
        """Until when each waits, in order; the number of its request."""
        self._under_way = 0
        self._serial = 0
        self._texts: dict[str, bytes] = {}

    def run(self, rate: float, seconds: float, choose: Callable[[random.Random], str]) -> Heard:
        """So many clients a second on average, each of which asks for the path that it chooses."""
        at, heard = random.Random(7), Heard(seconds)
        began, used = monotonic(), process_time()
        due = began + at.expovariate(rate)
        over = began + seconds
        gc.collect()
        gc.disable()
        try:
            while (now := monotonic()) < over or self._under_way:
                while due <= now and due < over:
                    self._send(choose(at), due)
                    due += at.expovariate(rate)
                self._give_up(now, began, heard)
                if now > over + self._patience + LAST:
                    break
                wait = max(0.0, min(due - monotonic(), 0.05)) if due < over else 0.05
                for fd, events in self._poll.poll(wait):
                    self._look(self._all[fd], events, began, heard)
        finally:
            gc.enable()
        heard.busy = (process_time() - used) / (monotonic() - began)
        return heard

    def close(self) -> None:
        for connection in self._all.values():
            connection.sock.close()
        self._poll.close()

    def _send(self, path: str, due: float) -> None:
        if self._free:
            connection = self._free.pop()
        else:
            connection = Connection(self._ground, self._poll)
            self._all[connection.sock.fileno()] = connection
        text = self._texts.get(path) or self._texts.setdefault(
            path, request(self._ground.bind, path)
        )
        self._serial += 1
        self._under_way += 1
        self._waiting.append((due + self._patience, connection, self._serial))
        connection.ask(path, due, text, self._serial)

    def _look(self, connection: Connection, events: int, began: float, heard: Heard) -> None:
        if events & select.EPOLLOUT:
            connection.send()
            return
        status = connection.hear()
        if status is None:
            return
        if connection.serial:
            self._end(connection, status, began, heard)
        if status < 0 or connection.closes:
            self._drop(connection)
        else:
            self._free.append(connection)

    def _end(self, connection: Connection, status: int, began: float, heard: Heard) -> None:
        self._under_way -= 1
        connection.serial = 0
        due = connection.due
        heard.answers.append(Answer(connection.path, due - began, status, monotonic() - due))

    def _give_up(self, now: float, began: float, heard: Heard) -> None:
        while self._waiting:
            until, connection, serial = self._waiting[0]
            if connection.serial == serial and until > now:
                return
            self._waiting.popleft()
            if connection.serial == serial:
                self._end(connection, 0, began, heard)
                self._drop(connection)

    def _drop(self, connection: Connection) -> None:
        del self._all[connection.sock.fileno()]
        if connection in self._free:
            self._free.remove(connection)
        self._poll.unregister(connection.sock)
        connection.sock.close()


def crowd(
    ground: Ground,
    rate: float,
    seconds: float,
    choose: Callable[[random.Random], str],
    patience: float = 10.0,
) -> Heard:
    clients = Crowd(ground, patience)
    try:
        return clients.run(rate, seconds, choose)
    finally:
        clients.close()
