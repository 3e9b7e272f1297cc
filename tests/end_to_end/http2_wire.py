"""A client of HTTP/2 on a raw socket: it sends whatever bytes it is given, and reads strictly.

Its own frames are those of `tests.http2_frames`. What it hears is decoded here, with hpack, so that
a fault in the server's field compression is seen whatever the status says.
"""

import socket
import ssl
import struct
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import NamedTuple, Self

from hpack import Decoder

from .. import http2_frames as frames
from ..http2_frames import ACK, END_HEADERS, END_STREAM, PADDED, PREFACE, Kind, Setting
from .server import DEADLINE

Fields = list[tuple[bytes, bytes]]
DEFAULT_WINDOW = 65_535


class Heard(NamedTuple):
    kind: int
    flags: int
    stream: int
    payload: bytes


@dataclass
class Reply:
    """What has come on a stream."""

    interim: list[Fields] = field(default_factory=list[Fields])
    head: Fields = field(default_factory=Fields)
    body: bytearray = field(default_factory=bytearray)
    trailers: Fields = field(default_factory=Fields)
    ended: bool = False
    """By END_STREAM."""
    reset: int | None = None
    """RST_STREAM's code."""

    @property
    def status(self) -> int:
        return int(dict(self.head)[b":status"]) if self.head else 0

    @property
    def over(self) -> bool:
        return self.ended or self.reset is not None

    def field(self, name: bytes) -> bytes | None:
        return dict(self.head).get(name)


class Wire:
    """One connection."""

    def __init__(
        self,
        address: tuple[str, int],
        *,
        tls: ssl.SSLContext | None = None,
        settings: Iterable[tuple[int, int]] = (),
        preface: bytes | None = None,
        takes: bool = True,
    ) -> None:
        """`settings`: ours. `takes`: whether what is heard is taken at once, which refills the
        windows. `preface`: instead of ours."""
        sock = socket.create_connection(address, DEADLINE)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sock = tls.wrap_socket(sock, server_hostname="localhost") if tls else sock
        self.takes = takes
        self.decoder = Decoder()
        self.decoder.max_header_list_size = 1 << 24
        self.replies: dict[int, Reply] = {}
        self.settings: dict[int, int] = {}
        """The server's."""
        self.settled = False
        """Whether the server's SETTINGS have come."""
        self.acked = 0
        """SETTINGS of ours that the server has confirmed."""
        self.going_away: list[tuple[int, int, bytes]] = []
        """GOAWAY: last stream, code, what it says."""
        self.pongs: list[bytes] = []
        self.closed = False
        """By the server."""
        self.cut = False
        """By a reset."""
        self.windows: dict[int, int] = {0: DEFAULT_WINDOW}
        """What may be sent, by stream and in all."""
        self.next_stream = 1
        self._rest = bytearray()
        self._block = bytearray()
        self._opening: tuple[int, int] | None = None
        """Stream and flags of the HEADERS whose CONTINUATION is to come."""
        if preface is None:
            preface = PREFACE + frames.settings(*settings)
        self.send(preface)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self.sock.close()

    # -- sending ---------------------------------------------------------------------------------

    def send(self, data: bytes) -> None:
        """What the server does not take any more is lost, and seen when its words are read."""
        try:
            self.sock.sendall(data)
        except (BrokenPipeError, ConnectionResetError, ssl.SSLEOFError):
            self.cut = True

    def get(self, path: bytes = b"/", *more: tuple[bytes, bytes], method: bytes = b"GET") -> int:
        """Sends a request without a body. Returns its stream."""
        stream = self.open()
        self.send(frames.headers(stream, frames.head(path, *more, method=method)))
        return stream

    def post(self, path: bytes, *more: tuple[bytes, bytes], method: bytes = b"POST") -> int:
        """Sends a head to which a body follows."""
        stream = self.open()
        fields = frames.head(path, *more, method=method)
        self.send(frames.headers(stream, fields, END_HEADERS))
        return stream

    def open(self) -> int:
        """The next stream of ours."""
        stream, self.next_stream = self.next_stream, self.next_stream + 2
        initial = self.settings.get(Setting.INITIAL_WINDOW_SIZE, DEFAULT_WINDOW)
        self.windows[stream] = initial
        self.replies[stream] = Reply()
        return stream

    def upload(self, stream: int, data: bytes, *, end: bool = True) -> None:
        """Sends it as the windows allow, until all is sent or the stream is over."""
        view = memoryview(data)
        while view and not self.replies[stream].over:
            size = min(self.windows[stream], self.windows[0], 16_384, len(view))
            if size <= 0:
                self.read_until(lambda: min(self.windows[stream], self.windows[0]) > 0, stream)
                continue
            self.send(frames.data(stream, bytes(view[:size])))
            self.windows[stream] -= size
            self.windows[0] -= size
            view = view[size:]
        if end and not self.replies[stream].over:
            self.send(frames.data(stream, b"", end=True))

    # -- hearing ---------------------------------------------------------------------------------

    def hear(self, deadline: float = DEADLINE) -> bool:
        """Takes what comes next. False: the server has closed."""
        if self.closed:
            return False
        self.sock.settimeout(deadline)
        try:
            received = self.sock.recv(262_144)
        except (ConnectionResetError, ssl.SSLEOFError):
            received, self.cut = b"", True
        if not received:
            assert not self._rest, f"closed in the midst of a frame: {bytes(self._rest[:40])!r}"
            self.closed = True
            return False
        self._rest += received
        while len(self._rest) >= 9:
            size = int.from_bytes(self._rest[:3])
            if len(self._rest) < 9 + size:
                break
            _, kind, flags, stream = struct.unpack(">BBBI", b"\0" + self._rest[3:9])
            payload = bytes(self._rest[9 : 9 + size])
            del self._rest[: 9 + size]
            assert size <= 16_384, "a frame that is longer than we allow"
            self._heard(Heard(kind, flags, stream & 0x7FFF_FFFF, payload))
        return True

    def read_until(
        self, condition: Callable[[], object], stream: int = 0, deadline: float = DEADLINE
    ) -> None:
        """Until it is so, the stream is over or the server has closed."""
        end = time.monotonic() + deadline
        while not condition():
            if stream and self.replies[stream].over:
                return
            left = end - time.monotonic()
            assert left > 0, "it never came"
            if not self.hear(left):
                return

    def reply(self, stream: int, deadline: float = DEADLINE) -> Reply:
        """The whole of it, or what came before a reset or the connection's end."""
        self.read_until(lambda: False, stream, deadline)
        return self.replies[stream]

    def ask(self, path: bytes = b"/", *more: tuple[bytes, bytes], method: bytes = b"GET") -> Reply:
        return self.reply(self.get(path, *more, method=method))

    def settle(self) -> None:
        """Waits until each side knows the other's settings."""
        self.read_until(lambda: self.settled and self.acked)

    def round_trip(self) -> None:
        """All that was sent so far has been read when it ends (or the server has closed)."""
        count = len(self.pongs)
        self.send(frames.ping(b"roundtrp"))
        self.read_until(lambda: len(self.pongs) > count)

    def finish(self) -> None:
        """Reads to the connection's end."""
        self.read_until(lambda: False)

    def _heard(self, heard: Heard) -> None:
        kind, flags, stream, payload = heard
        continued = self._opening is not None
        assert continued == (kind == Kind.CONTINUATION), f"{heard}, in a field block: {continued}"
        match kind:
            case Kind.HEADERS:
                assert not flags & PADDED
                self._head(stream, flags, payload)
            case Kind.CONTINUATION:
                self._head(stream, flags, payload)
            case Kind.DATA:
                self._data(stream, flags, payload)
            case Kind.SETTINGS:
                self._settings(flags, payload)
            case Kind.PING if flags & ACK:
                self.pongs.append(payload)
            case Kind.PING:
                self.send(frames.frame(Kind.PING, ACK, 0, payload))
            case Kind.RST_STREAM:
                self.replies.setdefault(stream, Reply()).reset = int.from_bytes(payload)
            case Kind.GOAWAY:
                last, code = struct.unpack(">II", payload[:8])
                self.going_away.append((last, code, payload[8:]))
            case Kind.WINDOW_UPDATE:
                size = int.from_bytes(payload)
                assert size > 0
                self.windows[stream] = self.windows.get(stream, 0) + size
                assert self.windows[stream] < 2**31
            case _:
                raise AssertionError(f"a server does not send {heard}")

    def _settings(self, flags: int, payload: bytes) -> None:
        if flags & ACK:
            assert not payload
            self.acked += 1
            return
        news = dict(struct.iter_unpack(">HI", payload))
        before = self.settings.get(Setting.INITIAL_WINDOW_SIZE, DEFAULT_WINDOW)
        self.settings |= news
        more = self.settings.get(Setting.INITIAL_WINDOW_SIZE, DEFAULT_WINDOW) - before
        for stream in self.windows:
            if stream:
                self.windows[stream] += more
        self.settled = True
        self.send(frames.SETTINGS_ACK)

    def _head(self, stream: int, flags: int, fragment: bytes) -> None:
        opened, first = self._opening = self._opening or (stream, flags)
        assert opened == stream
        self._block += fragment
        if not flags & END_HEADERS:
            return
        fields: Fields = [
            (bytes(name), bytes(value))
            for name, value in self.decoder.decode(bytes(self._block), raw=True)
        ]
        self._block.clear()
        self._opening = None
        reply = self.replies.setdefault(stream, Reply())
        assert not reply.over, f"HEADERS behind the end of stream {stream}"
        assert all(name == name.lower() for name, _ in fields), fields
        ended = bool(first & END_STREAM)
        status = dict(fields).get(b":status")
        if reply.head:
            assert status is None, fields
            assert ended, f"{fields} behind the head, without an end"
            reply.trailers = fields
        elif status is not None and status.startswith(b"1"):
            assert not ended
            reply.interim.append(fields)
        else:
            assert fields[0][0] == b":status", fields
            reply.head = fields
        reply.ended = ended

    def _data(self, stream: int, flags: int, payload: bytes) -> None:
        reply = self.replies[stream]
        assert reply.head, f"DATA before the head on stream {stream}"
        assert not reply.over, f"DATA behind the end of stream {stream}"
        assert not flags & PADDED
        reply.body += payload
        reply.ended = bool(flags & END_STREAM)
        if payload and self.takes:
            updates = frames.window_update(0, len(payload))
            if not reply.ended:
                updates += frames.window_update(stream, len(payload))
            self.send(updates)
