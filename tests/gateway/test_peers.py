"""Who is in a set of peers."""

import pytest
from propylon.gateway.peers import PeerSet, read_network, unmapped
from propylon.protocol.messages import Address


@pytest.mark.parametrize(
    ("texts", "peer", "has"),
    [
        ((), ("127.0.0.1", 1), False),
        ((), None, False),
        (("127.0.0.1",), ("127.0.0.1", 1), True),
        (("127.0.0.1",), ("127.0.0.2", 1), False),
        (("127.0.0.1",), None, False),
        (("unix",), None, True),
        (("unix",), ("127.0.0.1", 1), False),
        (("*",), None, True),
        (("*",), ("2001:db8::1", 1), True),
        (("10.0.0.0/8", "192.0.2.0/24"), ("192.0.2.255", 1), True),
        (("10.0.0.0/8", "192.0.2.0/24"), ("192.0.3.0", 1), False),
        (("10.0.0.0/8",), ("::1", 1), False),
        (("::1",), ("::1", 1), True),
        (("fe80::/10",), ("fe80::1%eth0", 1), True),
        (("::ffff:10.0.0.0/104",), ("10.1.2.3", 1), True),
        (("10.0.0.0/8",), ("", 1), False),
        (("10.0.0.0/8",), ("not an address", 1), False),
    ],
)
def test_has(texts: tuple[str, ...], peer: Address | None, has: bool) -> None:
    assert PeerSet(texts).has(peer) is has


def test_everybody_is_no_name() -> None:
    """`*` is about who connects: an address that is only told is not a proxy's for that."""
    peers = PeerSet(["*", "10.0.0.0/8"])
    assert peers.names("10.0.0.1")
    assert not peers.names("192.0.2.1")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("nginx", "nginx is none of an address, a network as in 10.0.0.0/8, unix, and * for every"),
        ("10.0.0.0/33", "10.0.0.0/33 is none of an address, a network as in"),
        ("010.0.0.1", "010.0.0.1 is none of an address"),
        ("10.0.0.1/8", "10.0.0.1/8 is an address in a network; the network is written 10.0.0.0/8"),
    ],
)
def test_nobody(text: str, sentence: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011  the sentence is compared
        read_network(text)
    assert str(caught.value).startswith(sentence)


@pytest.mark.parametrize(
    ("host", "shown"),
    [
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("192.0.2.1", "192.0.2.1"),
        ("::1", "::1"),
        ("::ffff:c000:201", "::ffff:c000:201"),
    ],
)
def test_unmapped(host: str, shown: str) -> None:
    assert unmapped(host) == shown
