"""How things end: the gateway's drain and a worker's, with clients of every kind at work."""

import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import httpx
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.frames import Close
from websockets.sync.client import ClientConnection, connect

from .server import APPS, DEADLINE, Propylon, wait_for

GET = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n"


def ask(sock: socket.socket) -> bytes:
    """One request on a connection that stays; its response in one piece, b"" for the end."""
    sock.sendall(GET)
    return sock.recv(65_536)


def dial(propylon: Propylon, path: str = "/") -> ClientConnection:
    url = propylon.url.replace("http:", "ws:") + path
    return connect(url, open_timeout=DEADLINE, close_timeout=DEADLINE, ping_interval=None)


def end_of(websocket: ClientConnection) -> Close | None:
    """The close that ends it."""
    try:
        while True:
            websocket.recv(DEADLINE)
    except ConnectionClosed as closed:
        return closed.rcvd


# -- the gateway's drain -------------------------------------------------------------------------


@pytest.mark.slow
def test_for_the_drain_delay_clients_are_served_and_sent_elsewhere() -> None:
    with Propylon("asgi_raw:app", "--drain-delay", "1.5") as propylon, ExitStack() as stack:
        kept = stack.enter_context(closing(socket.create_connection(propylon.address, DEADLINE)))
        assert b"connection: close" not in ask(kept)
        propylon.process.send_signal(signal.SIGTERM)
        began = time.monotonic()

        def says_close() -> bool:
            with closing(socket.create_connection(propylon.address, DEADLINE)) as new:
                return b"connection: close" in ask(new)

        wait_for(says_close, "responses that close")
        assert b"connection: close" in ask(kept)
        assert kept.recv(1) == b"", "and it does"
        while time.monotonic() < began + 1.2:
            assert says_close()

        def refused() -> bool:
            try:
                says_close()
            except ConnectionRefusedError:
                return True
            return False

        wait_for(refused, "the end of accepting")
        assert propylon.process.wait(DEADLINE) == 0


def test_a_second_signal_ends_the_delay() -> None:
    with Propylon("asgi_raw:app", "--drain-delay", "25") as propylon:
        propylon.process.send_signal(signal.SIGTERM)
        propylon.stderr.find("Stopping on SIGTERM")
        began = time.monotonic()
        propylon.process.send_signal(signal.SIGTERM)
        assert propylon.process.wait(DEADLINE) == 0
        assert time.monotonic() - began < 10


def test_a_request_that_crosses_the_end_is_answered() -> None:
    """On a connection that was idle when the drain began."""
    with (
        Propylon("asgi_raw:app") as propylon,
        closing(socket.create_connection(propylon.address, DEADLINE)) as idle,
    ):
        assert ask(idle).startswith(b"HTTP/1.1 200 ")
        propylon.process.send_signal(signal.SIGTERM)

        def refused() -> bool:
            try:
                socket.create_connection(propylon.address, DEADLINE).close()
            except ConnectionRefusedError:
                return True
            return False

        wait_for(refused, "the drain")
        answer = ask(idle)
        assert answer.startswith(b"HTTP/1.1 200 ")
        assert b"connection: close" in answer
        assert idle.recv(1) == b""
        assert propylon.process.wait(DEADLINE) == 0


def test_an_idle_connection_ends_without_a_reset() -> None:
    """What its client sends a moment too late is not answered; but nor is the connection reset."""
    with (
        Propylon("asgi_raw:app") as propylon,
        closing(socket.create_connection(propylon.address, DEADLINE)) as idle,
    ):
        assert ask(idle).startswith(b"HTTP/1.1 200 ")
        propylon.process.send_signal(signal.SIGTERM)
        assert idle.recv(1) == b""
        idle.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        idle.sendall(GET[:9])
        idle.sendall(GET[9:])  # a reset would have come for the first
        assert idle.recv(1) == b""
        assert propylon.process.wait(DEADLINE) == 0


@pytest.fixture
def told(tmp_path: Path) -> Path:
    return tmp_path / "told"


def test_an_app_is_told_of_the_restart(told: Path) -> None:
    with Propylon("websocket_raw:app") as propylon, dial(propylon, f"/told?file={told}") as one:
        propylon.process.send_signal(signal.SIGTERM)
        close = end_of(one)
        assert close is not None
        assert (close.code, close.reason) == (1012, "service restart")
        wait_for(told.exists, "the app's disconnect")
        assert told.read_text() == "1012 service restart OSError"


@pytest.mark.slow
def test_many_websockets_are_not_closed_all_at_once() -> None:
    """Those that wait for their turn are as they were; all hear 1012."""
    with Propylon("websocket_raw:app") as propylon, ExitStack() as stack:
        sockets = [stack.enter_context(dial(propylon)) for _ in range(150)]
        with ThreadPoolExecutor(len(sockets)) as threads:
            ends = [threads.submit(echo_until_closed, one) for one in sockets]
            propylon.process.send_signal(signal.SIGTERM)
            codes, echoes, closes = zip(*(end.result(DEADLINE) for end in ends), strict=True)
        assert set(codes) == {1012}
        assert max(closes) - min(closes) > 0.5
        assert max(echoes) - min(closes) > 0.3
        assert propylon.process.wait(DEADLINE) == 0


def echo_until_closed(websocket: ClientConnection) -> tuple[int, float, float]:
    """The code of the close, and when the last echo and the close came."""
    echoed = 0.0
    try:
        while True:
            websocket.send("hello")
            if websocket.recv(DEADLINE) == "hello":
                echoed = time.monotonic()
            time.sleep(0.05)
    except ConnectionClosed as closed:
        return closed.rcvd.code if closed.rcvd else 0, echoed, time.monotonic()


@pytest.mark.slow
def test_a_stream_may_run_until_the_deadline() -> None:
    with (
        Propylon("asgi_raw:app", "--timeout-graceful-shutdown", "3") as propylon,
        propylon.client() as client,
        client.stream("GET", "/trickle?n=5") as whole,
        client.stream("GET", "/trickle?n=600") as cut,
    ):
        propylon.process.send_signal(signal.SIGTERM)
        assert "".join(whole.iter_text()).endswith("." * 5)
        with pytest.raises(httpx.RemoteProtocolError):
            cut.read()
        propylon.process.wait(DEADLINE)
        assert "outlived the graceful timeout" in propylon.stderr.finish()


# -- a worker's drain ----------------------------------------------------------------------------


@pytest.mark.parametrize("workers", ["1", pytest.param("2", marks=pytest.mark.slow)])
def test_a_worker_that_is_told_to_end(workers: str, tmp_path: Path) -> None:
    """Its WebSockets hear 1012, its responses go on to their end, and it exits; another takes its
    place, and no request fails meanwhile."""
    with Propylon("mixed:app", "-w", workers, cwd=mixed(tmp_path)) as propylon:
        failed: list[str] = []
        with ExitStack() as stack, asking(propylon, failed):
            sockets = [stack.enter_context(dial(propylon)) for _ in range(6)]
            pids = [int(websocket.recv(DEADLINE)) for websocket in sockets]
            victim = pids[0]
            client = stack.enter_context(propylon.client())
            streams = [stack.enter_context(client.stream("GET", "/trickle?n=20")) for _ in range(2)]
            pieces = [stream.iter_text() for stream in streams]
            for one in pieces:
                next(one)
            os.kill(victim, signal.SIGTERM)
            for websocket, pid in zip(sockets, pids, strict=True):
                if pid == victim:
                    close = end_of(websocket)
                    assert close is not None
                    assert close.code == 1012
            wait_for(lambda: list(tmp_path.glob(f"told-{victim}-*")), "the app's disconnect")
            heard = {file.read_text() for file in tmp_path.glob("told-*")}
            assert heard == {"1012 service restart"}
            assert ["".join(one).count(".") for one in pieces] == [20, 20]
            wait_for(lambda: victim not in propylon.pids("worker"), "the worker's end")
            wait_for(lambda: len(propylon.pids("worker")) == int(workers), "its successor")
            for websocket, pid in zip(sockets, pids, strict=True):
                if pid != victim:
                    websocket.send("still here")
                    assert websocket.recv(DEADLINE) == "still here"
        assert not failed, failed[:5]


def mixed(folder: Path) -> Path:
    """An app that tells WebSockets its pid, echoes, and writes down how they end; asgi_raw for the
    rest."""
    (folder / "mixed.py").write_text(
        f"import os, sys\nsys.path.insert(0, {str(APPS)!r})\n"
        "import asgi_raw\n"
        "async def app(scope, receive, send):\n"
        "    if scope['type'] != 'websocket':\n"
        "        return await asgi_raw.app(scope, receive, send)\n"
        "    await receive()\n"
        "    await send({'type': 'websocket.accept'})\n"
        "    await send({'type': 'websocket.send', 'text': str(os.getpid())})\n"
        "    while (event := await receive())['type'] == 'websocket.receive':\n"
        "        await send({'type': 'websocket.send', 'text': event['text']})\n"
        f"    file = {str(folder)!r} + f'/told-{{os.getpid()}}-{{id(event)}}'\n"
        "    asgi_raw.mark(file, f\"{event['code']} {event['reason']}\")\n"
    )
    return folder


@contextmanager
def asking(propylon: Propylon, failed: list[str]) -> Iterator[None]:
    """Clients that ask all the time: one on a connection that it keeps, one on new ones."""
    stop = threading.Event()

    def ask_on(keep: bool) -> None:
        with propylon.client() as client:
            while not stop.is_set():
                try:
                    got = (client if keep else httpx).get(
                        propylon.url + "/", timeout=DEADLINE, **({} if keep else NO_PROXY)
                    )
                    if got.text != "hello":
                        failed.append(f"{got.status_code} {got.text}")
                except httpx.HTTPError as error:
                    failed.append(repr(error))
                time.sleep(0.002)

    with ThreadPoolExecutor() as threads:
        askers = [threads.submit(ask_on, keep) for keep in (True, False)]
        try:
            yield
        finally:
            stop.set()
            for asker in askers:
                asker.result(DEADLINE)


NO_PROXY = {"trust_env": False}


def test_a_reload_closes_websockets_and_lets_streams_end(tmp_path: Path) -> None:
    with Propylon("mixed:app", "-w", "2", cwd=mixed(tmp_path)) as propylon:
        failed: list[str] = []
        with ExitStack() as stack, asking(propylon, failed):
            sockets = [stack.enter_context(dial(propylon)) for _ in range(6)]
            client = stack.enter_context(propylon.client())
            stream = stack.enter_context(client.stream("GET", "/trickle?n=30"))
            pieces = stream.iter_text()
            next(pieces)
            old = propylon.pids("worker")
            propylon.process.send_signal(signal.SIGHUP)
            ends = [end_of(one) for one in sockets]
            assert [end.code for end in ends if end is not None] == [1012] * 6
            assert "".join(pieces).count(".") == 30
            wait_for(lambda: not set(old) & set(propylon.pids("worker")), "the old workers' end")
            with dial(propylon) as again:
                assert int(again.recv(DEADLINE)) not in old
        assert not failed, failed[:5]


@pytest.mark.slow
def test_a_websocket_that_is_accepted_while_its_worker_leaves(tmp_path: Path) -> None:
    began = tmp_path / "began"
    with Propylon("websocket_raw:app") as propylon, ThreadPoolExecutor() as threads:
        dialled = threads.submit(dial, propylon, f"/accept_later?s=0.7&file={began}")
        wait_for(began.exists, "the app's turn")
        (pid,) = propylon.pids("worker")
        os.kill(pid, signal.SIGTERM)
        with dialled.result(DEADLINE) as websocket:
            close = end_of(websocket)
            assert close is not None
            assert close.code == 1012
