"""Where to listen: the options --bind, --host, --port, --uds, --fd and --insecure-bind become one
list of addresses, and --admin-bind another.
"""

import os
from collections.abc import Mapping
from dataclasses import replace

from ..listen.activation import Activation, read_activation
from ..listen.address import (
    DEFAULT_HOST,
    DEFAULT_PORT,
    Address,
    InheritedAddress,
    NamedSocket,
    TcpAddress,
    UnixAddress,
    parse_address,
    tcp_address,
    unix_address,
)
from .faults import Fault
from .options import Options
from .reading import Reading
from .sources import DEFAULT, Sources
from .token_file import TokenFileError, read_token


def listen_addresses(
    options: Options, found: Sources, reading: Reading, environ: Mapping[str, str]
) -> tuple[Address, ...]:
    """Returns the addresses of the highest layer that names any.

    --host and --port complete each other across layers, so that a flag --port goes with a variable
    PROPYLON_HOST. If no layer names an address, the sockets that systemd has opened are taken, and
    without those the platform's PORT or the default address. Faults and notes go to `reading`.
    """
    given = _activation(environ, reading)
    layers = {
        name: found[name].layer for name in ("bind", "host", "port", "uds", "fd") if name in found
    }
    top = max(layers.values(), default=DEFAULT)
    named = {name for name, layer in layers.items() if layer == top}
    wanted: list[Address] = []
    if "bind" in named:
        for name in sorted(named & {"host", "port"}):
            problem = f"{found['bind'].origin} is given too; use one or the other"
            reading.faults.append(Fault(found[name].origin, problem))
        wanted += _bound("bind", options.bind, given, found, reading)
    elif named & {"host", "port"}:
        wanted.append(_of_host_and_port(options, found, reading))
    if "uds" in named and options.uds is not None:
        try:
            wanted.append(unix_address(options.uds.removeprefix("unix:")))
        except ValueError as exc:
            reading.faults.append(Fault(found["uds"].origin, str(exc)))
    if "fd" in named and options.fd is not None:
        wanted.append(InheritedAddress(options.fd))
    insecure = _bound("insecure_bind", options.insecure_bind, given, found, reading)
    if not wanted:
        wanted += [handed for handed in given.sockets if handed not in insecure]
    if not wanted:
        wanted.append(_of_platform(environ, reading))
    if options.ssl_certfile:
        wanted = [_with_tls(address) for address in wanted]
    wanted += insecure
    for index, address in enumerate(wanted):
        # Port 0 is a new port each time.
        if address in wanted[:index] and not (isinstance(address, TcpAddress) and not address.port):
            spoken = [name for name in ("insecure_bind", "bind", *sorted(named)) if name in found]
            origin = found[spoken[0]].origin
            reading.faults.append(Fault(origin, f"{address} is given twice"))
    left = [str(handed) for handed in given.sockets if handed not in wanted]
    if left:
        reading.notes.append(
            f"nobody is served on {', '.join(left)}, which systemd has opened: whoever connects "
            "there waits for ever"
        )
    return tuple(wanted)


def admin_addresses(
    options: Options, found: Sources, others: tuple[Address, ...], reading: Reading
) -> tuple[Address, ...]:
    """Returns the admin listener's addresses. `others` are where the app is served. What the option
    --admin-token-file names is read too, so that a start is refused with all faults at once. Faults
    and notes go to `reading`."""
    addresses: list[Address] = []
    for text in options.admin_bind:
        address = parse_address(text)
        assert not isinstance(address, NamedSocket), "the option takes none"
        if address in (*others, *addresses) and not (
            isinstance(address, TcpAddress) and not address.port
        ):
            what = "given twice" if address in addresses else "where the app is served"
            reading.faults.append(Fault(found["admin_bind"].origin, f"{address} is {what}"))
        addresses.append(address)
    if "admin_token_file" in found and options.admin_token_file:
        origin = found["admin_token_file"].origin
        try:
            token = read_token(options.admin_token_file)
        except TokenFileError as error:
            reading.faults.append(Fault(origin, str(error)))
        else:
            if token.note:
                reading.notes.append(f"{origin}: {token.note}")
        if not addresses:
            reading.notes.append(f"{origin} has no effect: there is no --admin-bind")
    return tuple(addresses)


def _bound(
    name: str, texts: tuple[str, ...], given: Activation, found: Sources, reading: Reading
) -> list[Address]:
    addresses: list[Address] = []
    for text in texts:
        address = parse_address(text)
        try:
            addresses += given.called(address) if isinstance(address, NamedSocket) else [address]
        except ValueError as exc:
            reading.faults.append(Fault(found[name].origin, f"found {text!r}; {exc}"))
    return addresses


def _activation(environ: Mapping[str, str], reading: Reading) -> Activation:
    try:
        given = read_activation(environ, os.getpid())
    except ValueError as exc:
        reading.faults.append(Fault("", str(exc)))
        return Activation()
    if given.note:
        reading.notes.append(given.note)
    return given


def _with_tls(address: Address) -> Address:
    return address if isinstance(address, UnixAddress) else replace(address, tls=True)


def _of_platform(environ: Mapping[str, str], reading: Reading) -> Address:
    """The address if no option names one: every interface at $PORT, else 127.0.0.1:8000.

    Heroku, Cloud Run, Render and Railway set PORT to where they look for the app; gunicorn listens
    there on every interface too.
    """
    text = environ.get("PORT", "")
    if not text:
        return TcpAddress(DEFAULT_HOST, DEFAULT_PORT)
    if not (text.isascii() and text.isdecimal() and 0 < int(text) <= 65_535):
        reading.notes.append(f"PORT is {text!r}, which is no port: it is not read")
        return TcpAddress(DEFAULT_HOST, DEFAULT_PORT)
    return TcpAddress("0.0.0.0", int(text))


def _of_host_and_port(options: Options, found: Sources, reading: Reading) -> Address:
    host = DEFAULT_HOST if options.host is None else options.host
    port = DEFAULT_PORT if options.port is None else options.port
    try:
        return tcp_address(host, port)
    except ValueError as exc:
        reading.faults.append(Fault(found["host"].origin, f"found {host!r}; {exc}"))
        return TcpAddress(DEFAULT_HOST, DEFAULT_PORT)
