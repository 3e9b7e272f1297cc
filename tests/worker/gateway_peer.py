"""A gateway of a test's own: a listening Unix socket, blocking reads, and the real GatewayLink.

Everything waits for a condition with a timeout; nothing sleeps. The machine on this side is the
one that gateways use, so what a worker says here is lawful or the test fails.
"""

import contextlib
import json
import os
import socket
import subprocess
import sys
import time
import weakref
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, get_origin, get_type_hints

from propylon.protocol.calls import Call
from propylon.protocol.gateway_link import GatewayLink
from propylon.protocol.hello import Greeting
from propylon.protocol.link import utf8_size
from propylon.protocol.messages import (
    BYE,
    CLIENT_GONE,
    DRAIN,
    END,
    EVENT,
    FEATURES,
    FILE,
    HELLO,
    NOT_READY,
    PONG,
    READY,
    RESET,
    RESPONSE,
    RESPONSE_BODY,
    RESPONSE_FILE,
    RESPONSE_START,
    SLOTS,
    STARTED,
    WINDOW,
    WS_MESSAGE,
    Message,
    Scope,
)
from propylon.worker.settings import WorkerSettings

TIMEOUT = 10.0


def scope(
    method: str = "GET",
    path: bytes = b"/",
    *,
    headers: Sequence[tuple[bytes, bytes]] = ((b"host", b"test"),),
    query: bytes = b"",
    root_path: str = "",
    kind: str = "http",
) -> Scope:
    return (
        kind, "1.1", method, "http", path, query, root_path, tuple(headers),
        ("192.0.2.1", 40000), ("192.0.2.2", 80), None,
    )  # fmt: skip


class PeerCall(Call):
    """A call and all that the worker said about it."""

    def __init__(self) -> None:
        super().__init__()
        self.status = 0
        self.headers: list[tuple[bytes, bytes]] = []
        self.body = b""
        self.complete = False
        self.ended = False
        self.started = False
        self.reset: tuple[int, str] | None = None
        self.kinds: list[int] = []
        self.events: list[dict[str, Any]] = []
        self.pieces: list[tuple[bytes | str, bool]] = []
        """Of WebSocket messages, and whether more of the message comes."""
        self.file: tuple[int, int] | None = None
        """The offset and the count of the file that was its body, or the rest of it. `body` has
        what is there."""

    @property
    def header(self) -> dict[bytes, bytes]:
        return dict(self.headers)

    @property
    def messages(self) -> list[Any]:
        """The WebSocket messages that are whole."""
        found, parts = [], []
        for data, more in self.pieces:
            parts.append(data)
            if not more:
                found.append(parts[0][:0].join(parts))
                parts = []
        return found

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class GatewayPeer:
    """One link, from accept to its end."""

    def __init__(self, sock: socket.socket, greeting: Greeting | None = None) -> None:
        self.sock = sock
        who: dict[str, object] = {"gateway": 1, "pid": os.getpid()}
        greeting = greeting or Greeting(who=who, features=FEATURES)
        self.link = GatewayLink(greeting, lambda: None)
        self.hello: Any = None
        self.ready: Any = None
        self.not_ready: Any = None
        self.slots = 0
        self.pongs: list[dict[str, Any]] = []
        self.drained = False
        self.bye: tuple[int, str] | None = None
        self.eof = False
        self.worker: Any = None
        self.loop = ""
        self.files: socket.socket | None = None
        """The gateway's end of the descriptor socket; None until the worker has sent it."""
        self.take_bodies = True
        """Whether arriving response bodies are taken, which gives the worker credit."""
        self.link.greet()
        self.flush()

    def flush(self) -> None:
        self.sock.settimeout(TIMEOUT)
        while data := self.link.take_output():
            try:
                self.sock.sendall(data)
            except BrokenPipeError:
                pass  # the worker is gone; what it has sent is still to be read

    def pump(self, timeout: float) -> bool:
        """Hears what comes within the time; False if nothing did."""
        self.sock.settimeout(max(timeout, 0.0001))
        try:
            if self.files is None:
                data, fds, _, _ = socket.recv_fds(self.sock, 262_144, 2)
                if fds:
                    self.files = socket.socket(fileno=fds[0])
                    self.files.settimeout(TIMEOUT)
                    weakref.finalize(self, self.files.close)
            else:
                data = self.sock.recv(262_144)
        except TimeoutError:
            return False
        except ConnectionResetError:
            data = b""
        if not data:
            self.eof = True
            return False
        for call, message in self.link.receive(data):
            self._hear(call, message)
        self.flush()
        return True

    def until(self, condition: Callable[[], object], timeout: float = TIMEOUT) -> None:
        deadline = time.monotonic() + timeout
        while not condition():
            rest = deadline - time.monotonic()
            assert rest > 0, "the condition did not come true in time"
            assert not self.eof, "the worker closed the link before the condition came true"
            self.pump(rest)

    def quiet(self, seconds: float = 0.15) -> None:
        """Hears until nothing comes for so long."""
        while self.pump(seconds):
            pass

    def open(
        self, about: Scope | None = None, body: bytes = b"", *, more: bool = False, flags: int = 0
    ) -> PeerCall:
        call = PeerCall()
        self.link.open(call, about or scope(), body, more, flags)
        return call

    def call(self, about: Scope | None = None, body: bytes = b"", *, flags: int = 0) -> PeerCall:
        """Opens, and waits for the end."""
        call = self.open(about, body, flags=flags)
        self.flush()
        self.until(lambda: call.ended)
        return call

    def get(self, path: str) -> PeerCall:
        return self.call(scope(path=path.encode()))

    def ping(self) -> dict[str, Any]:
        count = len(self.pongs)
        self.link.ping(7)
        self.flush()
        self.until(lambda: len(self.pongs) > count)
        return self.pongs[-1]

    def _hear(self, call: Any, message: Message) -> None:
        if call is not None:
            self._hear_call(call, message)
        elif message[0] == HELLO:
            self.hello = message
        elif message[0] == READY:
            self.ready = message[1]
        elif message[0] == NOT_READY:
            self.not_ready = message[1:]
        elif message[0] == SLOTS:
            self.slots = message[1]
        elif message[0] == PONG:
            self.pongs.append(message[2])
        elif message[0] == DRAIN:
            self.drained = True
        elif message[0] == BYE:
            self.bye = message[1:]

    def _hear_call(self, call: PeerCall, message: Message) -> None:
        call.kinds.append(message[0])
        if message[0] == RESPONSE:
            _, _, call.status, headers, call.body, call.ended = message
            call.headers = list(headers)
            call.complete = True
        elif message[0] == RESPONSE_START:
            call.status, call.headers = message[2], list(message[3])
        elif message[0] == RESPONSE_BODY:
            call.body += message[2]
            call.complete = not message[3]
            call.ended = message[4]
            if self.take_bodies and not call.ended:
                self.link.taken(call, len(message[2]))
        elif message[0] == FILE:
            self._read_file(call, *message[2:5])
            call.ended = message[5]
        elif message[0] == RESPONSE_FILE:
            call.status, call.headers = message[2], list(message[3])
            self._read_file(call, *message[4:7])
            call.ended = message[7]
        elif message[0] == RESET:
            call.reset = (message[2], message[3])
        elif message[0] == EVENT:
            call.events.append(message[2])
        elif message[0] == WS_MESSAGE:
            call.pieces.append(message[2:])
            if self.take_bodies:
                data = message[2]
                size = len(data) if isinstance(data, bytes) else utf8_size(data)
                self.link.taken(call, size + self.link.message_overhead)
        elif message[0] == STARTED:
            call.started = True
        elif message[0] == END:
            call.ended = True

    def _read_file(self, call: PeerCall, number: int, offset: int, count: int) -> None:
        assert self.files is not None
        data, (fd,), _, _ = socket.recv_fds(self.files, 9, 2)
        assert int.from_bytes(data) == number
        try:
            call.body += os.pread(fd, count, offset)
        finally:
            os.close(fd)
        call.file, call.complete = (offset, count), True


class Listener:
    """The listening socket of one gateway in a pool's directory."""

    def __init__(self, run_dir: Path, pool: str = "default", name: str = "1") -> None:
        directory = run_dir / pool
        directory.mkdir(parents=True, exist_ok=True)
        self.path = directory / f"{name}.sock"
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.bind(str(self.path))
        self.sock.listen(16)

    def accept(
        self, timeout: float = TIMEOUT, *, ready: bool = True, greeting: Greeting | None = None
    ) -> GatewayPeer:
        self.sock.settimeout(timeout)
        peer = GatewayPeer(self.sock.accept()[0], greeting)
        if ready:
            peer.until(lambda: peer.slots)
        return peer

    def close(self) -> None:
        self.sock.close()
        self.path.unlink(missing_ok=True)


APPS = Path(__file__).parent / "apps"


def settings_of(app: str, run_dir: Path, *options: str) -> dict[str, Any]:
    """A worker's settings as its supervisor sends them, with what differs written as flags."""
    kinds = get_type_hints(WorkerSettings)
    told: dict[str, Any] = {
        "app": app, "run_dir": str(run_dir), "app_dir": str(APPS), "log_level": "debug",
    }  # fmt: skip
    words = [part for word in options for part in word.split("=", word.startswith("--"))]
    while words:
        name = words.pop(0).removeprefix("--").replace("-", "_")
        kind = kinds[name]
        if kind is bool:
            told[name] = True
        elif get_origin(kind) is Sequence:
            told[name] = [*told.get(name, []), words.pop(0)]
        else:
            word = words.pop(0)
            numeric = kind in (int, float) or (name == "limit_concurrency" and word != "auto")
            told[name] = (float if kind is float else int)(word) if numeric else word
    return told


class WorkerProcess:
    """A real `python -m propylon.worker`, on a channel."""

    def __init__(
        self,
        app: str,
        run_dir: Path,
        *options: str,
        channel: bool = True,
        code: Sequence[str] = ("-m", "propylon.worker"),
    ) -> None:
        ours, theirs = socket.socketpair()
        self.channel = ours
        self._lines = b""
        read, write = os.pipe()
        command = [sys.executable, *code, f"--settings-fd={read}"]
        if channel:
            command.append(f"--channel-fd={theirs.fileno()}")
        self.log = run_dir / f"worker-{time.monotonic_ns()}.log"
        with theirs, self.log.open("wb") as log:
            self.process = subprocess.Popen(
                command,
                stderr=log,
                stdin=subprocess.DEVNULL,
                pass_fds=[read, theirs.fileno()] if channel else [read],
            )
        os.close(read)
        with open(write, "wb") as pipe:
            pipe.write(json.dumps(settings_of(app, run_dir, *options)).encode())

    def report(self) -> dict[str, Any]:
        """The next line on the channel."""
        self.channel.settimeout(TIMEOUT)
        while b"\n" not in self._lines:
            data = self.channel.recv(65_536)
            assert data, f"the channel was cut:\n{self.errors}"
            self._lines += data
        line, _, self._lines = self._lines.partition(b"\n")
        return json.loads(line)

    def reports(
        self, event: str, until: Callable[[dict[str, Any]], object] = bool
    ) -> dict[str, Any]:
        """The next report of that kind for which it is true."""
        deadline = time.monotonic() + TIMEOUT
        while (report := self.report())["event"] != event or not until(report):
            assert time.monotonic() < deadline, f"the last was {report}"
        return report

    def wait(self, timeout: float = TIMEOUT) -> int:
        return self.process.wait(timeout)

    @property
    def errors(self) -> str:
        return self.log.read_text()

    def close(self) -> None:
        self.channel.close()
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()


@contextlib.contextmanager
def running(
    app: str,
    run_dir: Path,
    *options: str,
    code: Sequence[str] = ("-m", "propylon.worker"),
    greeting: Greeting | None = None,
) -> Iterator[tuple[WorkerProcess, GatewayPeer]]:
    """A worker that is ready, and its link to one gateway."""
    listener = Listener(run_dir)
    worker = WorkerProcess(app, run_dir, *options, code=code)
    peer = None
    try:
        assert (report := worker.report())["event"] == "ready", report
        peer = listener.accept(greeting=greeting)
        yield worker, peer
    finally:
        worker.close()
        listener.close()
        if peer is not None:
            peer.sock.close()


@contextlib.contextmanager
def by_hand(app: str, run_dir: Path, *options: str) -> Iterator[tuple[WorkerProcess, GatewayPeer]]:
    """As `running`, but of a worker without a supervisor."""
    listener = Listener(run_dir)
    worker = WorkerProcess(app, run_dir, *options, channel=False)
    try:
        peer = listener.accept()
        yield worker, peer
        peer.sock.close()
    finally:
        worker.close()
        listener.close()


def abandon_downloads(peer: GatewayPeer, count: int) -> list[PeerCall]:
    """Downloads of `asgi_apps` whose clients have left in their midst. The resets go out with what
    is said next."""
    peer.take_bodies = False
    calls = [peer.open(scope(path=b"/download", query=b"%d" % number)) for number in range(count)]
    peer.flush()
    peer.until(lambda: all(len(call.body) == WINDOW for call in calls))
    for call in calls:
        peer.link.reset(call, CLIENT_GONE, "the client is gone")
    peer.take_bodies = True
    return calls
