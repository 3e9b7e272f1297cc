"""What each engine of HTTP/2 costs, without a socket: python -m tests.bench.http2_engines

Requests a second (a head of 5 or 12 fields in; a head of 4 fields and 13 bytes of body out) and
megabytes of DATA a second, in frames of 16 KiB, by the CPU's time.
"""

import sys
from collections.abc import Callable
from time import process_time

from hpack import Encoder
from propylon.gateway.http2.builtin_engine import BuiltinEngine
from propylon.gateway.http2.engine import Engine
from propylon.gateway.http2.frames import HeadBounds
from propylon.gateway.http2.h2_engine import H2Engine
from propylon.gateway.settings import Http2Settings

from ..gateway.http2.ngh2_engine import Ngh2Engine
from ..http2_frames import (
    END_HEADERS,
    END_STREAM,
    Kind,
    Setting,
    data,
    frame,
    settings,
    window_update,
)

ROUNDS = 3
ENGINES: dict[str, tuple[Callable[[Http2Settings, HeadBounds], Engine], int]] = {
    "builtin": (BuiltinEngine, 10_000),
    "h2": (H2Engine, 3_000),
    "ngh2": (Ngh2Engine, 20_000),
}
"""With requests of a round."""
PIECE = bytes(16_384)
FIVE = [
    (b":method", b"GET"),
    (b":scheme", b"https"),
    (b":path", b"/"),
    (b":authority", b"a.example"),
    (b"user-agent", b"curl/8.5"),
]
TWELVE = [
    *FIVE,
    (b"accept", b"text/html,application/xhtml+xml"),
    (b"accept-encoding", b"gzip, br"),
    (b"accept-language", b"de,en;q=0.5"),
    (b"cookie", b"session=0123456789abcdef0123456789abcdef"),
    (b"referer", b"https://a.example/list?page=2"),
    (b"cache-control", b"no-cache"),
    (b"sec-fetch-mode", b"navigate"),
]
RESPONSE = [
    (b":status", b"200"),
    (b"content-type", b"text/plain"),
    (b"content-length", b"13"),
    (b"server", b"propylon"),
]
Fields = list[tuple[bytes, bytes]]


def begun(name: str) -> Engine:
    engine = ENGINES[name][0](Http2Settings(), HeadBounds(65_536, 1_000))
    engine.receive(
        settings((Setting.INITIAL_WINDOW_SIZE, 2**31 - 1)) + window_update(0, 2**31 - 65_536)
    )
    engine.output()
    return engine


def head(stream: int, fields: Fields, encoder: Encoder, flags: int = END_HEADERS) -> bytes:
    return frame(Kind.HEADERS, flags, stream, encoder.encode(fields))


def requests(name: str, fields: Fields) -> float:
    """A second."""
    engine, encoder, count = begun(name), Encoder(), ENGINES[name][1]
    ended = END_HEADERS | END_STREAM
    sent = [(one, head(one, fields, encoder, ended)) for one in range(1, 2 * count, 2)]
    since = process_time()
    for stream, each in sent:
        engine.receive(each)
        engine.head(stream, RESPONSE, False)
        engine.room(stream)
        engine.body(stream, b"Hello, World!", True)
        engine.output()
    return count / (process_time() - since)


def uploaded(name: str, count: int = 10_000) -> float:
    """Megabytes a second."""
    engine, piece = begun(name), data(1, PIECE)
    engine.receive(head(1, FIVE, Encoder()))
    since = process_time()
    for _ in range(count):
        engine.receive(piece)
        engine.taken(1, len(PIECE))
        engine.output()
    return count * len(PIECE) / (process_time() - since) / 1e6


def downloaded(name: str, count: int = 10_000) -> float:
    """Megabytes a second."""
    engine = begun(name)
    engine.receive(head(1, FIVE, Encoder(), END_HEADERS | END_STREAM))
    engine.head(1, RESPONSE[:1], False)
    since = process_time()
    for _ in range(count):
        engine.room(1)
        engine.body(1, PIECE, False)
        engine.output()
    return count * len(PIECE) / (process_time() - since) / 1e6


def main() -> None:
    print(f"Python {sys.version.split()[0]}")
    for _ in range(ROUNDS):
        for name in ENGINES:
            print(
                f"{name:7} 5 fields {requests(name, FIVE):9,.0f}/s  12 fields "
                f"{requests(name, TWELVE):9,.0f}/s  in {uploaded(name):7,.0f} MB/s  out "
                f"{downloaded(name):7,.0f} MB/s"
            )


if __name__ == "__main__":
    main()
