"""Binds the listening sockets, which the supervisor holds for as long as it lives.

If there are several gateway processes, each has its own TCP socket with SO_REUSEPORT, so that the
kernel spreads connections over them. Unix sockets and inherited ones are shared. The first TCP
socket of an address is bound without SO_REUSEPORT, as a trial: with it the kernel would let two
servers of the same user share a port.
"""

import errno
import grp
import os
import pwd
import socket
import stat
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Final, Literal

from .address import SUN_PATH, Address, InheritedAddress, TcpAddress, UnixAddress
from .port_owner import owner_of_port


class ListenError(Exception):
    """An address cannot be listened on. The message is a sentence."""


@dataclass(frozen=True, slots=True)
class Access:
    """Owner and permissions of a Unix socket's file, which decide who may connect.

    By default every user may, as to a TCP port, and as with uvicorn and gunicorn: the nginx in
    front runs as another user, and connect(2) needs write permission. An operator who wants less
    says so in the address (?mode=660), with --umask, or by the directory's permissions.
    """

    mode: int = 0o666
    user: int = -1
    """The owner's uid; -1 means the uid of this process."""
    group: int = -1
    """The group's gid; -1 means the gid of this process."""


EVERYBODY: Final = Access()


@dataclass(slots=True)
class Listener:
    """One address with its sockets: one for each gateway process, or one that all share."""

    address: Address
    """The address. Port 0 is replaced by the port that the kernel gave."""
    sockets: list[socket.socket]
    inode: tuple[int, int] | None = None
    """Device and inode of a Unix socket's file, so that only our own file is removed."""

    def socket_for(self, gateway: int) -> socket.socket:
        """The socket of a gateway process; they are numbered from 1."""
        return self.sockets[(gateway - 1) % len(self.sockets)]


@dataclass(slots=True)
class Listeners:
    """All listeners of an instance."""

    items: list[Listener] = field(default_factory=list[Listener])

    def for_gateway(self, gateway: int) -> list[tuple[int, str]]:
        """Pairs of descriptor and address, one for each listener, for a gateway process."""
        return [(item.socket_for(gateway).fileno(), str(item.address)) for item in self.items]

    def close(self) -> None:
        """Closes every socket and removes the files of Unix sockets. A second call does nothing."""
        items, self.items = self.items, []
        for item in items:
            for sock in item.sockets:
                sock.close()
            if (
                isinstance(item.address, UnixAddress)
                and item.inode is not None
                and _inode(item.address.path) == item.inode
            ):
                os.unlink(item.address.path)


def open_listeners(
    addresses: Sequence[Address], backlog: int, gateways: int, *, access: Access = EVERYBODY
) -> Listeners:
    """Binds all addresses, or none if one fails, and listens. `access` is for Unix sockets with an
    address that does not say it. Raises ListenError."""
    listeners = Listeners()
    try:
        for address in addresses:
            match address:
                case TcpAddress():
                    v6only = any(
                        isinstance(other, TcpAddress)
                        and ":" not in other.host
                        and other.port == address.port
                        for other in addresses
                    )
                    _listen_tcp(address, backlog, gateways, v6only, listeners.items)
                case UnixAddress():
                    listeners.items.append(
                        _listen_abstract(address, backlog)
                        if address.abstract
                        else _listen_unix(address, backlog, access)
                    )
                case InheritedAddress():
                    listeners.items.append(_inherited(address, backlog))
    except BaseException:  # all or none: nothing stays bound
        listeners.close()
        raise
    return listeners


def _listen_tcp(
    address: TcpAddress, backlog: int, gateways: int, v6only: bool, items: list[Listener]
) -> None:
    """Adds a listener for each address that the host has: `localhost` is 127.0.0.1 and ::1."""
    first = len(items)
    for family, target in _resolve(address):
        shown = address
        if len(items) > first:
            port = items[first].sockets[0].getsockname()[1]
            shown = replace(address, host=str(target[0]), port=port)
            target = (target[0], port, *target[2:])
        try:
            sockets = _sockets_at(family, target, backlog, gateways, v6only)
        except OSError as exc:
            # A hosts file has ::1 also where the kernel has no IPv6.
            if len(items) > first and exc.errno in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT):
                continue
            raise ListenError(_tcp_sentence(shown, exc)) from None
        items.append(Listener(replace(shown, port=sockets[0].getsockname()[1]), sockets))


def _sockets_at(
    family: socket.AddressFamily,
    target: tuple[str | int, ...],
    backlog: int,
    gateways: int,
    v6only: bool,
) -> list[socket.socket]:
    """Returns a bound socket for each gateway process. Raises OSError."""
    sockets: list[socket.socket] = []
    try:
        first = _bind_tcp(family, target, reuse_port=False, v6only=v6only)
        port: int = first.getsockname()[1]
        if gateways == 1:
            sockets.append(first)
        else:
            first.close()  # it has proved that the port is free
            for _ in range(gateways):
                spot = (target[0], port, *target[2:])
                sockets.append(_bind_tcp(family, spot, reuse_port=True, v6only=v6only))
        for sock in sockets:
            sock.listen(backlog)
    except OSError:
        for sock in sockets:
            sock.close()
        raise
    return sockets


def _bind_tcp(
    family: socket.AddressFamily, target: tuple[str | int, ...], *, reuse_port: bool, v6only: bool
) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        # Connections in TIME_WAIT, of a server that has ended, must not keep the port.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if reuse_port:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family == socket.AF_INET6:
            # [::] takes IPv4 too, unless IPv4 has an address of its own. The default of the
            # machine (net.ipv6.bindv6only) does not matter.
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, int(v6only))
        # Accepted sockets inherit it on Linux: one system call less for each connection.
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.bind(target)
        sock.setblocking(False)
    except BaseException:
        sock.close()
        raise
    return sock


Target = tuple[socket.AddressFamily, tuple[str | int, ...]]


def _resolve(address: TcpAddress) -> list[Target]:
    """All addresses of a host, IPv4 first. Raises ListenError."""
    try:
        found = socket.getaddrinfo(
            address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
    except (OSError, UnicodeError) as exc:
        reason = exc.strerror if isinstance(exc, OSError) else "not a host name"
        raise ListenError(f"cannot listen on {address}: host {address.host}: {reason}") from None
    found.sort(key=lambda info: info[0] != socket.AF_INET)
    targets: list[Target] = [
        (family, (str(target[0]), *target[1:]))  # pyright: ignore[reportAssignmentType]
        for family, _, _, _, target in found
    ]
    return list(dict.fromkeys(targets))


def _tcp_sentence(address: TcpAddress, exc: OSError) -> str:
    start = f"cannot listen on {address}"
    match exc.errno:
        case errno.EADDRINUSE:
            owner = owner_of_port(address.port)
            return f"{start}: {owner or 'another process'} listens there already"
        case errno.EACCES if address.port < 1024:
            return (
                f"{start}: ports below 1024 need root or CAP_NET_BIND_SERVICE; "
                "use a higher port, or let systemd open the socket (fd://3)"
            )
        case errno.EADDRNOTAVAIL:
            return f"{start}: this machine has no address {address.host}"
        case _:
            return f"{start}: {exc.strerror}"


def _listen_abstract(address: UnixAddress, backlog: int) -> Listener:
    """Listens at an abstract name. The name ends with the socket, so it can never be stale."""
    start = f"cannot listen on {address}"
    name = os.fsencode(address.path[1:])
    if len(name) > SUN_PATH:
        raise ListenError(f"{start}: the name has {len(name)} bytes; at most {SUN_PATH} are taken")
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        sock.bind(b"\0" + name)
        sock.listen(backlog)
        sock.setblocking(False)
    except OSError as exc:
        sock.close()
        if exc.errno == errno.EADDRINUSE:
            raise ListenError(f"{start}: another process listens there already") from None
        raise ListenError(f"{start}: {exc.strerror}") from None
    return Listener(address, [sock])


def _listen_unix(address: UnixAddress, backlog: int, access: Access) -> Listener:
    path = os.path.abspath(address.path)
    start = f"cannot listen on {address}"
    if len(os.fsencode(path)) > SUN_PATH:
        length = len(os.fsencode(path))
        raise ListenError(f"{start}: the path has {length} bytes; a Unix socket's has {SUN_PATH}")
    _remove_stale(path, start)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        sock.bind(path)
        inode = _inode(path)
        try:
            # Set before it listens, so that no user can connect before the permissions are right.
            _set_access(path, address, access, start)
            sock.listen(backlog)
            sock.setblocking(False)
        except BaseException:  # do not leave a socket's file behind
            os.unlink(path)
            raise
    except ListenError:
        sock.close()
        raise
    except OSError as exc:
        sock.close()
        if exc.errno == errno.ENOENT:
            raise ListenError(f"{start}: there is no directory {os.path.dirname(path)}") from None
        raise ListenError(f"{start}: {exc.strerror}") from None
    return Listener(UnixAddress(path), [sock], inode)


def _set_access(path: str, address: UnixAddress, access: Access, start: str) -> None:
    user = _id_of(address.user, "user", start) if address.user else access.user
    group = _id_of(address.group, "group", start) if address.group else access.group
    if user >= 0 or group >= 0:
        try:
            os.chown(path, user, group, follow_symlinks=False)
        except PermissionError:
            raise ListenError(
                f"{start}: its owner can be set by root only, and its group to one of your own"
            ) from None
    os.chmod(path, access.mode if address.mode is None else address.mode)


def _id_of(name: str, kind: Literal["user", "group"], start: str) -> int:
    if name.isascii() and name.isdecimal():
        return int(name)
    try:
        return pwd.getpwnam(name).pw_uid if kind == "user" else grp.getgrnam(name).gr_gid
    except KeyError:
        raise ListenError(f"{start}: there is no {kind} {name}") from None


def _remove_stale(path: str, start: str) -> None:
    """Removes the file of a socket on which no process listens: a server that died has left it.
    Raises ListenError if something else is at the path."""
    try:
        mode = os.lstat(path).st_mode
    except OSError:
        return  # there is none, or bind will say what is wrong
    if not stat.S_ISSOCK(mode):
        raise ListenError(f"{start}: a file that is no socket is there")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1)
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            _unlink_stale(path, start)
        except OSError as exc:
            raise ListenError(f"{start}: {exc.strerror or exc}") from None
        else:
            raise ListenError(f"{start}: another process listens there already")


def _unlink_stale(path: str, start: str) -> None:
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass
    except OSError as exc:
        raise ListenError(
            f"{start}: a socket that nobody listens at is there, and cannot be removed: "
            f"{exc.strerror}"
        ) from None


def _inode(path: str) -> tuple[int, int] | None:
    try:
        status = os.lstat(path)
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _inherited(address: InheritedAddress, backlog: int) -> Listener:
    try:
        # A duplicate, so that closing it leaves the inherited descriptor open.
        sock = socket.socket(fileno=os.dup(address.fd))
    except OSError as exc:
        problem = "is not open" if exc.errno == errno.EBADF else "is no socket"
        raise ListenError(f"cannot listen on {address}: file descriptor {problem}") from None
    try:
        if sock.type != socket.SOCK_STREAM:
            raise ListenError(f"cannot listen on {address}: it is no stream socket")
        if _is_connected(sock):
            raise ListenError(
                f"cannot listen on {address}: it is a connection (a systemd socket unit needs "
                "Accept=no)"
            )
        sock.listen(backlog)
        sock.setblocking(False)
    except OSError as exc:
        sock.close()
        raise ListenError(f"cannot listen on {address}: {exc.strerror}") from None
    except ListenError:
        sock.close()
        raise
    return Listener(replace(address, where=_where(sock)), [sock])


def _is_connected(sock: socket.socket) -> bool:
    try:
        sock.getpeername()
    except OSError:
        return False
    return True


def _where(sock: socket.socket) -> str:
    name: tuple[str, int] | str | bytes = sock.getsockname()
    if isinstance(name, tuple):
        return TcpAddress(*name[:2]).url
    return f"unix:{os.fsdecode(name)}".replace("\0", "@")
