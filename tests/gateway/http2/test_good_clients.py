"""Good clients, as they are, are never taken for floods: what `recorder` has written down of them is
read again, over and over, as if it were one connection.

| file | who, and what it does |
|---|---|
| `chromium` | a page with 101 images; then a map that is moved 20 times a second, and 57 % of all requests are cancelled |
| `curl_upload` | curl sends 500 KB |
| `grpc` | grpcio: streams of 200 messages, some cancelled, with the PINGs by which it measures the way |
| `h2load` | `h2load -n 1000 -c 1 -m 32` |
| `haproxy` | HAProxy 2.6 with `proto h2` and `abortonclose`, for 90 users at once, of whom each third leaves |
| `httpx` | httpx: 80 requests at once, a download, an upload, 300 small pieces |
| `nghttp`, `nghttp_download` | `nghttp -ans` with a page's images, and 2 MB |
| `node` | node:http2: 90 at once, a download, 400 requests of which half are cancelled, a PING |
"""  # noqa: E501  a table

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from propylon.gateway.http2.flood_guard import Flood, FloodGuard
from propylon.gateway.http2.frame_reader import FrameReader
from propylon.gateway.http2.frames import FrameKind
from propylon.gateway.settings import Http2Settings

from ...http2_frames import BEGINNING, frame

FOLDER = Path(__file__).with_name("good_clients")
TIMES = 50
"""How often each is repeated without a pause."""
SECONDS = {"chromium": 1.0}
"""How long what is in a file took. Others are repeated as if no time passed, so that only their own
work pays for them."""

ONCE = (FrameKind.SETTINGS, FrameKind.GOAWAY)
"""What belongs to the beginning and the end, and is not repeated."""


class Sent(NamedTuple):
    """Frames that were sent to the client."""

    frames: int


class Frame(NamedTuple):
    kind: int
    flags: int
    size: int
    stream: int


def recorded(name: str) -> Iterator[Sent | Frame]:
    for line in (FOLDER / f"{name}.txt").read_text().splitlines():
        first, *others = line.split()
        yield Sent(int(others[0])) if first == ">" else Frame(int(first), *map(int, others))


def replay(name: str, work: bool = True) -> None:
    """Has reader and guard see a file again and again. Without `work` nothing was asked for and
    nothing sent."""
    now = 0.0
    guard = FloodGuard(Http2Settings(), 65_536, now)
    reader = FrameReader(16_384, guard)
    reader.receive(BEGINNING)
    acts = list(recorded(name))
    above = 1 + max(act.stream for act in acts if isinstance(act, Frame))
    step = SECONDS.get(name, 0.0) / len(acts)
    for turn in range(TIMES):
        for act in acts:
            now += step
            if isinstance(act, Sent):
                guard.sent(act.frames * work)
                continue
            kind, flags, size, stream = act
            if kind in ONCE or (kind == FrameKind.HEADERS and not work):
                continue
            reader.receive(frame(kind, flags, stream and stream + turn * above, bytes(size)))
            while reader.share(now):
                pass
            if kind == FrameKind.RST_STREAM:
                guard.client_reset(True, now)


NAMES = sorted(path.stem for path in FOLDER.iterdir())


@pytest.mark.parametrize("name", NAMES)
def test_good_clients_are_let_be(name: str) -> None:
    replay(name)


@pytest.mark.parametrize("name", ["chromium", "haproxy", "nghttp_download", "node"])
def test_the_same_without_the_work_is_a_flood(name: str) -> None:
    with pytest.raises(Flood):
        replay(name, work=False)
