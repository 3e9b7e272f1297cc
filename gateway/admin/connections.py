"""Connections of the admin listener: few, and one that asks never waits behind those that do not.

A scraper opens a connection, asks, and either closes it or keeps it for the next time, in a minute.
A broken or hostile one opens thousands and asks nothing, or sends half a request, or never reads
its answer. Each costs a file and some memory of the supervisor. So there is a limit on how many
there are. A plain limit would let idle ones shut everybody else out; so when it is reached, the one
goes that has been without a whole request for the longest time. Whoever asks at once is answered,
however many sit there. Where all are being answered, one goes that does not take its answer, or
that has had the most answers already: who asks fifty times in one breath would hold its place for
seconds. One whose first answer is being made is never closed for a new one: if all are, the new
one waits in the kernel's queue, for the moment that an answer takes.
"""

from typing import Final

import trio

from ..exchange.endpoint import Endpoint
from ..exchange.exchange import Exchange
from ..serve.http1_connection import Http1Connection
from ..serve.service_state import ServiceState
from ..transport.client_socket import ClientSocket
from ..transport.transport import Transport

MOST_ADMIN_CONNECTIONS: Final = 64
"""Connections at once: some scrapers, the probes of a kubelet, and people with the page open."""

ROOM_POLL_EVERY: Final = 0.01
"""Seconds between two looks whether there is room."""


class AdminConnection(Http1Connection):
    __slots__ = ("answers", "asked")

    def __init__(self, transport: Transport, endpoint: Endpoint, service: ServiceState) -> None:
        super().__init__(transport, endpoint, service)
        self.asked = service.clock()
        """When its last request was answered; before the first, when the connection was opened. In
        monotonic seconds."""
        self.answers = 0
        """How many requests were answered on it."""

    @property
    def is_answered(self) -> bool:
        """Whether a request is being answered on it."""
        return self._state == "exchange"

    @property
    def sends(self) -> bool:
        """Whether its client has yet to take some of an answer."""
        return self._transport.kept > 0 or self._state in ("flushing", "lingering")

    def finished(self, exchange: Exchange, now: float) -> None:
        self.asked = now
        self.answers += 1
        super().finished(exchange, now)


class Admission:
    """The first layer of every connection: it lets connections in, and has others make room."""

    def __init__(self, state: ServiceState, most: int = MOST_ADMIN_CONNECTIONS) -> None:
        self._state = state
        self._most = most

    def begin(self, transport: ClientSocket, endpoint: Endpoint) -> None:
        """Begins a connection, as a `Begin`."""
        if len(self._state.connections) >= self._most and not self._make_room():
            transport.close()
            return
        # What it has sent already is read at once. Else, in a burst of more connections than there
        # may be, it would look as if it asked nothing, and make room for the next ones.
        AdminConnection(transport, endpoint, self._state).open()

    def close_idle(self) -> None:
        """Closes the connections on which nothing is being answered, nor on its way."""
        for connection in self._idle():
            if not connection.sends:
                connection.cut()

    def _make_room(self) -> bool:
        """Closes the connection that is missed least. Returns whether there was one."""
        if waiting := self._idle() or [each for each in self._all() if each.sends]:
            min(waiting, key=lambda connection: connection.asked).cut()
            return True
        most = max(self._all(), key=lambda connection: connection.answers)
        if most.answers:
            most.cut()
        return most.answers > 0

    @property
    def full(self) -> bool:
        """Whether no new connection may come in now, because each of those here has its first
        answer made."""
        return len(self._state.connections) >= self._most and all(
            each.is_answered and not each.sends and not each.answers for each in self._all()
        )

    async def room(self) -> None:
        """Waits until a new connection may come in."""
        # No event tells of it: it hangs on what clients take as well.
        while self.full:  # noqa: ASYNC110
            await trio.sleep(ROOM_POLL_EVERY)

    def _idle(self) -> list[AdminConnection]:
        return [connection for connection in self._all() if not connection.is_answered]

    def _all(self) -> list[AdminConnection]:
        connections = self._state.connections
        return [each for each in connections if isinstance(each, AdminConnection)]
