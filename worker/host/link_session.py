"""One link of a worker: a non-blocking Unix socket, and the WorkerLink that drives it.

It knows no event loop. The host watches the socket and calls `readable` and `writable`; `Owner`
names everything that a session needs of its host. All messages of one turn of the loop go out in
one `send`, which is tried at once. Only if it would block is the loop asked to watch the socket.
"""

import logging
import socket
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from time import monotonic
from typing import Final, Literal, Protocol, cast

from ...protocol.calls import Call
from ...protocol.codec import RECEIVE_SIZE
from ...protocol.errors import RemoteProtocolError, VersionMismatch
from ...protocol.hello import Greeting
from ...protocol.messages import (
    BYE,
    BYE_NORMAL,
    CLIENT_GONE,
    CONFIRM_START,
    CREDIT,
    DRAIN,
    EVENT,
    FILES,
    HELLO,
    OPEN,
    PING,
    REFUSED,
    REQUEST_BODY,
    RESET,
    SHUTDOWN,
    WS_MESSAGE,
    Message,
    Open,
    Scope,
)
from ...protocol.outbox import SEND_BUFFER
from ...protocol.send_buffer import SendBuffer
from ...protocol.worker_link import WorkerLink
from ..app.request_scope import UnknownCallType
from ..process.app_children import end_if_child
from .file_passing import FilePassing
from .flush_policy import FlushPolicy
from .unheard import UnheardResponse

logger = logging.getLogger("propylon.worker")

WIND_DOWN: Final = "propylon.wind_down"
"""An event that no app sees (SPEC.md 10.4)."""
_MOST_STARTED: Final = 1_024
"""Ids in one STARTED: the codec's arrays are bounded."""
LOST: Final = 0
"""The code for a call with a link that is gone, beside the codes of RESET."""
NOT_BEGUN: Final = frozenset({"opened", "started"})
"""States of a response of which nothing was said."""
_UNFINISHED: Final = frozenset({"opened", "started", "body"})
"""States of a response that is neither whole nor reset."""
GatewayState = Literal["silent", "greeted", "winding_down", "released"]
"""What the gateway has said of itself: nothing yet; HELLO; that it has no new clients for us (it
goes, or has others that work for it); DRAIN, after which it opens nothing more, and we go when our
calls have ended. It only ever goes on to the next."""


class HostedCall(Call, ABC):
    """A call of the app, as its session sees it, whichever interface the app speaks."""

    __slots__ = ("began", "disconnected", "message", "request_id", "session", "unheard")

    message: Scope
    waits_for_a_thread = False
    """Whether the call says STARTED itself when it is about to enter the app, which may be long
    after OPEN."""

    def __init__(self, session: "LinkSession") -> None:
        super().__init__()
        self.session = session
        self.request_id = ""
        """What the gateway calls the request; "" if it gives no ids."""
        self.began = 0.0
        """When it entered the app, by the monotonic clock; 0.0 while it waits for that."""
        self.disconnected = False
        """Whether the call was abandoned, or is about to leave the app."""
        self.unheard: UnheardResponse | None = None
        """What the app has sent of its response since then; None: nothing."""

    def log_end(self) -> str:
        """The end of a line of the log that is about this call: the request's id."""
        return f" [request {self.request_id}]" if self.request_id else ""

    def log_facts(self) -> dict[str, str]:
        """The same for the record of such a line (`extra`), of which JSON makes a key."""
        return {"request_id": self.request_id}

    @property
    def has_begun(self) -> bool:
        """Whether the response has begun, or a WebSocket is accepted: the call may last from now on
        and idle."""
        return self.response not in NOT_BEGUN

    @abstractmethod
    def opened(self, message: Open) -> None:
        """Takes what OPEN carries. Raises ValueError or TypeError for a malformed scope."""

    @abstractmethod
    def body_arrived(self, body: bytes, more: bool) -> None: ...

    def piece_arrived(self, data: bytes | str, more: bool) -> None:
        """Takes a part of a WebSocket message. Only the call of a WebSocket uses it."""

    def event_arrived(self, event: dict[str, object]) -> bool:
        """Takes an ASGI event in its general form, and returns whether it ends the call. An event
        that no extension of the scope has offered is ignored."""
        return False

    @abstractmethod
    def wake(self) -> None:
        """Wakes what waits in this call: there is credit, a body or an end."""

    def entered(self, now: float) -> None:
        """The host runs the app for it from now on, in monotonic seconds."""
        self.began = now

    def refuse(self, reason: str) -> None:
        """The app will not be called."""
        self.session.link.reset(self, REFUSED, reason)
        self.disconnected = True

    def confirmed(self) -> None:
        """Notes that the call's STARTED was sent, or that the call is disconnected before."""
        self.session.start((self,))

    def disconnect(self) -> None:
        self.disconnected = True
        self.wake()

    @property
    def awaited(self) -> bool:
        """Whether a client waits for more of the response."""
        return self.response in _UNFINISHED and not self.disconnected

    def stop(self) -> None:
        """Ends the call: the worker ends and does not wait for it any longer."""
        self.fail(SHUTDOWN, "the worker stops")

    def fail(self, code: int, reason: str) -> None:
        """Sends RESET for the call, unless its response is whole or was reset already."""
        if self.awaited:
            self.session.link.reset(self, code, reason)


class Owner(Protocol):
    """The part of a host that a session needs."""

    greeting: Greeting
    about: dict[str, object]

    def new_call(self, session: "LinkSession", scope: Scope) -> HostedCall: ...
    def start(self, call: HostedCall) -> None:
        """Runs the app for this call, now or soon; when it is done, the call says so to
        `session.leave`."""
        ...

    def abandoned(self, call: HostedCall, code: int) -> None:
        """A call was abandoned and told of its disconnect. `code` is RESET's code, or LOST."""
        ...

    def schedule_flush(self, session: "LinkSession") -> None:
        """Has `session.flush` called before the loop waits again (threads: soon)."""
        ...

    def watch_writable(self, session: "LinkSession") -> None:
        """Has `session.writable` called once, when the socket takes bytes again."""
        ...

    def closing(self, session: "LinkSession") -> None:
        """The socket is closed when this returns, so the host forgets it."""
        ...

    def left(self, call: HostedCall) -> None:
        """The call has left the app."""
        ...

    def gateway_winds_down(self) -> None:
        """A gateway has no new clients for this worker any more."""
        ...

    def version_differs(self, session: "LinkSession", mismatch: VersionMismatch) -> None:
        """The gateway speaks no version of the protocol that we speak; the link ends."""
        ...

    def slots_for(self, session: "LinkSession") -> int:
        """How many calls the gateway may have open here at once."""
        ...

    def vitals(self) -> dict[str, object]: ...


class LinkSession:
    __slots__ = (
        "_buffer",
        "_flush_policy",
        "_sendmsg",
        "_unconfirmed",
        "_unsent",
        "files",
        "gateway",
        "link",
        "owner",
        "passes_files",
        "path",
        "slots",
        "sock",
    )

    def __init__(self, sock: socket.socket, path: str, owner: Owner) -> None:
        self.sock = sock
        self.path = path
        self.owner = owner
        new_call = partial(owner.new_call, self)
        self.link = WorkerLink(owner.greeting, self._schedule_flush, new_call)
        self.gateway: GatewayState = "silent"
        self.files = FilePassing()
        self.passes_files = False
        """Whether the gateway sends files whose descriptors are passed to it."""
        self._sendmsg: Callable[[Iterable[bytes | memoryview]], int] = self._send_first
        self.slots = 0
        """What the gateway was told."""
        self._flush_policy = FlushPolicy()
        self._unsent = SendBuffer()
        self._buffer = memoryview(bytearray(RECEIVE_SIZE))
        self._unconfirmed: list[HostedCall] = []
        self.link.greet()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)

    @property
    def closed(self) -> bool:
        return self._flush_policy.state == "closed"

    @property
    def has_unsent(self) -> bool:
        return bool(self._unsent) or self.link.has_output

    # -- hearing -----------------------------------------------------------------------------

    def readable(self) -> None:
        """Reads once and handles all messages that the bytes complete."""
        if self.closed:
            return
        try:
            count = self.sock.recv_into(self._buffer)
        except (BlockingIOError, InterruptedError):
            return
        except OSError as error:
            self.lose(str(error))
            return
        if not count:
            self.lose("the gateway closed it")
            return
        opened: list[HostedCall] = []
        confirm: list[HostedCall] = []
        policy = self._flush_policy
        policy.begin_reading()
        try:
            self._hear_batch(self._buffer[:count], opened, confirm)
        except VersionMismatch as error:
            logger.debug("link %s: %s", self.path, error.reason)
            self.owner.version_differs(self, error)
            self.finish(error.code, error.reason)
        except RemoteProtocolError as error:
            logger.error("link %s: the gateway broke the protocol: %s", self.path, error.reason)
            self.finish(error.code, error.reason)
        finally:
            policy.end_reading()
        if confirm:
            self.confirm(confirm)
        self.start(opened)
        if policy.since:
            self.flush()
        elif opened and policy.expects():
            # The flush comes behind the first steps of these calls, which the loop takes next: what
            # they answer at once goes out together, without a further turn of the loop.
            self.owner.schedule_flush(self)

    def _hear_batch(
        self, data: memoryview, opened: list[HostedCall], confirm: list[HostedCall]
    ) -> None:
        """Hands messages to their calls, and collects the calls that are to enter the app, to
        `confirm` those behind their STARTED. Raises RemoteProtocolError, after the good messages
        before it were handled."""
        received = cast("Iterator[tuple[HostedCall, Message]]", self.link.receive(data))
        for call, message in received:
            if message[0] != OPEN:
                self._hear(call, message)
                continue
            try:
                call.opened(message)
            except UnknownCallType as error:
                call.refuse(str(error))
            except (ValueError, TypeError, AttributeError) as error:
                raise RemoteProtocolError(
                    f"OPEN of call {message[1]} has no scope: {error}"
                ) from error
            if message[5] & CONFIRM_START and not call.waits_for_a_thread:
                confirm.append(call)
            else:
                opened.append(call)

    def _hear(self, call: HostedCall, message: Message) -> None:
        if message[0] == REQUEST_BODY:
            call.body_arrived(message[2], message[3])
        elif message[0] == CREDIT:
            call.wake()
        elif message[0] == WS_MESSAGE:
            call.piece_arrived(message[2], message[3])
        elif message[0] == EVENT:
            if message[2].get("type") == WIND_DOWN:
                self._winds_down()
            elif call.event_arrived(message[2]):
                self.owner.abandoned(call, CLIENT_GONE)
        elif message[0] == RESET:
            self._abandon(call, message[2])
        elif message[0] == PING:
            self.link.pong(message[1], self.owner.vitals())
        elif message[0] == HELLO:
            self.gateway = "greeted"
            self.passes_files = FILES in self.link.features
            self.link.ready(self.owner.about)
            self.announce(self.owner.slots_for(self))
        elif message[0] == DRAIN:
            self._winds_down()
            self.gateway = "released"
            if not self.link.calls:
                self.finish(BYE_NORMAL, "drained")
        elif message[0] == BYE:
            self.lose(f"the gateway said BYE: {message[2]}")

    def _winds_down(self) -> None:
        if self.gateway == "greeted":
            self.gateway = "winding_down"
            self.owner.gateway_winds_down()

    def announce(self, slots: int) -> None:
        """Tells the gateway how many calls it may have open here at once."""
        self.slots = slots
        self.link.slots(slots)

    def confirm(self, calls: list[HostedCall]) -> None:
        """Sends STARTED for calls, which has to be on the wire before they enter the app. Calls
        that were refused, or reset in the same batch, never enter it and are left out. Each call is
        `confirmed` now or later."""
        live = [call for call in calls if not call.disconnected]
        for first in range(0, len(live), _MOST_STARTED):
            self.link.started(live[first : first + _MOST_STARTED])
        self.flush()
        if self._flush_policy.state == "blocked":
            self._unconfirmed += calls
            return
        for call in calls:
            call.confirmed()

    def start(self, calls: Iterable[HostedCall]) -> None:
        start = self.owner.start
        for call in calls:
            if call.disconnected:
                self.leave(call)  # it was reset in the same batch: the app never hears of it
            else:
                start(call)

    # -- saying ------------------------------------------------------------------------------

    def _schedule_flush(self) -> None:
        """Asks for a flush: the link has something to send."""
        if self._flush_policy.said(monotonic()):
            self.owner.schedule_flush(self)

    def flush(self) -> None:
        """Sends the messages that wait, as far as the socket takes them."""
        policy = self._flush_policy
        state = policy.state
        if state == "blocked" or state == "closed":
            return
        try:
            outcome = self._unsent.send(self._sendmsg, self.link.take_batch)
        except OSError as error:
            self.lose(str(error))
            return
        if outcome == "blocked":
            policy.blocked()
            self.owner.watch_writable(self)
            return
        policy.sent()
        if self._unconfirmed:
            self._all_confirmed()
        if self.link.state == "closed":
            self.close()

    def _send_first(self, buffers: Iterable[bytes | memoryview]) -> int:
        """Sends the first bytes of the link, and the gateway's end of the descriptor socket."""
        sent = self.files.send_first(self.sock, buffers)
        self._sendmsg = self.sock.sendmsg
        return sent

    def writable(self) -> None:
        self._flush_policy.writable()
        self.flush()

    # -- ends --------------------------------------------------------------------------------

    def leave(self, call: HostedCall) -> None:
        """Ends a call that has left the app."""
        self.owner.left(call)
        if self.link.state != "open":
            end_if_child()
            self.link.calls.pop(call.call_id, None)
            return
        self.link.end(call)
        if self._flush_policy.is_due(monotonic()):
            self.flush()
        if self.gateway == "released" and not self.link.calls:
            self.finish(BYE_NORMAL, "drained")

    def finish(self, code: int, reason: str) -> None:
        """Says BYE, and closes the link when it is sent."""
        self.link.bye(code, reason)
        self._disconnect_calls()
        if self._flush_policy.state != "reading":
            self.flush()

    def lose(self, reason: str) -> None:
        """Ends the session: the link has ended by itself."""
        if self.closed:
            return
        log = logger.info if self.link.calls else logger.debug
        log("link %s ended, %d calls with it: %s", self.path, len(self.link.calls), reason)
        self.close()

    def close(self) -> None:
        if self.closed:
            return
        self._flush_policy.close()
        self.link.close()
        self.owner.closing(self)
        self.sock.close()
        self.files.close()
        self._disconnect_calls()
        self._all_confirmed()

    def let_go(self) -> None:
        """Closes the session in a process that the app has forked, without a word."""
        self._flush_policy.close()
        self.link.close()

    def _all_confirmed(self) -> None:
        calls, self._unconfirmed = self._unconfirmed, []
        for call in calls:
            call.confirmed()

    def _disconnect_calls(self) -> None:
        for each in list(self.link.calls.values()):
            call = cast("HostedCall", each)
            if not call.disconnected:
                self._abandon(call, LOST)

    def _abandon(self, call: HostedCall, code: int) -> None:
        """Abandons a call: no client waits for its response. If that is complete, the app may still
        have work to do (SPEC.md 6.4); only a shutdown or a deadline hurries it."""
        call.disconnect()
        if call.response != "complete" or code not in (LOST, CLIENT_GONE):
            self.owner.abandoned(call, code)
