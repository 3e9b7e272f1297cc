"""WebSockets as clients speak them, through both parsers, to apps on every loop."""

import os
import random
import signal
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from functools import cache
from pathlib import Path

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.frames import Close
from websockets.sync.client import ClientConnection, connect

from ..cases import some_slow
from .server import DEADLINE, Propylon, resident, wait_for

MIB = 1 << 20
APP = "websocket_raw:app"
SERVERS = {
    "uvloop-httptools": [APP, "--loop", "uvloop", "--http", "httptools"],
    "trio-h11": [APP, "--loop", "trio", "--http", "h11"],
    "asyncio": [APP, "--loop", "asyncio"],
}


@pytest.fixture(scope="module")
def servers() -> Iterator[Callable[[str], Propylon]]:
    """Servers by their name, each started when it is first asked for."""
    with ExitStack() as stack:
        yield cache(lambda name: stack.enter_context(Propylon(*SERVERS[name])))


@pytest.fixture(params=some_slow(2, SERVERS))
def server(request: pytest.FixtureRequest, servers: Callable[[str], Propylon]) -> Propylon:
    return servers(request.param)


@pytest.fixture
def uvloop(servers: Callable[[str], Propylon]) -> Propylon:
    return servers("uvloop-httptools")


def dial(propylon: Propylon, path: str = "/echo", **options) -> ClientConnection:
    url = propylon.url.replace("http", "ws", 1) + path
    options = {"proxy": None, "max_size": None, "open_timeout": DEADLINE, **options}
    return connect(url, **options)


def goodbye(websocket: ClientConnection) -> tuple[Close | None, list[str | bytes]]:
    """The server's close frame (None: there was none), and what was said before it."""
    heard: list[str | bytes] = []
    try:
        while True:
            heard.append(websocket.recv(DEADLINE))
    except ConnectionClosed as closed:
        return closed.rcvd, heard


def upgrade(propylon: Propylon, path: str = "/echo", *fields: str, method: str = "GET") -> bytes:
    """A handshake as it stands on the wire; `fields` replace those of the same name."""
    head = {
        "host": "h",
        "connection": "Upgrade",
        "upgrade": "websocket",
        "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==",
        "sec-websocket-version": "13",
    }
    lines = [f"{method} {path} HTTP/1.1"]
    given = [field.partition(":")[0].lower() for field in fields]
    lines += [f"{name}: {value}" for name, value in head.items() if name not in given]
    lines += [field for field in fields if not field.endswith(": -")]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def response(propylon: Propylon, request: bytes, until: bytes = b"\r\n\r\n") -> bytes:
    with closing(socket.create_connection(propylon.address, DEADLINE)) as sock:
        sock.sendall(request)
        answer = b""
        while until not in answer and (data := sock.recv(65_536)):
            answer += data
        return answer


# -- messages ------------------------------------------------------------------------------------


@pytest.mark.parametrize("compression", [None, "deflate"])
def test_echo(server: Propylon, compression: str | None) -> None:
    chance = random.Random(1)
    with dial(server, compression=compression) as websocket:
        for size in (0, 1, 125, 126, 65_535, 65_536, 300_000, 3 * MIB):
            for message in (chance.randbytes(size), "漢" * (size // 3) + "x" * (size % 3)):
                websocket.send(message)
                assert websocket.recv(DEADLINE) == message


def test_fragments_arrive_as_one_message(server: Propylon) -> None:
    with dial(server, "/sizes") as websocket:
        websocket.send(["gr", "ü", "", "ße"])
        assert websocket.recv(DEADLINE) == "str 5"
        websocket.send([b"x" * 70_000, b"", b"y"])
        assert websocket.recv(DEADLINE) == "bytes 70001"


def test_a_ping_between_fragments_is_answered(server: Propylon) -> None:
    with dial(server) as websocket:

        def pieces() -> Iterator[str]:
            yield "a"
            assert websocket.ping("between").wait(DEADLINE)
            yield "b"

        websocket.send(pieces())
        assert websocket.recv(DEADLINE) == "ab"


def test_many_messages_stay_in_order(server: Propylon) -> None:
    with dial(server) as websocket:
        for number in range(500):
            websocket.send(str(number))
        assert [websocket.recv(DEADLINE) for _ in range(500)] == [str(n) for n in range(500)]


def test_broadcast(server: Propylon) -> None:
    """Everyone hears everything, in the order in which it was said."""
    with ExitStack() as stack:
        room = [stack.enter_context(dial(server, "/join")) for _ in range(50)]
        assert [websocket.recv(DEADLINE) for websocket in room] == [str(n + 1) for n in range(50)]
        for number in range(20):
            room[number].send(str(number))
            for websocket in room:
                assert websocket.recv(DEADLINE) == str(number)


# -- the handshake -------------------------------------------------------------------------------


def test_the_scope(server: Propylon) -> None:
    with dial(server, "/facts?a=b%20c", subprotocols=["one", "two"]) as websocket:
        text = websocket.recv(DEADLINE)
        client = websocket.local_address
    assert isinstance(text, str)
    for fact in (
        "'type': 'websocket'",
        "'scheme': 'ws'",
        "'path': '/facts'",
        "'query_string': b'a=b%20c'",
        "'subprotocols': ['one', 'two']",
        f"'client': ('{client[0]}', {client[1]})",
        "'websocket.http.response': {}",
    ):
        assert fact in text


def test_subprotocol_and_headers(server: Propylon) -> None:
    with dial(server, "/choose", subprotocols=["one", "two"]) as websocket:
        assert websocket.subprotocol == "two"
        assert websocket.response is not None
        assert websocket.response.headers["x-chosen-of"] == "2"
        assert websocket.response.headers["set-cookie"] == "a=b"


def test_a_foreign_subprotocol_crashes_nothing(server: Propylon) -> None:
    head = response(server, upgrade(server, "/choose", "Sec-WebSocket-Protocol: caf\xe9, x"))
    assert head.startswith(b"HTTP/1.1 400 ")
    with dial(server, "/facts") as websocket:
        assert websocket.recv(DEADLINE)


@pytest.mark.parametrize("how", ["header", "name", "subprotocol", "foreign"])
def test_nothing_bad_leaks_into_the_101(server: Propylon, how: str) -> None:
    head = response(server, upgrade(server, f"/accept_badly?how={how}"))
    assert head.startswith(b"HTTP/1.1 500 ")
    assert b"evil" not in head


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (lambda s: upgrade(s, "/", "Sec-WebSocket-Version: 8"), 426),
        (lambda s: upgrade(s, "/", "Sec-WebSocket-Version: -"), 426),
        (lambda s: upgrade(s, "/", "Sec-WebSocket-Key: c2hvcnQ="), 400),
        (lambda s: upgrade(s, "/", "Sec-WebSocket-Key: -"), 400),
        (lambda s: upgrade(s, "/", "Content-Length: 1") + b"x", 400),
        (lambda s: upgrade(s, "/", method="POST"), 400),
        (lambda s: upgrade(s, "/") + b"\x81\x80\0\0\0\0", 400),
        (lambda s: upgrade(s, "/").replace(b"HTTP/1.1", b"HTTP/1.0"), 400),
    ],
    ids=["version", "no-version", "short-key", "no-key", "body", "post", "bytes-behind", "http1.0"],
)
def test_what_is_no_handshake(
    server: Propylon, request_: Callable[[Propylon], bytes], status: int
) -> None:
    answer = response(server, request_(server))
    assert answer.startswith(b"HTTP/1.1 %d " % status)
    for field in (b"sec-websocket-version: 13", b"upgrade: websocket", b"connection: upgrade"):
        assert (field in answer) == (status == 426)
    assert b"connection: close" in answer


def test_a_refusal_is_403(server: Propylon) -> None:
    with pytest.raises(InvalidStatus) as refused:
        dial(server, "/refuse")
    assert refused.value.response.status_code == 403


@pytest.mark.parametrize("pieces", [1, 3])
def test_a_denial_is_the_app_s_own_response(server: Propylon, pieces: int) -> None:
    with pytest.raises(InvalidStatus) as refused:
        dial(server, f"/deny?pieces={pieces}")
    answer = refused.value.response
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Basic"
    if pieces == 1:  # websockets does not read a chunked body
        assert answer.body == b"no entry\n"


def test_an_app_that_says_nothing(server: Propylon) -> None:
    for path in ("/silent", "/crash?before=1"):
        with pytest.raises(InvalidStatus) as refused:
            dial(server, path)
        assert refused.value.response.status_code == 500


def test_a_wsgi_app_cannot_be_upgraded() -> None:
    with Propylon("wsgi_raw:app") as propylon:
        for _ in range(2):
            with pytest.raises(InvalidStatus) as refused:
                dial(propylon, "/ws")
            assert refused.value.response.status_code == 400
            assert b"serve an ASGI app" in refused.value.response.body
        with propylon.client() as client:
            assert client.get("/").status_code == 200
    assert propylon.stderr.text.count("GET /ws: a WebSocket was asked for and refused") == 1


def test_pages_of_other_origins() -> None:
    with Propylon(APP, "--ws-allowed-origin", "https://mine.example") as propylon:
        for origin in (None, "https://mine.example"):
            with dial(propylon, origin=origin) as websocket:
                websocket.send("hello")
                assert websocket.recv(DEADLINE) == "hello"
        for origin in ("https://evil.example", "http://mine.example", "null"):
            with pytest.raises(InvalidStatus) as refused:
                dial(propylon, origin=origin)
            assert refused.value.response.status_code == 403
        # What hides the field, or leaves it open which one counts.
        mine, evil = "Origin: https://mine.example", "Origin: https://evil.example"
        for fields, status in (
            ((mine, evil), 400),
            ((evil, evil), 400),
            ((evil, "Connection: Upgrade, origin"), 400),
            (("Origin:",), 403),
            ((f"{mine}, https://evil.example",), 403),
        ):
            answer = response(propylon, upgrade(propylon, "/echo", *fields))
            assert answer.startswith(b"HTTP/1.1 %d " % status), fields


# -- the end -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "code", "reason"),
    [
        ("", 1000, ""),
        ("?code=1000&reason=done", 1000, "done"),
        ("?code=4321&reason=gr%C3%BC%C3%9Fe", 4321, "grüße"),
    ],
)
def test_the_app_closes(
    server: Propylon, tmp_path: Path, query: str, code: int, reason: str
) -> None:
    file = tmp_path / "heard"
    query += f"{'&' if query else '?'}file={file}"
    with dial(server, f"/close{query}") as websocket:
        close, _ = goodbye(websocket)
    assert close == Close(code, reason)
    wait_for(file.exists, "the app's own disconnect")
    assert file.read_text() == f"websocket.disconnect {code}"


@pytest.mark.parametrize(
    ("leave", "heard"),
    [
        (lambda w: w.close(), "1000  OSError"),
        (lambda w: w.close(4999, "tschüß"), "4999 tschüß OSError"),
        (lambda w: w.socket.close(), "1006  OSError"),
        (lambda w: reset(w.socket), "1006  OSError"),
    ],
    ids=["1000", "4999", "vanished", "reset"],
)
def test_the_client_closes(
    server: Propylon, tmp_path: Path, leave: Callable[[ClientConnection], None], heard: str
) -> None:
    file = tmp_path / "told"
    with dial(server, f"/told?file={file}") as websocket:
        leave(websocket)
        wait_for(file.exists, "the app's disconnect")
    assert file.read_text() == heard


def reset(sock: socket.socket) -> None:
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


def test_an_app_that_leaves_says_goodbye(server: Propylon) -> None:
    with dial(server, "/leave") as websocket:
        assert goodbye(websocket) == (Close(1000, ""), ["last words"])


def test_a_crash_closes_its_own_websocket_only(server: Propylon) -> None:
    with dial(server) as other, dial(server, "/crash") as websocket:
        websocket.send("now")
        close, _ = goodbye(websocket)
        assert close is not None
        assert close.code == 1011
        other.send("still here")
        assert other.recv(DEADLINE) == "still here"
    server.stderr.find("RuntimeError: crashed as asked")


def test_the_server_s_end_is_1012() -> None:
    with Propylon(APP) as propylon, dial(propylon) as websocket:
        websocket.send("hello")
        assert websocket.recv(DEADLINE) == "hello"
        propylon.process.send_signal(signal.SIGTERM)
        close, _ = goodbye(websocket)
        assert close is not None
        assert close.code == 1012


def test_a_websocket_that_opens_while_the_server_stops_hears_1012(tmp_path: Path) -> None:
    began = tmp_path / "began"
    with Propylon(APP) as propylon:
        head = upgrade(propylon, f"/accept_later?s=0.7&file={began}")
        with closing(socket.create_connection(propylon.address, DEADLINE)) as sock:
            sock.sendall(head)
            wait_for(began.exists, "the app's turn")
            propylon.process.send_signal(signal.SIGTERM)
            heard = b""
            while b"\x88\x11\x03\xf4service restart" not in heard:
                data = sock.recv(65_536)
                assert data, heard
                heard += data


def test_a_client_that_leaves_is_no_error_of_the_app(server: Propylon) -> None:
    with dial(server, "/flood?n=1000000000&piece=1000") as websocket:
        websocket.recv(DEADLINE)
        reset(websocket.socket)
    with dial(server) as other:
        other.send("hello")
        assert other.recv(DEADLINE) == "hello"
    server.stdout.find(r'"GET /flood\?n=1000000000')
    assert "ClientDisconnected" not in server.stderr.text


def test_a_killed_worker_closes_its_websockets_with_1011() -> None:
    with Propylon(APP, "-w", "2") as propylon, ExitStack() as stack:
        sockets = [stack.enter_context(dial(propylon)) for _ in range(6)]
        victim = propylon.pids("worker")[0]
        os.kill(victim, signal.SIGKILL)
        ends: list[Close | None] = []
        for websocket in sockets:
            try:
                websocket.send("hello")
                assert websocket.recv(DEADLINE) == "hello"
            except ConnectionClosed as closed:
                ends.append(closed.rcvd)
        # Workers share calls equally, and only the killed one's end.
        assert [end.code for end in ends if end is not None] == [1011] * 3
        with dial(propylon) as again:
            again.send("hello")
            assert again.recv(DEADLINE) == "hello"


# -- what must not pass --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        (b"\x81\x05hello", 1002),  # not masked
        (b"\xc1\x80\0\0\0\0", 1002),  # a reserved bit without its extension
        (b"\x83\x80\0\0\0\0", 1002),  # a reserved opcode
        (b"\x89\xfe\0\x7e" + bytes(4 + 126), 1002),  # a ping of 126 bytes
        (b"\x09\x80\0\0\0\0", 1002),  # a ping in fragments
        (b"\x80\x80\0\0\0\0", 1002),  # a continuation of nothing
        (b"\x81\x81\0\0\0\0\xff", 1007),
        (b"\x01\x81\0\0\0\0\xe6\x80\x81\0\0\0\0\x41", 1007),  # a character that never ends
        (b"\x88\x81\0\0\0\0x", 1002),  # half a close code
        (b"\x88\x82\0\0\0\0\x03\xed", 1002),  # 1005 is never sent
    ],
    ids=[
        "unmasked",
        "rsv",
        "opcode",
        "long-ping",
        "cut-ping",
        "stray",
        "invalid",
        "split",
        "half-code",
        "code-1005",
    ],
)
def test_broken_frames(server: Propylon, frame: bytes, code: int) -> None:
    with closing(socket.create_connection(server.address, DEADLINE)) as sock:
        sock.sendall(upgrade(server))
        answer = b""
        while b"\r\n\r\n" not in answer:
            answer += sock.recv(65_536)
        assert answer.startswith(b"HTTP/1.1 101 ")
        sock.sendall(frame)
        answer = answer.partition(b"\r\n\r\n")[2]
        while data := sock.recv(65_536):
            answer += data
    assert answer[0] == 0x88
    assert int.from_bytes(answer[2:4], "big") == code


@pytest.mark.parametrize("count", [1, 2000])
def test_what_was_right_is_answered_before_what_was_wrong(server: Propylon, count: int) -> None:
    """The client breaks the rules behind messages that the app has still to answer."""
    message = b"\x82\xfe\x01\x00" + bytes(4 + 256)
    with closing(socket.create_connection(server.address, DEADLINE)) as sock:
        sock.sendall(upgrade(server))
        answer = b""
        while b"\r\n\r\n" not in answer:
            answer += sock.recv(65_536)
        sock.sendall(message * count + b"\x83\x80\0\0\0\0")
        answer = answer.partition(b"\r\n\r\n")[2]
        while data := sock.recv(65_536):
            answer += data
    echo = b"\x82\x7e\x01\x00" + bytes(256)
    assert answer.startswith(echo * count + b"\x88")
    assert answer.count(echo) == count


@pytest.mark.parametrize("compression", some_slow(1, ["deflate", None]))
def test_a_message_over_the_limit(compression: str | None) -> None:
    """Also one that is small until it is inflated."""
    with Propylon(APP, "--ws-max-size", "1000000") as propylon:
        for fragments in (False, True):
            with dial(propylon, "/sizes", compression=compression) as websocket:
                websocket.send(bytes(1_000_000))
                assert websocket.recv(DEADLINE) == "bytes 1000000"
                message = bytes(1_000_001)
                try:
                    websocket.send([message[:900_000], message[900_000:]] if fragments else message)
                except ConnectionClosed:
                    pass  # the server's word was faster than our own last bytes
                close, _ = goodbye(websocket)
                assert close is not None
                assert close.code == 1009


def test_a_bomb_is_not_inflated(uvloop: Propylon) -> None:
    """256 MiB of zeros in a quarter of a megabyte: over the limit long before the memory is."""
    gateway = uvloop.pids("gateway")[0]
    with dial(uvloop, "/sizes", compression="deflate") as websocket:
        before = resident(gateway)
        try:
            websocket.send(bytes(256 * MIB))
        except ConnectionClosed:
            pass
        close, _ = goodbye(websocket)
        assert close is not None
        assert close.code == 1009
        assert resident(gateway) - before < 64 * MIB


# -- the slow ------------------------------------------------------------------------------------


def test_a_slow_client_bounds_memory_and_nobody_else(server: Propylon) -> None:
    gateway, worker = server.pids("gateway")[0], server.pids("worker")[0]
    size = 64 * MIB
    with (
        dial(server, f"/flood?n={size}&piece=262144", max_queue=1) as slow,
        dial(server) as other,
    ):
        before = resident(gateway) + resident(worker)
        for _ in range(50):
            other.send("me too")
            assert other.recv(DEADLINE) == "me too"
        assert resident(gateway) + resident(worker) - before < 16 * MIB
        received = 0
        while not isinstance(message := slow.recv(DEADLINE), str):
            received += len(message)
        assert (received, message) == (size, "that was all")


@pytest.mark.parametrize("last", [0, 10])
def test_fragments_to_an_app_that_does_not_read_are_held_back(
    server: Propylon, tmp_path: Path, last: int
) -> None:
    """Messages behind the first count against the window, in how many pieces ever they come."""
    worker = server.pids("worker")[0]
    with dial(server, f"/late?file={tmp_path}/began", compression=None, close_timeout=0.1) as late:
        before = resident(worker)
        late.socket.settimeout(0.5)
        sent = 0
        try:
            while sent < 64 * MIB:
                late.send([bytes(60_000), bytes(last)])
                sent += 60_000
        except (ConnectionClosed, OSError):
            pass  # the client's way to say that it cannot send
        assert sent < 32 * MIB
        assert resident(worker) - before < 8 * MIB


@pytest.mark.parametrize("payload", [b"", b"x"], ids=["empty", "one byte"])
def test_small_messages_to_an_app_that_does_not_read_are_held_back(
    uvloop: Propylon, tmp_path: Path, payload: bytes
) -> None:
    """Each costs its place in the app's queue. The client cannot send on, long before the worker
    holds much; another one is answered meanwhile."""
    worker = uvloop.pids("worker")[0]
    messages = (bytes((0x82, 0x80 | len(payload), 0, 0, 0, 0)) + payload) * 10_000
    with (
        closing(socket.create_connection(uvloop.address, DEADLINE)) as late,
        dial(uvloop) as other,
    ):
        late.sendall(upgrade(uvloop, f"/late?file={tmp_path}/began"))
        assert late.recv(65_536).startswith(b"HTTP/1.1 101 ")
        before = resident(worker)
        late.settimeout(0.5)
        try:
            for _ in range(200):
                late.sendall(messages)
                other.send("me too")
                assert other.recv(DEADLINE) == "me too"
            pytest.fail("two million messages went to an app that does not read")
        except TimeoutError:
            pass
        other.send("me too")
        assert other.recv(DEADLINE) == "me too"
        assert resident(worker) - before < 4 * MIB
    with dial(uvloop, "/read_on"):
        pass


@pytest.mark.slow
def test_empty_messages_to_a_client_that_does_not_read_are_held_back(uvloop: Propylon) -> None:
    """The app waits when the kernel takes no more of them, and the gateway holds few."""
    gateway, worker = uvloop.pids("gateway")[0], uvloop.pids("worker")[0]
    with closing(socket.socket()) as slow, dial(uvloop, "/empties") as other:
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16_384)
        slow.settimeout(DEADLINE)
        slow.connect(uvloop.address)
        before = resident(gateway) + resident(worker)
        slow.sendall(upgrade(uvloop, "/empty"))
        last = -1

        def is_held_back() -> bool:
            nonlocal last
            said = last
            for _ in range(200):
                other.send("how many?")
                last = int(other.recv(DEADLINE))
            return said == last > 0

        wait_for(is_held_back, "the app waits")
        assert resident(gateway) + resident(worker) - before < 32 * MIB
        held = last
        while last == held:  # it goes on when the client reads
            assert slow.recv(65_536)
            other.send("how many?")
            last = int(other.recv(DEADLINE))


def test_a_slow_app_bounds_memory_and_nobody_else(server: Propylon) -> None:
    gateway, worker = server.pids("gateway")[0], server.pids("worker")[0]
    count = 256
    with dial(server, "/late", compression=None) as late, dial(server) as other:
        before = resident(gateway) + resident(worker)
        message = bytes(262_144)

        def send() -> None:
            for _ in range(count):
                late.send(message)
            late.send("end")

        sender = threading.Thread(target=send, daemon=True)
        sender.start()
        for _ in range(50):
            other.send("me too")
            assert other.recv(DEADLINE) == "me too"
        assert sender.is_alive(), "64 MiB went to an app that does not read"
        assert resident(gateway) + resident(worker) - before < 16 * MIB
        with dial(server, "/read_on"):
            pass
        assert late.recv(DEADLINE) == str(count * len(message))
        sender.join(DEADLINE)


def test_who_does_not_pong_is_closed() -> None:
    """And nobody else: not who pongs, nor who cannot be heard since the app does not read."""
    flags = ["--ws-ping-interval", "0.2", "--ws-ping-timeout", "0.3"]
    with Propylon(APP, *flags) as propylon, dial(propylon, "/late", compression=None) as late:
        message = bytes(100_000)
        sender = threading.Thread(target=late.send, args=([message] * 80,), daemon=True)
        sender.start()
        with (
            closing(socket.create_connection(propylon.address, DEADLINE)) as dead,
            dial(propylon) as alive,
        ):
            dead.sendall(upgrade(propylon))
            heard = b""
            while b"\x88\x18\x03\xf3keepalive ping timeout" not in heard:
                data = dead.recv(65_536)
                assert data, heard
                heard += data
            assert heard.partition(b"\r\n\r\n")[2].startswith(b"\x89\x00")
            alive.send("here")
            assert alive.recv(DEADLINE) == "here"
        with dial(propylon, "/read_on"):
            sender.join(DEADLINE)
        late.send("end")
        assert late.recv(DEADLINE) == str(80 * len(message))


@pytest.mark.parametrize(
    ("leave", "heard"),
    [(lambda w: w.close(4000, "bye"), "4000 bye"), (lambda w: w.socket.close(), "1006")],
    ids=["close", "vanish"],
)
def test_the_app_gets_all_that_was_said_before_the_end(
    server: Propylon, tmp_path: Path, leave: Callable[[ClientConnection], None], heard: str
) -> None:
    """Though it had taken nothing when the client was gone already."""
    file = tmp_path / "counted"
    with dial(server, f"/late?file={file}", compression=None, close_timeout=0.5) as websocket:
        for _ in range(80):
            websocket.send(bytes(4_000))
        leave(websocket)
    with dial(server, "/read_on"):
        wait_for(file.exists, "the app's disconnect")
    assert file.read_text() == f"320000 {heard}"


@pytest.mark.slow
def test_pongs_do_not_pile_up(uvloop: Propylon) -> None:
    """A client that pings and never reads waits, and costs no memory."""
    gateway = uvloop.pids("gateway")[0]
    pings = (b"\x89\xfd" + bytes(4 + 125)) * 5_000
    with closing(socket.create_connection(uvloop.address, DEADLINE)) as sock:
        sock.sendall(upgrade(uvloop))
        assert sock.recv(65_536).startswith(b"HTTP/1.1 101 ")
        before = resident(gateway)
        sock.settimeout(0.5)
        try:
            for _ in range(64):
                sock.sendall(pings)
            pytest.fail("the server read 40 MB of pings from a client that reads no pongs")
        except TimeoutError:
            pass
        assert resident(gateway) - before < 16 * MIB
