"""WebSockets on streams of HTTP/2 (RFC 8441): what they say, how they end, what else goes on."""

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from .. import http2_frames as frames
from ..http2_frames import ErrorCode, Setting
from .http2_websocket import StreamSocket
from .http2_wire import Wire
from .server import DEADLINE, Propylon, wait_for, with_no_such

pytestmark = pytest.mark.slow
H2C = ["--h2c", "prior-knowledge", "--no-access-log"]


ON = {
    "uvloop": ["--loop", "uvloop"],
    "asyncio": ["--loop", "asyncio"],
    "trio": ["--loop", "trio"],
    "h2": ["--http2-engine", "h2"],
}


@pytest.fixture(scope="module", params=ON)
def server(request: pytest.FixtureRequest) -> Iterator[Propylon]:
    with Propylon("websocket_raw:app", *H2C, *ON[request.param]) as propylon:
        yield propylon


@pytest.fixture
def wire(server: Propylon) -> Iterator[Wire]:
    with Wire(server.address) as wire:
        wire.settle()
        yield wire


def test_messages(wire: Wire) -> None:
    assert wire.settings[Setting.ENABLE_CONNECT_PROTOCOL] == 1
    socket = StreamSocket(wire, b"/echo")
    assert socket.reply.status == 200
    names = {name for name, _ in socket.reply.head}
    assert not names & {b"sec-websocket-accept", b"upgrade", b"connection", b"content-length"}
    for message in ("", "grüße 漢字", b"", b"\0\xff" * 500_000, "x" * 300_000):
        socket.send(message)
        assert socket.receive() == message
    assert socket.close(4000, "as said") == 4000
    wire.read_until(lambda: socket.reply.over, socket.stream)
    assert socket.reply.ended
    assert socket.reply.reset in (None, ErrorCode.NO_ERROR)
    assert wire.ask(b"/").status == 200, "the connection goes on"


def test_compression(wire: Wire) -> None:
    socket = StreamSocket(wire, b"/echo", deflate=True)
    assert socket.compressed
    before = len(socket.reply.body)
    for _ in range(3):
        socket.send("again and again " * 10_000)
        assert socket.receive() == "again and again " * 10_000
    assert len(socket.reply.body) - before < 20_000
    assert socket.close() == 1000


def test_subprotocols_and_the_scope(wire: Wire) -> None:
    socket = StreamSocket(wire, b"/facts?a=b", subprotocols=[b"one", b"two"])
    said = str(socket.receive())
    for fact in ("'http_version': '2'", "'scheme': 'ws'", "['one', 'two']", "(b'host', b'h')"):
        assert fact in said
    socket.close()


def test_many_on_one_connection(wire: Wire) -> None:
    sockets = [StreamSocket(wire, b"/echo") for _ in range(40)]
    for turn in range(5):
        for number, socket in enumerate(sockets):
            socket.send(f"{turn} {number}")
        for number, socket in enumerate(sockets):
            assert socket.receive() == f"{turn} {number}"
    for socket in sockets:
        assert socket.close() == 1000
    assert not wire.going_away


def test_one_that_reads_nothing_holds_only_itself(server: Propylon) -> None:
    with Wire(server.address, takes=False) as wire:
        wire.settle()
        flood = StreamSocket(wire, b"/flood?n=3000000&piece=60000")
        wire.read_until(lambda: len(flood.reply.body) >= 65_000)
        wire.send(frames.window_update(0, 1 << 20))
        echo = StreamSocket(wire, b"/echo")
        echo.send("hello")
        assert echo.receive() == "hello"
        assert echo.close() == 1000
        assert not flood.reply.over


def test_a_stream_that_is_cut(wire: Wire) -> None:
    socket = StreamSocket(wire, b"/echo")
    socket.send("hello")
    assert socket.receive() == "hello"
    wire.send(frames.reset(socket.stream))
    again = StreamSocket(wire, b"/echo")
    again.send("still here")
    assert again.receive() == "still here"
    assert again.close() == 1000


def test_a_stream_that_ends_without_a_close_frame(wire: Wire) -> None:
    socket = StreamSocket(wire, b"/echo")
    wire.data(socket.stream, b"", end=True)
    wire.read_until(lambda: socket.reply.over, socket.stream)
    assert socket.reply.over
    assert not wire.going_away


def test_data_behind_the_close_frame(wire: Wire) -> None:
    """hypercorn 225: it ended the server."""
    socket = StreamSocket(wire, b"/echo")
    assert socket.close() == 1000
    wire.data(socket.stream, b"\x81\x85more")
    wire.data(socket.stream, b"", end=True)
    again = StreamSocket(wire, b"/echo")
    again.send("still here")
    assert again.receive() == "still here"
    again.close()


@pytest.mark.parametrize(
    ("data", "code"), [(b"\x81\x05hello", 1002), (b"\xf1\x80abcd", 1002), (b"\x83\x80abcd", 1002)]
)
def test_bad_frames(wire: Wire, data: bytes, code: int) -> None:
    """Unmasked, with unknown bits, of an unknown kind."""
    socket = StreamSocket(wire, b"/echo")
    wire.data(socket.stream, data)
    assert socket.end() == code
    assert not wire.going_away


def test_handshakes_that_are_refused(wire: Wire) -> None:
    fields = [
        (b":method", b"CONNECT"), (b":protocol", b"websocket"), (b":scheme", b"http"),
        (b":path", b"/echo"), (b":authority", b"h"), (b"sec-websocket-version", b"8"),
    ]  # fmt: skip
    stream = wire.open()
    wire.send(frames.headers(stream, fields, frames.END_HEADERS))
    assert wire.reply(stream).status == 426
    for path, status in ((b"/refuse", 403), (b"/deny", 401)):
        refused = StreamSocket(wire, path)
        assert refused.reply.status == status
        assert wire.reply(refused.stream).over
    socket = StreamSocket(wire, b"/echo")
    socket.send("hello")
    assert socket.receive() == "hello"
    socket.close()


def test_without_the_option() -> None:
    flags = [*H2C, "--no-http2-websocket"]
    with Propylon("websocket_raw:app", *flags) as propylon, Wire(propylon.address) as wire:
        wire.settle()
        assert not wire.settings.get(Setting.ENABLE_CONNECT_PROTOCOL)
        refused = StreamSocket(wire, b"/echo").reply
        assert (refused.status, refused.reset) == (0, ErrorCode.PROTOCOL_ERROR)
        assert wire.ask(b"/").over
        assert not wire.going_away


def test_a_stop_says_1012_and_waits(tmp_path: Path) -> None:
    flags = ["--timeout-graceful-shutdown", "8"]
    with Propylon("websocket_raw:app", *H2C, *flags) as propylon, Wire(propylon.address) as wire:
        wire.settle()
        sockets = [StreamSocket(wire, b"/echo") for _ in range(10)]
        for number, socket in enumerate(sockets):
            socket.send(f"before {number}")
        propylon.process.send_signal(signal.SIGTERM)
        for number, socket in enumerate(sockets):
            assert socket.receive() == f"before {number}"
        assert [socket.end() for socket in sockets] == [1012] * 10
        wire.finish()
        assert wire.going_away[0][1] == ErrorCode.NO_ERROR
        assert propylon.process.wait(DEADLINE) == 0


def test_a_worker_that_is_killed() -> None:
    with Propylon("websocket_raw:app", *H2C) as propylon, Wire(propylon.address) as wire:
        wire.settle()
        socket = StreamSocket(wire, b"/echo")
        for pid in propylon.pids("worker"):
            with_no_such(os.kill, pid, signal.SIGKILL)
        assert socket.end() == 1011

        def back() -> bool:
            return StreamSocket(wire, b"/echo").reply.status == 200

        wait_for(back, "another worker")
        assert not wire.going_away


def test_pings() -> None:
    flags = ["--ws-ping-interval", "0.3", "--ws-ping-timeout", "0.3"]
    with Propylon("websocket_raw:app", *H2C, *flags) as propylon, Wire(propylon.address) as wire:
        wire.settle()
        answers = StreamSocket(wire, b"/echo")
        silent = StreamSocket(wire, b"/echo")
        wire.read_until(lambda: silent.reply.over or b"\x88" in silent.reply.body)
        answers.send(json.dumps(["still", "here"]))
        assert not wire.going_away
