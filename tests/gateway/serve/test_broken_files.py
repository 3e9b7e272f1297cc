"""A file that breaks while its client takes it, and which exchange is said to have failed."""

import os
import socket
from collections import deque
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path

import pytest
from propylon.gateway.exchange.endpoint import Endpoint
from propylon.gateway.exchange.exchange import Exchange
from propylon.gateway.files.disk_file import DiskFile
from propylon.gateway.files.disk_threads import DiskThreads
from propylon.gateway.files.file_source import SentFile
from propylon.gateway.serve.http1_connection import Http1Connection
from propylon.gateway.serve.service_state import ServiceState
from propylon.gateway.settings import ServeSettings, WebSocketSettings
from propylon.gateway.transport.client_socket import ClientSocket
from propylon.gateway.transport.poller import Poller

from ...end_to_end.server import wait_for
from ...fakes.exchange_sides import FakeSource
from ..http1.drive import context

GET = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n"
SIZE = 60_000
"""Bytes; with more to take, a client's next request is not read."""


class Served:
    """A client that has not taken what came before. Its first request is answered with a file, the
    whole body or the first half of it, and nobody answers the others."""

    def __init__(self, path: Path, *, whole: bool) -> None:
        path.write_bytes(bytes(SIZE))
        self.path, self.whole = path, whole
        self.exchanges: list[Exchange] = []
        self.calls: deque[Callable[[], None]] = deque()
        """What threads have handed over for the loop."""
        self.poller = Poller()
        state = ServiceState(
            http=context("httptools"),
            settings=ServeSettings(),
            websocket=WebSocketSettings(),
            apply_trust=lambda _: None,
            answer=self.answer,
            poller=self.poller,
        )
        ours, self.client = socket.socketpair()
        for end in (ours, self.client):
            end.setblocking(False)
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4_608)
        with suppress(BlockingIOError):
            while ours.send(b"x"):  # there is no room for the file's beginning
                pass
        self.connection = Http1Connection(
            ClientSocket(ours, state.transports), Endpoint(None, None), state
        )
        self.connection.open()

    def answer(self, exchange: Exchange) -> None:
        exchange.connect(FakeSource(), exchange.opened)
        exchange.identify(f"number {len(self.exchanges)}")
        self.exchanges.append(exchange)
        if len(self.exchanges) == 1:
            size = SIZE if self.whole else 2 * SIZE
            exchange.sink.head(exchange, 200, ((b"content-length", b"%d" % size),))
            file = DiskFile(os.open(self.path, os.O_RDONLY), str(self.path))
            sent = SentFile(file, DiskThreads(self.calls.append))
            assert exchange.sink.file(exchange, sent, 0, SIZE)
            if self.whole:
                exchange.sink.end(exchange)

    def turn(self) -> None:
        self.poller._turn()  # pyright: ignore[reportPrivateUsage]

    def breaks(self) -> None:
        """The file is truncated, and the client takes all that it can get."""
        os.truncate(self.path, 20_000)
        wait_for(self._has_ended, "the end")

    def _has_ended(self) -> bool:
        while self.calls:
            self.calls.popleft()()
        self.turn()
        try:
            return not self.client.recv(1_000)
        except BlockingIOError:
            return False

    def close(self) -> None:
        self.connection.cut()
        self.client.close()


def test_it_is_the_fault_of_its_own_response(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with closing(Served(tmp_path / "it", whole=False)) as served:
        served.client.send(GET)
        served.turn()
        served.breaks()
        (exchange,) = served.exchanges
        assert (exchange.status, exchange.end_code) == (200, "gateway_file_broke")
        assert "became shorter" in caplog.text
        assert "[request number 0]" in caplog.text


def test_it_is_not_the_fault_of_what_was_asked_meanwhile(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with closing(Served(tmp_path / "it", whole=True)) as served:
        served.client.send(GET * 2)
        served.turn()
        assert len(served.exchanges) == 2
        served.breaks()
        before, meanwhile = served.exchanges
        assert before.status == 200
        assert (meanwhile.status, meanwhile.end_code) == (499, "gateway_cut")
        assert "of the response before" in meanwhile.reason
        assert "became shorter" in caplog.text
        assert "[request number 1]" not in caplog.text
