import pytest
from propylon.gateway.listen.address import (
    Address,
    InheritedAddress,
    TcpAddress,
    UnixAddress,
    parse_address,
    tcp_address,
)


@pytest.mark.parametrize(
    ("text", "address", "url"),
    [
        ("127.0.0.1:8000", TcpAddress("127.0.0.1", 8000), "http://127.0.0.1:8000"),
        ("localhost", TcpAddress("localhost", 8000), "http://localhost:8000"),
        (":80", TcpAddress("0.0.0.0", 80), "http://0.0.0.0:80"),
        ("[::1]:0", TcpAddress("::1", 0), "http://[::1]:0"),
        ("[::]", TcpAddress("::", 8000), "http://[::]:8000"),
        ("tcp://a:1", TcpAddress("a", 1), "http://a:1"),
        ("unix:/run/a.sock", UnixAddress("/run/a.sock"), "unix:/run/a.sock"),
        ("unix:a.sock", UnixAddress("a.sock"), "unix:a.sock"),
        ("unix:///run/a.sock", UnixAddress("/run/a.sock"), "unix:/run/a.sock"),
        ("fd://3", InheritedAddress(3), "fd://3"),
    ],
)
def test_written_and_read(text: str, address: Address, url: str) -> None:
    assert parse_address(text) == address
    assert parse_address(str(address)) == address
    assert address.url == url


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "a port is written with its host: 127.0.0.1:8000"),
        ("8000", "a port is written with its host: 127.0.0.1:8000"),
        ("a:65536", "a port is a number from 0 to 65535, not '65536'"),
        ("a:", "a port is a number from 0 to 65535, not ''"),
        ("a:+1", "a port is a number from 0 to 65535, not '+1'"),
        ("a:٣", "a port is a number from 0 to 65535, not '٣'"),
        ("::1", "an IPv6 address is written in brackets: [::1]:8000"),
        ("[::1", "an IPv6 address is written [::1]:8000"),
        ("[::1]8000", "an IPv6 address is written [::1]:8000"),
        ("[host]:80", "an IPv6 address is written [::1]:8000"),
        ("/run/a.sock", "a Unix socket is written unix:/run/a.sock"),
        ("unix:", "unix: is followed by a path, as in unix:/run/app.sock"),
        ("fd://", "fd:// is followed by the number of an open socket, as in fd://3"),
        ("fd://x", "fd:// is followed by the number of an open socket, as in fd://3"),
        (
            "https://a:1",
            "an address has no scheme: write 127.0.0.1:8000, unix:PATH or fd://3",
        ),
    ],
)
def test_not_an_address(text: str, sentence: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011  the sentence is compared
        parse_address(text)
    assert str(caught.value) == sentence


def test_host_and_port_apart() -> None:
    assert tcp_address("::1", 80) == TcpAddress("::1", 80)
    assert tcp_address("[::1]", 80) == TcpAddress("::1", 80)
    assert tcp_address("a", 80) == TcpAddress("a", 80)
