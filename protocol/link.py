"""A whole link without its socket: it is fed bytes and yields messages; it is told what to say and
yields bytes.

`GatewayLink` and `WorkerLink` are its two ends. A driver owns the socket and has no rules of its
own. It hands received bytes to `receive` and sends what `take_batch` returns; the link calls
`schedule_flush` as soon as there is output. Reading never waits on writing, on either side.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from typing import Final, Literal

from .calls import Call
from .codec import Decoder
from .credit import ReceiveWindow
from .errors import RemoteProtocolError
from .hello import Greeting, negotiate
from .messages import (
    BYE,
    BYE_NORMAL,
    COUNTED_MESSAGES,
    CREDIT,
    DRAIN,
    EVENT,
    HELLO,
    MESSAGE_OVERHEAD,
    PING,
    PONG,
    RESET,
    SLOTS,
    WS_MESSAGE,
    Message,
    name_of,
)
from .outbox import Outbox

Received = tuple[Call | None, Message]
"""A message and its call; None instead of a call for messages about the link itself."""


MAX_TEXT: Final = 16_384
"""Bytes of the longest text for people in a message (SPEC.md 5: a few kilobytes)."""


def clip_text(text: str, *, end: bool = False) -> str:
    """Cuts a text for people (a reason, an error, the tail of a log) to its first MAX_TEXT bytes,
    or with `end` to its last ones.

    Characters that UTF-8 cannot carry are escaped. A client that writes "\\ud800" into its JSON
    brings a lone surrogate into an exception's text, and that must not end the link.
    """
    if text.isascii():
        return text[-MAX_TEXT:] if end else text[:MAX_TEXT]
    data = text.encode("utf-8", "backslashreplace")
    return (data[-MAX_TEXT:] if end else data[:MAX_TEXT]).decode("utf-8", "ignore")


def utf8_size(text: str) -> int:
    """Bytes of a text as UTF-8, which is what it costs in credit."""
    return len(text) if text.isascii() else len(text.encode())


class LinkMachine(ABC):
    """The part of a link that both ends share: the greeting, the output, the tables of calls."""

    peer_kinds: frozenset[int]
    """Kinds about the link as a whole that the peer may send once HELLO has passed."""

    def __init__(
        self, greeting: Greeting, schedule_flush: Callable[[], None], window: int | None = None
    ) -> None:
        """`schedule_flush` is called when there is output and there was none before. `window`:
        bytes of the window of each call, which begins with what `greeting` says; None: that is all
        of it."""
        self.ours = greeting
        self.theirs: Greeting | None = None
        self.version = 0
        self.features: frozenset[str] = frozenset()
        self.message_overhead = 0
        """Bytes of credit that each piece of a WebSocket message costs beside its data, in both
        directions: MESSAGE_OVERHEAD, or 0 with a peer that does not count messages."""
        self.state: Literal["greeting", "open", "closed"] = "greeting"
        self.calls: dict[int, Call] = {}
        self.last_call_id = 0
        self._decoder = Decoder(greeting.max_message)
        # Our own limit holds until the peer has announced one; HELLO is far below both.
        self._outbox = Outbox(schedule_flush, greeting.max_message)
        self._send_window = 0
        self._window = window or greeting.window

    # -- saying ------------------------------------------------------------------------------

    @property
    def has_output(self) -> bool:
        return bool(self._outbox)

    def take_batch(self) -> list[bytes]:
        """Returns the next batch of bytes to write, as buffers; an empty list if there is none."""
        return self._outbox.take()

    def take_output(self) -> bytes:
        """Returns all output in one piece; b"" if there is none."""
        return b"".join(self.take_batch())

    def greet(self) -> None:
        """Says HELLO, which is the first message on a link."""
        self._put(self.ours.message())

    def bye(self, code: int, reason: str) -> None:
        """Ends the link with BYE. Queued messages still go out; then the driver closes the
        socket."""
        if self.state != "closed":
            self.state = "closed"
            data = self._outbox.encode((BYE, code, clip_text(reason)))
            if code == BYE_NORMAL:
                self._outbox.put_last(data)  # the peer hears nothing behind it
            else:
                self._outbox.put(data)

    def close(self) -> None:
        """The socket is gone: nothing more is said or heard."""
        self.state = "closed"

    def ping(self, token: int) -> None:
        self._put((PING, token))

    def pong(self, token: int, vitals: dict[str, object]) -> None:
        self._put((PONG, token, vitals))

    def drain(self, reason: str) -> None:
        """Says DRAIN. From a worker it means: open no more calls, I serve those that I have. From a
        gateway it means: finish your calls and end."""
        self._put((DRAIN, clip_text(reason)))

    def event(self, call: Call, event: dict[str, object]) -> None:
        """Sends an ASGI event in its general form. One that cannot travel (too large, or with types
        that msgpack lacks: see `codec.encode`) raises, and changes nothing."""
        data = self._outbox.encode((EVENT, call.call_id, event))
        self._move(call, EVENT)
        self._outbox.put_after(call.call_id, (data,))

    def send_ws_message(self, call: Call, data: bytes | str, more: bool) -> None:
        """Sends a piece of a WebSocket message, of MAX_BODY bytes at most (a text is measured as
        UTF-8). It costs its bytes and `message_overhead` of `call.send_credit`. `more` says whether
        the message goes on."""
        size = len(data) if isinstance(data, bytes) else utf8_size(data)
        encoded = self._outbox.encode((WS_MESSAGE, call.call_id, data, more))
        call.spend(size, self.message_overhead)
        self._move(call, WS_MESSAGE)
        self._outbox.put_body(call.call_id, (encoded,))

    def reset(self, call: Call, code: int, reason: str) -> None:
        """Sends RESET for a call. Bodies of it that wait in the outbox are dropped."""
        self._move(call, RESET)
        self._put((RESET, call.call_id, code, clip_text(reason)))
        self._outbox.drop(call.call_id)

    def taken(self, call: Call, count: int) -> None:
        """The consumer took `count` bytes of body, the overhead of their messages included. The
        peer gets credit in steps of half a window."""
        window = call.receive_window
        if window is not None and (grant := window.taken(count)):
            self._grant(call, grant)

    def wanted(self, call: Call) -> None:
        """The consumer waits for body bytes. If the window was closed, it is opened."""
        window = call.receive_window
        if window is not None and (grant := window.wanted()):
            self._grant(call, grant)

    def settle(self, call: Call) -> None:
        """Announces all credit that is owed: the peer has asked how far the consumer is."""
        window = call.receive_window
        if window is not None and (grant := window.open()):
            self._grant(call, grant)

    def widen(self, call: Call) -> None:
        """Gives the peer the rest of a window that begins with a part, before it has used that."""
        if call.receive_window is None:
            call.receive_into(ReceiveWindow(self._window, allowed=self.ours.window))
        self.settle(call)

    def _grant(self, call: Call, grant: int) -> None:
        if self._may(call, CREDIT):
            self._put((CREDIT, call.call_id, grant))

    def _put(self, message: Message) -> None:
        self._outbox.put(self._outbox.encode(message))

    @abstractmethod
    def _may(self, call: Call, move: int) -> bool:
        """Whether our half of the call allows the move."""

    @abstractmethod
    def _move(self, call: Call, move: int) -> None:
        """Makes our move. Raises LocalProtocolError if the table has no such move."""

    # -- hearing -----------------------------------------------------------------------------

    @abstractmethod
    def receive(self, data: bytes | memoryview) -> Iterator[Received]:
        """Yields the messages that `data` completes, each of them legal in the state of the link
        and of its call.

        Raises RemoteProtocolError at the first that is illegal, after the good ones before it; the
        driver then says `bye(error.code, error.reason)` and closes. After the link's end all
        messages are ignored, because they were on their way.
        """

    def _link_message(self, message: Message) -> Iterable[Received]:
        """Checks a message about the link itself: HELLO comes first and once."""
        if message[0] == HELLO:
            if self.state != "greeting":
                raise RemoteProtocolError("a second HELLO")
            theirs = Greeting.read(message)
            self.version, self.features = negotiate(self.ours, theirs)
            if COUNTED_MESSAGES in self.features:
                self.message_overhead = MESSAGE_OVERHEAD
            self.theirs = theirs
            self._send_window = theirs.window
            self._outbox.limit(theirs.max_message)
            self.state = "open"
        elif message[0] == BYE:
            self.state = "closed"
        elif self.state == "greeting":
            raise RemoteProtocolError(f"{name_of(message[0])} before HELLO")
        elif message[0] not in self.peer_kinds:
            raise RemoteProtocolError(f"{name_of(message[0])} comes from the wrong side")
        elif message[0] == SLOTS and message[1] < 0:
            raise RemoteProtocolError(f"SLOTS of {message[1]}")
        return ((None, message),)

    def _ws_message_arrived(self, call: Call, data: bytes | str) -> None:
        size = len(data) if isinstance(data, bytes) else utf8_size(data)
        overhead = self.message_overhead
        first = self.ours.window
        call.count_received(size, self._window, first, last=False, overhead=overhead)


def unlawful(move: int, state: str, call: Call) -> str:
    """The sentence for a move that the table does not have."""
    return f"{name_of(move & 31)} about call {call.call_id}, whose half is {state!r}"
