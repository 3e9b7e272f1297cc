"""How an HTTP connection ends: so that its client gets all that was sent, and sees it if that is
not all.

Of its states these are here: `flushing` when all that is left is to send what is kept, `lingering`
when our side is shut and the client may still be writing (RFC 9112 section 9.6), `closed`, also
when it has become a WebSocket's.
"""

from abc import ABC, abstractmethod
from typing import Final, Literal

from ..http1.machine import HttpMachine
from ..transport.client_socket import LINGER
from ..transport.transport import Transport
from .service_state import ServiceState

FIRST_BYTE_OF_NEXT: Final = 0.75
"""Seconds that an idle connection keeps when the service drains: a request may be crossing, and
twice around the earth is 0.6 s."""
IDLE_LINGER: Final = 0.25
"""Seconds that an idle connection's client has to notice that our side is shut. No response can be
lost here, so it is shorter than LINGER: a stop waits for it."""

State = Literal["idle", "head", "exchange", "flushing", "lingering", "closed"]


class ClosingConnection(ABC):
    __slots__ = (
        "_cut_short",
        "_deadline",
        "_lingers",
        "_machine",
        "_service",
        "_state",
        "_transport",
    )

    def __init__(self, transport: Transport, service: ServiceState) -> None:
        self._transport = transport
        self._service = service
        self._machine = HttpMachine(service.http)
        self._state: State = "idle"
        self._deadline = service.clock() + service.settings.header_timeout
        """Monotonic seconds at which the client is late with what it has to send; 0.0: never."""
        self._cut_short = False
        """Whether the last response has ended before its end."""
        self._lingers = False
        """Whether the client may be sending what will not be read."""

    @abstractmethod
    def readable(self) -> None: ...

    @abstractmethod
    def sweep(self, now: float) -> None: ...

    @abstractmethod
    def _closed(self) -> None:
        """Nothing is read or written any more."""

    @abstractmethod
    def cut(self) -> None:
        """The deadline for draining has passed."""

    def drain(self) -> None:
        """The service ends. Responses from now on say `Connection: close`; an idle connection
        stays for a moment, since a request may be on its way."""
        if self._state == "idle" and self._deadline:
            self._deadline = min(self._deadline, self._service.clock() + FIRST_BYTE_OF_NEXT)

    def _close_idle(self) -> None:
        """A request may be crossing: what has come by now is answered, and what comes later does
        not reset the connection."""
        self.readable()
        if self._state == "idle":
            self._linger(IDLE_LINGER)

    def _close_when_sent(self) -> None:
        if self._state == "closed":
            return
        self._transport.pause(False)
        self._deadline = 0.0
        if self._transport.kept:
            self._state = "flushing"
        else:
            self._close_gently()

    def _close_gently(self) -> None:
        """Closes so that the client gets all that was sent, and sees it if that is not all."""
        machine = self._machine
        if self._cut_short and not machine.end_shows:
            self._transport.reset()
            self._close()
        elif machine.body_complete and not machine.buffered and not self._lingers:
            self._close()
        else:
            self._linger(LINGER)

    def _linger(self, seconds: float) -> None:
        self._state = "lingering"
        self._deadline = self._service.clock() + seconds
        try:
            self._transport.shut_writing()
        except OSError:
            self._close()

    def _close(self) -> None:
        """Closes at once; harmless when done twice."""
        if self._state != "closed":
            self._state = "closed"
            self._service.connections.discard(self)
            self._transport.close()
            self._closed()
