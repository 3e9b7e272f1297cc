"""What went wrong in other servers' HTTP/2, each tried on ours. A test says whose it was, what
happened there, and what happens here.

hypercorn is pgjones/hypercorn (pull request 50 of its fork davidbrochart/anycorn is a table of its
issues), gunicorn benoitc/gunicorn, granian emmett-framework/granian, uvicorn Kludex/uvicorn, zttp
Kludex/zttp (uvicorn's engine), h2 hyperium/h2 with hyperium/hyper above it; nginx's numbers are
tickets on trac.nginx.org. What others found about floods is in the tests of floods, and wrong
frames and fields, one by one, in `test_http2_corpus`.
"""

import os
import signal
import socket
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from .. import http2_frames as frames
from ..http2_frames import END_HEADERS, END_STREAM, PREFACE, ErrorCode, Kind, Setting
from .facts import Facts
from .http2_wire import Wire
from .server import DEADLINE, Propylon, resident, stat, wait_for

H2C = ["--h2c", "prior-knowledge", "--no-access-log"]
TIGHT = ["--http2-stream-window", "65535", "--http2-max-streams", "4"]
IMPATIENT = [
    "--header-timeout", "0.5", "--body-timeout", "0.5", "--send-timeout", "0.5",
    "--timeout-keep-alive", "0.5",
]  # fmt: skip


@pytest.fixture(scope="module")
def server() -> Iterator[Propylon]:
    with Propylon("http2_asgi:app", *H2C) as propylon:
        yield propylon


@pytest.fixture(scope="module")
def tight() -> Iterator[Propylon]:
    """One that lets a client send little, and does not wait long."""
    with Propylon("http2_asgi:app", *H2C, *TIGHT, *IMPATIENT) as propylon:
        yield propylon


@pytest.fixture
def wire(server: Propylon) -> Iterator[Wire]:
    with Wire(server.address) as wire:
        wire.settle()
        yield wire


def well(wire: Wire) -> None:
    """The connection still serves."""
    reply = wire.ask()
    assert (reply.status, reply.body, reply.ended) == (200, b"hello", True)
    assert not wire.going_away


# -- requests and their bodies ---------------------------------------------------------------------


def test_a_body_behind_its_response(wire: Wire) -> None:
    """hypercorn 161, 197, 365: an app that answers before the body has come left the stream out
    of a dict, and DATA or END_STREAM behind it ended the connection with a KeyError. Ours drops
    them."""
    slow = wire.get(b"/slow?s=0.3")
    for end in (True, False):
        early = wire.post(b"/")
        reply = wire.reply(early)
        assert (reply.status, reply.body, reply.ended) == (200, b"hello", True)
        wire.send(frames.data(early, b"x" * 1_000) + frames.data(early, b"", end=end))
    well(wire)
    assert wire.reply(slow).body == b"slept"


def test_an_end_that_comes_behind_the_response(wire: Wire) -> None:
    """httpcore 3072: httpx says that its body is empty, and sends the end behind its head; a reset
    that crosses it, though the body is complete, is a KeyError there. Ours waits, for a few
    streams at a time."""
    streams = []
    for number in range(100):
        streams.append(wire.open())
        fields = frames.head(b"/", (b"content-length", b"%d" % (number % 3)), method=b"POST")
        request = frames.headers(streams[-1], fields, frames.END_HEADERS)
        if number % 3:  # with its head: else the response may come before it
            request += frames.data(streams[-1], b"x" * (number % 3))
        wire.send(request)
        assert wire.reply(streams[-1]).body == b"hello"
    wire.round_trip()
    late = [wire.replies[stream].reset for stream in streams]
    assert late.count(None) == 64
    assert set(late) == {None, ErrorCode.NO_ERROR}
    wire.data(streams[-1], b"", end=True)
    wire.data(streams[-2], b"more than was said")
    wire.round_trip()
    assert wire.replies[streams[-1]].reset is None
    assert wire.replies[streams[-2]].reset == ErrorCode.PROTOCOL_ERROR
    well(wire)


@pytest.mark.slow
@pytest.mark.parametrize("way", ["answered", "cancelled", "refused"])
def test_bytes_that_nobody_took_do_not_use_up_the_connections_window(
    tight: Propylon, way: str
) -> None:
    """nghttp2 (4be4d875), hyperium/h2: bytes of a stream that has ended were never given back to
    the connection's window, which was empty one day, and all uploads stood still."""
    with Wire(tight.address) as wire:
        wire.settle()
        for _ in range(40):
            match way:
                case "answered":
                    stream = wire.post(b"/")
                    wire.upload(stream, bytes(40_000))
                    assert wire.reply(stream).status == 200
                case "cancelled":
                    stream = wire.post(b"/slow?s=0.01")
                    wire.upload(stream, bytes(40_000), end=False)
                    wire.send(frames.reset(stream))
                    wait_for(
                        lambda: wire.ask().status, "a place: the app has not left the call yet"
                    )
                case _:
                    stream = wire.post(b"/", (b"content-length", b"1"))
                    wire.upload(stream, bytes(40_000))
                    assert wire.reply(stream).reset is not None
                    well(wire)
        stream = wire.post(b"/swallow")
        wire.upload(stream, bytes(200_000))
        assert wire.reply(stream).body == b"200000"


@pytest.mark.slow
def test_padding_is_given_back(tight: Propylon) -> None:
    """Kludex/zttp 36: no window was ever refilled, and bodies stood still at 64 KiB. Padding counts
    too (RFC 9113 section 6.1)."""
    with Wire(tight.address) as wire:
        wire.settle()
        stream = wire.post(b"/swallow")
        for _ in range(400):
            wire.read_until(lambda: wire.room(stream) >= 257, stream)
            wire.send(frames.padded(Kind.DATA, 0, stream, b"x", 255))
            wire.windows[stream] -= 257
            wire.windows[0] -= 257
        wire.upload(stream, b"")
        assert wire.reply(stream).body == b"400"


def test_a_body_longer_than_the_windows(wire: Wire) -> None:
    """Kludex/uvicorn 2982: bodies stand still at 64 KiB."""
    stream = wire.post(b"/swallow")
    wire.upload(stream, bytes(3_000_000))
    assert wire.reply(stream).body == b"3000000"


@pytest.mark.slow
def test_a_body_before_our_settings_are_known(tight: Propylon) -> None:
    """nginx 959: with a smaller window than the default, requests whose bodies came before the
    client knew of it were refused. A client may send 65,535 bytes until it has confirmed our
    SETTINGS (RFC 9113 section 6.5.3)."""
    with Wire(tight.address) as wire:
        stream = wire.post(b"/swallow")
        body = [frames.data(stream, bytes(13_107), end=number == 4) for number in range(5)]
        wire.send(b"".join(body))
        assert wire.reply(stream).body == b"65535"


def test_a_body_reaches_the_app_once(wire: Wire) -> None:
    """gunicorn 3558: the app got the body twice."""
    stream = wire.post(b"/echo")
    wire.upload(stream, b'{"a": 1}')
    assert wire.reply(stream).body == b'{"a": 1}'


def test_empty_data_between_others(wire: Wire) -> None:
    """haproxy 3354: an empty DATA frame whose head stood at the end of a full buffer was taken
    for a wrong one, and all streams ended."""
    stream, other = wire.post(b"/swallow"), wire.get(b"/slow?s=0.2")
    for size in (16_384, 0, 16_375, 0, 9, 0, 1):
        wire.read_until(lambda size=size: wire.room(stream) >= size, stream)
        wire.data(stream, bytes(size))
    wire.data(stream, b"", end=True)
    assert wire.reply(stream).body == b"%d" % (16_384 + 16_375 + 9 + 1)
    assert wire.reply(other).body == b"slept"


def test_expect_is_answered_before_the_body(wire: Wire) -> None:
    """gunicorn 3720: `Expect: 100-continue` was answered when the body had come."""
    stream = wire.post(b"/swallow", (b"expect", b"100-continue"))
    wire.read_until(lambda: wire.replies[stream].interim, stream)
    assert wire.replies[stream].interim == [[(b":status", b"100")]]
    wire.upload(stream, b"abc")
    assert wire.reply(stream).body == b"3"


def test_a_client_that_cancels(wire: Wire, tmp_path: Path) -> None:
    """hypercorn 210: the app did not hear of a client that had left. With RST_STREAM it leaves one
    stream only."""
    gone = tmp_path / "gone"
    watched = wire.get(f"/watch?file={gone}".encode())
    wire.read_until(lambda: wire.replies[watched].body)
    wire.send(frames.reset(watched))
    wait_for(gone.exists, "http.disconnect")
    well(wire)


# -- what the app is told --------------------------------------------------------------------------


def test_the_host_field(wire: Wire) -> None:
    """granian 189: apps had no Host field."""
    facts = Facts(wire.ask(b"/facts").body.decode())
    assert facts.field("host") == "h"
    assert facts["http_version"] == "'2'"


def test_a_path_is_decoded(wire: Wire) -> None:
    """Kludex/uvicorn 2982: the path was given to the app as it came, unlike HTTP/1's."""
    facts = Facts(wire.ask(b"/%66acts?a=%20").body.decode())
    assert facts["path"] == "/facts"
    assert facts["raw_path"] == "b'/%66acts'"
    assert facts["query_string"] == "b'a=%20'"


def test_crumbs_of_cookies_are_joined(wire: Wire) -> None:
    """granian 287: of a cookie that browsers send in pieces the app saw the last."""
    crumbs = [(b"cookie", b"a=1"), (b"x", b"y"), (b"cookie", b"b=2"), (b"cookie", b"c=3")]
    facts = Facts(wire.ask(b"/facts", *crumbs).body.decode())
    assert facts.field("cookie") == "a=1; b=2; c=3"


# -- responses and their ends ----------------------------------------------------------------------


@pytest.mark.parametrize("size", [0, 1, 16_384, 16_385, 65_535, 65_536, 98_304, 400_000])
def test_a_response_ends(wire: Wire, size: int) -> None:
    """hypercorn 226, gunicorn 3709: a response whose last piece was empty, or filled a window,
    never ended."""
    reply = wire.ask(b"/stream?n=%d&piece=16384" % size)
    assert (reply.status, len(reply.body), reply.ended) == (200, size, True)


@pytest.mark.parametrize("path", [b"/status?n=204", b"/status?n=304", b"/status?n=200", b"/"])
def test_responses_without_a_body(wire: Wire, path: bytes) -> None:
    """gunicorn 3709, 3710, h2o 3218: HEAD, 204 and 304 had DATA behind them."""
    reply = wire.ask(path, method=b"HEAD")
    assert (reply.body, reply.ended, reply.reset) == (b"", True, None)
    if b"204" in path or b"304" in path:
        reply = wire.ask(path)
        assert (reply.body, reply.ended, reply.reset) == (b"", True, None)
    well(wire)


def test_fields_of_a_careless_app(wire: Wire) -> None:
    """python-hyper/h2 and browsers end a stream with `Connection` or an upper-case name on it; many
    a server passes on what the app says. Ours leaves out what HTTP/2 does not have."""
    reply = wire.ask(b"/odd")
    assert reply.body == b"odd"
    names = [name for name, _ in reply.head]
    assert b"x-upper" in names
    assert names.count(b"set-cookie") == 2
    forbidden = {
        b"connection",
        b"keep-alive",
        b"transfer-encoding",
        b"proxy-connection",
        b"upgrade",
    }
    assert not forbidden & set(names)


def test_an_app_that_fails_behind_its_head(wire: Wire) -> None:
    """gunicorn 3717: the error page was a second HEADERS on the same stream, and both sides'
    tables of fields differed from then on: what other streams said was garbled. Ours resets the
    stream."""
    for number in range(20):
        failing = wire.get(b"/crash_late?n=value-%d" % number)
        others = [wire.get(b"/remembered?n=other-%d" % n) for n in (number, number - 1)]
        reply = wire.reply(failing)
        assert reply.reset == ErrorCode.INTERNAL_ERROR
        assert reply.field(b"x-remembered") == b"value-%d" % number
        for stream, n in zip(others, (number, number - 1), strict=True):
            assert wire.reply(stream).field(b"x-remembered") == b"other-%d" % n
    well(wire)


def test_a_head_longer_than_a_frame(wire: Wire) -> None:
    """gunicorn 3720: frames were longer than the client allows."""
    reply = wire.ask(b"/many?n=400")
    assert reply.body == b"many"
    assert reply.field(b"x-399") == b"0399" * 25


def test_an_error_page_for_one_stream(wire: Wire) -> None:
    """hypercorn 348, gunicorn 3720: a bad request ended the connection and all that was under way
    on it."""
    slow = wire.get(b"/slow?s=0.3")
    assert wire.ask(b"/" + b"a" * 9_000).status == 414
    assert wire.ask(b"/", *[(b"x-%d" % number, b"") for number in range(120)]).status == 431
    wrong = wire.get(b"/", (b"Upper", b"case"))
    assert wire.reply(wrong).reset == ErrorCode.PROTOCOL_ERROR
    assert wire.reply(slow).body == b"slept"


def test_connect_is_refused(wire: Wire) -> None:
    """hypercorn 277, anycorn 84: CONNECT was handed to the app, or taken for a WebSocket's."""
    stream = wire.open()
    wire.send(frames.headers(stream, [(b":method", b"CONNECT"), (b":authority", b"h:443")]))
    assert wire.reply(stream).status == 405
    stream = wire.open()
    fields = [*frames.head(method=b"CONNECT"), (b":protocol", b"connect-udp")]
    fields.insert(0, fields.pop())
    wire.send(frames.headers(stream, fields, END_HEADERS))
    assert wire.reply(stream).status == 501
    well(wire)


# -- flow control ----------------------------------------------------------------------------------


def test_requests_while_responses_wait_for_room(server: Propylon) -> None:
    """gunicorn 3709, 3710: what came while a response waited for a window was thrown away."""
    with Wire(server.address, settings=[(Setting.INITIAL_WINDOW_SIZE, 0)]) as wire:
        wire.settle()
        waiting = wire.get(b"/stream?n=100000")
        body = wire.post(b"/swallow")
        wire.upload(body, b"x" * 50_000)
        third = wire.get(b"/")
        wire.read_until(lambda: wire.replies[third].head and wire.replies[body].head)
        assert not any(reply.body for reply in wire.replies.values())
        wire.send(frames.settings((Setting.INITIAL_WINDOW_SIZE, 65_535)))
        assert wire.reply(third).body == b"hello"
        assert wire.reply(body).body == b"50000"
        assert len(wire.reply(waiting).body) == 100_000


def test_a_window_below_zero(server: Propylon) -> None:
    """RFC 9113 section 6.9.2: a smaller INITIAL_WINDOW_SIZE makes windows negative; what is sent
    then has to wait for all that is missing."""
    with Wire(server.address, takes=False) as wire:
        wire.settle()
        stream = wire.get(b"/stream?n=100000&piece=16384")
        wire.read_until(lambda: len(wire.replies[stream].body) == 65_535)
        wire.send(frames.settings((Setting.INITIAL_WINDOW_SIZE, 1)))
        wire.send(frames.window_update(0, 200_000) + frames.window_update(stream, 65_534))
        wire.round_trip()
        assert len(wire.replies[stream].body) == 65_535
        wire.send(frames.window_update(stream, 10))
        wire.read_until(lambda: len(wire.replies[stream].body) > 65_535)
        wire.round_trip()
        assert len(wire.replies[stream].body) == 65_545
        wire.send(frames.window_update(stream, 100_000))
        assert len(wire.reply(stream).body) == 100_000


def test_a_window_of_one_byte_at_a_time(server: Propylon) -> None:
    """CVE-2019-9511 and its kin: it costs this response its speed, and nobody else anything."""
    with Wire(server.address, settings=[(Setting.INITIAL_WINDOW_SIZE, 0)], takes=False) as wire:
        wire.settle()
        stream = wire.get(b"/")
        for size in range(1, 6):
            wire.send(frames.window_update(stream, 1))
            wire.read_until(lambda size=size: len(wire.replies[stream].body) == size, stream)
        assert wire.reply(stream).body == b"hello"


@pytest.mark.slow
def test_a_client_that_takes_nothing(tight: Propylon) -> None:
    """gunicorn 3717: the wait for a window had no end, and the app believed that its response had
    been sent. Ours gives up this stream after `--send-timeout`, and the others go on."""
    with Wire(tight.address, settings=[(Setting.INITIAL_WINDOW_SIZE, 0)]) as wire:
        wire.settle()
        stuck = wire.get(b"/stream?n=100000")
        reply = wire.reply(stuck)
        assert reply.status == 200
        assert reply.reset is not None
        assert not wire.closed
        ended = wire.ask(b"/status?n=204")
        assert ended.status == 204


@pytest.mark.slow
@pytest.mark.parametrize("never", ["rest of a head", "body", "request"])
def test_a_client_that_never_goes_on(tight: Propylon, never: str) -> None:
    """nginx 626: a connection that had sent half a HEADERS, or waits for a window, was held for
    ever."""
    with Wire(tight.address) as wire:
        wire.settle()
        match never:
            case "rest of a head":
                wire.send(frames.frame(Kind.HEADERS, END_STREAM, 1, frames.block(frames.head())))
                wire.finish()
                assert wire.closed
            case "body":
                reply = wire.reply(wire.post(b"/swallow"))
                assert (reply.status, reply.reset) == (408, ErrorCode.NO_ERROR)
            case _:
                wire.finish()
                assert wire.going_away[-1][1] == ErrorCode.NO_ERROR


@pytest.mark.slow
def test_a_response_slower_than_the_idle_timeout(tight: Propylon) -> None:
    """hypercorn 51: a connection was closed as idle while the app was at work."""
    with Wire(tight.address) as wire:
        assert wire.ask(b"/slow?s=1.2").body == b"slept"


# -- connections -----------------------------------------------------------------------------------


def test_settings_are_said_once(server: Propylon) -> None:
    """hypercorn 32: SETTINGS came twice, and clients waited for ever. Kludex/zttp 36: the client's,
    and its PINGs, were never confirmed."""
    with Wire(server.address) as wire:
        kinds: list[tuple[int, int]] = []
        heard = wire._heard
        wire._heard = lambda frame: (kinds.append(frame[:2]), heard(frame))[1]  # type: ignore[method-assign]
        wire.settle()
        wire.round_trip()
        well(wire)
        assert kinds.count((Kind.SETTINGS, 0)) == 1
        assert kinds[0] == (Kind.SETTINGS, 0), "the server's preface"
        assert kinds.count((Kind.SETTINGS, 1)) == 1
        assert wire.pongs == [b"roundtrp"]


def test_a_client_that_confirms_nothing(server: Propylon) -> None:
    """Clients that never confirm SETTINGS are served all the same."""
    with Wire(server.address) as wire:
        wire.send = lambda data: None if data == frames.SETTINGS_ACK else Wire.send(wire, data)  # type: ignore[method-assign]
        for _ in range(3):
            well(wire)


def test_the_clients_goaway(server: Propylon) -> None:
    """gunicorn 3717: a client's GOAWAY closed the connection under its open streams. hyper 3140: it
    made a loop of it."""
    with Wire(server.address) as wire:
        before = cpu_of(server)
        slow = wire.get(b"/slow?s=0.5")
        assert wire.reply(slow).body == b"slept"
        usual = cpu_of(server) - before
        slow = wire.get(b"/slow?s=0.5")
        body = wire.post(b"/swallow")
        wire.send(frames.go_away())
        wire.upload(body, b"abc")
        before = cpu_of(server)
        assert wire.reply(slow).body == b"slept"
        assert wire.reply(body).body == b"3"
        wire.finish()
        assert wire.closed
        assert cpu_of(server) - before < 2 * usual + 0.1, "a loop takes half a second"


def cpu_of(propylon: Propylon) -> float:
    """Seconds that the gateways have worked."""
    fields = [stat(pid) for pid in propylon.pids("gateway")]
    ticks = sum(int(each[11]) + int(each[12]) for each in fields if each)
    return ticks / os.sysconf("SC_CLK_TCK")


def test_upgrade_from_http1_is_no_offer_of_ours(server: Propylon) -> None:
    """granian 73, hypercorn 317, 318: `Upgrade: h2c` ended in a traceback, or in silence. RFC
    9113 has it no more, and a server may answer as if nothing had been said (RFC 9110 section
    7.8)."""
    with socket.create_connection(server.address, DEADLINE) as sock:
        sock.sendall(
            b"GET / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade, HTTP2-Settings\r\n"
            b"Upgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n"
        )
        assert sock.recv(65_536).startswith(b"HTTP/1.1 200 ")


def test_a_preface_that_comes_in_pieces(server: Propylon) -> None:
    """What begins like HTTP/2's preface may still be HTTP/1.1, and the other way round."""
    for sent in (b"PRI * HTTP/1.1\r\nHost: h\r\n\r\n", b"PRINT / HTTP/1.1\r\nHost: h\r\n\r\n"):
        with socket.create_connection(server.address, DEADLINE) as sock:
            for octet in sent:
                sock.sendall(bytes([octet]))
            assert sock.recv(65_536).startswith(b"HTTP/1.1 ")
    with Wire(server.address, preface=b"") as wire:
        for octet in PREFACE + frames.settings():
            wire.send(bytes([octet]))
        well(wire)


@pytest.mark.slow
def test_a_connection_of_many_requests_grows_no_gateway(server: Propylon) -> None:
    """hypercorn 309, net-http2 7, glassfish-grizzly 2092: something was kept of each stream that
    had ended."""
    pid = server.pids("gateway")[0]
    with Wire(server.address) as wire:

        def ask(count: int) -> int:
            for _ in range(count // 50):
                streams = [wire.get() for _ in range(50)]
                for stream in streams:
                    assert wire.reply(stream).ended
                    del wire.replies[stream]
            return resident(pid)

        sizes = [ask(2_000), *(ask(3_000) for _ in range(4))]
        grown = [now - was for was, now in pairwise(sizes)]
        # Memory grows by chance now and then; what is kept of each stream grows every time.
        assert min(grown) < 3_000 * 100, grown


SAID = {
    "nothing": b"",
    "a preface": PREFACE,
    "half a request": PREFACE + frames.settings() + frames.get(1)[:20],
    "a request": PREFACE + frames.settings() + frames.get(1),
}


@pytest.mark.slow
@pytest.mark.parametrize("said", SAID)
def test_a_stop_waits_for_no_connection_without_a_request(said: str) -> None:
    """hyper 2730, 2318, 4171: who had said nothing, or not enough, held a graceful stop up for
    ever."""
    with (
        Propylon("http2_asgi:app", *H2C, "--timeout-graceful-shutdown", "15") as propylon,
        Wire(propylon.address, preface=SAID[said]) as wire,
    ):
        wait_until_read(propylon)
        began = time.monotonic()
        propylon.process.send_signal(signal.SIGTERM)
        wire.finish()
        assert propylon.process.wait(DEADLINE) == 0
        assert time.monotonic() - began < 10


def wait_until_read(propylon: Propylon) -> None:
    """Somebody who came later has been served."""
    with propylon.client() as client:
        assert client.get("/").status_code == 200


# -- order -----------------------------------------------------------------------------------------


def take_turns(wire: Wire, streams: list[int], frames_of_window: int) -> None:
    """Lets the server send so many frames of DATA, one after the other: it has read what was sent
    before when it may send the next one."""
    for _ in range(frames_of_window):
        wire.round_trip()
        before = sum(len(wire.replies[each].body) for each in streams)
        wire.send(frames.window_update(0, 16_384))
        wire.read_until(
            lambda before=before: (
                sum(len(wire.replies[each].body) for each in streams) == before + 16_384
            )
        )


def wait_for_bodies(wire: Wire, streams: list[int]) -> None:
    """Until the server has all that its app has to say: as much as an app may send before its
    client has taken some. What another call of the same worker says comes behind it."""
    wire.read_until(lambda: all(wire.replies[each].head for each in streams))
    assert wire.ask(method=b"HEAD").ended


def with_no_window_left(server: Propylon) -> Wire:
    """A connection whose window one response has used up."""
    settings = [(Setting.INITIAL_WINDOW_SIZE, 1 << 20)]
    wire = Wire(server.address, takes=False, settings=settings)
    wire.settle()
    assert len(wire.ask(b"/stream?n=65535").body) == 65_535
    return wire


@pytest.mark.parametrize("way", ["field", "frame"])
def test_the_urgent_response_comes_first(server: Propylon, way: str) -> None:
    """hypercorn 144: priorities had no effect. Ours are RFC 9218's."""
    with with_no_window_left(server) as wire:
        streams: list[int] = []
        for value in (b"u=7", b"u=0"):
            field = [(b"priority", value)] if way == "field" else []
            streams.append(wire.get(b"/stream?n=65536", *field))
            if way == "frame":
                wire.send(frames.priority_update(streams[-1], value))
        late, urgent = (wire.replies[each] for each in streams)
        wait_for_bodies(wire, streams)
        take_turns(wire, streams, 4)
        wire.round_trip()
        assert urgent.ended
        assert not late.body
        take_turns(wire, streams, 4)
        wire.round_trip()
        assert late.ended


def test_equals_take_turns(server: Propylon) -> None:
    """gunicorn before 3717 served the streams of a connection one after another."""
    with with_no_window_left(server) as wire:
        streams = [wire.get(b"/stream?n=65536&piece=16384") for _ in range(2)]
        one, other = (wire.replies[each] for each in streams)
        wait_for_bodies(wire, streams)
        for count in range(1, 5):
            take_turns(wire, streams, 2)
            assert len(one.body) == len(other.body) == count * 16_384
