import pytest
from propylon.gateway.listen.address import (
    Address,
    InheritedAddress,
    NamedSocket,
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
        ("unix:@app", UnixAddress("@app"), "unix:@app"),
        ("unix:./@app", UnixAddress("./@app"), "unix:./@app"),
        ("unix:///run/a.sock", UnixAddress("/run/a.sock"), "unix:/run/a.sock"),
        ("fd://3", InheritedAddress(3), "fd://3"),
        ("unix:/a b?c", UnixAddress("/a b?c"), "unix:/a b?c"),
    ],
)
def test_written_and_read(text: str, address: Address, url: str) -> None:
    assert parse_address(text) == address
    assert parse_address(str(address)) == address
    assert address.url == url


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("unix:/a?mode=660", UnixAddress("/a", 0o660)),
        ("unix:/a?mode=0600&user=www&group=7", UnixAddress("/a", 0o600, "www", "7")),
        ("unix:///a?group=www", UnixAddress("/a", None, "", "www")),
        ("unix:/what?/a?mode=666", UnixAddress("/what?/a", 0o666)),
        ("fd://web", NamedSocket("web")),
        ("fd://my-app.socket", NamedSocket("my-app.socket")),
    ],
)
def test_access_and_names(text: str, address: Address | NamedSocket) -> None:
    assert parse_address(text) == address


FD = "fd:// is followed by the number of an open socket, as in fd://3, or by systemd's name for it"
ACCESS = (
    "a Unix socket takes mode, user and group, once each: "
    "unix:/run/app.sock?mode=660&user=www&group=www"
)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "a port is written with its host: 127.0.0.1:8000"),
        ("unix:@", "an abstract socket has a name, as in unix:@app"),
        (
            "unix:@app?mode=660",
            "an abstract socket has no file, and so no mode, user or group: unix:@app; for a file "
            "of that name write unix:./@app",
        ),
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
        ("fd://", FD),
        ("fd://a b", FD),
        ("fd://a:b", FD),
        ("unix:/a?mode=8", "a socket's mode is written in octal, as in mode=660"),
        ("unix:/a?mode=1777", "a socket's mode is written in octal, as in mode=660"),
        ("unix:/a?mode=660&mode=600", ACCESS),
        ("unix:/a?owner=www", ACCESS),
        ("unix:/a?user=", ACCESS),
        ("unix:?mode=660", ACCESS),
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
