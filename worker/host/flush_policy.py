"""The flush policy: when a worker sends what it has said. Pure: time is passed in.

A call says something on its link: an answer, a piece of one, its end. That lies in the outbox until
it is *flushed*, which is one `sendmsg` for all that lies there. When should that be?

**At once?** A `sendmsg` and the wake-up of the gateway behind it cost both sides some ten
microseconds, about a quarter of all that a small request costs here. Sixty calls that arrived in
one read and are answered in one millisecond would pay that sixty times, and the gateway would wake
up sixty times to read one answer each.

**After a delay, so that more comes together?** Then a quiet server, where nothing more comes, makes
every client wait in vain. Any fixed delay is too long for a quiet server or too short for a busy
one.

So: **when nothing more can come without waiting**. An event loop knows that moment. It runs all
that is ready, one task after the other, and then sleeps until a socket has news. What is said in
one such *turn* goes out at its end: under load a turn answers many calls, and on a quiet server it
answers one and is over. The loops differ in how they are asked for the end of a turn. asyncio runs
callbacks in the order in which they were asked for, so a flush that is asked for behind the calls
runs behind their first steps. trio promises no order, so its flusher lets the scheduler go round
once. That is the host's part (`schedule_flush`).

Four things remain, and each of them is a state or a rule below.

- **The batch that is being read.** It is a turn of its own: its PINGs are answered and its calls
  begin only when all of it was read, and to ask for a flush at each of its messages would be in
  vain. While it is `reading`, what is said waits for its end.
- **The turn that lasts.** Sixty calls that compute for five milliseconds each make a turn of 300,
  and the first answer would wait for the last call. So an answer waits for `ANSWER_WITHIN` at most:
  the call that ends then sends what there is. It can be no finer, since no code of ours runs in the
  middle of a call.
- **The socket that takes no more.** Then the gateway reads slowly, and asking again is in vain
  until the system says that it is writable. While the link is `blocked`, nothing else matters.
- **What may not wait**, whatever else may come: STARTED has to be on the wire before the app is
  called (SPEC.md 6.3), and PEP 3333 forbids to keep back what a WSGI app writes. Code that says
  either of these flushes at once.

**Threads have no turn.** In a WSGI worker the leader (see `wsgi.leader`) reads the links, calls the
app and answers, one call after the other. After each it can know only two things: whether another
call waits in the queue, and how long the last one took. If there is another, and it would be done
within `SEND_WITHIN` of the first thing that waits, the answer goes out with that one's. Else it
goes out now. The bound is lower than a loop's, since this is a guess about an app's code. If the
guess was wrong, the leader is held up, and the thread that takes the lead flushes first. Followers
run calls in parallel and keep nothing back: each flushes before it takes its next call.
"""

from typing import Final, Generic, Literal, TypeVar

ANSWER_WITHIN: Final = 0.001
"""Seconds for which what was said in a turn of an event loop waits for what the next call says. A
client sees no millisecond, and a turn of a hundred quick answers is shorter."""
SEND_WITHIN: Final = 0.000_2
"""Seconds for which what a leading thread has said waits for the next call's answer: a few quick
calls, each of which costs less than a `sendmsg` more."""

State = Literal["idle", "reading", "scheduled", "blocked", "closed"]


class FlushPolicy:
    """Of one link.

    ==========  =====================  ==========  ========  =========  ============  ============
    state       something is said      read begin  read end  all sent   socket full   writable
    ==========  =====================  ==========  ========  =========  ============  ============
    idle        scheduled: asks for    reading               idle       blocked
                a flush
    reading     waits for "read end"               idle      idle       blocked
    scheduled   goes with the rest     reading               idle       blocked
    blocked     waits for "writable"                                                  idle
    closed      is lost
    ==========  =====================  ==========  ========  =========  ============  ============

    A blank is a state that stays. In the last two nothing is sent. What was said while a batch was
    read is flushed behind "read end"; a flush that was scheduled before it then finds nothing to
    send, which is not worth a state.
    """

    __slots__ = ("since", "state")

    def __init__(self) -> None:
        self.state: State = "idle"
        self.since = 0.0
        """Monotonic seconds when the oldest message that waits was said; 0.0 if none waits."""

    def said(self, now: float) -> bool:
        """There is something to send, and there was nothing before. Returns whether a flush has to
        be asked for."""
        if not self.since:
            self.since = now
        if self.state != "idle":
            return False
        self.state = "scheduled"
        return True

    def expects(self) -> bool:
        """Calls begin in this turn and will probably say something in it. Returns whether a flush
        has to be asked for, which then comes behind their first steps."""
        if self.state != "idle":
            return False
        self.state = "scheduled"
        return True

    def begin_reading(self) -> None:
        """A batch of the gateway's messages is about to be read."""
        if self.state == "idle" or self.state == "scheduled":
            self.state = "reading"

    def end_reading(self) -> None:
        """The batch was read. What was said meanwhile is to be flushed soon."""
        if self.state == "reading":
            self.state = "idle"

    def is_due(self, now: float) -> bool:
        """A call has ended. Returns whether what was said has waited long enough."""
        return self.since > 0.0 and now - self.since >= ANSWER_WITHIN

    def sent(self) -> None:
        """The kernel has taken all that was said."""
        self.since = 0.0
        self.state = "idle"

    def blocked(self) -> None:
        """The socket takes no more."""
        self.state = "blocked"

    def writable(self) -> None:
        """The socket takes bytes again."""
        if self.state == "blocked":
            self.state = "idle"

    def close(self) -> None:
        """The link is closed, and nothing will be sent."""
        self.state = "closed"


Link = TypeVar("Link")


class PendingSends(Generic[Link]):
    """The links of a WSGI worker with messages that have not been sent yet."""

    __slots__ = ("_links", "_since")

    def __init__(self) -> None:
        self._links: set[Link] = set()
        self._since = 0.0

    def add(self, link: Link, now: float) -> None:
        """A flush was asked for."""
        if not self._links:
            self._since = now
        self._links.add(link)

    def may_wait(self, until: float) -> bool:
        """Whether no message would be too old at `until`, when the next call will have ended."""
        return until - self._since < SEND_WITHIN

    def take(self) -> Link | None:
        """Takes a link that is to be flushed now; None if there are no more."""
        return self._links.pop() if self._links else None
