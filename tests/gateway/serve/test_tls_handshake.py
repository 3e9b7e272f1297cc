"""Handshakes in progress: how many, how long, and who waits for room."""

import socket
import ssl
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
import trio
from propylon.gateway.exchange.endpoint import Endpoint
from propylon.gateway.http1.machine import HttpContext
from propylon.gateway.http1.request_head import choose_parser
from propylon.gateway.http1.response_head import ResponseHeads
from propylon.gateway.serve.service_state import ServiceState
from propylon.gateway.serve.tls_handshake import HURRY, Handshake, Handshakes
from propylon.gateway.settings import (
    CertificateFiles,
    HttpSettings,
    ServeSettings,
    TlsSettings,
    WebSocketSettings,
)
from propylon.gateway.tls.certificates import Certificates
from propylon.gateway.transport.client_socket import ClientSocket
from propylon.gateway.transport.poller import Poller

from ..tls.issued import issue

TIMEOUT = 10.0


@pytest.fixture
def handshakes(tmp_path: Path) -> Iterator[Handshakes]:
    """With room for two."""
    one = issue(tmp_path, "a.test")
    files = CertificateFiles(certfile=one.paths[0], keyfile=one.paths[1])
    settings = TlsSettings(certificates=(files,), max_handshakes=2, handshake_timeout=TIMEOUT)
    state = ServiceState(
        http=HttpContext(HttpSettings(), choose_parser("h11"), ResponseHeads(b"", 0.0)),
        settings=ServeSettings(),
        websocket=WebSocketSettings(),
        apply_trust=lambda exchange: None,
        answer=lambda exchange: None,
        poller=Poller(),
        clock=lambda: 0.0,
    )
    yield Handshakes(state, Certificates(settings), settings)
    for connection in list(state.connections):
        connection.cut()


def begin(handshakes: Handshakes) -> socket.socket:
    """The client's end."""
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    theirs.settimeout(TIMEOUT)
    transport = ClientSocket(ours, handshakes.state.transports)
    handshakes.begin(transport, Endpoint(None, None))
    return theirs


def sweep(handshakes: Handshakes, now: float) -> None:
    for connection in list(handshakes.state.connections):
        connection.sweep(now)


async def test_everybody_who_waits_for_room_hears_of_it(handshakes: Handshakes) -> None:
    with closing(begin(handshakes)) as first, closing(begin(handshakes)):
        assert handshakes.full
        async with trio.open_nursery() as nursery:
            nursery.start_soon(handshakes.room)
            nursery.start_soon(handshakes.room)
            await trio.testing.wait_all_tasks_blocked()
            nursery.start_soon(handshakes.state.poller.run)
            first.close()
            with trio.fail_after(TIMEOUT):
                while len(nursery.child_tasks) > 1:
                    await trio.testing.wait_all_tasks_blocked()
                    await trio.lowlevel.checkpoint()
            assert not handshakes.full
            sweep(handshakes, TIMEOUT)
            nursery.cancel_scope.cancel()


def test_a_slot_lasts_for_the_time_out(handshakes: Handshakes) -> None:
    with closing(begin(handshakes)) as client:
        sweep(handshakes, TIMEOUT - 0.1)
        assert handshakes.state.connections
        sweep(handshakes, TIMEOUT)
        assert not handshakes.state.connections
        assert client.recv(1) == b""


def test_there_is_less_time_when_all_slots_are_taken(handshakes: Handshakes) -> None:
    with closing(begin(handshakes)), closing(begin(handshakes)):
        sweep(handshakes, HURRY - 0.1)
        assert handshakes.full
        sweep(handshakes, HURRY)
        # All that had their time go, not one at each sweep: others wait behind them.
        assert not handshakes.full
        assert not handshakes.state.connections


def talks(handshakes: Handshakes, client: socket.socket) -> None:
    """The client of a whole handshake, one that believes in any certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    heard, says = ssl.MemoryBIO(), ssl.MemoryBIO()
    session = context.wrap_bio(heard, says)
    for _ in range(10):
        try:
            session.do_handshake()
        except ssl.SSLWantReadError:
            client.sendall(says.read())
            for connection in list(handshakes.state.connections):
                assert isinstance(connection, Handshake)
                connection.readable()
            heard.write(client.recv(65_536))
        else:
            client.sendall(says.read())
            return


def test_handshakes_are_counted_by_how_they_end(handshakes: Handshakes) -> None:
    counts = handshakes.state.counts.handshakes

    def heard(data: bytes, *, leaves: bool = False) -> None:
        with closing(begin(handshakes)) as client:
            (one,) = handshakes.state.connections
            assert isinstance(one, Handshake)
            if data:
                client.sendall(data)
                one.readable()
            if leaves:
                client.close()
                one.readable()

    heard(b"", leaves=True)
    assert counts == {}, "a load balancer that looks whether the port is open"
    heard(b"\x16\x03\x01", leaves=True)
    assert counts == {("client_left", ""): 1}
    heard(b"\x16\x03\x01\x00\x05hello")
    assert counts == {("client_left", ""): 1, ("failed", ""): 1}
    with closing(begin(handshakes)):
        sweep(handshakes, TIMEOUT)
    assert counts["timeout", ""] == 1
    with closing(begin(handshakes)):
        for connection in list(handshakes.state.connections):
            connection.cut()
    assert counts["cut", ""] == 1
    with closing(begin(handshakes)) as client:
        talks(handshakes, client)
        for connection in list(handshakes.state.connections):
            assert isinstance(connection, Handshake)
            connection.readable()
            break
        assert counts["ok", "TLSv1.3"] == 1
    assert sum(counts.values()) == 5
    for connection in list(handshakes.state.connections):
        connection.cut()
    heard(b"GET / HTTP/1.1\r\n")
    assert counts["plain_http", ""] == 1
    assert sum(counts.values()) == 6
