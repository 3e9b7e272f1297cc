"""The acceptor of one listening socket: it lets clients in, in the poller's turns.

A client that opens connections and closes them as fast as it can is cheaper for itself than for any
server, and the kernel's queue of new connections has one order: whoever else comes waits behind
its. So they have to be taken from there faster than they come, and none of the others may wait for
that meanwhile. An acceptor is therefore an owner of a socket like any other (see
`transport.poller`): it has a share of a turn, and the rest of the queue is reported in the next
one. When accepting was a task of trio's, each sixteen connections cost a way through trio's loop,
and the queue stood still for as long as the poller had something else to do.

There are no ways to be polite to such a client that would cost less than this. A limit for each
address (`address_limit`) has to accept a connection to know its address, and to end it. With
TCP_DEFER_ACCEPT (tcp(7)) the kernel would keep to itself who has sent nothing; but then it drops
the last packet of each handshake, and a client that connects just before a drain and asks just
behind it is reset, though it was told that it is connected. nginx has that off as well.

    accepting -> paused      a client waits, and there is no room for it, or no descriptor
    paused    -> accepting   there is some
"""

import errno
import socket
from contextlib import suppress
from dataclasses import dataclass
from logging import getLogger
from typing import Any, Final, Literal, Protocol

import trio

from ...protocol.messages import Address
from ..exchange.endpoint import Endpoint
from ..peers import unmapped
from ..transport.client_socket import ClientSocket
from ..transport.poller import READ
from .begin import Begin
from .capacity import Capacity
from .service_state import ServiceState

log = getLogger("propylon.gateway")

MOST_AT_ONCE: Final = 16
"""Connections accepted in a turn: a third of a millisecond, if they say nothing. With four times as
many a client that opens and closes them costs as much, and everybody else waits for longer."""
LONGEST_SHARE: Final = 0.0005
"""Seconds behind which no other one is accepted in a turn. What a client has sent with its first
packet is handled at once, and a TLS handshake's first answer alone may take as long."""
MOST_AT_LAST: Final = 65_536
"""Connections accepted before the socket closes: as many as the kernel's queue may have. More would
be of clients that come meanwhile, and they could do so for ever."""
WITHOUT_FILES_PAUSE: Final = 0.1
"""Seconds until the kernel is asked again for what it had no descriptor for."""
OUT_OF_FILES: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})

Short = Literal["connections", "handshakes", "descriptors"]


class Gate(Protocol):
    """Says when no connection may come in, so that they wait in the kernel's queue."""

    @property
    def full(self) -> bool: ...

    async def room(self) -> None:
        """Waits until there is room."""
        ...


@dataclass(frozen=True, slots=True)
class ServiceListener:
    """A bound, listening, non-blocking socket, the operator's name for it, and the first layer of
    its connections."""

    sock: socket.socket
    address: str
    begin: Begin
    gate: Gate | None = None
    """Accepting waits while this has no room: the handshakes of a listener with TLS."""


class Acceptor:
    """It is a `Watched`."""

    def __init__(self, listener: ServiceListener, state: ServiceState, capacity: Capacity) -> None:
        self._listener = listener
        self._state = state
        self._capacity = capacity
        self._paused = trio.Event()
        self._short: Short = "connections"
        """What was short when accepting paused for the last time."""
        sock = listener.sock
        self._is_tcp = sock.family != socket.AF_UNIX
        if self._is_tcp:  # accepted sockets inherit it
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._maps = sock.family == socket.AF_INET6
        """Whether peers' addresses may be mapped ones of IPv4, and have more parts."""
        self._server = _shown(sock.getsockname()) if self._is_tcp else (_path(sock), None)
        self._is_wildcard = self._server[0] in ("0.0.0.0", "::")

    async def run(self) -> None:
        """Accepts until it is cancelled; `close` is to be called then."""
        poller, number = self._state.poller, self._listener.sock.fileno()
        poller.add(number, self)
        while True:
            await self._paused.wait()
            await self._until_room()
            self._paused = trio.Event()
            poller.want(number, READ)

    async def _until_room(self) -> None:
        gate = self._listener.gate
        if self._short == "descriptors":
            await trio.sleep(WITHOUT_FILES_PAUSE)
        elif self._short == "handshakes" and gate is not None:
            self._state.counts.pause("handshakes")
            await gate.room()
        else:
            await self._capacity.room()

    def _pause(self, short: Short) -> None:
        self._short = short
        self._paused.set()
        self._state.poller.want(self._listener.sock.fileno(), 0)

    # -- as the poller sees it ---------------------------------------------------------------

    def readable(self) -> None:
        """Accepts its share of those who wait. Somebody does, so room is made."""
        capacity, gate = self._capacity, self._listener.gate
        if capacity.full and not capacity.make_room():
            self._pause("connections")
            return
        clock = self._state.clock
        over = clock() + LONGEST_SHARE
        for _ in range(MOST_AT_ONCE):
            if gate is not None and gate.full:
                self._pause("handshakes")
                return
            try:
                if not self._accept():
                    return
            except OSError as error:
                if error.errno in OUT_OF_FILES:
                    # It must neither spin nor end: connections that end will give files back.
                    capacity.exhausted(self._listener.address, error)
                    self._pause("descriptors")
                    return
                # Else the client was gone before it was accepted.
            if capacity.full or clock() >= over:
                return  # the next turn says whether somebody waits

    def writable(self) -> None:
        """Has nothing to write."""

    def cut(self) -> None:
        """Ends nothing: it has a barrier of its own."""

    def close(self) -> None:
        """Accepts the connections that are there already, as they would be reset, and closes the
        socket: the next are refused at once."""
        sock = self._listener.sock
        # Another process may hold the socket too, and then the kernel would go on to report it.
        self._state.poller.remove(sock.fileno())
        there = list[tuple[socket.socket, Any]]()
        # Who comes between the last look and the close is reset, so nothing is done meanwhile.
        for _ in range(MOST_AT_LAST):
            try:
                there.append(sock.accept())
            except BlockingIOError:
                break
            except OSError as error:
                if error.errno in OUT_OF_FILES:
                    break
        sock.close()
        for client_sock, peer in there:
            with suppress(OSError):  # as in `readable`: it is one connection's
                self._begin(client_sock, peer)

    def _accept(self) -> bool:
        """Accepts one. Returns whether there was one. Raises OSError."""
        try:
            client_sock, peer = self._listener.sock.accept()
        except BlockingIOError:
            return False
        self._begin(client_sock, peer)
        return True

    def _begin(self, client_sock: socket.socket, peer: Any) -> None:
        """Begins a connection that was accepted. `peer`: as the socket module has it. Raises
        OSError."""
        state = self._state
        client_sock.setblocking(False)
        state.counts.accept()
        client: Address | None = None
        local = self._server
        if self._is_tcp:
            client = _shown(peer) if self._maps else peer
            if self._is_wildcard:
                local = _shown(client_sock.getsockname())
        transport = ClientSocket(client_sock, state.transports)
        try:
            self._listener.begin(transport, Endpoint(client, local))
        except Exception:
            # The barrier of one connection: the listener goes on.
            log.exception("a connection could not begin")
            transport.close()


def _shown(name: tuple[str, int]) -> Address:
    """Returns a socket's name, or its peer's, as an address of either family."""
    return unmapped(name[0]), name[1]


def _path(sock: socket.socket) -> str:
    name: str | bytes = sock.getsockname()
    if isinstance(name, str):
        return name
    return name.decode("utf-8", "replace").replace("\0", "@", 1)  # abstract, as it is written
