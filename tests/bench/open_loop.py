"""Requests at a fixed rate, whether or not the contestant keeps up: how long do clients wait?

A request is due when the timer says, and its latency counts from then: if every connection is taken
it waits in the client's queue, and that is part of what somebody would wait (what wrk and its like
leave out is called coordinated omission). The timer is the kernel's, because epoll's own time-outs
are whole milliseconds.
"""

import ctypes
import gc
import os
import select
import struct
from collections import deque
from contextlib import ExitStack
from dataclasses import dataclass, field
from statistics import median
from time import monotonic, process_time

from ..compare.light_client import PATIENCE, KeepAlive, Wrong, exchange, request
from ..compare.processes import LIBC
from .closed_loop import Requests
from .load import Sample, percentiles
from .servers import Ground, Server

CONNECTIONS = 128
SHARE = 0.7
"""Of the capacity."""
BUSIEST = 0.9
"""Share of a core above which the client, and not the contestant, is what makes requests late."""
CLOCK_MONOTONIC, TFD_NONBLOCK = 1, 0o4000


class Timer:
    """Becomes readable `rate` times a second."""

    def __init__(self, rate: float) -> None:
        self.fd = LIBC.timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK)
        if self.fd < 0:
            raise OSError(ctypes.get_errno(), "timerfd_create")
        nanoseconds = round(1e9 / rate)
        self.period = nanoseconds / 1e9
        spec = struct.pack("4q", *divmod(nanoseconds, 10**9), *divmod(nanoseconds, 10**9))
        self.started = monotonic()
        if LIBC.timerfd_settime(self.fd, 0, spec, None):
            raise OSError(ctypes.get_errno(), "timerfd_settime")

    def due(self) -> int:
        """How many times since it was last asked."""
        return int.from_bytes(os.read(self.fd, 8), "little")

    def close(self) -> None:
        os.close(self.fd)


class Clients:
    """Connections that take due requests from one queue."""

    def __init__(self, stack: ExitStack, ground: Ground, path: str, expected: bytes) -> None:
        text = request(ground.bind, path)
        size = len(exchange(ground, text))
        self.poll = stack.enter_context(select.epoll())
        self._all: dict[int, KeepAlive] = {}
        for _ in range(CONNECTIONS):
            client = KeepAlive(ground, text, size, expected)
            stack.enter_context(client.sock)
            self._all[client.sock.fileno()] = client
            self.poll.register(client.sock, select.EPOLLIN)
        self._free = deque(self._all.values())
        self.latencies: list[float] = []
        self.queue: deque[float] = deque()
        """When those that are due should have been sent."""

    def send(self) -> None:
        while self.queue and self._free:
            client = self._free.popleft()
            client.intended = self.queue.popleft()
            client.ask()

    def hear(self, fd: int) -> None:
        client = self._all[fd]
        if client.hear():
            self.latencies.append((monotonic() - client.intended) * 1e3)
            self._free.append(client)


def at_rate(server: Server, load: Requests, rate: float, seconds: float) -> Sample:
    """Raises Wrong."""
    with ExitStack() as stack:
        clients = Clients(stack, server.ground, load.path, load.expected)
        gc.collect()
        gc.disable()
        stack.callback(gc.enable)
        timer = Timer(rate)
        stack.callback(timer.close)
        clients.poll.register(timer.fd, select.EPOLLIN)
        began, busy, count, total = timer.started, process_time(), 0, round(rate * seconds)
        while len(clients.latencies) < total:
            ready = clients.poll.poll(PATIENCE)
            if not ready or monotonic() > began + seconds + PATIENCE:
                raise Wrong(f"{len(clients.latencies)} answers to {total} requests")
            for fd, _ in ready:
                if fd != timer.fd:
                    clients.hear(fd)
                    continue
                for _ in range(min(timer.due(), total - count)):
                    count += 1
                    clients.queue.append(began + count * timer.period)
                if count == total:
                    clients.poll.unregister(timer.fd)
            clients.send()
        elapsed = monotonic() - began
        return {
            **percentiles(clients.latencies),
            "rate": total / elapsed,
            "count": total,
            "client": (process_time() - busy) / elapsed,
        }


@dataclass(frozen=True)
class AtShare:
    """At a share of what the contestant can do, found by wrk in the first load and again before
    each round; or all at the rate of the one that can do least."""

    load: Requests
    equal: bool
    share: float = SHARE
    figure: str = "p99"
    unit: str = "ms"
    capacity: dict[str, list[float]] = field(default_factory=dict)
    """What was found, by URL."""

    @property
    def ready(self) -> tuple[str, ...]:
        return self.load.ready

    def warm_up(self, server: Server, seconds: float) -> None:
        self.load.warm_up(server, seconds)
        self._find(server, max(2.0, seconds))

    def measure(self, server: Server, seconds: float) -> Sample:
        found = self._find(server, seconds / 2)
        capacities = self.capacity.values() if self.equal else [self.capacity[server.url]]
        rate = self.share * min(map(median, capacities))
        sample = at_rate(server, self.load, rate, seconds)
        # CPU was used for both.
        return {**sample, "count": sample["count"] + found["count"], "capacity": found["rate"]}

    def _find(self, server: Server, seconds: float) -> Sample:
        sample = self.load.measure(server, seconds)
        self.capacity.setdefault(server.url, []).append(sample["rate"])
        return sample
