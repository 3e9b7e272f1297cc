"""What a request's forwarded fields change: from whom, and how far to the left."""

from contextlib import suppress
from dataclasses import dataclass
from ipaddress import ip_network
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from propylon.gateway.exchange.endpoint import Endpoint
from propylon.gateway.exchange.errors import RequestError
from propylon.gateway.exchange.exchange import Exchange, Request, Sink
from propylon.gateway.http.trust import TrustPolicy
from propylon.gateway.settings import TrustSettings
from propylon.protocol.messages import Address, Pairs

ALL = ("for", "proto", "host", "port", "prefix")
PROXY: Address = ("10.0.0.1", 50_000)
STRANGER: Address = ("192.0.2.99", 50_000)
HERE: Address = ("10.0.0.9", 8_000)


@dataclass
class Seen:
    """What the app is told."""

    client: Address | None
    scheme: str
    server: Address | None
    host: str
    host_field: bytes
    root_path: str
    path: bytes
    forwarded: Pairs


def see(
    *fields: tuple[str, str],
    peer: Address | None = PROXY,
    allow: tuple[str, ...] = ("10.0.0.0/8",),
    believed: tuple[str, ...] = (*ALL, "forwarded", "real-ip"),
    server: Address = HERE,
) -> Seen:
    request = Request("GET", b"/x", "1.1")
    request.host = "here"
    request.headers = ((b"host", b"here"), (b"accept", b"*/*"))
    request.forwarded = tuple((name.encode(), value.encode("latin-1")) for name, value in fields)
    exchange = Exchange(request, cast("Sink", None), Endpoint(peer, server))
    settings = TrustSettings(forwarded_allow_ips=allow, forwarded_fields=believed)
    TrustPolicy(settings).apply(exchange)
    fields_now = request.headers
    return Seen(
        exchange.client,
        exchange.scheme,
        exchange.server,
        request.host,
        dict(fields_now)[b"host"],
        exchange.root_path,
        exchange.path,
        tuple(pair for pair in fields_now if pair[0] not in (b"host", b"accept")),
    )


def xff(value: str) -> tuple[str, str]:
    return "x-forwarded-for", value


EVERYTHING = (
    xff("203.0.113.7"),
    ("x-forwarded-proto", "https"),
    ("x-forwarded-host", "shop.example"),
    ("x-forwarded-port", "443"),
    ("x-forwarded-prefix", "/shop"),
    ("x-real-ip", "203.0.113.7"),
)


def test_everything_from_a_trusted_proxy() -> None:
    seen = see(*EVERYTHING)
    assert seen == Seen(
        client=("203.0.113.7", 0),
        scheme="https",
        server=("shop.example", 443),
        host="shop.example",
        host_field=b"shop.example",
        root_path="/shop",
        path=b"/shop/x",
        forwarded=tuple((name.encode(), value.encode()) for name, value in EVERYTHING),
    )


@pytest.mark.parametrize(
    ("peer", "allow"),
    [(STRANGER, ("10.0.0.0/8",)), (None, ("10.0.0.0/8",)), (PROXY, ()), (PROXY, ("unix",))],
)
def test_nothing_from_a_stranger(peer: Address | None, allow: tuple[str, ...]) -> None:
    rotten = (*EVERYTHING, ("forwarded", '"'), ("x-forwarded-port", "x"))
    assert see(*rotten, peer=peer, allow=allow) == Seen(
        peer, "http", HERE, "here", b"here", "", b"/x", ()
    )


@pytest.mark.parametrize(
    ("values", "client"),
    [
        (["203.0.113.7"], "203.0.113.7"),
        (["6.6.6.6, 203.0.113.7"], "203.0.113.7"),
        (["6.6.6.6", "203.0.113.7"], "203.0.113.7"),
        (["6.6.6.6, 203.0.113.7, 10.0.0.2"], "203.0.113.7"),
        (["6.6.6.6, 203.0.113.7, 10.0.0.3, ", ", 10.0.0.2,"], "203.0.113.7"),
        (["10.0.0.66, 203.0.113.7"], "203.0.113.7"),
        (["127.0.0.1, 203.0.113.7"], "203.0.113.7"),
        (["<garbage>, 203.0.113.7"], "203.0.113.7"),
        (["10.0.0.4, 10.0.0.3"], "10.0.0.4"),
        (["203.0.113.7, ::ffff:10.0.0.2"], "203.0.113.7"),
        (["6.6.6.6, unknown"], None),
        (["6.6.6.6, _secret, 10.0.0.2"], None),
        ([""], "10.0.0.1"),
    ],
)
def test_the_right_most_stranger_is_the_client(values: list[str], client: str | None) -> None:
    seen = see(*map(xff, values))
    assert (seen.client[0] if seen.client else None) == client


def test_everybody_is_believed_for_its_own_entry_only() -> None:
    seen = see(xff("6.6.6.6, 203.0.113.7"), peer=STRANGER, allow=("*",))
    assert seen.client == ("203.0.113.7", 0)
    seen = see(xff("6.6.6.6, 203.0.113.7, 10.0.0.2"), peer=STRANGER, allow=("*", "10.0.0.0/8"))
    assert seen.client == ("203.0.113.7", 0)


def test_a_unix_socket_s_peer() -> None:
    seen = see(xff("203.0.113.7"), peer=None, allow=("unix",), server=("/run/a.sock", None))
    assert (seen.client, seen.server) == (("203.0.113.7", 0), ("/run/a.sock", None))


def test_the_nearest_proxys_word_counts_for_single_values() -> None:
    seen = see(
        ("x-forwarded-proto", "http, https"),
        ("x-forwarded-host", "evil.example"),
        ("x-forwarded-host", "good.example"),
        ("x-forwarded-prefix", "/evil, /good"),
        ("x-forwarded-port", "1, 8443"),
    )
    assert (seen.scheme, seen.host, seen.root_path) == ("https", "good.example", "/good")
    assert seen.server == ("good.example", 8443)


@pytest.mark.parametrize(
    ("fields", "server", "host_field"),
    [
        ({"host": "a.b:8443", "proto": "https"}, ("a.b", 8443), b"a.b:8443"),
        ({"host": "a.b", "proto": "https"}, ("a.b", 443), b"a.b"),
        ({"host": "a.b"}, ("a.b", 80), b"a.b"),
        ({"host": "a.b", "port": "8443"}, ("a.b", 8443), b"a.b:8443"),
        ({"host": "a.b", "port": "443", "proto": "https"}, ("a.b", 443), b"a.b"),
        ({"host": "a.b:", "port": "81"}, ("a.b", 81), b"a.b:81"),
        ({"host": "[::1]", "port": "81"}, ("::1", 81), b"[::1]:81"),
        ({"port": "81"}, ("10.0.0.9", 81), b"here"),
        ({"proto": "wss"}, HERE, b"here"),
    ],
)
def test_server_and_host(fields: dict[str, str], server: Address, host_field: bytes) -> None:
    seen = see(*((f"x-forwarded-{name}", value) for name, value in fields.items()))
    assert (seen.server, seen.host_field) == (server, host_field)


def test_a_told_port_on_a_unix_socket_goes_with_the_host_field() -> None:
    seen = see(("x-forwarded-port", "443"), server=("/run/a.sock", None))
    assert seen.server == ("here", 443)


@pytest.mark.parametrize("field", ALL)
def test_what_is_not_believed_is_dropped(field: str) -> None:
    fields = tuple(pair for pair in EVERYTHING if pair[0] == f"x-forwarded-{field}")
    others = tuple(name for name in ALL if name != field)
    seen = see(*fields, ("x-forwarded-proto", "http"), believed=others)
    assert seen.client == PROXY
    assert (seen.host_field, seen.root_path, seen.server) == (b"here", "", HERE)
    assert seen.scheme == "http"
    assert f"x-forwarded-{field}".encode() not in dict(seen.forwarded)


def forwarded(value: str) -> tuple[str, str]:
    return "forwarded", value


def test_forwarded_that_is_not_believed() -> None:
    """A client's own passes through a proxy that writes the other kind."""
    for rest in ("", ';"'):
        seen = see(forwarded(f"for=6.6.6.6;proto=https;host=evil{rest}"), believed=ALL)
        assert (seen.client, seen.scheme, seen.host) == (PROXY, "http", "here")
        assert seen.forwarded == ()


def test_what_else_trusted_proxies_say_is_passed_on() -> None:
    user = ("x-forwarded-user", "ann")
    assert see(user, ("x-real-ip", "6.6.6.6"), believed=("for", "proto")).forwarded == (
        (b"x-forwarded-user", b"ann"),
    )
    assert see(user, peer=STRANGER).forwarded == ()


def test_what_is_dropped_is_told_once() -> None:
    told: list[str] = []
    settings = TrustSettings(forwarded_allow_ips=("10.0.0.1",))
    policy = TrustPolicy(settings, told.append)
    for peer in (STRANGER, PROXY, PROXY):
        request = Request("GET", b"/x", "1.1")
        request.forwarded = ((b"x-forwarded-for", b"1.2.3.4"), (b"x-forwarded-host", b"a"))
        policy.apply(Exchange(request, cast("Sink", None), Endpoint(peer, HERE)))
    (sentence,) = told
    assert "x-forwarded-host" in sentence
    assert "add host to --forwarded-fields" in sentence


@pytest.mark.parametrize(
    ("value", "client", "scheme", "host"),
    [
        ("for=203.0.113.7;proto=https;host=a.b", "203.0.113.7", "https", "a.b"),
        ('for="[2001:db8::1]:4711"', "2001:db8::1", "http", "here"),
        ("for=6.6.6.6;proto=https;host=evil, for=203.0.113.7", "203.0.113.7", "http", "here"),
        # The element of the hop that met the client says what the client used.
        ("for=203.0.113.7;proto=https;host=a.b, for=10.0.0.2;proto=http;host=in", "203.0.113.7",
         "https", "a.b"),
        ("for=203.0.113.7, for=10.0.0.2;proto=https", "203.0.113.7", "https", "here"),
        ("for=6.6.6.6;proto=https, proto=http;by=10.0.0.1", "10.0.0.1", "http", "here"),
        ("for=6.6.6.6, for=_hidden;proto=https", None, "https", "here"),
        ("rubbish here, for=203.0.113.7", 400, "", ""),
        ("for=localhost", 400, "", ""),
        ("proto=gopher", 400, "", ""),
        ('host="a/b"', 400, "", ""),
    ],
)  # fmt: skip
def test_forwarded(value: str, client: str | int | None, scheme: str, host: str) -> None:
    if client == 400:
        with pytest.raises(RequestError):
            see(forwarded(value))
        return
    seen = see(forwarded(value))
    assert (seen.client[0] if seen.client else None) == client
    assert (seen.scheme, seen.host) == (scheme, host)


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ([xff("203.0.113.7"), forwarded("for=6.6.6.6")], "client"),
        ([xff("6.6.6.6"), forwarded("for=203.0.113.7")], "client"),
        ([xff("203.0.113.7"), forwarded("for=_x")], "client"),
        ([("x-forwarded-proto", "https"), forwarded("proto=http")], "scheme"),
        ([("x-forwarded-host", "a.b"), forwarded("host=c.d")], "host"),
        ([xff("203.0.113.7"), forwarded("for=203.0.113.7")], ""),
        ([("x-forwarded-host", "A.b"), forwarded("host=a.B;proto=https")], ""),
    ],
)
def test_both_kinds_must_agree(fields: list[tuple[str, str]], why: str) -> None:
    if not why:
        see(*fields)
        return
    with pytest.raises(RequestError) as caught:
        see(*fields)
    assert caught.value.status == 400
    assert caught.value.sentence == f"Forwarded and X-Forwarded-* name a different {why}."


@pytest.mark.parametrize(
    "field",
    [xff("203.0.113.7, x"), ("x-forwarded-proto", "on"), ("x-forwarded-host", "a, b/c"),
     ("x-forwarded-port", "99999"), ("x-forwarded-prefix", "//evil.example"),
     ("x-forwarded-prefix", "/" + "a" * 2_048)],
)  # fmt: skip
def test_malformed_from_a_trusted_proxy(field: tuple[str, str]) -> None:
    with pytest.raises(RequestError) as caught:
        see(field)
    assert caught.value.status == 400


STRANGERS = st.ip_addresses().filter(lambda one: one not in ip_network("10.0.0.0/8")).map(str)
NAMES = st.sampled_from(
    ["x-forwarded-for", "x-forwarded-proto", "x-forwarded-host", "x-forwarded-port",
     "x-forwarded-prefix", "forwarded"]
)  # fmt: skip


@given(st.lists(st.text('for=,;" 10.2[]:/ab', max_size=12)), STRANGERS)
def test_what_a_client_writes_on_the_left_changes_nothing(left: list[str], client: str) -> None:
    """The proxy adds behind it: in the same field, or one of its own."""
    expected = see(xff(client)).client
    assert see(xff(", ".join([*left, client]))).client == expected
    assert see(*map(xff, left), xff(client)).client == expected


@given(st.lists(st.tuples(NAMES, st.text(st.characters(codec="latin-1"), max_size=20))))
def test_garbage_is_refused_and_nothing_else(fields: list[tuple[str, str]]) -> None:
    with suppress(RequestError):
        see(*fields)
