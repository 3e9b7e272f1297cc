"""The engine of one HTTP/2 connection: bytes in, events out, and frames back (RFC 9113). Pure.

An engine knows frames, field compression (RFC 7541), the states of streams and both windows. It
does not know what fields mean: it neither checks nor changes them, so that every engine gives the
same answer to the same request. That is decided above it, once (`request_fields`,
`response_fields`).

No call raises for what the client does. A fault that ends one stream is a `StreamFailed`, one that
ends the connection a `ConnectionFailed`; the frame that says so is in the output then.
"""

from enum import IntEnum
from typing import Final, NamedTuple, Protocol

from ..http.rules import Fields


class ErrorCode(IntEnum):
    """RFC 9113 section 7."""

    NO_ERROR = 0x0
    PROTOCOL_ERROR = 0x1
    INTERNAL_ERROR = 0x2
    FLOW_CONTROL_ERROR = 0x3
    SETTINGS_TIMEOUT = 0x4
    STREAM_CLOSED = 0x5
    FRAME_SIZE_ERROR = 0x6
    REFUSED_STREAM = 0x7
    CANCEL = 0x8
    COMPRESSION_ERROR = 0x9
    CONNECT_ERROR = 0xA
    ENHANCE_YOUR_CALM = 0xB
    INADEQUATE_SECURITY = 0xC
    HTTP_1_1_REQUIRED = 0xD


ANY_STREAM: Final = 2**31 - 1
"""The last stream that a first GOAWAY names: none is refused yet (RFC 9113 section 6.8)."""


class Head(NamedTuple):
    """The whole head of a request (HEADERS and its CONTINUATIONs)."""

    stream: int
    fields: Fields
    """As they came, pseudo-fields among them."""
    ended: bool
    """Whether the request has no body."""


class Trailers(NamedTuple):
    """The fields behind a request's body, which end it."""

    stream: int
    fields: Fields
    ended: bool
    """Whether they end the stream, as they have to (RFC 9113 section 8.1)."""


class Data(NamedTuple):
    """A piece of a request's body."""

    stream: int
    data: bytes
    size: int
    """Bytes that it takes of both windows: with its padding."""
    ended: bool


class Reset(NamedTuple):
    """The client's RST_STREAM."""

    stream: int
    code: int


class StreamFailed(NamedTuple):
    """A fault of the client that ends one stream, which was reset with `code`."""

    stream: int
    code: int
    sentence: str


class Room(NamedTuple):
    """More may be sent on a stream; 0: perhaps on each of them."""

    stream: int


class PriorityUpdate(NamedTuple):
    """PRIORITY_UPDATE (RFC 9218 section 7.1)."""

    stream: int
    """A stream of the client; it may not have been opened yet."""
    value: bytes


class Pong(NamedTuple):
    """The answer to a PING of ours."""

    data: bytes


class GoingAway(NamedTuple):
    """The client's GOAWAY: it opens no further stream."""

    code: int


class ConnectionFailed(NamedTuple):
    """A fault of the client that ends the connection, as GOAWAY with `code` has told it. It is the
    last event. Those of frames right before it may be left out, if they came with it."""

    code: int
    sentence: str


OtherEvent = (
    Trailers
    | Data
    | Reset
    | StreamFailed
    | Room
    | PriorityUpdate
    | Pong
    | GoingAway
    | ConnectionFailed
)
Event = Head | OtherEvent


class Engine(Protocol):
    """The server's side of one connection. A call about a stream that has ended does nothing."""

    @property
    def frame_size(self) -> int:
        """Bytes of the longest DATA that the client takes (SETTINGS_MAX_FRAME_SIZE)."""
        ...

    @property
    def last_stream(self) -> int:
        """The last stream that the client has opened; 0: none."""
        ...

    def receive(self, data: bytes) -> list[Event]:
        """Takes whole frames of the client (see `frame_reader`), without the connection preface."""
        ...

    def output(self) -> bytes:
        """Returns what is to be sent since the last call, the engine's own answers included."""
        ...

    def room(self, stream: int) -> int:
        """Bytes of DATA that both windows allow now; at most 0: none. `stream` 0: those that the
        connection's window allows."""
        ...

    @property
    def has_output(self) -> bool:
        """Whether there may be some `output`."""
        ...

    def respond(self, stream: int, fields: Fields, body: bytes) -> bool:
        """Sends a whole response with a body: its head, as `head` does, and one DATA. Does nothing
        if the client does not allow that now. Returns whether it was sent."""
        ...

    def head(self, stream: int, fields: Fields, ended: bool) -> None:
        """Sends a head, interim or final. `fields` can be sent as they are: `:status` first, names
        in lower case. The list may be given again, and is never changed."""
        ...

    def body(self, stream: int, data: bytes, ended: bool) -> None:
        """Sends DATA: at most `room` and `frame_size` bytes."""
        ...

    def trailers(self, stream: int, fields: Fields) -> None:
        """Sends the fields behind the body, which end the response."""
        ...

    def reset(self, stream: int, code: int) -> None:
        """Ends a stream with RST_STREAM."""
        ...

    def taken(self, stream: int, size: int) -> None:
        """Notes that `size` bytes of DATA were taken, so that the client may send as many more: on
        the stream, if it goes on, and on the connection. They may be told later, with others."""
        ...

    def ping(self, data: bytes) -> None:
        """Sends PING, with 8 bytes."""
        ...

    def go_away(self, last: int, code: int, debug: bytes = b"") -> None:
        """Sends GOAWAY. Streams go on, and which ones are refused is not the engine's to know."""
        ...
