"""A whole link without its socket: feed bytes, get messages; say something, take bytes.

`GatewayLink` and `WorkerLink` are its two ends. A driver owns the socket and has no rules of its
own: what it receives goes to `receive`, what `take_batch` gives goes out, and `schedule_flush` is
called when there came to be output to take. Reading never waits on writing, on either side.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from typing import Final, Literal

from .calls import Call
from .codec import Decoder
from .errors import RemoteProtocolError
from .hello import Greeting, negotiate
from .messages import (
    BYE,
    BYE_NORMAL,
    CREDIT,
    DRAIN,
    EVENT,
    HELLO,
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
"""A message and the call that it is about, None for the link's own messages."""


MAX_TEXT: Final = 16_384
"""Longest text for people in a message, in bytes (SPEC.md 5: a few kilobytes)."""


def clip_text(text: str, *, end: bool = False) -> str:
    """A reason, an error, a log tail as it can travel: its first MAX_TEXT bytes, or its last.

    What UTF-8 cannot carry becomes an escape. A lone surrogate gets into an exception's text as
    easily as a client writes "\\ud800" into its JSON, and must not cost more than that exception.
    """
    if text.isascii():
        return text[-MAX_TEXT:] if end else text[:MAX_TEXT]
    data = text.encode("utf-8", "backslashreplace")
    return (data[-MAX_TEXT:] if end else data[:MAX_TEXT]).decode("utf-8", "ignore")


def utf8_size(text: str) -> int:
    """What a text costs in credit, in bytes."""
    return len(text) if text.isascii() else len(text.encode())


class LinkMachine(ABC):
    """What both ends share: the greeting, the output, the walk through the tables."""

    peer_kinds: frozenset[int]
    """Kinds about the link as a whole that the peer may send once HELLO has passed."""

    def __init__(self, greeting: Greeting, schedule_flush: Callable[[], None]) -> None:
        """`schedule_flush` is called when there is output to take and there was none before."""
        self.ours = greeting
        self.theirs: Greeting | None = None
        self.version = 0
        self.features: frozenset[str] = frozenset()
        self.state: Literal["greeting", "open", "closed"] = "greeting"
        self.calls: dict[int, Call] = {}
        self.last_call_id = 0
        self._decoder = Decoder(greeting.max_message)
        # Until the peer has said its own limit, ours holds: HELLO is far below either.
        self._outbox = Outbox(schedule_flush, greeting.max_message)
        self._send_window = 0

    # -- saying ------------------------------------------------------------------------------

    @property
    def has_output(self) -> bool:
        return bool(self._outbox)

    def take_batch(self) -> list[bytes]:
        """The next batch of bytes to write, as buffers; none when there is nothing to say."""
        return self._outbox.take()

    def take_output(self) -> bytes:
        """The same in one piece, b"" when there is none."""
        return b"".join(self.take_batch())

    def greet(self) -> None:
        """Says HELLO: the first thing on a new link."""
        self._put(self.ours.message())

    def bye(self, code: int, reason: str) -> None:
        """Ends the link: what is queued still goes out, then the driver closes the socket."""
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
        """Worker: send me nothing new, I still serve what I have. Gateway: finish and go."""
        self._put((DRAIN, clip_text(reason)))

    def event(self, call: Call, event: dict[str, object]) -> None:
        """Any ASGI event in its general form. One that cannot travel (too large, of types that
        msgpack lacks: see `codec.encode`) is refused and leaves no trace."""
        data = self._outbox.encode((EVENT, call.call_id, event))
        self._move(call, EVENT)
        self._outbox.put_after(call.call_id, (data,))

    def send_ws_message(self, call: Call, data: bytes | str, more: bool) -> None:
        """A piece of a WebSocket message: at most MAX_BODY and `call.send_credit` bytes, a text
        by its UTF-8 length. `more`: the message goes on in the next piece."""
        size = len(data) if isinstance(data, bytes) else utf8_size(data)
        encoded = self._outbox.encode((WS_MESSAGE, call.call_id, data, more))
        call.spend(size)
        self._move(call, WS_MESSAGE)
        self._outbox.put_body(call.call_id, (encoded,))

    def reset(self, call: Call, code: int, reason: str) -> None:
        """Gives a call up. Its bodies that still wait are dropped."""
        self._move(call, RESET)
        self._put((RESET, call.call_id, code, clip_text(reason)))
        self._outbox.drop(call.call_id)

    def taken(self, call: Call, count: int) -> None:
        """The consumer took `count` bytes of body; the peer hears of it in half windows."""
        window = call.receive_window
        if window is not None and (grant := window.taken(count)):
            self._grant(call, grant)

    def wanted(self, call: Call) -> None:
        """The consumer waits for body bytes, which may not have been allowed to come yet."""
        window = call.receive_window
        if window is not None and (grant := window.wanted()):
            self._grant(call, grant)

    def settle(self, call: Call) -> None:
        """Everything owed is announced: the peer wants to know how far the consumer has come."""
        window = call.receive_window
        if window is not None and (grant := window.open()):
            self._grant(call, grant)

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
        """Makes our move. Raises LocalProtocolError where the table has none."""

    # -- hearing -----------------------------------------------------------------------------

    @abstractmethod
    def receive(self, data: bytes | memoryview) -> Iterator[Received]:
        """Messages that `data` completes, each lawful in its link's and call's state.

        Raises RemoteProtocolError at the first that is not, after the good ones before it; the
        driver then says `bye(error.code, error.reason)` and closes. After the link's end
        everything is ignored: it was on its way.
        """

    def _link_message(self, message: Message) -> Iterable[Received]:
        """The link's own small table: HELLO first and once, then what the peer may say."""
        if message[0] == HELLO:
            if self.state != "greeting":
                raise RemoteProtocolError("a second HELLO")
            theirs = Greeting.read(message)
            self.version, self.features = negotiate(self.ours, theirs)
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
        call.count_received(size, self.ours.window, last=False)


def unlawful(move: int, state: str, call: Call) -> str:
    """The sentence for a move that its table does not have."""
    return f"{name_of(move & 31)} about call {call.call_id}, whose half is {state!r}"
