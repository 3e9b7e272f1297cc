"""Messages as bytes and back. The only module that knows how msgpack lays out its bytes.

**Decoding.** A message delimits itself, so there is no length prefix, and the C unpacker decodes a
whole batch (a `recv` of many messages) in one loop. What passes here has the right length and the
right type in every place of the array. What is inside of a response's headers is checked by
`GatewayLink`; what is inside of a scope or an event, by whoever uses it.

**Encoding.** One call of the C packer makes a message, and that is enough for all but bodies. A
packer copies a body twice (into its own buffer and out of it) and wants it whole, while an app says
it in pieces that lie somewhere already. And whether a call has ended is known only after its
response was encoded, when to encode it again would be the dearest thing that the worker does for a
small one. The layout answers both (msgpack specification, "formats"): an array is its length
followed by its fields, so fields can be put together from pieces that were encoded apart, and a
boolean is one byte. The functions below do so. Nobody else cuts, joins or changes encoded messages.
"""

from collections.abc import Callable, Iterator
from struct import Struct
from typing import Any, Final, cast

import msgpack

from .errors import RemoteProtocolError
from .messages import (
    BYE,
    CREDIT,
    DRAIN,
    END,
    EVENT,
    FILE,
    HELLO,
    MAX_MESSAGE,
    NOT_READY,
    OPEN,
    PING,
    PONG,
    READY,
    REQUEST_BODY,
    RESET,
    RESPONSE,
    RESPONSE_BODY,
    RESPONSE_FILE,
    RESPONSE_START,
    SLOTS,
    STARTED,
    WS_MESSAGE,
    Message,
    name_of,
)

MAX_ARRAY: Final = 4_096
"""Elements of the longest array (headers of one message, ids of one STARTED)."""
MAX_MAP: Final = 1_024
RECEIVE_SIZE: Final = 262_144
"""The most that a driver may feed at once, in bytes."""

# The types of each message, place by place. Exact types: True is no int, and what msgpack does
# not decode to one of these (extension types, floats for ids) has no place in a message.
_SHAPES: Final[dict[int, frozenset[tuple[type, ...]]]] = {
    kind: frozenset((int, *fields) for fields in alternatives)
    for kind, alternatives in {
        HELLO: [(str, int, int, tuple, dict, dict)],
        READY: [(dict,)],
        NOT_READY: [(str, str, str)],
        SLOTS: [(int,)],
        OPEN: [(int, tuple, bytes, bool, int)],
        STARTED: [(tuple,)],
        EVENT: [(int, dict)],
        REQUEST_BODY: [(int, bytes, bool)],
        RESPONSE_START: [(int, int, tuple)],
        RESPONSE_BODY: [(int, bytes, bool, bool)],
        RESPONSE: [(int, int, tuple, bytes, bool)],
        WS_MESSAGE: [(int, bytes, bool), (int, str, bool)],
        CREDIT: [(int, int)],
        RESET: [(int, int, str)],
        END: [(int,)],
        PING: [(int,)],
        PONG: [(int, dict)],
        DRAIN: [(str,)],
        FILE: [(int, int, int, int, bool)],
        BYE: [(int, str)],
        RESPONSE_FILE: [(int, int, tuple, int, int, int, bool)],
    }.items()
}

_msgpack: Any = msgpack  # it ships no types

_pack = cast("Callable[[object], bytes]", _msgpack.Packer(use_bin_type=True, autoreset=True).pack)
encode: Callable[[Message], bytes] = _pack
"""One message as bytes. Raises TypeError, ValueError or OverflowError for what msgpack cannot
carry. Not for two threads at once: a link that several threads use holds its lock around every
call."""


# -- messages made of buffers ----------------------------------------------------------------
# Each of these functions gives what `encode` would give for the same message, as buffers to be sent
# one behind the other. The pieces of the body are among them, and are not copied.

_TRUE: Final = b"\xc3"
_FALSE: Final = b"\xc2"
_ARRAY_OF: Final = [bytes([0x90 | length]) for length in range(16)]
"""What stands before an array's fields, by their number ("fixarray")."""
_REQUEST_BODY: Final = _ARRAY_OF[4] + _pack(REQUEST_BODY)
_RESPONSE_BODY: Final = _ARRAY_OF[5] + _pack(RESPONSE_BODY)
_RESPONSE: Final = _ARRAY_OF[6] + _pack(RESPONSE)
_RESPONSE_START_SIZE: Final = len(_ARRAY_OF[4] + _pack(RESPONSE_START))
RESPONSE_FRAME: Final = 16
"""More bytes than a RESPONSE has beside those of its RESPONSE_START and its body."""
_bin8 = Struct(">BB").pack
_bin16 = Struct(">BH").pack
_bin32 = Struct(">BI").pack


def _bin_head(size: int) -> bytes:
    """Returns the head of a `bin` of this size (msgpack specification, "bin format family")."""
    if size < 1 << 8:
        return _bin8(0xC4, size)
    return _bin16(0xC5, size) if size < 1 << 16 else _bin32(0xC6, size)


def encode_request_body(call_id: int, body: bytes, more: bool) -> tuple[bytes, bytes, bytes]:
    """Encodes a REQUEST_BODY."""
    head = _REQUEST_BODY + _pack(call_id) + _bin_head(len(body))
    return head, body, _TRUE if more else _FALSE


def encode_response_body(
    call_id: int, pieces: list[bytes], size: int, more: bool, ended: bool
) -> list[bytes]:
    """Encodes a RESPONSE_BODY of these pieces, `size` bytes in all."""
    head = _RESPONSE_BODY + _pack(call_id) + _bin_head(size)
    return [head, *pieces, (_TRUE if more else _FALSE) + (_TRUE if ended else _FALSE)]


def encode_response(start: bytes, pieces: list[bytes], size: int, ended: bool) -> list[bytes]:
    """A RESPONSE of an encoded RESPONSE_START, whose fields are its first, and of these pieces of
    the body, `size` bytes in all."""
    fields = start[_RESPONSE_START_SIZE:]
    return [_RESPONSE, fields + _bin_head(size), *pieces, _TRUE if ended else _FALSE]


def with_end(response: bytes) -> bytes:
    """An encoded RESPONSE, FILE or RESPONSE_FILE that said `ended` False, saying True: that is its
    last field."""
    return response[:-1] + _TRUE


class Decoder:
    """Turns received bytes into messages. A message may come in any number of pieces."""

    __slots__ = ("_max_message", "_unfinished", "_unpacker")

    def __init__(self, max_message: int = MAX_MESSAGE) -> None:
        self._max_message = max_message
        # Bytes fed since a message last ended. The unpacker's own limits are per value, and it
        # frees its buffer as it goes: a message of many values could grow without end.
        self._unfinished = 0
        self._unpacker: Any = _msgpack.Unpacker(
            use_list=False,
            raw=False,
            strict_map_key=True,
            # Room for one whole message that has not ended yet and one more batch behind it.
            max_buffer_size=max_message + RECEIVE_SIZE,
            max_array_len=MAX_ARRAY,
            max_map_len=MAX_MAP,
            max_bin_len=max_message,
            max_str_len=max_message,
            max_ext_len=0,
        )

    def feed(self, data: bytes | memoryview) -> Iterator[Message]:
        """Messages that `data` completes. Raises RemoteProtocolError, after the good ones."""
        unpacker = self._unpacker
        shapes = _SHAPES
        try:
            unpacker.feed(data)
            unfinished = self._unfinished + len(data)
            for raw in unpacker:
                unfinished = 0
                if (
                    type(raw) is not tuple
                    or not raw
                    or tuple(map(type, raw)) not in shapes.get(raw[0], ())  # pyright: ignore[reportUnknownArgumentType]
                ):
                    raise RemoteProtocolError(_misshapen(cast("object", raw)))
                yield raw
            if unfinished > self._max_message:
                raise RemoteProtocolError(
                    f"a message of more than {self._max_message} bytes, which is our limit"
                )
            self._unfinished = unfinished
        except (
            ValueError,  # limits, bad UTF-8, extra data, too deep (msgpack's own are subclasses)
            TypeError,  # an array or a map that cannot be hashed: raw[0], or a map's key
            _msgpack.exceptions.UnpackException,
            RecursionError,
        ) as error:
            raise RemoteProtocolError(
                f"undecodable message: {type(error).__name__}: {error}"
            ) from error


def _misshapen(raw: object) -> str:
    kind = type(raw).__name__
    if type(raw) is not tuple or not raw:
        return f"a message is a non-empty array, not {'an empty one' if kind == 'tuple' else kind}"
    fields = cast("tuple[object, ...]", raw)
    found = ", ".join(type(field).__name__ for field in fields[1:])
    if isinstance(fields[0], int) and fields[0] in _SHAPES:
        return f"{name_of(fields[0])} does not have the fields ({found})"
    return f"unknown message {name_of(fields[0])} with the fields ({found})"
