"""Rendezvous hashing of clients' addresses."""

from collections import Counter

import pytest
from propylon.gateway.exchange.endpoint import Endpoint
from propylon.gateway.exchange.exchange import Exchange, Request
from propylon.gateway.pool.sticky_address import MOST_KNOWN, StickyAddresses, network_of

from ...fakes.exchange_sides import FakeClient
from .test_sticky import Worker

CLIENTS = [f"10.{n % 7}.{n // 250}.{n % 250}" for n in range(1_200)]


def of_client(host: str | None) -> Exchange:
    client = None if host is None else (host, 1)
    return Exchange(Request("GET", b"/", "1.1"), FakeClient(), Endpoint(client, None))


def homes(weights: dict[str, float]) -> dict[str, str | None]:
    addresses = StickyAddresses()
    addresses.rank({name: Worker(name, share=weight) for name, weight in weights.items()})
    return {host: addresses.home(of_client(host)) for host in CLIENTS}


def test_clients_are_spread_and_every_gateway_agrees() -> None:
    found = homes(dict.fromkeys("abcd", 1.0))
    assert all(200 < count < 400 for count in Counter(found.values()).values())
    assert homes(dict.fromkeys("dcba", 1.0)) == found


def test_only_those_move_that_have_to() -> None:
    before = homes(dict.fromkeys("abcd", 1.0))
    without = homes(dict.fromkeys("abc", 1.0))
    moved = {host for host in CLIENTS if before[host] != without[host]}
    assert moved == {host for host in CLIENTS if before[host] == "d"}
    assert set(Counter(without[host] for host in moved)) == set("abc"), "to all others"
    more = homes(dict.fromkeys("abcde", 1.0))
    assert {more[host] for host in CLIENTS if before[host] != more[host]} == {"e"}


def test_a_weight_is_a_share() -> None:
    counts = Counter(homes({"a": 3.0, "b": 1.0}).values())
    assert 2.4 < counts["a"] / counts["b"] < 3.7
    before, after = homes({"a": 1.0, "b": 1.0, "c": 1.0}), homes({"a": 2.0, "b": 1.0, "c": 1.0})
    assert {after[host] for host in CLIENTS if before[host] != after[host]} == {"a"}


@pytest.mark.parametrize(
    ("host", "network"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "20010db800010002::"),
        ("2001:db8:1:2:ffff::9", "20010db800010002::"),
        ("fe80::1%eth0", "fe80000000000000::"),
        ("::1", "0::"),
        ("a:strange:thing", "a:strange:thing"),
    ],
)
def test_the_part_of_an_address_that_stays(host: str, network: str) -> None:
    assert network_of(host).rjust(len(network), "0") == network


def test_clients_of_one_network_are_at_home_together() -> None:
    addresses = StickyAddresses()
    addresses.rank({name: Worker(name) for name in "abcdefgh"})
    found = {addresses.home(of_client(f"2001:db8:0:7::{n:x}")) for n in range(1, 40)}
    assert len(found) == 1


def test_who_has_no_address_has_no_home() -> None:
    addresses = StickyAddresses()
    assert addresses.home(of_client("192.0.2.1")) is None
    addresses.rank({"a": Worker("a")})
    assert addresses.home(of_client(None)) is None
    assert addresses.home(of_client("192.0.2.1")) == "a"


def test_what_it_remembers_is_bounded_and_never_stale() -> None:
    addresses = StickyAddresses()
    addresses.rank({"a": Worker("a")})
    for n in range(MOST_KNOWN + 5):
        addresses.home(of_client(str(n)))
    assert len(addresses._known) <= MOST_KNOWN
    addresses.rank({"b": Worker("b")})
    assert addresses.home(of_client("7")) == "b"
