"""What a connection costs that does nothing: resident memory of all the contestant's processes,
with many connections and without. What the kernel keeps for a socket is the same for all."""

import time
from contextlib import ExitStack
from dataclasses import dataclass

from ..compare.light_client import KeepAlive, exchange, request
from .closed_loop import HELLO
from .load import Sample
from .servers import Server

SETTLE = 0.5
"""Seconds."""
FIRST = 200
"""Requests before the first look: what is imported and allocated once belongs to nobody."""


@dataclass(frozen=True)
class Idle:
    """Each has had one response. A contestant is started anew for each round: freed memory is used
    again."""

    connections: int = 1_000
    """Of more than 1,024 granian leaves the rest waiting."""
    unit: str = "bytes/connection"
    figure: str = "memory"
    ready: tuple[str, ...] = ("/",)

    def warm_up(self, server: Server, seconds: float) -> None: ...

    def measure(self, server: Server, seconds: float) -> Sample:
        text = request(server.ground.bind, "/")
        size = len(exchange(server.ground, text))
        with ExitStack() as stack:

            def connect() -> KeepAlive:
                client = KeepAlive(server.ground, text, size, HELLO)
                stack.enter_context(client.sock)
                return client

            first = connect()
            for _ in range(FIRST):
                once(first)
            time.sleep(SETTLE)
            before = server.resident()
            for _ in range(self.connections):
                once(connect())
            time.sleep(SETTLE)
            return {"memory": (server.resident() - before) / self.connections}


def once(client: KeepAlive) -> None:
    client.ask()
    while not client.hear():
        pass
