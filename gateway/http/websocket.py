"""A WebSocket's frames without a socket: wsproto's only door (RFC 6455, RFC 7692).

wsproto reads and writes the frames. What it leaves open is bounded here: the size of a message,
measured after decompression and enforced while decompressing, and the memory of a compressor.
"""

import re
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from wsproto.connection import Connection, ConnectionState, ConnectionType
from wsproto.events import BytesMessage, CloseConnection, Ping, Pong, TextMessage
from wsproto.extensions import Extension, PerMessageDeflate
from wsproto.frame_protocol import CloseReason, RsvBits

from ..settings import WebSocketSettings

NORMAL: Final = 1000
NO_STATUS: Final = 1005
"""Never on the wire: the peer's close frame had no code."""
ABNORMAL: Final = 1006
"""Never on the wire: the connection ended without a close frame."""
TOO_BIG: Final = 1009
INTERNAL_ERROR: Final = 1011
SERVICE_RESTART: Final = 1012

_MEMORY_LEVEL: Final = 5
"""zlib's memLevel for what we send: 16 KiB and the window, where its default takes 128 KiB."""
_COMPRESSED_BIT: Final = RsvBits(True, False, False)
"""The reserved bits that permessage-deflate takes for itself."""
_PARAMETER: Final = re.compile(
    rb"(server_no_context_takeover|client_no_context_takeover)"
    rb"|(server_max_window_bits)=\"?([0-9]{1,2})\"?"
    rb"|(client_max_window_bits)(?:=\"?([0-9]{1,2})\"?)?"
)


@dataclass(frozen=True, slots=True)
class Piece:
    """Part of a message, and whether more of it comes."""

    data: bytes | str
    more: bool


@dataclass(frozen=True, slots=True)
class Reply:
    """Bytes that the protocol owes the peer: a pong."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Alive:
    """A pong: the peer is there."""


@dataclass(frozen=True, slots=True)
class Closed:
    """The peer has closed, and `reply` is the last that it is sent."""

    code: int
    reason: str
    reply: bytes


@dataclass(frozen=True, slots=True)
class Failed:
    """The peer has broken the rules: nothing more is read, and `close` with these tells it so
    (RFC 6455 section 7.1.7)."""

    code: int
    reason: str


WebSocketEvent = Piece | Reply | Alive | Closed | Failed


class BoundedDeflate(PerMessageDeflate):
    """permessage-deflate that never makes more of a message than it may be long."""

    def __init__(self, limit: int, **parameters: Any) -> None:
        super().__init__(**parameters)
        self._limit = limit
        self._left = limit
        self._control = False
        """Whether the frame that comes in is a control frame."""
        self.finalize("permessage-deflate")

    def frame_inbound_header(self, proto: Any, opcode: Any, rsv: Any, payload_length: int) -> Any:
        self._control = opcode.iscontrol()
        if self._control:
            # Never compressed (RFC 7692 section 6.1), and free to come between a message's
            # fragments, whose compression wsproto would forget (its pull request 205).
            return CloseReason.PROTOCOL_ERROR if rsv.rsv1 else _COMPRESSED_BIT
        if self._inbound_compressed is None:
            self._left = self._limit
        return super().frame_inbound_header(proto, opcode, rsv, payload_length)

    def frame_inbound_complete(self, proto: Any, fin: bool) -> bytes | CloseReason | None:
        return None if self._control else super().frame_inbound_complete(proto, fin)

    def frame_inbound_payload_data(self, proto: Any, data: bytes) -> bytes | CloseReason:
        if self._control or not self._inbound_compressed:
            return data
        assert self._decompressor is not None, "wsproto has made it for the frame's header"
        try:
            plain = self._decompressor.decompress(bytes(data), self._left + 1)
        except zlib.error:
            return CloseReason.INVALID_FRAME_PAYLOAD_DATA
        self._left -= len(plain)
        return plain if self._left >= 0 else CloseReason.MESSAGE_TOO_BIG

    def frame_outbound(self, proto: Any, opcode: Any, rsv: Any, data: bytes, fin: bool) -> Any:
        if self._compressor is None and self._compressible_opcode(opcode):
            self._compressor = zlib.compressobj(
                zlib.Z_DEFAULT_COMPRESSION,
                zlib.DEFLATED,
                -self.server_max_window_bits,
                _MEMORY_LEVEL,
            )
        return super().frame_outbound(proto, opcode, rsv, data, fin)


def negotiate_deflate(
    offers: Iterable[bytes], settings: WebSocketSettings
) -> tuple[BoundedDeflate | None, bytes]:
    """The first offer of permessage-deflate that can be met, and the response to it; an offer
    with a parameter that RFC 7692 section 7.1 does not know is declined."""
    if not settings.per_message_deflate:
        return None, b""
    for offer in offers:
        name, *parameters = [part.strip(b" \t") for part in offer.split(b";")]
        if name != b"permessage-deflate":
            continue
        wanted = _read_parameters(parameters)
        if wanted is not None:
            return _meet(wanted, settings)
    return None, b""


def _read_parameters(parameters: Iterable[bytes]) -> dict[bytes, int] | None:
    wanted: dict[bytes, int] = {}
    for parameter in parameters:
        match = _PARAMETER.fullmatch(parameter)
        if match is None:
            return None
        name = match[1] or match[2] or match[4]
        bits = match[3] or match[5]
        # zlib cannot make a raw stream with a window of 8 bits.
        if name in wanted or (bits is not None and not 9 <= int(bits) <= 15):
            return None
        wanted[name] = int(bits) if bits is not None else 15
    return wanted


def _meet(wanted: dict[bytes, int], settings: WebSocketSettings) -> tuple[BoundedDeflate, bytes]:
    ours = settings.deflate_window_bits
    server_bits = min(ours, wanted.get(b"server_max_window_bits", 15))
    # A client that does not offer it cannot be told to use a smaller window.
    offered = b"client_max_window_bits" in wanted
    client_bits = min(ours, wanted[b"client_max_window_bits"]) if offered else 15
    forgets = not settings.deflate_context_takeover
    server_forgets = forgets or b"server_no_context_takeover" in wanted
    client_forgets = forgets or b"client_no_context_takeover" in wanted
    response = [b"permessage-deflate", b"server_max_window_bits=%d" % server_bits]
    if offered:
        response.append(b"client_max_window_bits=%d" % client_bits)
    if server_forgets:
        response.append(b"server_no_context_takeover")
    if client_forgets:
        response.append(b"client_no_context_takeover")
    extension = BoundedDeflate(
        settings.max_size,
        server_max_window_bits=server_bits,
        client_max_window_bits=client_bits,
        server_no_context_takeover=server_forgets,
        client_no_context_takeover=client_forgets,
    )
    return extension, b"; ".join(response)


class WebSocketMachine:
    """The server's side of one WebSocket that was accepted."""

    __slots__ = ("_connection", "_limit", "_size")

    def __init__(self, settings: WebSocketSettings, deflate: BoundedDeflate | None) -> None:
        extensions: list[Extension] = [] if deflate is None else [deflate]
        self._connection = Connection(ConnectionType.SERVER, extensions)
        self._limit = settings.max_size
        self._size = 0

    def receive(self, data: bytes) -> Iterator[WebSocketEvent]:
        """What `data` says; nothing follows a Closed or a Failed. After our own close, messages
        that were on their way are dropped."""
        connection = self._connection
        connection.receive_data(data)
        for event in connection.events():
            if isinstance(event, (TextMessage, BytesMessage)):
                if connection.state is not ConnectionState.OPEN:
                    continue
                piece: bytes | str = event.data  # type: ignore[assignment]
                size = len(piece) if isinstance(piece, bytes) else len(piece.encode())
                self._size += size
                if self._size > self._limit:
                    yield Failed(TOO_BIG, self._over_limit)
                    return
                more = not event.message_finished
                if not more:
                    self._size = 0
                elif not size:
                    continue  # a frame's bare beginning
                yield Piece(piece, more)
            elif isinstance(event, Ping):
                if connection.state is ConnectionState.OPEN:
                    yield Reply(connection.send(event.response()))
            elif isinstance(event, Pong):
                yield Alive()
            elif isinstance(event, CloseConnection):
                code, reason = int(event.code), event.reason or ""
                if connection.state is ConnectionState.OPEN:
                    yield Failed(code, self._over_limit if code == TOO_BIG else reason)
                else:
                    yield Closed(code, reason, self.close(code, reason))
                return

    @property
    def _over_limit(self) -> str:
        return f"a message is over {self._limit} bytes"

    def message(self, data: bytes | str, more: bool) -> bytes:
        """A piece of a message as a frame."""
        kind = TextMessage if isinstance(data, str) else BytesMessage
        return self._connection.send(kind(data=data, message_finished=not more))  # type: ignore[arg-type]

    def ping(self) -> bytes:
        return self._connection.send(Ping())

    def close(self, code: int, reason: str) -> bytes:
        """Our close frame; b"" if one was sent already."""
        if self._connection.state not in (ConnectionState.OPEN, ConnectionState.REMOTE_CLOSING):
            return b""
        if code == NO_STATUS:
            return self._connection.send(CloseConnection(code=CloseReason.NO_STATUS_RCVD))
        return self._connection.send(CloseConnection(code=code, reason=reason))
