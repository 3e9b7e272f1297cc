"""Connections of each address are counted, and what is too much is reset; real sockets."""

import socket
from collections.abc import Iterator
from typing import Any, cast

import pytest
from propylon.gateway.exchange.endpoint import Endpoint
from propylon.gateway.peers import PeerSet
from propylon.gateway.serve.address_limit import AddressLimit, network_of
from propylon.gateway.serve.service_state import ServiceState
from propylon.gateway.settings import ServeSettings, WebSocketSettings
from propylon.gateway.transport.client_socket import ClientSocket
from propylon.gateway.transport.poller import Poller

MOST = 2


class Door:
    def __init__(self, *trusted: str, named: bool = False) -> None:
        self.state = ServiceState(
            http=cast("Any", None),
            settings=ServeSettings(),
            websocket=WebSocketSettings(),
            apply_trust=cast("Any", None),
            answer=cast("Any", None),
            poller=Poller(),
        )
        self.begun: list[ClientSocket] = []
        self._sockets: list[socket.socket] = []
        limit = AddressLimit(MOST, PeerSet(trusted), self.state, named=named)
        self._begin = limit.before(lambda transport, _: self.begun.append(transport))

    def enters(self, host: str | None, *, is_known: bool = True) -> bool:
        """Whether a connection of this address is let in."""
        client, ours = socket.socketpair()
        self._sockets += [client, ours]
        before = len(self.begun)
        endpoint = Endpoint(None if host is None else (host, 1), None, is_known=is_known)
        self._begin(ClientSocket(ours, self.state.transports), endpoint)
        let_in = len(self.begun) > before
        assert let_in is (ours.fileno() >= 0)
        return let_in

    def close(self) -> None:
        for sock in self._sockets:
            sock.close()


@pytest.fixture
def doors() -> Iterator[list[Door]]:
    made: list[Door] = []
    yield made
    for one in made:
        one.close()


def door(doors: list[Door], *trusted: str, named: bool = False) -> Door:
    doors.append(Door(*trusted, named=named))
    return doors[-1]


def test_one_address_is_refused_and_another_is_not(doors: list[Door]) -> None:
    one = door(doors)
    assert [one.enters("192.0.2.1") for _ in range(4)] == [True, True, False, False]
    assert one.enters("192.0.2.2")
    assert one.state.counts.refused == {"address": 2}


def test_who_leaves_makes_room_once(doors: list[Door]) -> None:
    one = door(doors)
    assert [one.enters("192.0.2.1") for _ in range(3)] == [True, True, False]
    one.begun[0].close()
    one.begun[0].close()
    assert [one.enters("192.0.2.1") for _ in range(2)] == [True, False]
    one.begun[1].reset()
    one.begun[2].close()
    assert [one.enters("192.0.2.1") for _ in range(3)] == [True, True, False]


def test_a_network_of_ipv6_is_one(doors: list[Door]) -> None:
    one = door(doors)
    entered = [one.enters(f"2001:db8:0:1::{n}") for n in range(1, 4)]
    assert entered == [True, True, False]
    assert one.enters("2001:db8:0:2::1")
    assert network_of("2001:db8:0:1:ffff::9") == network_of("2001:db8:0:1::1%eth0")
    assert network_of("192.0.2.1") == "192.0.2.1"


def test_trusted_proxies_unix_sockets_and_unnamed_clients_are_not_counted(
    doors: list[Door],
) -> None:
    one = door(doors, "10.0.0.0/8")
    for host, known in (("10.1.2.3", True), (None, True), ("192.0.2.1", False)):
        assert all(one.enters(host, is_known=known) for _ in range(MOST + 2))
    assert all(door(doors, "*").enters("192.0.2.1") for _ in range(MOST + 2))


def test_everybody_is_trusted_but_not_who_is_only_named(doors: list[Door]) -> None:
    one = door(doors, "*", named=True)
    assert [one.enters("192.0.2.1") for _ in range(3)] == [True, True, False]
