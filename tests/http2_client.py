"""A client of HTTP/2 without a socket: it sends whatever bytes it is given, and reads strictly.

Its own frames are those of `http2_frames`. What it hears is decoded here, with hpack, so that a
fault in the server's field compression is seen whatever the status says. The `h2` package would not
do: it does not send what is wrong, and hears nothing more after a GOAWAY.
"""

import struct
from dataclasses import dataclass, field

from hpack import Decoder

from . import http2_frames as frames
from .http2_frames import ACK, END_HEADERS, END_STREAM, PADDED, Heard, Kind, Setting

Fields = list[tuple[bytes, bytes]]
DEFAULT_WINDOW = 65_535
MOST_FRAME = 16_384
"""We announce no other size."""


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


class Client:
    """One connection. `send` is its user's: what becomes of the bytes."""

    def __init__(self, *, takes: bool = True) -> None:
        """`takes`: whether what is heard is taken at once, which refills the windows."""
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
        self.windows: dict[int, int] = {0: DEFAULT_WINDOW}
        """What may be sent, by stream and in all."""
        self.next_stream = 1
        self._rest = bytearray()
        self._block = bytearray()
        self._opening: tuple[int, int] | None = None
        """Stream and flags of the HEADERS whose CONTINUATION is to come."""

    def send(self, data: bytes) -> None:
        raise NotImplementedError

    # -- requests --------------------------------------------------------------------------------

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

    def room(self, stream: int) -> int:
        """Bytes of DATA that may be sent now, in one frame."""
        return min(self.windows[stream], self.windows[0], MOST_FRAME)

    def data(self, stream: int, body: bytes, *, end: bool = False) -> None:
        """Sends so much, whatever the windows say."""
        self.send(frames.data(stream, body, end=end))
        self.windows[stream] -= len(body)
        self.windows[0] -= len(body)

    # -- what is heard ---------------------------------------------------------------------------

    def receive(self, data: bytes) -> None:
        self._rest += data
        while (heard := frames.heard_at(self._rest)) is not None:
            del self._rest[: heard.size]
            assert len(heard.payload) <= MOST_FRAME, "a frame that is longer than we allow"
            self._heard(heard)

    @property
    def between_frames(self) -> bool:
        return not self._rest

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
                assert not self.going_away or last <= self.going_away[-1][0], "another last stream"
                self.going_away.append((last, code, payload[8:]))
            case Kind.WINDOW_UPDATE:
                size = int.from_bytes(payload)
                assert size > 0
                assert stream in self.windows, f"WINDOW_UPDATE of stream {stream}"
                self.windows[stream] += size
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
