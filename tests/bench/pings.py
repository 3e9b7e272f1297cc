"""The closed loop without wrk: requests by a client of our own, which takes more of the machine
and compares every answer. For ratios where nothing else is at hand."""

import select
from contextlib import ExitStack
from dataclasses import dataclass
from time import monotonic

from ..compare.light_client import PATIENCE, KeepAlive, Wrong, exchange, request
from .load import Sample, percentiles
from .servers import Server


@dataclass(frozen=True)
class Pings:
    path: str
    expected: bytes
    connections: int = 64
    unit: str = "requests/s"
    figure: str = "rate"

    @property
    def ready(self) -> tuple[str, ...]:
        return (self.path,)

    def warm_up(self, server: Server, seconds: float) -> None:
        self.measure(server, seconds)

    def measure(self, server: Server, seconds: float) -> Sample:
        text = request(server.ground.bind, self.path)
        size = len(exchange(server.ground, text))
        latencies: list[float] = []
        with ExitStack() as stack:
            poll = stack.enter_context(select.epoll())
            clients: dict[int, KeepAlive] = {}
            for _ in range(self.connections):
                client = KeepAlive(server.ground, text, size, self.expected)
                stack.enter_context(client.sock)
                clients[client.sock.fileno()] = client
                poll.register(client.sock, select.EPOLLIN)
            began = monotonic()
            for client in clients.values():
                client.ask()
                client.intended = began
            while monotonic() < began + seconds:
                ready = poll.poll(PATIENCE)
                if not ready:
                    raise Wrong(f"no answer for {PATIENCE:g} seconds")
                for fd, _ in ready:
                    client = clients[fd]
                    if client.hear():
                        now = monotonic()
                        latencies.append((now - client.intended) * 1e3)
                        client.intended = now
                        client.ask()
            elapsed = monotonic() - began
        count = len(latencies)
        return {"rate": count / elapsed, "count": count, **percentiles(latencies)}
