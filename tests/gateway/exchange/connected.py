"""A client of the gateway's over a socket pair, its connection, and the poller that drives it."""

import socket
from collections.abc import Callable

from propylon.gateway.exchange.endpoint import Endpoint
from propylon.gateway.exchange.exchange import Exchange
from propylon.gateway.serve.http1_connection import Http1Connection
from propylon.gateway.serve.service_state import ServiceState
from propylon.gateway.settings import ServeSettings, WebSocketSettings
from propylon.gateway.transport.client_socket import ClientSocket
from propylon.gateway.transport.poller import Poller

from ..http1.drive import context

GET = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n"
HEAD = b"HEAD / HTTP/1.1\r\nHost: h\r\n\r\n"


class Connected:
    def __init__(
        self, answer: Callable[[Exchange], None], *, packets: bool = False, room: int = 0
    ) -> None:
        """`packets`: each of the gateway's sends is one packet here. `room`: of the kernel's for
        what is sent, in bytes; 0 for as usual."""
        self.poller = Poller()
        self.state = ServiceState(
            http=context("httptools"),
            settings=ServeSettings(),
            websocket=WebSocketSettings(),
            apply_trust=lambda _: None,
            answer=answer,
            poller=self.poller,
        )
        kind = socket.SOCK_SEQPACKET if packets else socket.SOCK_STREAM
        ours, self.client = socket.socketpair(socket.AF_UNIX, kind)
        if room:
            ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, room)
        for end in (ours, self.client):
            end.setblocking(False)
        self.connection = Http1Connection(
            ClientSocket(ours, self.state.transports), Endpoint(None, None), self.state
        )
        self.connection.open()

    def close(self) -> None:
        for connection in list(self.state.connections):
            connection.cut()
        self.client.close()

    def turn(self) -> int:
        return self.poller._turn()  # pyright: ignore[reportPrivateUsage]

    def read(self, most: int = 1 << 20) -> bytes:
        """What has come, b"" if nothing has."""
        try:
            return self.client.recv(most)
        except BlockingIOError:
            return b""

    def read_packets(self) -> list[bytes]:
        return list(iter(self.read, b""))
