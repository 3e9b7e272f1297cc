"""Every end code of the table, made to happen for real, and read in the access log.

`CASES` has a case for each row (the last test sees to it). A case is given a server of its kind and
does what a client, an app or a worker may do; then the line of its request has the code. Its path
is the code, below /app, so each line is found.
"""

import os
import re
import signal
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import httpx
import pytest
from propylon.gateway.exchange.end_codes import END_CODES
from propylon.protocol.calls import Call
from propylon.protocol.errors import RemoteProtocolError
from propylon.protocol.hello import Greeting
from propylon.protocol.messages import OPEN, REFUSED
from propylon.protocol.worker_link import WorkerLink
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect as dial

from ..gateway.tls.issued import issue
from ..http2_frames import PREFACE, Kind, frame, get, settings
from .server import DEADLINE, Propylon, wait_for

APP = """
import asyncio, os

async def app(scope, receive, send):
    path = scope["path"].removeprefix("/app/")
    if scope["type"] == "websocket":
        await receive()
        if path == "app_refused_websocket":
            return await send({"type": "websocket.close"})
        bad = {"subprotocol": "two words"} if path == "app_bad_response" else {}
        await send({"type": "websocket.accept", **bad})
        if path == "app_closed_websocket":
            return await send({"type": "websocket.close", "code": 4_000})
        while (await receive())["type"] != "websocket.disconnect":
            pass
        return
    assert scope["type"] == "http"

    async def begin(*fields, status=200):
        await send({"type": "http.response.start", "status": status, "headers": fields})

    async def say(data, more=True):
        await send({"type": "http.response.body", "body": data, "more_body": more})

    if path == "app_failed":
        raise ValueError("an app's own")
    if path == "worker_died":
        os._exit(1)
    if path == "app_no_response":
        return
    if path == "app_wrong_length":
        await begin((b"content-length", b"5"))
        return await say(b"ab", False)
    if path in ("app_failed_response", "worker_died_response", "app_no_end", "gateway_cut",
                "client_left_response", "worker_stopped_response"):
        await begin()
        await say(b"begun")
        await asyncio.sleep(0.05)  # it is out by now, and not held back
        if path == "app_failed_response":
            raise ValueError("an app's own")
        if path == "worker_died_response":
            os._exit(1)
        if path == "app_no_end":
            return
        await asyncio.sleep(60)
    if path in ("client_send_timeout", "client_send_rate"):
        await begin()
        while True:
            await say(bytes(65_536))
    if path in ("app_timeout", "client_left_app", "client_flood", "gateway_stopped_app",
                "worker_stopped"):
        await asyncio.sleep(60)
    if path in ("client_left_upload", "client_body_timeout", "client_body_rate"):
        while (await receive()).get("more_body"):
            pass
        await asyncio.sleep(60)
    await begin(status=500 if path == "ok/500" else 200)
    await say(b"ok", False)
"""
CONFIG = """
app = "main:app"
[[routes]]
prefix = "/app"
"""
FORMAT = "<%(U)s %(s)s %(end)s>"


class GatewayOnly(Propylon):
    """`propylon gateway`: its workers are the test's."""

    def __init__(self, *arguments: str, cwd: Path) -> None:
        super().__init__(*arguments, cwd=cwd)
        self._arguments[0] = "gateway"
        self.run_dir = Path(arguments[arguments.index("--run-dir") + 1])


Servers = Callable[[str], Propylon]


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    """Servers by their kind, each started when it is first asked for."""
    folder: Path = tmp_path_factory.mktemp("ends")
    (folder / "main.py").write_text(APP)
    config = folder / "routes.toml"
    config.write_text(CONFIG)
    usual = ("-c", str(config), "-b", "127.0.0.1:0", "--access-logformat", FORMAT)
    limits = (
        "--request-timeout=1.5", "--header-timeout=0.3", "--body-timeout=0.3",
        "--send-timeout=0.5", "--max-request-body-size=1000", "--ws-max-size=1000",
        "--ws-ping-interval=0.3", "--ws-ping-timeout=0.3",
        "--ws-allowed-origin=http://good.example", "-w3",
        "--timeout-graceful-shutdown=0.6", "--h2c=prior-knowledge",
    )  # fmt: skip
    waits = ("--queue-timeout=0.5", "--queue-size=1", "--timeout-graceful-shutdown=0.6")
    certificate = issue(folder, "127.0.0.1")
    with ExitStack() as stack:

        def start(kind: str) -> Propylon:
            if kind == "usual":
                options = (*usual, *limits, "--lifespan=off")
            elif kind == "stopping":
                options = (*usual, "--lifespan=off", "--timeout-graceful-shutdown=0.6", "-w2")
                options += ("--reload-observe=0",)
            elif kind == "keeping":
                options = (*usual, "--lifespan=off", "--buffer-requests=on")
                options += ("--buffer-size=0", "--buffer-disk=0")
            elif kind == "fast":
                options = (*usual, "--lifespan=off", "--min-body-rate=1000000", "--ws-max-rate=1")
                options += (
                    "--min-send-rate=1000000",
                    "--min-rate-grace=0.3",
                    "--timeout-graceful-shutdown=0.6",
                )
            elif kind == "counted":
                options = (*usual, "--lifespan=off", "--ws-max-byte-rate=20")
                options += ("--timeout-graceful-shutdown=0.6",)
            elif kind == "files":
                (folder / "files").mkdir()
                (folder / "files/gateway_file").write_bytes(b"x")
                with (folder / "files/gateway_file_broke").open("wb") as large:
                    large.truncate(50_000_000)
                options = (*usual, "--lifespan=off")
                options = ("main:app", *options[2:], "--static", f"/app={folder / 'files'}")
            elif kind == "limited":
                one = folder / "limited.toml"
                one.write_text(CONFIG + "limit_concurrency = 1\n")
                options = ("-c", str(one), *usual[2:], "--lifespan=off", "--queue-size=0")
                options += ("--timeout-graceful-shutdown=0.6",)
            elif kind == "redirecting":
                options = ("main:app", "-b", "127.0.0.1:0", *certificate.flags, "--lifespan=off")
                options += ("--insecure-bind=127.0.0.1:0", "--redirect-to-https")
                options += ("--access-logformat", FORMAT)
            else:
                # One that ends cannot be late in its queue, however slow the machine is.
                patience = ("--queue-timeout=60",) if kind == "ending" else ()
                own = ("--run-dir", str(folder / kind))
                options = ("-b", "127.0.0.1:0", "--access-logformat", FORMAT, *own, *waits)
                options += patience
                return stack.enter_context(GatewayOnly(*options, cwd=folder))
            return stack.enter_context(Propylon(*options, cwd=folder))

        yield cache(start)


# -- clients ---------------------------------------------------------------------------------


def head(code: str, *fields: str, method: str = "GET", path: str = "/app/") -> bytes:
    lines = [f"{method} {path}{code} HTTP/1.1", *fields]
    return "".join(f"{line}\r\n" for line in (*lines, "")).encode()


def connected(propylon: Propylon, data: bytes = b"", room: int = 0) -> socket.socket:
    """A client that has sent `data`. `room`: bytes that its kernel keeps for it."""
    sock = socket.socket()
    if room:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, room)
    sock.settimeout(DEADLINE)
    sock.connect(propylon.address)
    sock.sendall(data)
    return sock


def read(sock: socket.socket) -> bytes:
    """All that comes, up to the end, however that is."""
    answer = b""
    try:
        while data := sock.recv(65_536):
            answer += data
    except ConnectionResetError:
        pass
    return answer


def asks(*fields: str, method: str = "GET", host: bool = True, path: str = "/app/"):
    """A client that asks, and reads to the end."""

    def do(propylon: Propylon, code: str) -> None:
        always = ("Host: h", "Connection: close") if host else ()
        with closing(
            connected(propylon, head(code, *always, *fields, method=method, path=path))
        ) as s:
            read(s)

    return do


def asks_in_plain(propylon: Propylon, code: str) -> None:
    url = propylon.stderr.find(r"Serving on https://\S+ (http://[^\s,]+)")[1]
    assert httpx.get(f"{url}/app/{code}", timeout=DEADLINE, trust_env=False).status_code == 308


def leaves(behind: bytes = b"", *fields: str, method: str = "GET"):
    """A client that asks and is gone, when it has heard `behind`."""

    def do(propylon: Propylon, code: str) -> None:
        with closing(connected(propylon, head(code, "Host: h", *fields, method=method))) as sock:
            heard = b""
            while behind not in heard:
                data = sock.recv(1_000)
                assert data, heard
                heard += data

    return do


def is_late(data: bytes, status: int = 408):
    """A client that sends this and nothing more."""

    def do(propylon: Propylon, code: str) -> None:
        with closing(connected(propylon, data.replace(b"CODE", code.encode()))) as sock:
            assert b" %d " % status in read(sock)

    return do


def sends_in_drops(propylon: Propylon, code: str) -> None:
    with closing(connected(propylon, HALF.replace(b"CODE", code.encode()))) as sock:
        sock.settimeout(0.05)
        while True:
            try:
                answer = sock.recv(1_000)
                break
            except TimeoutError:
                sock.sendall(b"x")
    assert answer.startswith(b"HTTP/1.1 408 ")


def takes_in_drops(propylon: Propylon, code: str) -> None:
    with closing(connected(propylon, head(code, "Host: h"), room=4_096)) as sock:
        try:
            while sock.recv(4_096):
                time.sleep(0.05)
        except ConnectionResetError:
            return  # what the kernel had for it is gone too
    raise AssertionError("it was sent all that had been written")


def takes_nothing(propylon: Propylon, code: str) -> None:
    with closing(connected(propylon, head(code, "Host: h"), room=4_096)):
        line(propylon, code)


def reads_while_it_shrinks(propylon: Propylon, code: str) -> None:
    with closing(connected(propylon, head(code, "Host: h"))) as sock:
        sock.recv(1_000)
        os.truncate(Path(propylon.cwd) / "files" / code, 20_000_000)
        read(sock)


UPGRADE = (
    "Host: h", "Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
)  # fmt: skip


def opens(data: bytes = b"", *, then: str = "waits"):
    """A client that opens a WebSocket by hand and sends `data` behind it; `then` it "waits" and
    answers nothing, or "is gone"."""

    def do(propylon: Propylon, code: str) -> None:
        with closing(connected(propylon, head(code, *UPGRADE))) as sock:
            answer = b""
            while b"\r\n\r\n" not in answer:
                piece = sock.recv(1_000)
                assert piece, answer
                answer += piece
            sock.sendall(data)
            if then == "waits":
                line(propylon, code)
            else:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    return do


def speaks(*messages: str):
    """A client of a library that opens a WebSocket, says this and closes."""

    def do(propylon: Propylon, code: str) -> None:
        url = propylon.url.replace("http", "ws", 1) + f"/app/{code}"
        try:
            with dial(url, proxy=None, open_timeout=DEADLINE) as websocket:
                for message in messages:
                    websocket.send(message)
                    websocket.recv(DEADLINE)
        except ConnectionClosed:
            pass

    return do


# -- workers ---------------------------------------------------------------------------------


class ScriptedWorker:
    """A worker that links to a gateway and does with each call what the test wants."""

    def __init__(
        self, run_dir: Path, does: Callable[["ScriptedWorker", Call], None], slots: int = 1
    ) -> None:
        self.does = does
        self.sock = socket.socket(socket.AF_UNIX)
        (path,) = wait_for(lambda: [*run_dir.glob("default/*.sock")], "the gateway's socket")
        self.sock.settimeout(DEADLINE)
        self.sock.connect(str(path))
        self.link = WorkerLink(Greeting(who={"worker": 7}), lambda: None)
        self.link.greet()
        self.link.ready({})
        self.link.slots(slots)
        self.flush()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def flush(self) -> None:
        self.sock.sendall(self.link.take_output())

    def _run(self) -> None:
        try:
            while data := self.sock.recv(65_536):
                for call, message in self.link.receive(data):
                    if message[0] == OPEN and call is not None:
                        self.does(self, call)
                self.flush()
        except (OSError, RemoteProtocolError):
            pass

    def __enter__(self) -> "ScriptedWorker":
        return self

    def __exit__(self, *_: object) -> None:
        self.sock.shutdown(socket.SHUT_RDWR)
        self._thread.join(DEADLINE)
        self.sock.close()


def refuses(worker: ScriptedWorker, call: Call) -> None:
    worker.link.reset(call, REFUSED, "not this one")
    worker.link.end(call)


def babbles(worker: ScriptedWorker, call: Call) -> None:
    worker.link.started([call])  # else another worker might have it
    worker.flush()
    worker.sock.sendall(b"\xc1")


def with_worker(does: Callable[[ScriptedWorker, Call], None], client, slots: int = 1):
    def do(propylon: Propylon, code: str) -> None:
        assert isinstance(propylon, GatewayOnly)
        with ScriptedWorker(propylon.run_dir, does, slots):
            client(propylon, code)

    return do


def floods(propylon: Propylon, code: str) -> None:
    """A client of HTTP/2 that pings and pings while it waits."""
    ask = PREFACE + settings() + get(1, b"/app/" + code.encode())
    with closing(connected(propylon, ask + frame(Kind.PING, 0, 0, bytes(8)) * 300)) as sock:
        read(sock)


def fills_the_queue(propylon: Propylon, code: str) -> None:
    with closing(connected(propylon, head("waits", "Host: h", "Connection: close"))) as first:
        asks()(propylon, code)
        read(first)


def fills_its_route(propylon: Propylon, code: str) -> None:
    with closing(connected(propylon, head("gateway_cut", "Host: h"))) as first:
        assert first.recv(1_000)  # it has its worker
        asks()(propylon, code)


def is_heard(propylon: Propylon) -> None:
    """Whoever has sent something before was heard by the gateway: it takes clients in their order,
    and one that came later has its answer."""
    with closing(connected(propylon, b"no request\r\n\r\n")) as sock:
        assert read(sock).startswith(b"HTTP/1.1 400 ")


def stops(*others: str):
    """The instance stops while clients wait for these paths too."""

    def do(propylon: Propylon, code: str) -> None:
        with ExitStack() as stack:
            if propylon.process.poll() is None:
                for path in others:
                    fields = UPGRADE if path == "gateway_restart" else ("Host: h",)
                    sock = stack.enter_context(closing(connected(propylon, head(path, *fields))))
                    if path == "gateway_restart":
                        assert sock.recv(1_000)
                is_heard(propylon)
                propylon.stop()

    return do


def begins(worker: ScriptedWorker, call: Call) -> None:
    worker.link.start_response(call, 200, ())
    worker.link.send_body(call, b"begun", True)


def stops_with_a_worker(propylon: Propylon, code: str) -> None:
    """The gateway stops while its only worker goes on with a response, and another client waits."""
    assert isinstance(propylon, GatewayOnly)
    if propylon.process.poll() is None:
        with (
            ScriptedWorker(propylon.run_dir, begins),
            closing(connected(propylon, head("gateway_cut", "Host: h"))) as first,
        ):
            assert first.recv(1_000)
            with closing(connected(propylon, head("gateway_stopped_queue", "Host: h"))):
                is_heard(propylon)
                propylon.stop()


def reloads(*others: str):
    """The workers are replaced while clients wait for these paths, longer than they may."""

    def do(propylon: Propylon, code: str) -> None:
        if f"<{'/app/' + code} " in propylon.stdout.text:
            return
        with ExitStack() as stack:
            socks = [
                stack.enter_context(
                    closing(
                        connected(propylon, head(path, "Host: h", "Connection: close", method=how))
                    )
                )
                for path, how in zip(others, ("POST", "GET"), strict=True)
            ]
            assert socks[1].recv(1_000)
            propylon.process.send_signal(signal.SIGHUP)
            for sock in socks:
                read(sock)

    return do


# -- the table -------------------------------------------------------------------------------


@dataclass
class Case:
    code: str
    status: str
    """The status in the access log."""
    does: Callable[[Propylon, str], None]
    server: str = "usual"
    path: str = ""
    """The path in the log; "" means that it is the code, below /app."""
    everyday: bool = False

    @property
    def marks(self) -> list[pytest.MarkDecorator]:
        return [] if self.everyday else [pytest.mark.slow]


BODY = "Content-Length: {}"
HALF = b"POST /app/CODE HTTP/1.1\r\nHost: h\r\nContent-Length: 900\r\n\r\nx"
GONE = ("gateway_restart", "gateway_stopped_app")
STOPPED = ("worker_stopped", "worker_stopped_response")

CASES = [
    Case("ok", "200", asks(), everyday=True),
    Case("ok", "500", asks(), path="/app/ok/500", everyday=True),
    Case("client_malformed", "400", asks(host=False), everyday=True),
    Case("client_flood", "499", floods),
    Case("client_too_large", "413", asks(BODY.format(2_000), method="POST")),
    Case("client_unsupported", "417", asks("Expect: more", BODY.format(1), method="POST")),
    Case("client_foreign_origin", "403", asks(*UPGRADE[1:], "Origin: http://evil.example")),
    Case("client_head_timeout", "408", is_late(b"GET /app/CODE HTTP/1.1\r\nHo")),
    Case("client_body_timeout", "408", is_late(HALF)),
    Case("client_body_rate", "408", sends_in_drops, server="fast"),
    Case("client_left_queue", "499", leaves(), server="gateway"),
    Case("client_left_upload", "499", leaves(b"", BODY.format(9), method="POST")),
    Case("client_left_app", "499", leaves(), everyday=True),
    Case("client_left_response", "200", leaves(b"begun"), everyday=True),
    Case("client_send_timeout", "200", takes_nothing),
    Case("client_send_rate", "200", takes_in_drops, server="fast"),
    Case("client_closed_websocket", "101", speaks(), everyday=True),
    Case("client_left_websocket", "101", opens(then="is gone")),
    Case("client_bad_frame", "101", opens(b"\x81\x01a")),
    Case("client_message_too_large", "101", speaks("x" * 2_000)),
    Case("client_message_rate", "101", opens(b"\x81\x81aaaa\x00" * 12), server="fast"),
    Case("client_byte_rate", "101", opens(b"\x8a\x80aaaa" * 40), server="counted"),
    Case("client_ping_timeout", "101", opens()),
    Case("gateway_redirect", "308", asks_in_plain, server="redirecting"),
    Case("gateway_no_route", "404", asks(path="/"), path="/gateway_no_route"),
    Case("gateway_file", "200", asks(), server="files"),
    Case("gateway_no_file", "404", asks(), server="files"),
    Case("gateway_file_broke", "200", reads_while_it_shrinks, server="files"),
    Case("gateway_no_room", "507", is_late(HALF, 507), server="keeping"),
    Case("gateway_queue_full", "503", fills_the_queue, server="gateway"),
    Case("gateway_route_full", "503", fills_its_route, server="limited"),
    Case("gateway_queue_timeout", "503", with_worker(refuses, asks(), 0), server="gateway"),
    Case("gateway_no_worker", "503", asks(), server="gateway"),
    Case("worker_refused", "502", with_worker(refuses, asks()), server="gateway"),
    Case("worker_protocol", "502", with_worker(babbles, asks(method="POST")), server="gateway"),
    Case("app_no_websockets", "400", with_worker(refuses, asks(*UPGRADE[1:])), server="gateway"),
    Case("gateway_stopped_queue", "503", stops_with_a_worker, server="ending"),
    Case("gateway_cut", "200", stops_with_a_worker, server="ending"),
    Case("worker_died", "502", asks(method="POST"), everyday=True),
    Case("worker_died_response", "200", asks()),
    Case("app_failed", "500", asks(), everyday=True),
    Case("app_failed_response", "200", asks()),
    Case("app_bad_response", "500", asks(*UPGRADE[1:])),
    Case("app_no_end", "200", asks()),
    Case("app_wrong_length", "200", asks()),
    Case("app_no_response", "500", asks()),
    Case("app_timeout", "504", asks(), everyday=True),
    Case("app_refused_websocket", "403", asks(*UPGRADE[1:])),
    Case("app_closed_websocket", "101", opens()),
    Case("worker_stopped", "502", reloads(*STOPPED), server="stopping"),
    Case("worker_stopped_response", "200", reloads(*STOPPED), server="stopping"),
    Case("gateway_stopped_app", "504", stops(*GONE), server="stopping"),
    Case("gateway_restart", "101", stops(*GONE), server="stopping"),
]
NOT_FOR_REAL = {
    # Code -> why no client, app or worker can bring it about, and where it is tested.
    "gateway_failed": "a fault of ours: 'a fault of ours ends one connection' in "
    "tests/gateway/serve/test_http1_connection.py",
}


def line(propylon: Propylon, code: str, path: str = "") -> re.Match[str]:
    return propylon.stdout.find(rf"^<{path or f'/app/{code}'} (\d+) (\w+)>$")


@pytest.mark.parametrize(
    "case",
    [pytest.param(case, id=case.path.strip("/") or case.code, marks=case.marks) for case in CASES],
)
def test_an_end(servers: Servers, case: Case) -> None:
    propylon = servers(case.server)
    case.does(propylon, case.path.removeprefix("/app/").strip("/") or case.code)
    assert line(propylon, case.code, case.path).groups() == (case.status, case.code)


def test_every_code_has_a_case() -> None:
    assert {case.code for case in CASES} | NOT_FOR_REAL.keys() == END_CODES.keys()
