"""The streams of one HTTP/2 connection whose responses wait for their client.

A response that is small, or that the client takes at once, is never here. The others wait until the
client allows more of the stream or of the whole connection, or until the socket takes more. The
scheduler says whose frame is next (`http2.scheduler`, RFC 9218); a stream on which the client
allows nothing has no turn.

Two limits of time end a wait, both `send_timeout` long. Each stream has its own, for what the
client allows on it (`Http2Stream.wait_for_room`). The one here is for what it allows on the
connection, for which all wait together. (A socket that takes nothing is the transport's matter.)
"""

from ..http2.engine import Engine, ErrorCode
from ..http2.flood_guard import LEAST_ROOM, FloodGuard
from ..http2.frames import FRAME_HEADER
from ..http2.priority import UNSPECIFIED, PriorityParameters
from ..http2.scheduler import Scheduler
from .exchange_sink import TOOK_NOTHING
from .http2_stream import Http2Stream
from .service_state import ServiceState


class WaitingStreams:
    __slots__ = ("_engine", "_guard", "_room_by", "_scheduler", "_service", "streams")

    def __init__(self, engine: Engine, guard: FloodGuard, service: ServiceState) -> None:
        self._engine, self._guard, self._service = engine, guard, service
        self._scheduler = Scheduler()
        self.streams: dict[int, Http2Stream] = {}
        """Those that have something to send, by number. It is to be read only."""
        self._room_by = 0.0
        """Monotonic seconds by which the client has to allow some on the connection; 0.0: it is
        not waited for."""

    def add(self, stream: Http2Stream) -> None:
        """Notes that a stream has something to send, and whether it may or has to wait for the
        client. It may be here already."""
        number = stream.number
        self.streams[number] = stream
        self._scheduler.add(number, *UNSPECIFIED)
        if stream.may_send:
            self._scheduler.ready(number)
        else:
            stream.wait_for_room(self._service.clock())

    def remove(self, number: int) -> None:
        """Forgets a stream and its priority, as it is over."""
        self.streams.pop(number, None)
        if not self.streams:
            self._room_by = 0.0  # who waits next has its whole time
        self._scheduler.remove(number)

    def set_priority(self, number: int, priority: PriorityParameters) -> None:
        """Notes how urgent a stream is, whether it waits or will."""
        self._scheduler.add(number, *priority)
        self._scheduler.update(number, *priority)

    # -- what the client allows --------------------------------------------------------------

    def room_given(self, number: int) -> None:
        """Notes that the client takes more of one stream."""
        stream = self.streams.get(number)
        if stream is not None and stream.may_send:
            stream.room_given()
            self._scheduler.ready(number)

    def room_given_to_all(self) -> None:
        """Notes that the client takes more on the connection, or perhaps of each stream. It takes
        a look at all that waits, so it is to be called once for all that came together."""
        if self._engine.room(0) > 0:
            self._room_by = 0.0
        for number in self.streams:
            self.room_given(number)

    # -- sending -----------------------------------------------------------------------------

    @property
    def may_send(self) -> bool:
        """Whether the client allows some of what waits."""
        return not self._room_by and len(self._scheduler) > 0

    def send(self, room: int) -> None:
        """Gives the engine frames of those that wait, in their order, about `room` bytes. Raises
        Flood if the client allows a few bytes at a time, again and again."""
        scheduler, streams, guard = self._scheduler, self.streams, self._guard
        now = 0.0
        while room > 0 and (number := scheduler.next()) is not None:
            stream = streams[number]
            before = stream.kept
            if before and self._engine.room(0) <= 0:
                self._wait_for_room()
                break
            count = stream.push()
            room -= count + FRAME_HEADER
            if 0 < count < min(before, LEAST_ROOM):
                now = now or self._service.clock()
                guard.dribbled(now)
            elif count:
                guard.sent(1)
            if number not in streams:  # it is over
                continue
            scheduler.sent(number)
            if not stream.may_send:
                scheduler.idle(number)
                if stream.kept:
                    now = now or self._service.clock()
                    stream.wait_for_room(now)
                else:
                    del streams[number]

    def _wait_for_room(self) -> None:
        """The client allows nothing on the connection. Streams that would send keep their places;
        those that only have to end do so."""
        if not self._room_by:
            self._room_by = self._service.clock() + self._service.settings.send_timeout
        for stream in [one for one in self.streams.values() if one.may_send and not one.kept]:
            stream.push()

    def sweep(self, now: float) -> None:
        """Gives up what has waited for the connection too long. It is called a few times a
        second."""
        if self._room_by and now >= self._room_by:
            self._room_by = 0.0
            for stream in [one for one in self.streams.values() if one.kept]:
                stream.give_up(ErrorCode.CANCEL, TOOK_NOTHING)
