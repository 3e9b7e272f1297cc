"""Addresses to listen on, as an operator writes them. Pure: nothing is resolved or bound here.

`HOST:PORT`, `[IPV6]:PORT`, `:PORT` (every IPv4 address), `HOST` (port 8000), `unix:PATH`, perhaps
with `?mode=660&user=NAME&group=NAME`, `unix:@NAME` (abstract), `fd://N`, `fd://NAME` (a socket of
that name from systemd).
"""

import re
from dataclasses import dataclass, field
from typing import Final

DEFAULT_HOST: Final = "127.0.0.1"
DEFAULT_PORT: Final = 8000
SUN_PATH: Final = 107
"""Longest path of a Unix socket on Linux, in bytes: sun_path less its closing NUL (unix(7))."""

_PORT = re.compile(r"[0-9]{1,5}")
_ACCESS = re.compile(r"(.*)\?((?:[a-z]+=[^&=/]*)(?:&[a-z]+=[^&=/]*)*)", re.DOTALL)
"""A path and its settings. A path may contain a question mark, so only what follows the last one
is taken as settings, and only if it looks like them."""
_NAME = re.compile(r"[!-9;-~]{1,255}")
"""systemd.socket(5), FileDescriptorName=: no control characters, no colon."""


@dataclass(frozen=True, slots=True)
class TcpAddress:
    host: str
    port: int
    tls: bool = field(default=False, compare=False)
    """Whether the listener speaks TLS. It is not written in the address and does not count when
    addresses are compared."""

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"

    @property
    def url(self) -> str:
        return f"{'https' if self.tls else 'http'}://{self}"


@dataclass(frozen=True, slots=True)
class UnixAddress:
    path: str
    """The path of the socket's file. If it begins with @, it is a name in the abstract namespace
    (unix(7)), which has no file; a file of such a name is written ./@name."""
    mode: int | None = None
    """Permissions of the socket's file; None means 0666 without the bits of --umask."""
    user: str = ""
    """Name or number of the file's owner; "" means the user who runs Propylon."""
    group: str = ""

    @property
    def abstract(self) -> bool:
        return self.path.startswith("@")

    def __str__(self) -> str:
        return f"unix:{self.path}"

    @property
    def url(self) -> str:
        return str(self)


@dataclass(frozen=True, slots=True)
class InheritedAddress:
    """A listening socket that the starter of this process has opened (systemd's fd 3 and up)."""

    fd: int
    where: str = field(default="", compare=False)
    """The URL of the address that the socket is bound to; "" until that is known."""
    tls: bool = field(default=False, compare=False)

    def __str__(self) -> str:
        return f"fd://{self.fd}"

    @property
    def url(self) -> str:
        where = self.where.replace("http:", "https:", 1) if self.tls else self.where
        return f"{where} ({self})" if where else str(self)


@dataclass(frozen=True, slots=True)
class NamedSocket:
    """Every socket with this name from systemd (FileDescriptorName=); `activation` finds them."""

    name: str

    def __str__(self) -> str:
        return f"fd://{self.name}"


Address = TcpAddress | UnixAddress | InheritedAddress


def speaks_tls(address: Address) -> bool:
    """Whether connections to this address begin with TLS. Those to a Unix socket never do: they
    come from a proxy on this machine."""
    return not isinstance(address, UnixAddress) and address.tls


def parse_address(text: str) -> Address | NamedSocket:
    """Reads an address of --bind. Raises ValueError with a sentence."""
    if text.startswith("unix:"):
        return unix_address(text.removeprefix("unix:").removeprefix("//"))
    if text.startswith("fd://"):
        number = text.removeprefix("fd://")
        if re.fullmatch(r"[0-9]{1,6}", number):
            return InheritedAddress(int(number))
        if not _NAME.fullmatch(number):
            raise ValueError(
                "fd:// is followed by the number of an open socket, as in fd://3, or by systemd's "
                "name for it"
            )
        return NamedSocket(number)
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
    match = _ACCESS.fullmatch(path)
    address = _with_access(match[1], match[2]) if match else UnixAddress(path)
    if address.abstract and match:
        raise ValueError(
            f"an abstract socket has no file, and so no mode, user or group: unix:{address.path}; "
            f"for a file of that name write unix:./{address.path}"
        )
    if address.path == "@":
        raise ValueError("an abstract socket has a name, as in unix:@app")
    return address


def _with_access(path: str, settings: str) -> UnixAddress:
    found: dict[str, str] = {}
    for setting in settings.split("&"):
        key, _, value = setting.partition("=")
        if key not in ("mode", "user", "group") or key in found or not value or not path:
            raise ValueError(
                "a Unix socket takes mode, user and group, once each: "
                "unix:/run/app.sock?mode=660&user=www&group=www"
            )
        found[key] = value
    mode = found.get("mode")
    if mode is not None and not re.fullmatch(r"0?[0-7]{3}", mode):
        raise ValueError("a socket's mode is written in octal, as in mode=660")
    return UnixAddress(
        path, int(mode, 8) if mode else None, found.get("user", ""), found.get("group", "")
    )


def tcp_address(host: str, port: int) -> TcpAddress:
    """The address that the options --host and --port make. Raises ValueError with a sentence."""
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
