"""Every row of RFC 9113's error handling, over a real socket: what the server says, that it goes on
where it must, and that other connections notice nothing.

The rows are those of `tests.http2_frames`, which engines are examined with as well.
"""

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from ..gateway.http2.engine_exam import OURS_AND_SLOW_H2
from ..http2_client import Reply
from ..http2_frames import (
    CONNECTION,
    END_STREAM,
    FRAMES,
    MESSAGES,
    NOTHING,
    PAGE,
    PREFACE,
    STREAM,
    Case,
    End,
    Kind,
    Setting,
    block,
    data,
    fragments,
    frame,
    get,
    head,
    padded,
    ping,
    post,
    priority,
    priority_update,
    settings,
    window_update,
)
from .http2_wire import Wire
from .server import Propylon

AFTER = 1_001
"""The stream of the request that shows whether the connection is well."""
CASES = {**FRAMES, **MESSAGES}


@pytest.fixture(scope="module", params=OURS_AND_SLOW_H2)
def server(request: pytest.FixtureRequest) -> Iterator[Propylon]:
    arguments = ["asgi_raw:app", "--no-access-log", "--h2c", "prior-knowledge"]
    arguments += ["--http2-engine", request.param]
    with Propylon(*arguments) as propylon:
        yield propylon


def ending(wire: Wire) -> tuple[End, int]:
    """What the case has ended, and the code that was said."""
    wire.next_stream = AFTER
    probe = wire.get()
    wire.read_until(lambda: False, probe)
    if wire.going_away:
        wire.finish()
        assert wire.closed
        return CONNECTION, wire.going_away[-1][1]
    assert not wire.closed, "closed without a GOAWAY"
    assert (wire.replies[probe].status, wire.replies[probe].body) == (200, b"hello")
    wire.round_trip()
    first = wire.replies.get(1, Reply())
    if first.reset is not None:
        return STREAM, first.reset
    return (NOTHING if first.status in (0, 200) else PAGE), 0


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_a_row(server: Propylon, case: Case) -> None:
    with Wire(server.address) as wire:
        wire.settle()
        wire.send(case.sent)
        ends, code = ending(wire)
        assert ends in case.ends
        if ends not in NOTHING | PAGE:
            assert code in case.codes


UPLOAD = block(head(b"/swallow", method=b"POST"))
TRAILERS = block([(b"x-digest", b"abc")])
CONVERSATION = b"".join([
    PREFACE,
    settings((Setting.INITIAL_WINDOW_SIZE, 100_000), (Setting.ENABLE_PUSH, 0)),
    priority(7, 0),
    priority_update(1, b"u=1"),
    get(1, b"/", (b"cookie", b"a=b"), (b"cookie", b"c=d")),
    fragments(3, *(UPLOAD[at : at + 9] for at in range(0, len(UPLOAD), 9)), end=0),
    ping(),
    padded(Kind.DATA, 0, 3, b"abc", 5),
    window_update(0, 1_000),
    post(5, b"/swallow", (b"content-length", b"4")),
    data(3, b"defg"),
    data(5, b"hi"),
    frame(0xBA, 0, 5, b"grease"),
    frame(Kind.HEADERS, END_STREAM | 0x4, 3, TRAILERS),
    data(5, b"jk", end=True),
])  # fmt: skip
"""What good clients send, in frames of each kind."""


def heard_well(wire: Wire) -> None:
    assert wire.reply(1).body == b"hello"
    assert wire.reply(3).body == b"7"
    assert wire.reply(5).body == b"4"
    wire.read_until(lambda: wire.pongs)
    assert wire.pongs == [b"12345678"]
    assert not wire.going_away


def expecting(server: Propylon, preface: bytes) -> Wire:
    wire = Wire(server.address, preface=preface)
    wire.replies |= {stream: Reply() for stream in (1, 3, 5)}
    wire.windows |= dict.fromkeys((1, 3, 5), 0)
    return wire


def test_frames_cut_at_every_byte(server: Propylon) -> None:
    """All connections send the first part, and the rest when the gateway has read these."""
    with ExitStack() as stack:
        wires = [
            stack.enter_context(expecting(server, CONVERSATION[:cut]))
            for cut in range(1, len(CONVERSATION))
        ]
        with server.client() as client:
            assert client.get("/").text == "hello"
        for cut, wire in enumerate(wires, start=1):
            wire.send(CONVERSATION[cut:])
        for wire in wires:
            heard_well(wire)


def test_frames_byte_by_byte(server: Propylon) -> None:
    with expecting(server, b"") as wire:
        for octet in CONVERSATION:
            wire.send(bytes([octet]))
        heard_well(wire)


def test_frames_all_at_once(server: Propylon) -> None:
    with expecting(server, CONVERSATION) as wire:
        heard_well(wire)
