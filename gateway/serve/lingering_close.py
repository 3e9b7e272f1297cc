"""The end of an HTTP connection, in every HTTP version: its client gets all that was sent, and sees
it if that is not all.

If a socket is closed while bytes of the client are unread, or on their way, the kernel resets the
connection, and the client's kernel then throws away what it has of our last response (RFC 9112
section 9.6). So if the client may be sending, the connection closes its own side only, and lingers:
it reads on for a while, and drops what comes. If the last response was cut off where the client
would not see it, the connection is reset on purpose. Before either, what is kept has to go out.

    idle, exchange... -> flushing    the end is decided, and the client has yet to take some
    (all of these)    -> lingering   all is sent, and the client may be sending
    (all of these)    -> closed      all is sent, and the client is not; or nobody is there; or
                                     it was a handshake, and a WebSocket has it now
"""

from abc import ABC, abstractmethod
from typing import ClassVar, Final, Literal, Self

from ..transport.client_socket import LINGER
from ..transport.transport import Transport
from .service_state import ServiceState

FIRST_BYTE_OF_NEXT: Final = 0.75
"""Seconds that an idle connection keeps when the service drains: a request may be crossing, and
twice around the earth is 0.6 s."""
MOST_PUT_OFF: Final = 4_096
"""Bytes that are put off until all clients were read (see `poller`). More are handled at once,
while they are in the processor's cache; and what is put off of 256 clients takes memory."""
IDLE_LINGER: Final = 0.25
"""Seconds that an idle connection's client has to notice that our side is shut. No response can be
lost here, so it is shorter than LINGER: a stop waits for it."""

State = Literal["idle", "head", "exchange", "discarding", "flushing", "lingering", "closed"]
LastAct = Literal["close", "linger", "reset"]


class ClosingConnection(ABC):
    """A client connection in some HTTP version."""

    protocol: ClassVar[str]

    __slots__ = ("_deadline", "_idle_since", "_service", "_state", "_transport")

    def __init__(self, transport: Transport, service: ServiceState) -> None:
        self._transport = transport
        self._service = service
        self._state: State = "idle"
        self._idle_since = service.clock()
        """Monotonic seconds since which it awaits a request, if it does."""
        self._deadline = self._idle_since + service.settings.header_timeout
        """Monotonic seconds at which the client is late with what it has to send; 0.0: never."""

    def open(self) -> None:
        """Joins the service: from here on the poller brings what the client sends."""
        self._service.connections.add(self)
        if self._service.draining:
            self.drain()
        self._transport.join(self)

    @abstractmethod
    def readable(self) -> Self | None:
        """Reads once, unless something is left of what was read before; the poller calls again for
        more. Puts off what is short. An exception ends only this connection."""

    @abstractmethod
    def advance(self) -> None:
        """Handles what was received, a turn's share of it. An exception ends only this
        connection."""

    def _look(self) -> None:
        """Reads what has come by now, and handles that and what was put off."""
        self.readable()
        self.advance()

    @abstractmethod
    def writable(self) -> None:
        """Sends, as a `Watched`."""

    @abstractmethod
    def sweep(self, now: float) -> None:
        """Ends what has lasted too long. It is called a few times a second."""

    @abstractmethod
    def cut(self) -> None:
        """Ends the connection at once: the deadline of a drain has passed, or it has failed."""

    @property
    @abstractmethod
    def held(self) -> int:
        """Bytes that are held for it in memory."""

    @abstractmethod
    def _last_act(self) -> LastAct:
        """Returns how the connection ends, when all is sent."""

    @abstractmethod
    def _closed(self) -> None:
        """Notes that nothing is read or written any more."""

    def drain(self) -> None:
        """Has the connection end with the service. Responses say `Connection: close` from now on,
        so only an idle connection has to be ended."""
        self.end_if_idle()

    @property
    def idle_since(self) -> float:
        """Monotonic seconds since which it awaits a request, with nothing left to send; 0.0 if it
        does not."""
        return self._idle_since if self._state == "idle" and self._deadline else 0.0

    def close_if_idle(self) -> bool:
        """Closes an idle connection at once, to make room. A request that has come by now is
        answered instead. Returns whether it was closed."""
        since = self.idle_since
        self._look()
        if self._state == "closed" or self.idle_since != since:
            return False  # it may be idle again, with an answer that has yet to be taken
        self._close()
        return True

    def end_if_idle(self) -> None:
        """Ends an idle connection in a moment: a request may be on its way, and is answered."""
        if self._state == "idle" and self._deadline:
            self._deadline = min(self._deadline, self._service.clock() + FIRST_BYTE_OF_NEXT)

    def _close_idle(self) -> None:
        """Closes an idle connection. A request that has come by now is answered, and one that comes
        later does not reset the connection."""
        self._look()
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
        act = self._last_act()
        if act == "linger":
            self._linger(LINGER)
            return
        if act == "reset":
            self._transport.reset()
        self._close()

    def _linger(self, seconds: float) -> None:
        self._state = "lingering"
        self._deadline = self._service.clock() + seconds
        try:
            self._transport.shut_writing()
        except OSError:
            self._close()

    def _close(self) -> None:
        """Closes at once. It is harmless when called twice."""
        if self._state != "closed":
            self._state = "closed"
            self._service.connections.discard(self)
            self._transport.close()
            self._closed()
