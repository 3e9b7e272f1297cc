"""The admin listener: sockets, connections and answers, in the supervisor's process.

It is served by the code that serves the app's clients, with its own small limits. It serves in
*periods*. One is interrupted by an upgrade, in which the supervisor replaces itself: all that has
come is answered, connections are closed at a point where no request is lost, and clients that
connect meanwhile wait in the kernel's queue, since the socket stays open. If the upgrade fails,
another period begins. The last one ends with the instance. Then what is being answered is answered
to its end, but nobody waits for an idle connection, because a stop would wait too.

    serving  -- pause -->                      pausing
    pausing  -- (connections are gone) -->     paused
    paused   -- resume -->                     serving
    serving  -- end -->                        ending
    ending   -- (connections are gone) -->     ended
    pausing, paused -- end -->                 ended, when it is paused
"""

import socket
from collections.abc import Callable, Iterable, Iterator
from ipaddress import ip_address
from logging import getLogger
from time import time
from typing import Final, Literal

import trio

from ...protocol.supervision.problems import Recurring
from ..exchange.exchange import Exchange
from ..http1.machine import HttpContext
from ..http1.request_head import choose_parser
from ..http1.response_head import ResponseHeads
from ..listen.address import Address, TcpAddress, UnixAddress
from ..listen.sockets import Listeners
from ..serve.acceptor import ServiceListener
from ..serve.service import Service
from ..serve.service_state import ServiceState
from ..settings import HttpSettings, ServeSettings, WebSocketSettings
from ..transport.poller import Poller
from .answers import ADMIN_FIELDS, AdminAnswers
from .connections import Admission
from .instance import AdminInstance
from .token_guard import TokenGuard

log = getLogger("propylon.admin")

ADMIN_HTTP: Final = HttpSettings(
    limit_request_line=2_048,
    limit_request_fields=64,
    # A browser sends the cookies of every other server on this host, whatever its port.
    limit_request_field_size=8_192,
    limit_request_head=16_384,
    max_request_body_size=16_384,  # nobody reads it, but 405 says more than 413
    websockets=False,
)
ADMIN_SERVE: Final = ServeSettings(
    header_timeout=5.0,
    body_timeout=5.0,
    send_timeout=10.0,
    graceful_timeout=1.5,
    limits_are_options=False,
)
"""A client here is a machine nearby, which needs no time to think."""

CROSSING: Final = 0.1
"""Seconds for which an idle connection stays when a period is interrupted, as a request may be on
its way. Who is further off than that asks again, on another connection."""
KEPT_BY_KERNEL: Final = 131_072
"""Bytes of an answer that the kernel keeps for a client; Linux doubles it."""

ListenerState = Literal["serving", "pausing", "paused", "ending", "ended"]


class AdminListener:
    def __init__(self, listeners: Listeners, instance: AdminInstance) -> None:
        """`listeners` stay open until their owner closes them."""
        self._listeners = listeners
        self._instance = instance
        self._guard = TokenGuard()
        self._names = frozenset(_own_names(item.address for item in listeners.items))
        self.state: ListenerState = "serving"
        self._changed = trio.Event()
        self.out_of_files = Recurring("open files", "admin clients")
        """That no client can be accepted, for want of descriptors."""

    async def run(self) -> None:
        """Serves, period after period, until it has ended or is cancelled."""
        self._say_who_can_read()
        while True:
            await self._serve()
            self._go("paused" if self.state == "pausing" else "ended")
            await self._until_not("paused")
            if self.state == "ended":
                return

    def pause(self) -> None:
        """Begins to end the period; the state is paused when it has ended, in two seconds at
        most."""
        if self.state == "serving":
            self._go("pausing")

    def resume(self) -> None:
        """Begins another period."""
        if self.state == "paused":
            self._go("serving")

    async def end(self) -> None:
        """Ends the last period. Returns when it has ended."""
        if self.state == "serving":
            self._go("ending")
        await self._until_not("pausing")
        if self.state == "paused":
            self._go("ended")
        await self._until_not("ending")

    def _go(self, state: ListenerState) -> None:
        self.state = state
        self._changed.set()
        self._changed = trio.Event()

    async def _until_not(self, state: ListenerState) -> None:
        while self.state == state:
            await self._changed.wait()

    async def _serve(self) -> None:
        """One period."""
        async with trio.open_nursery() as background:
            answers = AdminAnswers(self._instance, background, self._names, self._guard)
            state = _state(answers.answer, self.out_of_files)
            service = Service(state, ())
            admission = Admission(state)
            listeners = [
                ServiceListener(_duplicate(sock), str(item.address), admission.begin, admission)
                for item in self._listeners.items
                for sock in item.sockets
            ]
            background.start_soon(state.poller.run)
            background.start_soon(service.sweep)
            background.start_soon(answers.viewers.run)
            background.start_soon(service.accept, listeners)
            await self._until_not("serving")
            await service.stop_accepting()
            answers.viewers.end()
            background.start_soon(self._close_idle, admission)
            await service.drain(_nothing)
            background.cancel_scope.cancel()

    async def _close_idle(self, admission: Admission) -> None:
        if self.state == "pausing":
            await trio.sleep(CROSSING)
        admission.close_idle()

    def _say_who_can_read(self) -> None:
        where = ", ".join(item.address.url for item in self._listeners.items)
        log.info("Admin listener on %s", where)
        token = self._instance.admin_settings.token_file
        for item in self._listeners.items:
            if not isinstance(item.address, UnixAddress) and not _on_loopback(item.sockets[0]):
                log.warning(
                    "Whoever reaches %s can read, in plain HTTP, %s",
                    item.address.url,
                    "whether it is healthy, and with the token status and metrics"
                    if token
                    else "status and metrics without a token; --admin-token-file sets one",
                )


def _duplicate(sock: socket.socket) -> socket.socket:
    """The same listening socket under another descriptor, which the service may close."""
    duplicate = sock.dup()
    duplicate.setblocking(False)
    # Accepted sockets inherit it. Otherwise the kernel would keep megabytes for each client that
    # does not read.
    duplicate.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, KEPT_BY_KERNEL)
    return duplicate


def _state(answer: Callable[[Exchange], None], out_of_files: Recurring) -> ServiceState:
    fields = tuple((name.encode(), value.encode()) for name, value in ADMIN_FIELDS)
    heads = ResponseHeads(b"propylon", time(), more=fields)
    return ServiceState(
        http=HttpContext(ADMIN_HTTP, choose_parser(ADMIN_HTTP.parser), heads),
        settings=ADMIN_SERVE,
        websocket=WebSocketSettings(),
        apply_trust=_trust_nobody,
        answer=answer,
        poller=Poller(),
        out_of_files=out_of_files,
    )


def _trust_nobody(exchange: Exchange) -> None:
    """Forwarded fields say nothing here: no answer depends on who asks."""


def _nothing() -> None:
    """No request waits for anything at a drain's end."""


def _own_names(addresses: Iterable[Address]) -> Iterator[str]:
    yield socket.gethostname().lower()
    for address in addresses:
        if isinstance(address, TcpAddress):
            yield address.host.lower()


def _on_loopback(sock: socket.socket) -> bool:
    host = sock.getsockname()[0]
    return ip_address(host.partition("%")[0]).is_loopback
