"""What gateway processes count, against what their clients did."""

import socket
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from propylon.gateway.metrics.snapshot import Snapshot, from_wire
from propylon.gateway.settings import (
    GatewaySettings,
    ListenerSettings,
    LogSettings,
    PoolSettings,
    RouteSettings,
)
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from ..gateway.gateway_process import GatewayProcess
from .server import DEADLINE, wait_for
from .test_drain import NO_PROXY
from .test_sidecar import Part


class Two:
    """Two gateway processes for the same two pools, each with a port of its own."""

    def __init__(self, processes: list[GatewayProcess], ports: list[int]) -> None:
        self.processes, self.ports = processes, ports
        self._token = 0

    def snapshots(self) -> list[Snapshot]:
        self._token += 1
        found: list[Snapshot] = []
        for process in self.processes:
            process.channel.sendall(b"metrics %d\n" % self._token)
            event = process.event("metrics")
            assert event["token"] == self._token
            found.append(from_wire(event["snapshot"]))
        return found


@contextmanager
def two(tmp_path: Path) -> Iterator[Two]:
    for pool in ("web", "ws"):
        (tmp_path / pool).mkdir()
    processes: list[GatewayProcess] = []
    ports: list[int] = []
    try:
        for number in (1, 2):
            with socket.create_server(("127.0.0.1", 0)) as listener:
                ports.append(listener.getsockname()[1])
                told = GatewaySettings(
                    gateway=number,
                    door=str(number),
                    run_dir=str(tmp_path),
                    listeners=(ListenerSettings(fd=listener.fileno(), address="test"),),
                    pools=(PoolSettings(name="web"), PoolSettings(name="ws")),
                    routes=(
                        RouteSettings(pool="web", prefix="/api"),
                        RouteSettings(pool="ws", host="ws.test"),
                    ),
                    log=LogSettings(access_log=""),
                )
                log = tmp_path / f"log{number}"
                processes.append(GatewayProcess(told, log, (listener.fileno(),)))
        for process in processes:
            process.event("listening")
        yield Two(processes, ports)
    finally:
        for process in processes:
            process.channel.close()
            process.process.kill()
            process.process.wait()


def raw(port: int, data: bytes) -> bytes:
    """All that comes back."""
    with socket.create_connection(("127.0.0.1", port), DEADLINE) as client:
        client.sendall(data)
        return b"".join(iter(lambda: client.recv(65_536), b""))


def added(snapshots: list[Snapshot], family: str) -> Counter[tuple[str, ...]]:
    """The series of all processes, added up."""
    found: Counter[tuple[str, ...]] = Counter()
    for snapshot in snapshots:
        for labels, value in snapshot[f"propylon_{family}"].items():
            number: Any = sum(value[1:]) if isinstance(value, list) else value
            found[labels] += number
    return found


def seconds(snapshots: list[Snapshot], family: str, *labels: str) -> float:
    values: list[Any] = [
        snapshot[f"propylon_{family}"].get(labels, [0.0]) for snapshot in snapshots
    ]
    return sum(value[0] for value in values)


@pytest.fixture
def started(tmp_path: Path) -> Iterator[Two]:
    shared = ["--run-dir", str(tmp_path)]
    with (
        two(tmp_path) as gateways,
        Part("worker", "asgi_raw:app", "--pool", "web", *shared),
        Part("worker", "websocket_raw:app", "--pool", "ws", *shared),
    ):
        wait_for(
            lambda: all(
                all(snapshot["propylon_pool_slots"].values()) for snapshot in gateways.snapshots()
            ),
            "the workers' slots at each gateway",
        )
        yield gateways


def test_counters_are_what_clients_did(started: Two) -> None:
    one, other = started.ports
    # Besides each client's first: an echo that begins before all of its request has come says
    # `Connection: close`, and the client dials once more.
    dialled = 2 + 1 + 3 + 2
    for port in started.ports:
        with httpx.Client(
            base_url=f"http://127.0.0.1:{port}", timeout=DEADLINE, **NO_PROXY
        ) as client:
            for _ in range(3):
                assert client.get("/api/hello?secret=1").text == "hello"
            echo = client.post("/api/echo", content=b"x" * 100_000)
            assert echo.status_code == 200
            dialled += echo.headers.get("connection") == "close"
            assert client.request("DELETE", "/nothing-here").status_code == 404
            assert client.get("/api/crash").status_code == 500
            assert client.request("BREW", "/api/").status_code == 200
    with pytest.raises(httpx.RemoteProtocolError):
        httpx.get(f"http://127.0.0.1:{one}/api/crash?after=10&s=0.1", timeout=DEADLINE, **NO_PROXY)
    assert b" 400 " in raw(one, b"GET /x HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n")
    assert b" 431 " in raw(other, b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 200_000)
    raw(other, b'GET /"{\xff\n\n=\xc3\x28 / HTTP/1.1\r\nHost: a\r\n\r\n')
    with connect(
        f"ws://ws.test:{other}/echo", sock=socket.create_connection(("127.0.0.1", other))
    ) as websocket:
        for text in ("one", "three"):
            websocket.send(text)
            assert websocket.recv() == text
        snapshots = started.snapshots()
        assert added(snapshots, "websockets") == {("web",): 0, ("ws",): 1}
        assert added(snapshots, "connections")["websocket",] == 1
        assert added(snapshots, "pool_running")["ws",] == 1
    with connect(
        f"ws://ws.test:{other}/crash", sock=socket.create_connection(("127.0.0.1", other))
    ) as websocket:
        websocket.send("crash")
        with pytest.raises(ConnectionClosed):
            websocket.recv()

    ended = wait_for(
        lambda: (
            (last := started.snapshots())
            and added(last, "websocket_duration_seconds")["ws", "ws.test/"] == 2
            and last
        ),
        "the WebSockets' end",
    )
    requests = added(ended, "requests_total")
    api = {labels[2:]: count for labels, count in requests.items() if labels[1] == "/api/"}
    assert api == {
        ("GET", "200", "ok"): 6,
        ("POST", "200", "ok"): 2,
        ("GET", "500", "app_failed"): 2,
        ("other", "200", "ok"): 2,
        ("GET", "200", "app_failed_response"): 1,
    }
    assert {labels[0] for labels in requests if labels[1] == "/api/"} == {"web"}
    no_route = {labels: count for labels, count in requests.items() if not labels[1]}
    assert no_route["", "", "DELETE", "404", "gateway_no_route"] == 2
    assert no_route["", "", "GET", "400", "client_malformed"] == 1
    assert no_route["", "", "GET", "431", "client_too_large"] == 1
    assert sum(no_route.values()) == 5
    assert added(ended, "requests_refused_total") == {
        ("", "malformed"): 2, ("", "no_route"): 2, ("", "head_too_large"): 1
    }  # fmt: skip
    for family in ("request_duration_seconds", "request_queue_seconds", "request_app_seconds"):
        assert added(ended, family)["web", "/api/"] == 13
    assert (
        0
        < seconds(ended, "request_app_seconds", "web", "/api/")
        <= seconds(ended, "request_duration_seconds", "web", "/api/")
    )
    assert added(ended, "request_body_bytes_total")["web", "/api/"] == 200_000
    assert added(ended, "response_body_bytes_total")["web", "/api/"] >= 200_000 + 6 * 5
    assert added(ended, "request_body_bytes_total")["ws", "ws.test/"] == len("onethreecrash")
    assert added(ended, "response_body_bytes_total")["ws", "ws.test/"] >= 8
    assert added(ended, "websocket_messages_total")["received",] == 3
    assert added(ended, "websocket_messages_total")["sent",] >= 2
    assert added(ended, "connections_accepted_total")[()] == dialled
    assert added(ended, "websockets")["ws",] == 0
    shown = repr(ended)
    assert "secret" not in shown
    assert "BREW" not in shown
    assert "{" not in "".join(requests_of(ended))


def requests_of(snapshots: list[Snapshot]) -> Iterator[str]:
    """Every label of every series."""
    for snapshot in snapshots:
        for series in snapshot.values():
            for labels in series:
                yield from labels
