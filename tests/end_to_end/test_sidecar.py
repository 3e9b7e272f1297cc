"""Gateway and workers apart, as in a pod: who is told first, and what each hears of the other."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import httpx
import msgspec
import pytest
from propylon.gateway.settings import GatewaySettings, ListenerSettings

from .server import APPS, DEADLINE, Output, command, environment, wait_for
from .test_drain import NO_PROXY, ask


class Part:
    """`propylon gateway` or `propylon worker`, in a process of its own."""

    def __init__(self, *arguments: str, variables: Mapping[str, str] | None = None) -> None:
        self.process = subprocess.Popen(
            command(*arguments),
            stderr=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            text=True,
            env=environment(**(variables or {})),
            cwd=APPS,
        )
        assert self.process.stderr is not None
        self.stderr = Output(self.process.stderr)

    def __enter__(self) -> "Part":
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.stderr.finish()

    def terminate(self) -> None:
        self.process.send_signal(signal.SIGTERM)

    def ended(self) -> int:
        return self.process.wait(DEADLINE)


@pytest.mark.parametrize(
    "order",
    [
        pytest.param("workers first", marks=pytest.mark.slow),  # every day: tests/deploy/pod
        pytest.param("gateway first", marks=pytest.mark.slow),
        pytest.param("at once", marks=pytest.mark.slow),
    ],
)
def test_a_pod_s_end_fails_no_request(order: str, tmp_path: Path) -> None:
    """Kubernetes tells the app's container first and the sidecar last, and takes the endpoint away
    meanwhile; compose and systemd tell them in any order."""
    shared = ["--run-dir", str(tmp_path / "run")]
    flags = [*shared, "-b", "127.0.0.1:0", "--drain-delay", "1.4"]
    with (
        Part("gateway", *flags) as gateway,
        Part("worker", "asgi_raw:app", "-w", "2", *shared) as worker,
    ):
        url = gateway.stderr.find(r"Serving on (http://\S+)", gateway.process)[1].rstrip(",")
        worker.stderr.find("Working for the gateways", worker.process)
        failed: list[str] = []
        endpoint = threading.Event()
        counts = [0, 0]

        def ask_on(keep: bool) -> None:
            with httpx.Client(timeout=DEADLINE, trust_env=False) as client:
                while not endpoint.is_set():
                    try:
                        got = (client if keep else httpx).get(
                            url, timeout=DEADLINE, **({} if keep else NO_PROXY)
                        )
                        if got.text != "hello":
                            failed.append(f"{got.status_code} {got.text}")
                        counts[keep] += 1
                    except httpx.HTTPError as error:
                        failed.append(repr(error))

        with ThreadPoolExecutor() as threads:
            askers = [threads.submit(ask_on, keep) for keep in (True, False, True, False)]
            wait_for(lambda: min(counts) > 20, "load")
            parts = [worker, gateway] if order != "gateway first" else [gateway, worker]
            removed = threading.Timer(0.8, endpoint.set)  # within the delay
            removed.start()
            for part in parts:
                part.terminate()
                if order != "at once":
                    time.sleep(0.4)
            removed.join()
            for asker in askers:
                asker.result(DEADLINE)
        assert not failed, failed[:5]
        assert gateway.ended() == 0
        assert worker.ended() == 0
        assert "cut" not in gateway.stderr.text


def test_a_gateway_that_ends_keeps_its_workers_until_it_has_finished(tmp_path: Path) -> None:
    """They are told to end meanwhile, and a request crosses; without any delay."""
    shared = ["--run-dir", str(tmp_path / "run")]
    with (
        Part("gateway", *shared, "-b", "127.0.0.1:0") as gateway,
        Part("worker", "asgi_raw:app", "--log-level", "debug", *shared) as worker,
    ):
        url = httpx.URL(gateway.stderr.find(r"Serving on (http://[^\s,]+)", gateway.process)[1])
        address = (url.host, url.port or 0)
        with closing(socket.create_connection(address, DEADLINE)) as idle:
            assert ask(idle).startswith(b"HTTP/1.1 200 ")
            gateway.terminate()

            def refused() -> bool:
                try:
                    socket.create_connection(address, DEADLINE).close()
                except ConnectionRefusedError:
                    return True
                return False

            wait_for(refused, "the drain")
            worker.terminate()
            worker.stderr.find("draining: 0 calls")
            assert ask(idle).startswith(b"HTTP/1.1 200 ")
        assert gateway.ended() == 0
        assert worker.ended() == 0


@pytest.mark.slow
def test_the_last_worker_is_kept_for_the_delay_and_clients_move_on(tmp_path: Path) -> None:
    shared = ["--run-dir", str(tmp_path / "run")]
    flags = [*shared, "-b", "127.0.0.1:0", "--drain-delay", "1.5"]
    with Part("gateway", *flags) as gateway, Part("worker", "asgi_raw:app", *shared) as worker:
        url = gateway.stderr.find(r"Serving on (http://\S+)", gateway.process)[1].rstrip(",")
        assert "connection" not in httpx.get(url, **NO_PROXY).headers
        worker.terminate()
        gateway.stderr.find("pool default leaves")
        got = httpx.get(url, **NO_PROXY)
        assert got.text == "hello"
        assert got.headers["connection"] == "close"
        with Part("worker", "asgi_raw:app", *shared) as another:
            gateway.stderr.find("pool default stays")
            assert worker.ended() == 0
            got = httpx.get(url, **NO_PROXY)
            assert got.text == "hello"
            assert "connection" not in got.headers
            gateway.terminate()
            assert gateway.ended() == 0
            another.terminate()
            assert another.ended() == 0


@pytest.mark.slow
def test_the_supervisor_hears_who_the_workers_are(tmp_path: Path) -> None:
    """A gateway process on a channel of ours."""
    (tmp_path / "default").mkdir()
    read, write = os.pipe()
    ours, theirs = socket.socketpair()
    with socket.socket() as listener, ours, theirs:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        settings = GatewaySettings(
            run_dir=str(tmp_path),
            listeners=(ListenerSettings(fd=listener.fileno(), address="127.0.0.1:0"),),
        )
        os.write(write, msgspec.json.encode(settings))
        os.close(write)
        fds = [f"--settings-fd={read}", f"--channel-fd={theirs.fileno()}"]
        gateway = subprocess.Popen(
            [sys.executable, "-m", "propylon.gateway.process", *fds],
            pass_fds=(read, theirs.fileno(), listener.fileno()),
            stdout=subprocess.DEVNULL,
        )
        os.close(read)
        lines = ours.makefile()
        ours.settimeout(DEADLINE)

        def heard(**wanted: object) -> dict[str, object]:
            """The next line about the one worker that says this."""
            deadline = time.monotonic() + DEADLINE
            for line in lines:
                assert time.monotonic() < deadline, f"the gateway does not say {wanted}"
                said = json.loads(line)
                if said["event"] == "workers" and len(said["workers"]) == 1:
                    (one,) = said["workers"]
                    if wanted.items() <= one.items():
                        return one
            raise AssertionError(f"the gateway ended without {wanted}")

        try:
            with Part("worker", "asgi_raw:app", "--run-dir", str(tmp_path)) as worker:
                one = heard(ready=True)
                assert one["worker"] == 1
                assert one | {"id": None} == {
                    "id": None, "worker": 1, "pid": one["pid"], "generation": 1,
                    "ready": True, "running": 0, "late": False, "answered": 0, "errors": 0,
                    "leaving": False, "labels": {}, "slots": one["slots"], "weight": 1,
                }  # fmt: skip
                url = f"http://127.0.0.1:{listener.getsockname()[1]}"
                # What crashes in the turn in which its head was said is a 500 too.
                for path in ("/", "/crash", "/nothing", "/", "/crash?after=10", "/stream?n=10"):
                    httpx.get(url + path, timeout=DEADLINE, **NO_PROXY)
                heard(answered=6, errors=3, running=0)
                pid = one["pid"]
                assert isinstance(pid, int)
                os.kill(pid, signal.SIGSTOP)
                heard(late=True)
                os.kill(pid, signal.SIGCONT)
                heard(late=False)
                worker.terminate()
                heard(ready=False)
                assert worker.ended() == 0
        finally:
            gateway.terminate()
            gateway.wait(DEADLINE)
            lines.close()


@pytest.mark.slow
def test_a_gateway_alone_stays_ready_during_an_upgrade(tmp_path: Path) -> None:
    """The new code knows the workers of another supervisor from the old one, not from a report."""
    where, admin = ("--run-dir", str(tmp_path)), f"unix:{tmp_path}/admin.sock"
    with (
        Part("gateway", *where, "--bind", "127.0.0.1:0", "--admin-bind", admin) as gateway,
        Part("worker", "asgi_raw:app", *where) as worker,
        httpx.Client(
            transport=httpx.HTTPTransport(uds=f"{tmp_path}/admin.sock", retries=5), timeout=DEADLINE
        ) as client,
    ):

        def ready() -> bool:
            return client.get("http://localhost/readyz").status_code == 200

        wait_for(lambda: (tmp_path / "admin.sock").exists() and ready(), "a ready gateway")
        done = subprocess.Popen(
            command("upgrade", *where, "--pid", str(gateway.process.pid)),
            stdout=subprocess.DEVNULL,
            env=environment(),
        )
        answers: list[str] = []
        while done.poll() is None:
            answers.append(client.get("http://localhost/readyz").text)
        assert done.returncode == 0
        assert set(answers) == {"ok\n"}
        for part in (worker, gateway):
            part.terminate()
            assert part.ended() == 0
