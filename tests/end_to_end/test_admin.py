"""The admin listener of a real instance: what it says of processes that hang, drain and are
replaced, and that neither an upgrade nor a crowd of hostile clients takes it away.
"""

import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import httpx
import pytest

from .operating import deploy, done, settled, traffic
from .server import APPS, DEADLINE, Output, Propylon, resident, wait_for
from .test_sidecar import Part
from .test_status import asked as asked_by_command

ADMIN = ("--admin-bind", "127.0.0.1:0")
RAW = ("asgi_raw:app", "--lifespan", "off", "--no-access-log")


def admin_url(stderr: Output) -> str:
    return stderr.find(r"Admin listener on .*?(http://[^\s,]+)")[1]


def admin_client(stderr: Output) -> httpx.Client:
    return httpx.Client(base_url=admin_url(stderr), timeout=DEADLINE, trust_env=False)


def answer(client: httpx.Client, path: str) -> tuple[int, str]:
    response = client.get(path)
    return response.status_code, response.text


@contextmanager
def serving(*more: str, cwd: Path = APPS) -> Iterator[tuple[Propylon, httpx.Client]]:
    arguments = more if more and ":" in more[0] else (*RAW, *more)
    with (
        Propylon(*arguments, *ADMIN, cwd=cwd) as server,
        admin_client(server.stderr) as client,
    ):
        wait_for(lambda: client.get("/readyz").status_code == 200, "it is ready")
        yield server, client


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("a") / "a.sock"


@pytest.fixture(scope="module")
def shared(path: Path) -> Iterator[tuple[Propylon, httpx.Client]]:
    run_dir = ("--run-dir", str(path.with_name("run")))
    with serving("--admin-bind", f"unix:{path}?mode=600", *run_dir) as both:
        yield both


def test_it_is_healthy(shared: tuple[Propylon, httpx.Client]) -> None:
    _, client = shared
    for question in ("livez", "readyz", "startupz"):
        assert answer(client, f"/{question}") == (200, "ok\n")
        _, text = answer(client, f"/{question}?verbose")
        assert text.endswith(f"{question} check passed\n")
    assert "[+]pool default ok" in client.get("/readyz?verbose").text


def test_its_status_is_that_of_the_command(
    shared: tuple[Propylon, httpx.Client], path: Path
) -> None:
    _, client = shared
    ours = client.get("/status").json()
    theirs = json.loads(asked_by_command(path.with_name("run"), "--json").stdout)
    assert ours.keys() == theirs.keys()
    for changing in ("uptime", "gateways", "pools", "traffic"):
        ours.pop(changing), theirs.pop(changing)
    assert ours == theirs


def test_its_metrics_count_what_was_served(shared: tuple[Propylon, httpx.Client]) -> None:
    server, client = shared
    with server.client() as app:
        assert app.get("/hello?secret=1").status_code == 200
    page = client.get("/metrics").text
    assert re.search(r'^propylon_requests_total{.*pool="default".*} 1\.0$', page, re.M)
    assert "secret" not in page + client.get("/status").text


def test_nothing_can_be_changed_by_it(shared: tuple[Propylon, httpx.Client]) -> None:
    server, client = shared
    for method in ("POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"):
        for verb in ("/", "/status", "/stop", "/reload", "/metrics"):
            assert client.request(method, verb).status_code == 405
    for verb in ("stop", "reload", "upgrade", "scale", "drain", "rollback"):
        assert client.get(f"/{verb}").status_code == 404
    assert server.process.poll() is None


def test_a_unix_socket_is_its_owner_s_alone(
    shared: tuple[Propylon, httpx.Client], path: Path
) -> None:
    assert path.stat().st_mode & 0o777 == 0o600
    with httpx.Client(transport=httpx.HTTPTransport(uds=str(path))) as client:
        assert client.get("http://any.example/readyz").text == "ok\n"


def test_an_address_that_is_taken_refuses_the_start(shared: tuple[Propylon, httpx.Client]) -> None:
    _, client = shared
    taken = f"127.0.0.1:{client.base_url.port}"
    why = f"cannot listen on {taken}: .* listens there already"
    with pytest.raises(AssertionError, match=why), Propylon(*RAW, "--admin-bind", taken):
        pass


def test_what_it_costs_when_it_is_off(tmp_path: Path) -> None:
    """The supervisor imports none of what serves HTTP, and no child hears of it."""
    command = [sys.executable, "-X", "importtime", "-c"]
    command += ["from propylon.gateway.cli import main; main()", "serve", *RAW, "--port", "0"]
    with Imports(command) as imports:
        imports.stderr.find("Serving on", imports.process)
        assert "propylon.gateway.supervisor.supervisor" in imports.stderr.text
        for room in ("admin", "serve", "http1", "handlers"):
            assert f"propylon.gateway.{room}" not in imports.stderr.text


class Imports(Part):
    """A supervisor that says what it imports."""

    def __init__(self, command: list[str]) -> None:
        self.process = subprocess.Popen(
            command, stderr=subprocess.PIPE, text=True, cwd=APPS, stdout=subprocess.DEVNULL
        )
        assert self.process.stderr is not None
        self.stderr = Output(self.process.stderr)

    def __exit__(self, *_: object) -> None:
        self.terminate()
        assert self.ended() == 0
        self.stderr.finish()


# -- processes that hang -----------------------------------------------------------------------


@pytest.mark.slow
def test_a_gateway_that_hangs_is_named(tmp_path: Path) -> None:
    with serving("--gateways", "2", "--heartbeat-timeout", "2") as (server, client):
        gateway = server.pids("gateway")[0]
        os.kill(gateway, signal.SIGSTOP)
        try:
            wait_for(lambda: client.get("/livez").status_code == 503, "it counts as hung")
            code, text = answer(client, "/livez")
            assert code == 503
            assert re.fullmatch(rf"\[-\]gateways: gateway \d \(pid {gateway}\) hangs\n", text)
            assert "[-]gateways: gateway" in client.get("/livez?verbose").text
            assert client.get("/readyz").status_code == 200  # the other one accepts
        finally:
            os.kill(gateway, signal.SIGCONT)
        wait_for(lambda: client.get("/livez").status_code == 200, "it is alive")


@pytest.mark.slow
def test_workers_that_hang_make_it_unready_and_leave_it_alive(tmp_path: Path) -> None:
    deploy(tmp_path, "v", in_call="time.sleep(0 if scope['path'] == '/' else 1000)")
    flags = ("changing:app", "-w", "2", "--heartbeat-timeout", "2", "--no-access-log")
    with serving(*flags, cwd=tmp_path) as (server, client):
        victims = [socket.create_connection(server.address, DEADLINE) for _ in range(2)]
        for victim in victims:
            victim.sendall(b"POST /block HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n")
        unready = (503, "[-]pool default: no worker is ready\n")
        wait_for(lambda: answer(client, "/readyz") == unready, "both hang")
        assert client.get("/livez").status_code == 200
        assert client.get("/startupz").status_code == 200
        wait_for(lambda: client.get("/readyz").status_code == 200, "one has been replaced")
        settled(server, 2)
        for victim in victims:
            victim.close()


@pytest.mark.slow
def test_a_queue_that_is_too_long_makes_it_unready(tmp_path: Path) -> None:
    deploy(tmp_path, "v", in_call="await asyncio.sleep(2 * (scope['path'] == '/slow'))")
    limits = ("--limit-concurrency", "1", "--admin-max-queue-time", "0.5")
    with serving("changing:app", *limits, "--no-access-log", cwd=tmp_path) as (server, client):
        asking = [socket.create_connection(server.address, DEADLINE) for _ in range(2)]
        for one in asking:
            one.sendall(b"GET /slow HTTP/1.1\r\nHost: h\r\n\r\n")
        wait_for(lambda: client.get("/readyz").status_code == 503, "it is overloaded")
        assert re.fullmatch(
            r"\[-\]queue of pool default: overloaded, a request has waited [0-9.]+ s for a worker "
            r"\(--admin-max-queue-time 0.5\)\n",
            client.get("/readyz").text,
        )
        assert client.get("/livez").status_code == 200
        wait_for(lambda: client.get("/readyz").status_code == 200, "it has caught up")
        for one in asking:
            one.close()


# -- start, stop, upgrade ----------------------------------------------------------------------


@pytest.mark.slow
def test_it_says_when_it_has_started_and_when_it_drains(tmp_path: Path) -> None:
    deploy(
        tmp_path, "v", in_startup=wait_until(tmp_path / "go"), in_call="await asyncio.sleep(0.6)"
    )
    with closing(socket.create_server(("127.0.0.1", 0))) as free:
        port = free.getsockname()[1]
    flags = ("--admin-bind", f"127.0.0.1:{port}", "--no-access-log")
    client = httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=DEADLINE, trust_env=False)
    seen: list[tuple[int, str]] = []

    def look_before_it_starts() -> None:
        with suppress(AssertionError):
            wait_for(lambda: asked(client, "/livez") == (200, "ok\n"), "it is alive")
            seen.extend(asked(client, path) for path in ("/startupz", "/readyz"))
        (tmp_path / "go").touch()

    looking = threading.Thread(target=look_before_it_starts)
    looking.start()
    with closing(client), Propylon("changing:app", *flags, cwd=tmp_path) as server:
        looking.join()
        assert [code for code, _ in seen] == [503, 503]
        assert seen[0][1].startswith("[-]startup: not ready yet (accepting: starting")
        wait_for(lambda: client.get("/startupz").status_code == 200, "it has started")
        with closing(socket.create_connection(server.address, DEADLINE)) as busy:
            busy.sendall(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
            time.sleep(0.1)
            server.process.send_signal(signal.SIGTERM)
            server.stderr.find("Stopping on SIGTERM")
            draining = (503, "[-]accepting: draining\n")
            wait_for(lambda: answer(client, "/readyz") == draining, "it says so")
            assert answer(client, "/livez") == (200, "ok\n")
            assert answer(client, "/startupz") == (200, "ok\n")
            assert busy.recv(100).startswith(b"HTTP/1.1 200")


def wait_until(path: Path) -> str:
    return f"exec({f'while not os.path.exists({str(path)!r}): time.sleep(0.01)'!r})"


def asked(client: httpx.Client, path: str) -> tuple[int, str] | None:
    try:
        return answer(client, path)
    except httpx.TransportError:
        return None


@pytest.mark.slow
def test_an_upgrade_refuses_no_client(tmp_path: Path) -> None:
    deploy(tmp_path, "v")
    flags = ("changing:app", "--no-access-log", "--admin-bind", f"unix:{tmp_path}/a.sock")
    with serving(*flags, cwd=tmp_path) as (server, client):
        failures: list[str] = []
        counts = [0, 0]
        over = threading.Event()
        address = client.base_url.host, client.base_url.port

        def poll(number: int, keep: bool) -> None:
            connection = http.client.HTTPConnection(*address, timeout=DEADLINE)
            while not over.wait(0.01):
                try:
                    fields = {} if keep else {"Connection": "close"}
                    connection.request("GET", "/startupz", headers=fields)
                    response = connection.getresponse()
                    if (body := response.read()) != b"ok\n":
                        failures.append(f"{response.status} {body!r}")
                    counts[number] += 1
                except (OSError, http.client.HTTPException) as error:
                    failures.append(repr(error))
                    connection.close()
            connection.close()

        threads = [threading.Thread(target=poll, args=(n, bool(n))) for n in range(2)]
        for thread in threads:
            thread.start()
        try:
            inode = (tmp_path / "a.sock").stat().st_ino
            with client.stream("GET", "/events") as events:
                done(server, "upgrade")
                assert "event: status" in "".join(events.iter_text())  # whole, and at its end
            server.stderr.find("Took over from older code")
            before = counts.copy()
            wait_for(lambda: all(a > b + 5 for a, b in zip(counts, before, strict=True)), "polls")
            wait_for(lambda: client.get("/readyz").status_code == 200, "it is ready")
            assert (tmp_path / "a.sock").stat().st_ino == inode
        finally:
            over.set()
            for thread in threads:
                thread.join()
        assert not failures
    assert not (tmp_path / "a.sock").exists()


@pytest.mark.slow
def test_an_upgrade_that_fails_leaves_it_there(tmp_path: Path) -> None:
    deploy(tmp_path, "v")
    (tmp_path / "propylon.toml").write_text("workers = 1\n")
    with serving("changing:app", cwd=tmp_path) as (server, client):
        (tmp_path / "propylon.toml").write_text("workers = 2\n")
        server.process.send_signal(signal.SIGUSR2)
        server.stderr.find("SIGUSR2: not upgraded: the configuration has changed")
        assert client.get("/readyz").status_code == 200


# -- gateway and workers apart -----------------------------------------------------------------


@pytest.mark.slow
def test_each_half_of_a_sidecar_has_its_own(tmp_path: Path) -> None:
    flags = ("--run-dir", str(tmp_path / "run"), *ADMIN)
    with Part("gateway", "-b", "127.0.0.1:0", *flags) as gateway:
        with admin_client(gateway.stderr) as client:
            gateway.stderr.find("Serving on", gateway.process)
            assert answer(client, "/livez") == (200, "ok\n")
            assert answer(client, "/readyz") == (503, "[-]pool default: no worker is ready\n")
            assert answer(client, "/startupz") == (200, "ok\n")
            with Part("worker", "asgi_raw:app", "--lifespan", "off", *flags) as worker:
                with admin_client(worker.stderr) as its:
                    wait_for(lambda: its.get("/readyz").status_code == 200, "the worker is ready")
                    wait_for(lambda: client.get("/readyz").status_code == 200, "it is linked")
                    assert "accepting" not in json.dumps(its.get("/status").json())
                worker.terminate()
                assert worker.ended() == 0
            wait_for(lambda: client.get("/readyz").status_code == 503, "it is ready no more")
            assert client.get("/startupz").status_code == 200
        gateway.terminate()
        assert gateway.ended() == 0


# -- a crowd -----------------------------------------------------------------------------------

CROWD = 3_000
HOSTILE = (
    b"",
    b"GET /metrics HT",
    b"GET /metrics HTTP/1.1\r\nHost: [::1]\r\nX-" + b"a" * 9_000,
    b"GET /status HTTP/1.1\r\nHost: [::1]\r\n\r\n" * 50,  # and reads nothing
    b"POST /status HTTP/1.1\r\nHost: [::1]\r\nContent-Length: 100000000\r\n\r\nabc",
    b"GET /events HTTP/1.1\r\nHost: [::1]\r\nRange: bytes=0-1\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",  # TLS
)


@pytest.mark.slow
def test_a_crowd_of_hostile_clients_takes_nothing_from_anybody(tmp_path: Path) -> None:
    """Thousands of connections, all open at once: a scraper and the app's clients do not notice,
    and the supervisor has no more files and memory than before."""
    deploy(tmp_path, "v")
    with serving("changing:app", "-w", "2", "--no-access-log", cwd=tmp_path) as (server, client):
        settled(server, 2)
        pid, address = server.process.pid, (client.base_url.host, client.base_url.port)
        client.get("/metrics")
        memory, most_files = resident(pid), [0]
        crowd: list[socket.socket] = []
        with traffic(server, keeping=1, new=0) as clients:
            for number in range(CROWD):
                hostile = socket.create_connection(address, DEADLINE)
                with suppress(OSError):
                    hostile.sendall(HOSTILE[number % len(HOSTILE)])
                crowd.append(hostile)
                if number % 100 == 0:
                    began = time.monotonic()
                    with httpx.Client(base_url=client.base_url, timeout=DEADLINE) as scraper:
                        for path in ("/metrics", "/livez", "/status"):
                            assert scraper.get(path).status_code == 200
                    assert time.monotonic() - began < DEADLINE / 4
                    most_files.append(len(os.listdir(f"/proc/{pid}/fd")))
            clients.more(50)
        assert max(most_files) < 64 + 64
        assert resident(pid) - memory < 32 * 1024 * 1024
        for hostile in crowd:
            hostile.close()
        assert client.get("/livez").text == "ok\n"
