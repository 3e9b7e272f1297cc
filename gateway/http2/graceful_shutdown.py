"""The end of a connection without the loss of a request: two GOAWAYs (RFC 9113 section 6.8). Pure.

Requests may be crossing while the end is announced. The first GOAWAY, the notice, refuses nothing,
and asks the client to open no further stream. A PING goes with it; when its answer is back, the
client has heard the notice, and the final GOAWAY names the last stream that is served. Streams
behind that one are refused (REFUSED_STREAM), so that the client knows that nobody has seen them.
Open streams end as they do.

The notice waits until no stream is open, or for `OPEN_STREAMS_HAVE`: it ends no request, but
Python's h2, and with it httpx, drops all that are under way on a connection when it comes.

    state          what leads to the next                                  next
    serving        `begin`: a stop, a reason to close, the last request    draining
                   that the connection may have, the client's GOAWAY
    draining       `notice`: no stream is open, or the client's GOAWAY;    notice_sent
                   the open streams' time is over
    notice_sent    the PING's answer; `answer_within` is over              final_sent
    final_sent     (the driver closes when no stream is open)
"""

from typing import Final, Literal

from .engine import ANY_STREAM, Engine, ErrorCode

OUR_PING: Final = b"propylon"
"""The text of the PING that goes with the first GOAWAY."""
OPEN_STREAMS_HAVE: Final = 5.0
"""Seconds that open streams have to end before the first GOAWAY, and at most a quarter of the time
that a stop has."""


class GracefulShutdown:
    """Of one connection. What it writes is in the engine's output; a call that writes returns
    whether it did."""

    __slots__ = ("_answer_within", "_engine", "_next_by", "_state", "has_begun", "is_final")

    def __init__(self, engine: Engine, answer_within: float) -> None:
        """`answer_within`: seconds that the PING's answer is waited for."""
        self._engine = engine
        self._answer_within = answer_within
        self._state: Literal["serving", "draining", "notice_sent", "final_sent"] = "serving"
        self._next_by = 0.0
        """Monotonic seconds at which the next GOAWAY goes out at the latest."""
        self.has_begun = False
        """Whether it is on its way: `draining` or further."""
        self.is_final = False
        """Whether the last stream is named: later ones are refused."""

    def begin(self, now: float, graceful_timeout: float) -> None:
        """Ends the connection, as soon as that can be announced without harm. `graceful_timeout`:
        seconds that a stop has."""
        if self._state == "serving":
            self._state = "draining"
            self.has_begun = True
            self._next_by = now + min(OPEN_STREAMS_HAVE, graceful_timeout / 4)

    def notice(self, now: float) -> bool:
        """Sends the first GOAWAY, if it is its time."""
        if self._state != "draining":
            return False
        self._state = "notice_sent"
        self._next_by = now + self._answer_within
        self._engine.go_away(ANY_STREAM, ErrorCode.NO_ERROR)
        self._engine.ping(OUR_PING)
        return True

    def pong(self, data: bytes) -> bool:
        """Takes the answer to a PING, and sends the second GOAWAY if it is the one."""
        return self._state == "notice_sent" and data == OUR_PING and self._finish()

    def _finish(self) -> bool:
        self._state = "final_sent"
        self.is_final = True
        self._engine.go_away(self._engine.last_stream, ErrorCode.NO_ERROR)
        return True

    def sweep(self, now: float) -> bool:
        """Sends what has waited for long enough. It is called a few times a second."""
        if self._state == "draining" and now >= self._next_by:
            return self.notice(now)
        return self._state == "notice_sent" and now >= self._next_by and self._finish()
