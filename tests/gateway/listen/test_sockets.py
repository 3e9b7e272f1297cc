"""Real sockets on loopback and in a temporary directory."""

import os
import socket
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from propylon.gateway.listen.address import (
    Address,
    InheritedAddress,
    TcpAddress,
    UnixAddress,
)
from propylon.gateway.listen.owner import owner_of_port
from propylon.gateway.listen.sockets import ListenError, Listeners, open_listeners

LOOPBACK = TcpAddress("127.0.0.1", 0)


@pytest.fixture
def opened() -> Iterator[list[Listeners]]:
    """What a test opens is closed after it."""
    made: list[Listeners] = []
    yield made
    for listeners in made:
        listeners.close()


def listen(opened: list[Listeners], *addresses: Address, gateways: int = 1) -> Listeners:
    listeners = open_listeners(addresses, 16, gateways)
    opened.append(listeners)
    return listeners


def refused(*addresses: Address, gateways: int = 1) -> str:
    with pytest.raises(ListenError) as caught:
        open_listeners(addresses, 16, gateways).close()
    return str(caught.value)


def connects(address: Address) -> bool:
    match address:
        case TcpAddress(host, port):
            with socket.create_connection((host, port), 2):
                return True
        case UnixAddress(path):
            with socket.socket(socket.AF_UNIX) as client:
                client.connect(path)
                return True
        case InheritedAddress():
            raise AssertionError


def test_port_0_is_resolved_and_accepts(opened: list[Listeners]) -> None:
    [item] = listen(opened, LOOPBACK).items
    assert isinstance(item.address, TcpAddress)
    assert item.address.port > 0
    assert connects(item.address)
    [sock] = item.sockets
    assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR)
    assert not sock.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT)
    assert not sock.getblocking()


def test_accepted_connections_have_nodelay(opened: list[Listeners]) -> None:
    [item] = listen(opened, LOOPBACK).items
    [sock] = item.sockets
    sock.setblocking(True)
    with socket.create_connection(sock.getsockname()):
        server, _ = sock.accept()
        with server:
            assert server.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_each_gateway_has_its_own_socket_on_one_port(opened: list[Listeners]) -> None:
    listeners = listen(opened, LOOPBACK, gateways=3)
    [item] = listeners.items
    assert len(item.sockets) == 3
    assert {sock.getsockname() for sock in item.sockets} == {
        ("127.0.0.1", item.address.port)  # type: ignore[union-attr]
    }
    for sock in item.sockets:
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT)
    fds = [listeners.for_gateway(number)[0][0] for number in (1, 2, 3)]
    assert fds == [sock.fileno() for sock in item.sockets]
    assert listeners.for_gateway(2) == [(item.sockets[1].fileno(), str(item.address))]


@pytest.mark.parametrize("gateways", [1, 2])
@pytest.mark.parametrize("theirs", [1, 2])
def test_a_taken_port_names_its_owner(opened: list[Listeners], gateways: int, theirs: int) -> None:
    """Also when it is another instance of ours, whose sockets have SO_REUSEPORT."""
    [item] = listen(opened, LOOPBACK, gateways=theirs).items
    sentence = refused(item.address, gateways=gateways)
    assert sentence.startswith(f"cannot listen on {item.address}: ")
    assert sentence.endswith(f" (pid {os.getpid()}) listens there already")


def test_an_owner_that_is_not_there() -> None:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))  # bound, so nobody else gets it; but it does not listen
        assert owner_of_port(sock.getsockname()[1]) == ""


def test_a_port_is_free_again_at_once(opened: list[Listeners]) -> None:
    first = open_listeners([LOOPBACK], 16, 1)
    address = first.items[0].address
    assert isinstance(address, TcpAddress)
    with socket.create_connection((address.host, address.port)):
        server, _ = first.items[0].sockets[0].accept()
        server.close()  # the side that closes first is in TIME_WAIT
    first.close()
    listen(opened, address)


def test_ipv6_takes_ipv4_unless_that_has_an_address(opened: list[Listeners]) -> None:
    if not socket.has_dualstack_ipv6():
        pytest.skip("no IPv6 here")
    [item] = listen(opened, TcpAddress("::", 0)).items
    assert isinstance(item.address, TcpAddress)
    assert connects(TcpAddress("127.0.0.1", item.address.port))
    both = listen(opened, TcpAddress("::", 0), LOOPBACK)
    assert both.items[0].sockets[0].getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY)


def test_all_or_none(opened: list[Listeners], tmp_path: Path) -> None:
    [taken] = listen(opened, LOOPBACK).items
    path = tmp_path / "a.sock"
    refused(UnixAddress(str(path)), taken.address)
    assert not path.exists()


@pytest.mark.parametrize(
    ("host", "reason"),
    [
        ("203.0.113.7", "this machine has no address 203.0.113.7"),
        ("a..b", "host a..b: "),
        ("no-such-host.invalid", "host no-such-host.invalid: "),
    ],
)
def test_a_bad_host(host: str, reason: str) -> None:
    assert refused(TcpAddress(host, 8000)).startswith(f"cannot listen on {host}:8000: {reason}")


def test_unix_socket_has_the_mode_of_the_umask_and_goes(tmp_path: Path) -> None:
    path = tmp_path / "a.sock"
    before = os.umask(0o027)
    try:
        listeners = open_listeners([UnixAddress(str(path))], 16, 2)
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o750
    assert connects(UnixAddress(str(path)))
    assert listeners.for_gateway(1) == listeners.for_gateway(2)
    listeners.close()
    assert not path.exists()


def test_a_stale_unix_socket_is_replaced(opened: list[Listeners], tmp_path: Path) -> None:
    path = str(tmp_path / "a.sock")
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(path)
        dead.listen()
    listen(opened, UnixAddress(path))
    assert connects(UnixAddress(path))


def test_a_live_unix_socket_is_refused(opened: list[Listeners], tmp_path: Path) -> None:
    address = UnixAddress(str(tmp_path / "a.sock"))
    listen(opened, address)
    assert refused(address) == f"cannot listen on {address}: another process listens there already"
    assert connects(address)


def test_a_file_that_is_no_socket_stays(tmp_path: Path) -> None:
    path = tmp_path / "a.sock"
    path.write_text("mine")
    sentence = refused(UnixAddress(str(path)))
    assert sentence == f"cannot listen on unix:{path}: a file that is no socket is there"
    assert path.read_text() == "mine"


def test_a_socket_that_has_replaced_ours_is_not_unlinked(tmp_path: Path) -> None:
    address = UnixAddress(str(tmp_path / "a.sock"))
    old = open_listeners([address], 16, 1)
    os.unlink(address.path)
    new = open_listeners([address], 16, 1)
    old.close()
    assert connects(address)
    new.close()


def test_unix_paths_that_cannot_be(tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    assert refused(UnixAddress(f"{gone}/a.sock")) == (
        f"cannot listen on unix:{gone}/a.sock: there is no directory {gone}"
    )
    long = f"/tmp/{'x' * 103}"
    assert refused(UnixAddress(long)) == (
        f"cannot listen on unix:{long}: the path has 108 bytes; a Unix socket's has 107"
    )


def test_inherited_sockets(opened: list[Listeners]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as given:
        listeners = listen(opened, InheritedAddress(given.fileno()), gateways=2)
        assert connects(TcpAddress(*given.getsockname()))
        assert listeners.for_gateway(1) == listeners.for_gateway(2)
        listeners.close()
        assert connects(TcpAddress(*given.getsockname()))  # ours is a duplicate


def test_inherited_numbers_that_are_no_sockets(tmp_path: Path) -> None:
    with (tmp_path / "file").open("w") as file:
        assert refused(InheritedAddress(file.fileno())).endswith("file descriptor is no socket")
    assert refused(InheritedAddress(9999)) == (
        "cannot listen on fd://9999: file descriptor is not open"
    )
    with socket.socket(type=socket.SOCK_DGRAM) as datagrams:
        assert refused(InheritedAddress(datagrams.fileno())).endswith("it is no stream socket")
