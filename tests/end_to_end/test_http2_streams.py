"""Streams of one connection beside each other, for long, and to their end: large bodies in constant
memory, calls with trailers, dead workers, reload, stop, and what a connection costs."""

import itertools
import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from .. import http2_frames as frames
from ..http2_frames import ErrorCode, Setting
from .facts import Facts
from .http2_wire import Wire
from .server import DEADLINE, Propylon, resident, wait_for, with_no_such

pytestmark = pytest.mark.slow
H2C = ["--h2c", "prior-knowledge", "--no-access-log"]
GIGABYTE = 1 << 30


@pytest.fixture(scope="module", params=["uvloop", "asyncio", "trio"])
def server(request: pytest.FixtureRequest) -> Iterator[Propylon]:
    with Propylon("http2_asgi:app", *H2C, "--loop", request.param) as propylon:
        yield propylon


@pytest.fixture
def wire(server: Propylon) -> Iterator[Wire]:
    with Wire(server.address) as wire:
        wire.settle()
        yield wire


# -- calls with trailers ---------------------------------------------------------------------------


def test_a_call_with_hints_and_trailers(wire: Wire) -> None:
    """As gRPC does it: each message is answered before the next one is sent."""
    stream = wire.post(
        b"/call?hints=yes", (b"te", b"trailers"), (b"content-type", b"application/grpc")
    )
    reply = wire.replies[stream]
    wire.read_until(lambda: reply.interim)
    assert reply.interim == [[(b":status", b"103"), (b"link", b"</style.css>; rel=preload")]]
    for number in range(1, 11):
        wire.data(stream, b"message %d;" % (number % 10))
        wire.read_until(lambda number=number: len(reply.body) == 20 * number, stream)
    assert not reply.over
    wire.data(stream, b"", end=True)
    wire.reply(stream)
    assert reply.status == 200
    assert reply.field(b"content-type") == b"application/grpc"
    assert reply.trailers == [(b"grpc-status", b"0"), (b"grpc-message", b"well done")]
    assert (reply.ended, reply.reset) == (True, None)


def test_a_client_that_wants_no_trailers(wire: Wire) -> None:
    stream = wire.post(b"/call")
    wire.upload(stream, b"abc")
    reply = wire.reply(stream)
    assert (reply.status, reply.body, reply.trailers, reply.ended) == (200, b"abcabc", [], True)


def test_both_ways_at_once(wire: Wire) -> None:
    """An echo of 5 MB, of which each piece comes back before all have been sent."""
    stream = wire.post(b"/echo")
    wire.upload(stream, bytes(5_000_000))
    reply = wire.reply(stream)
    assert len(reply.body) == 5_000_000
    assert reply.ended


# -- large bodies ----------------------------------------------------------------------------------


def test_a_gigabyte_up_beside_small_requests() -> None:
    """With 99 other requests always under way on the same connection."""
    with Propylon("http2_asgi:app", *H2C) as propylon, Wire(propylon.address) as wire:
        wire.settle()
        pids = [*propylon.pids("gateway"), *propylon.pids("worker")]
        wire.ask()
        before = [resident(pid) for pid in pids]
        most = list(before)
        upload = wire.post(b"/swallow")
        piece, sent, answered, longest = bytes(16_384), 0, 0, 0.0
        began = time.monotonic()
        small = {wire.get(): time.monotonic() for _ in range(99)}
        while sent < GIGABYTE:
            while wire.room(upload) < len(piece):
                assert wire.hear()
            wire.data(upload, piece)
            sent += len(piece)
            if sent % (1 << 22) == 0:
                while over := [one for one in small if wire.replies[one].over]:
                    for one in over:
                        assert wire.replies.pop(one).body == b"hello"
                        longest = max(longest, time.monotonic() - small.pop(one))
                        answered += 1
                    small |= {wire.get(): time.monotonic() for _ in over}
                most = [max(was, resident(pid)) for was, pid in zip(most, pids, strict=True)]
        wire.data(upload, b"", end=True)
        assert wire.reply(upload).body == b"%d" % GIGABYTE
        assert answered > 500
        assert longest < (time.monotonic() - began) / 4, "they did not wait for the upload"
        assert all(now - was < 20_000_000 for now, was in zip(most, before, strict=True))


def test_a_hundred_megabytes_down() -> None:
    with Propylon("http2_asgi:app", *H2C) as propylon, Wire(propylon.address) as wire:
        wire.settle()
        pid = propylon.pids("gateway")[0]
        wire.ask()
        before = most = resident(pid)
        stream = wire.get(b"/stream?n=100000000")
        reply, size = wire.replies[stream], 0
        while not reply.over:
            assert wire.hear()
            size += len(reply.body)
            reply.body.clear()
            most = max(most, resident(pid))
        assert size + len(reply.body) == 100_000_000
        assert most - before < 15_000_000


def test_slow_streams_hold_nobody_up(server: Propylon) -> None:
    """Fifty responses that nobody takes, and twenty bodies that nobody finishes."""
    given = [(Setting.INITIAL_WINDOW_SIZE, 10)]
    with Wire(server.address, settings=given, takes=False) as wire:
        wire.settle()
        stuck = [wire.get(b"/stream?n=1000000") for _ in range(50)]
        waiting = [wire.post(b"/swallow") for _ in range(20)]
        for stream in waiting:
            wire.data(stream, bytes(500))
        for _ in range(20):
            assert wire.ask().body == b"hello"
        assert not any(wire.replies[stream].over for stream in (*stuck, *waiting))
        for stream in stuck:
            wire.send(frames.reset(stream))
        for stream in waiting:
            wire.data(stream, b"", end=True)
            assert wire.reply(stream).body == b"500"


def test_a_client_that_allows_no_streams_of_ours(server: Propylon) -> None:
    """MAX_CONCURRENT_STREAMS is about pushed streams, of which there are none."""
    given = [(Setting.MAX_CONCURRENT_STREAMS, 0), (Setting.ENABLE_PUSH, 0)]
    with Wire(server.address, settings=given) as wire:
        wire.settle()
        assert wire.ask().body == b"hello"


def test_more_streams_than_allowed() -> None:
    """The rest is refused, and may be sent again."""
    flags = [*H2C, "--http2-max-streams", "3"]
    with Propylon("http2_asgi:app", *flags) as propylon, Wire(propylon.address) as wire:
        wire.settle()
        assert wire.settings[Setting.MAX_CONCURRENT_STREAMS] == 3
        streams = [wire.get(b"/slow?s=0.3") for _ in range(5)]
        resets = [wire.reply(stream).reset for stream in streams]
        assert resets == [None, None, None, ErrorCode.REFUSED_STREAM, ErrorCode.REFUSED_STREAM]
        assert wire.ask(b"/slow?s=0").body == b"slept"


# -- workers that end ------------------------------------------------------------------------------


def test_a_worker_that_is_killed() -> None:
    """Its streams are ended visibly or asked of another one; the others go on."""
    flags = [*H2C, "-w", "2"]
    with Propylon("http2_asgi:app", *flags) as propylon, Wire(propylon.address) as wire:
        wire.settle()
        trickles = [wire.get(b"/trickle?n=30") for _ in range(8)]
        replies = [wire.replies[stream] for stream in trickles]
        wire.read_until(lambda: all(reply.body for reply in replies))
        whose = [int(reply.body.split(b"\n")[0]) for reply in replies]
        victim = whose[0]
        assert len(set(whose)) == 2
        repeated = [wire.get(b"/slow?s=0.5") for _ in range(8)]
        wire.round_trip()
        with_no_such(os.kill, victim, signal.SIGKILL)
        for stream, pid in zip(trickles, whose, strict=True):
            reply = wire.reply(stream)
            if pid == victim:
                assert reply.reset == ErrorCode.INTERNAL_ERROR
                assert not reply.ended
            else:
                assert reply.ended
                assert reply.body.endswith(b"." * 30)
        assert [wire.reply(stream).body for stream in repeated] == [b"slept"] * 8
        assert wire.ask().body == b"hello"
        assert not wire.going_away


# -- reload and stop -------------------------------------------------------------------------------


def test_reloads_under_load() -> None:
    """Nothing is dropped, and the connection stays: the gateway does."""
    flags = [*H2C, "-w", "2"]
    with Propylon("http2_asgi:app", *flags) as propylon, Wire(propylon.address) as wire:
        wire.settle()
        first = set(propylon.pids("worker"))
        reloading = threading.Thread(target=reload_twice, args=(propylon,))
        reloading.start()
        pids: set[str] = set()
        try:
            for number in itertools.count():
                streams = [wire.get(b"/facts?n=%d" % number) for _ in range(40)]
                streams.append(wire.post(b"/swallow"))
                wire.upload(streams[-1], bytes(50_000))
                for stream in streams:
                    reply = wire.reply(stream)
                    assert (reply.status, reply.ended, reply.reset) == (200, True, None)
                    del wire.replies[stream]
                    if stream != streams[-1]:
                        pids.add(Facts(reply.body.decode())["pid"])
                if not reloading.is_alive() and not first & set(propylon.pids("worker")):
                    break
        finally:
            reloading.join()
        assert len(pids) >= 4
        assert not wire.going_away


def reload_twice(propylon: Propylon) -> None:
    for number in (1, 2):
        propylon.process.send_signal(signal.SIGHUP)
        wait_for(
            lambda number=number: propylon.stderr.text.lower().count("reloaded") >= number,
            "a reload",
        )


def test_a_stop_with_open_streams() -> None:
    """GOAWAY without a last stream, a round trip, GOAWAY with it; what is under way is answered,
    and so is what crossed. What comes later is refused, and was not processed."""
    with Propylon("http2_asgi:app", *H2C) as propylon, Wire(propylon.address) as wire:
        wire.settle()
        slow = wire.get(b"/slow?s=1.5")
        body = wire.post(b"/swallow")
        wire.data(body, b"abc")
        wire.round_trip()
        send, held = wire.send, []
        wire.send = lambda data: held.append(data) if data[3:4] == b"\6" else send(data)  # type: ignore[method-assign]
        propylon.process.send_signal(signal.SIGTERM)
        wire.read_until(lambda: wire.going_away)
        assert wire.going_away == [(2**31 - 1, ErrorCode.NO_ERROR, wire.going_away[0][2])]
        crossed = wire.get(b"/slow?s=0.1")
        wire.read_until(lambda: held)
        wire.send = send  # type: ignore[method-assign]
        for data in held:
            wire.send(data)
        wire.read_until(lambda: len(wire.going_away) > 1)
        assert wire.going_away[1][:2] == (crossed, ErrorCode.NO_ERROR)
        late = wire.get()
        assert wire.reply(crossed).body == b"slept"
        wire.data(body, b"defg", end=True)
        assert wire.reply(body).body == b"7"
        assert wire.reply(slow).body == b"slept"
        wire.finish()
        assert wire.closed
        assert not wire.replies[late].head
        assert wire.replies[late].reset in (None, ErrorCode.REFUSED_STREAM)
        assert propylon.process.wait(DEADLINE) == 0


def test_the_graceful_timeout_holds() -> None:
    """Whatever is open, and though this client never closes. hypercorn's does not come."""
    flags = [*H2C, "--timeout-graceful-shutdown", "1"]
    with Propylon("http2_asgi:app", *flags) as propylon, ExitStack() as stack:
        wires = [stack.enter_context(Wire(propylon.address)) for _ in range(3)]
        for wire in wires:
            wire.settle()
        wires[0].get(b"/slow?s=60")
        wires[1].post(b"/swallow")
        wires[2].get(b"/trickle?n=600")
        for wire in wires:
            wire.round_trip()
        began = time.monotonic()
        propylon.process.send_signal(signal.SIGTERM)
        assert propylon.process.wait(DEADLINE) == 0
        assert time.monotonic() - began < 8
        for wire in wires:
            wire.finish()
            assert wire.going_away[0][1] == ErrorCode.NO_ERROR
            assert not any(reply.ended and reply.status == 200 for reply in wire.replies.values())


# -- what a connection costs -----------------------------------------------------------------------


def test_memory_of_idle_connections(tmp_path: Path) -> None:
    """Each has asked once, and waits."""
    with Propylon("http2_asgi:app", *H2C) as propylon, ExitStack() as stack:
        pid = propylon.pids("gateway")[0]

        def dial(count: int) -> int:
            for _ in range(count):
                assert stack.enter_context(Wire(propylon.address)).ask().body == b"hello"
            return resident(pid)

        before = dial(100)
        each = (dial(400) - before) // 400
        print(f"\nan idle connection of HTTP/2: {each:,} bytes")
        assert each < 100_000
