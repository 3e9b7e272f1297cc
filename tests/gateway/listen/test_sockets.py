"""Real sockets on loopback and in a temporary directory."""

import grp
import os
import pwd
import socket
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from propylon.gateway.listen.address import (
    Address,
    InheritedAddress,
    TcpAddress,
    UnixAddress,
)
from propylon.gateway.listen.port_owner import owner_of_port
from propylon.gateway.listen.sockets import Access, ListenError, Listeners, open_listeners

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


def test_unix_socket_is_for_everybody_and_goes(tmp_path: Path) -> None:
    path = tmp_path / "a.sock"
    before = os.umask(0o027)
    try:
        listeners = open_listeners([UnixAddress(str(path))], 16, 2)
        narrow = [
            UnixAddress(str(tmp_path / "b.sock")),
            UnixAddress(str(tmp_path / "c.sock"), 0o640),
        ]
        narrow = open_listeners(narrow, 16, 1, access=Access(mode=0o660))
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o666
    assert stat.S_IMODE((tmp_path / "b.sock").stat().st_mode) == 0o660
    assert stat.S_IMODE((tmp_path / "c.sock").stat().st_mode) == 0o640
    narrow.close()
    assert connects(UnixAddress(str(path)))
    assert listeners.for_gateway(1) == listeners.for_gateway(2)
    listeners.close()
    assert not path.exists()


def test_an_abstract_unix_socket(opened: list[Listeners], tmp_path: Path) -> None:
    address = UnixAddress(f"@propylon-{tmp_path.name}-{os.getpid()}")
    listeners = listen(opened, address)
    assert refused(address) == f"cannot listen on {address}: another process listens there already"
    with socket.socket(socket.AF_UNIX) as client:
        client.connect("\0" + address.path[1:])
    assert not list(tmp_path.iterdir())
    assert listeners.for_gateway(1)[0][1] == f"unix:{address.path}"
    listeners.close()
    listen(opened, address).close()
    assert refused(UnixAddress("@" + "x" * 108)).endswith(
        "the name has 108 bytes; at most 107 are taken"
    )


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


def has_ipv6() -> bool:
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            return True
    except OSError:
        return False


needs_ipv6 = pytest.mark.skipif(not has_ipv6(), reason="there is no IPv6 here")


@pytest.fixture
def hosts_file(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[str]]:
    """What names resolve to, instead of what this machine's own file says."""
    hosts = {"localhost": ["::1", "127.0.0.1"]}
    real = socket.getaddrinfo

    def resolve(host: str, *arguments: Any, **options: Any) -> list[Any]:
        names = hosts.get(host, [host])
        return [info for name in names for info in real(name, *arguments, **options)]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    return hosts


@needs_ipv6
@pytest.mark.usefixtures("hosts_file")
def test_localhost_is_both_families(opened: list[Listeners]) -> None:
    items = listen(opened, TcpAddress("localhost", 0), gateways=2).items
    assert [item.sockets[0].family for item in items] == [socket.AF_INET, socket.AF_INET6]
    port = items[0].sockets[0].getsockname()[1]
    assert [item.address for item in items] == [
        TcpAddress("localhost", port),
        TcpAddress("::1", port),
    ]
    assert all(len(item.sockets) == 2 for item in items)
    assert connects(TcpAddress("127.0.0.1", port))
    assert connects(TcpAddress("::1", port))


def test_an_address_that_this_machine_has_not_is_left_out(
    opened: list[Listeners], hosts_file: dict[str, list[str]]
) -> None:
    """The hosts file has ::1 also where the kernel has no IPv6."""
    hosts_file["localhost"] = ["127.0.0.1", "2001:db8::1", "127.0.0.1"]
    [item] = listen(opened, TcpAddress("localhost", 0)).items
    assert item.sockets[0].family == socket.AF_INET


@needs_ipv6
@pytest.mark.usefixtures("hosts_file")
def test_the_second_family_s_port_may_be_taken() -> None:
    with socket.create_server(("::1", 0), family=socket.AF_INET6) as other:
        port = other.getsockname()[1]
        assert refused(TcpAddress("localhost", port)).startswith(f"cannot listen on [::1]:{port}: ")
        assert not has_listener("127.0.0.1", port)


def has_listener(host: str, port: int) -> bool:
    try:
        return connects(TcpAddress(host, port))
    except ConnectionRefusedError:
        return False


@needs_ipv6
def test_every_ipv6_address_is_every_ipv4_address_too(opened: list[Listeners]) -> None:
    [item] = listen(opened, TcpAddress("::", 0)).items
    port = item.sockets[0].getsockname()[1]
    assert connects(TcpAddress("127.0.0.1", port))
    assert connects(TcpAddress("::1", port))


@needs_ipv6
def test_unless_ipv4_has_its_own(opened: list[Listeners]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    items = listen(opened, TcpAddress("::", port), TcpAddress("0.0.0.0", port)).items
    assert items[0].sockets[0].getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY)


def test_unix_socket_with_a_mode_whatever_the_umask(
    opened: list[Listeners], tmp_path: Path
) -> None:
    path = tmp_path / "a.sock"
    before = os.umask(0o077)
    try:
        listen(opened, UnixAddress(str(path), 0o666))
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o666


def test_unix_socket_with_my_own_user_and_group(opened: list[Listeners], tmp_path: Path) -> None:
    user, group = pwd.getpwuid(os.getuid()).pw_name, grp.getgrgid(os.getgid()).gr_name
    path = tmp_path / "a.sock"
    listen(opened, UnixAddress(str(path), 0o600, user, str(os.getgid())))
    assert (path.stat().st_uid, path.stat().st_gid) == (os.getuid(), os.getgid())
    listen(opened, UnixAddress(str(tmp_path / "b.sock"), None, "", group))


@pytest.mark.skipif(os.getuid() != 0, reason="only root gives files away")
def test_unix_socket_with_another_owner(opened: list[Listeners], tmp_path: Path) -> None:
    path = tmp_path / "a.sock"
    listen(opened, UnixAddress(str(path), 0o660, "nobody", "12345"))
    nobody = pwd.getpwnam("nobody").pw_uid
    assert (path.stat().st_uid, path.stat().st_gid) == (nobody, 12345)


@pytest.mark.parametrize(
    ("user", "group", "reason"),
    [
        ("no-such-user", "", "there is no user no-such-user"),
        ("", "no-such", "there is no group no-"),
    ],
)
def test_unix_socket_of_nobody(tmp_path: Path, user: str, group: str, reason: str) -> None:
    path = tmp_path / "a.sock"
    sentence = refused(UnixAddress(str(path), 0o660, user, group))
    assert sentence.startswith(f"cannot listen on unix:{path}: {reason}")
    assert not path.exists()


def test_an_inherited_socket_says_where_it_is(opened: list[Listeners], tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as tcp, socket.socket(socket.AF_UNIX) as unix:
        unix.bind(str(tmp_path / "a.sock"))
        items = listen(
            opened, InheritedAddress(tcp.fileno()), InheritedAddress(unix.fileno())
        ).items
        assert [item.address.url for item in items] == [
            f"http://127.0.0.1:{tcp.getsockname()[1]} (fd://{tcp.fileno()})",
            f"unix:{tmp_path}/a.sock (fd://{unix.fileno()})",
        ]


def test_an_inherited_connection_is_no_listener() -> None:
    """systemd with Accept=yes."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        assert "it is a connection" in refused(InheritedAddress(ours.fileno()))
