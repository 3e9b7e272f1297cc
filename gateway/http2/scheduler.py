"""Which of the responses that wait for the connection may send next (RFC 9218 section 10). Pure.

A connection takes as much as its client reads. As long as that is more than there is to send, the
order does not matter, and nobody asks here. When it is less, each frame that one response sends is
one that another does not, and there are several wishes that do not go together:

- *What is urgent comes first.* A page cannot be drawn without its style sheet; its images can wait.
- *A script is of no use before it is whole.* Ten of them sent at the same time are all late. Sent
  one after the other, the first is there in a tenth of the time, and the last no later.
- *A part of an image is of use*, and so is a part of each of ten downloads.
- *Nobody waits for ever.* The most urgent response may be one that never ends.

So the highest urgency goes first. Within one, the responses that are only of use as a whole go one
after the other, in the order of their streams, which is the order in which they were asked for. The
others take turns, a frame each, and those that go one after the other have one turn together. Last,
one frame in `EACH` is for the response that has waited longest, whatever its urgency: a sixteenth
of the connection delays nothing that is urgent by much, and brings everybody to an end.

The driver adds a response when that first has to wait, and not before: most responses are sent as
soon as they are there, and never come here.
"""

from bisect import bisect_left, insort
from collections import OrderedDict
from typing import Final

EACH: Final = 16
"""One frame in so many is for the response that has waited longest."""
URGENCIES: Final = 8
"""Urgencies are 0 to 7 (RFC 9218 section 4.1)."""
_SEQUENCE: Final = 0
"""Stands for the responses that go one after the other among those that take turns. No response
has this stream."""


class _Level:
    """The responses of one urgency that could send."""

    __slots__ = ("sequence", "turns")

    def __init__(self) -> None:
        self.sequence: list[int] = []
        """Streams that go one after the other, in order."""
        self.turns: OrderedDict[int, None] = OrderedDict()
        """Streams that take turns, the next one first."""

    def add(self, stream: int, incremental: bool) -> None:
        if incremental:
            self.turns[stream] = None
        else:
            insort(self.sequence, stream)
            self.turns.setdefault(_SEQUENCE)

    def remove(self, stream: int, incremental: bool) -> None:
        if incremental:
            del self.turns[stream]
        else:
            del self.sequence[bisect_left(self.sequence, stream)]
            if not self.sequence:
                del self.turns[_SEQUENCE]

    def next(self) -> int:
        """The next stream; there has to be one."""
        return next(iter(self.turns)) or self.sequence[0]

    def sent(self, stream: int, incremental: bool) -> None:
        """Ends the turn of a stream."""
        self.turns.move_to_end(stream if incremental else _SEQUENCE)


class Scheduler:
    """The responses of one connection that have had to wait. Calls about others do nothing."""

    __slots__ = ("_levels", "_since", "_streams", "_waiting")

    def __init__(self) -> None:
        self._streams: dict[int, tuple[int, bool]] = {}
        """Stream -> its urgency, and whether it is incremental."""
        self._waiting: OrderedDict[int, None] = OrderedDict()
        """Streams that could send, the one that has waited longest first."""
        self._levels = [_Level() for _ in range(URGENCIES)]
        self._since = 0
        """Frames since the one that has waited longest had its turn."""

    def __len__(self) -> int:
        """Streams that could send."""
        return len(self._waiting)

    def add(self, stream: int, urgency: int, incremental: bool) -> None:
        """Adds a response, which is idle at first."""
        self._streams.setdefault(stream, (urgency, incremental))

    def remove(self, stream: int) -> None:
        """Takes out a response, as it has ended."""
        if stream in self._streams:
            self.idle(stream)
            del self._streams[stream]

    def update(self, stream: int, urgency: int, incremental: bool) -> None:
        """Gives it another priority."""
        if stream not in self._streams:
            return
        if waits := stream in self._waiting:
            was, kind = self._streams[stream]
            self._levels[was].remove(stream, kind)
        self._streams[stream] = urgency, incremental
        if waits:
            self._levels[urgency].add(stream, incremental)

    def ready(self, stream: int) -> None:
        """Notes that a response has something to send and may."""
        if stream in self._streams and stream not in self._waiting:
            urgency, incremental = self._streams[stream]
            self._levels[urgency].add(stream, incremental)
            self._waiting[stream] = None

    def idle(self, stream: int) -> None:
        """Notes that a response has nothing to send, or may not."""
        if stream in self._waiting:
            urgency, incremental = self._streams[stream]
            self._levels[urgency].remove(stream, incremental)
            del self._waiting[stream]

    def next(self) -> int | None:
        """Returns the stream that may send a frame; None if none could. It stays the same one until
        something is sent or changes."""
        if not self._waiting:
            return None
        if self._since >= EACH - 1:
            return next(iter(self._waiting))
        for level in self._levels:
            if level.turns:
                return level.next()
        return None

    def sent(self, stream: int) -> None:
        """Notes that a stream has sent a frame. It stays ready."""
        if stream not in self._waiting:
            return
        urgency, incremental = self._streams[stream]
        self._levels[urgency].sent(stream, incremental)
        longest = next(iter(self._waiting)) == stream
        self._since = 0 if longest else self._since + 1
        self._waiting.move_to_end(stream)
