"""Where to listen, as an operator writes it. Pure: nothing is resolved or bound here.

`HOST:PORT`, `[IPV6]:PORT`, `:PORT` (every IPv4 address), `HOST` (port 8000), `unix:PATH`, `fd://N`.
"""

import re
from dataclasses import dataclass
from typing import Final

DEFAULT_HOST: Final = "127.0.0.1"
DEFAULT_PORT: Final = 8000
SUN_PATH: Final = 107
"""Longest path of a Unix socket on Linux, in bytes: sun_path less its closing NUL (unix(7))."""

_PORT = re.compile(r"[0-9]{1,5}")


@dataclass(frozen=True, slots=True)
class TcpAddress:
    host: str
    port: int

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"

    @property
    def url(self) -> str:
        return f"http://{self}"


@dataclass(frozen=True, slots=True)
class UnixAddress:
    path: str

    def __str__(self) -> str:
        return f"unix:{self.path}"

    @property
    def url(self) -> str:
        return str(self)


@dataclass(frozen=True, slots=True)
class InheritedAddress:
    """A listening socket that the starter of this process has opened (systemd's fd 3 and up)."""

    fd: int

    def __str__(self) -> str:
        return f"fd://{self.fd}"

    @property
    def url(self) -> str:
        return str(self)


Address = TcpAddress | UnixAddress | InheritedAddress


def parse_address(text: str) -> Address:
    """Raises ValueError with a sentence."""
    if text.startswith("unix:"):
        return unix_address(text.removeprefix("unix:").removeprefix("//"))
    if text.startswith("fd://"):
        number = text.removeprefix("fd://")
        if not re.fullmatch(r"[0-9]{1,6}", number):
            raise ValueError("fd:// is followed by the number of an open socket, as in fd://3")
        return InheritedAddress(int(number))
    text = text.removeprefix("tcp://")
    if "://" in text:
        raise ValueError("an address has no scheme: write 127.0.0.1:8000, unix:PATH or fd://3")
    if "/" in text:
        raise ValueError(f"a Unix socket is written unix:{text}")
    return _tcp_address(text)


def unix_address(path: str) -> UnixAddress:
    if not path:
        raise ValueError("unix: is followed by a path, as in unix:/run/app.sock")
    if "\0" in path:
        raise ValueError("a path holds no NUL")
    return UnixAddress(path)


def tcp_address(host: str, port: int) -> TcpAddress:
    """Of the separate options --host and --port."""
    return _tcp_address(f"[{host}]:{port}" if ":" in host and host[0] != "[" else f"{host}:{port}")


def _tcp_address(text: str) -> TcpAddress:
    if text.startswith("["):
        host, bracket, rest = text[1:].partition("]")
        if not bracket or ":" not in host or (rest and rest[0] != ":"):
            raise ValueError("an IPv6 address is written [::1]:8000")
        return TcpAddress(host, _port(rest[1:]) if rest else DEFAULT_PORT)
    if text.count(":") > 1:
        raise ValueError(f"an IPv6 address is written in brackets: [{text}]:{DEFAULT_PORT}")
    host, colon, port = text.partition(":")
    if not colon:
        if not host or host.isdecimal():
            raise ValueError(f"a port is written with its host: 127.0.0.1:{host or DEFAULT_PORT}")
        return TcpAddress(host, DEFAULT_PORT)
    return TcpAddress(host or "0.0.0.0", _port(port))


def _port(text: str) -> int:
    if not _PORT.fullmatch(text) or int(text) > 65_535:
        raise ValueError(f"a port is a number from 0 to 65535, not {text!r}")
    return int(text)
