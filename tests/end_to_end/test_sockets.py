"""Where it listens, asked by curl: both families, Unix sockets with their permissions; systemd."""

import grp
import os
import shutil
import signal
import socket
import stat
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from .facts import APPS, Facts, ask
from .other_proxies import free_port
from .server import APPS as FOLDER
from .server import DEADLINE, Output, Propylon, command, descendants, environment, wait_for

CURL = shutil.which("curl")
SS = shutil.which("ss")
ACTIVATE = shutil.which("systemd-socket-activate")
needs_curl = pytest.mark.skipif(CURL is None, reason="curl is not installed")
needs_activate = pytest.mark.skipif(ACTIVATE is None, reason="systemd is not installed")


def has_ipv6() -> bool:
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            return True
    except OSError:
        return False


needs_ipv6 = pytest.mark.skipif(not has_ipv6(), reason="there is no IPv6 here")


def curl(*arguments: str) -> str:
    done = subprocess.run(
        [CURL or "", "-sSf", "--max-time", str(DEADLINE), *arguments],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@needs_curl
@needs_ipv6
def test_both_families_and_a_unix_socket(tmp_path: Path) -> None:
    path = tmp_path / "app.sock"
    group = grp.getgrgid(os.getgid()).gr_name
    flags = ["-b", "[::]:0", "-b", f"unix:{path}?mode=620&group={group}", "--backlog", "7"]
    with Propylon(APPS["asgi"], *flags) as propylon:
        port = propylon.address[1]
        for host in ("127.0.0.1", "[::1]"):
            facts = Facts(curl(f"http://{host}:{port}/facts"))
            assert facts["client"] == host.strip("[]")  # never ::ffff:127.0.0.1
            assert (facts["server_name"], facts["server_port"]) == (host.strip("[]"), str(port))
            assert facts["host"] == f"{host}:{port}"
        facts = Facts(curl("--unix-socket", str(path), "http://app.test/facts"))
        assert (facts["client"], facts["server_name"]) == ("", str(path))
        assert stat.S_IMODE(path.stat().st_mode) == 0o620
        assert SS is None or backlog(port) == 7
    assert not path.exists()


def backlog(port: int) -> int:
    """Of the listening socket on an IPv6 port: what `ss -l` shows as Send-Q."""
    done = subprocess.run(
        [SS or "", "-Hltn6", f"sport = :{port}"], capture_output=True, text=True, check=True
    )
    return int(done.stdout.split()[2])


# -- systemd -------------------------------------------------------------------------------------

TELLS = """
import os

def app(environ, start_response):
    told = [name for name in os.environ if name.startswith(("LISTEN_", "NOTIFY_", "WATCHDOG_"))]
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [f"{environ['SERVER_PORT']} {told}".encode()]
"""


class Systemd:
    """What a service says to its manager (sd_notify(3))."""

    def __init__(self, path: Path) -> None:
        self._sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._sock.bind(str(path))
        self._sock.settimeout(DEADLINE)
        self.environment = {"NOTIFY_SOCKET": str(path)}

    def hear(self, what: str) -> str:
        """The first message from now on that says it."""
        return wait_for(lambda: self._next(what), what)

    def _next(self, what: str) -> str:
        message = self._sock.recv(65_536).decode()
        return message if what in message.split("\n") else ""

    def close(self) -> None:
        self._sock.close()


@pytest.fixture
def systemd(tmp_path: Path) -> Iterator[Systemd]:
    manager = Systemd(tmp_path / "notify")
    yield manager
    manager.close()


def test_the_manager_is_told(systemd: Systemd, tmp_path: Path) -> None:
    (tmp_path / "tells.py").write_text(TELLS)
    env = {**systemd.environment, "WATCHDOG_USEC": "100000"}
    with Propylon("tells:app", "--gateways", "2", cwd=tmp_path, env=env) as propylon:
        message = systemd.hear("READY=1")
        assert f"\nSTATUS=Serving on {propylon.url}" in message
        for _ in range(3):
            systemd.hear("WATCHDOG=1")
        with propylon.client() as client:
            assert client.get("/").text == f"{propylon.address[1]} []"
        propylon.process.send_signal(signal.SIGTERM)
        systemd.hear("STOPPING=1")


def test_the_manager_is_told_of_reloads(systemd: Systemd, tmp_path: Path) -> None:
    """Type=notify-reload sends SIGHUP, and waits for RELOADING=1 with a later time than that of the
    signal, then for READY=1, also if the reload is refused or fails."""
    (tmp_path / "tells.py").write_text(TELLS)
    (toml := tmp_path / "propylon.toml").write_text('app = "tells:app"\nbind = ["127.0.0.1:0"]\n')
    flags = ["-c", str(toml), "--reload-observe", "0"]
    with Propylon(*flags, cwd=tmp_path, env=systemd.environment) as propylon:
        systemd.hear("READY=1")

        def reload() -> str:
            before = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1_000
            propylon.process.send_signal(signal.SIGHUP)
            told = dict(line.split("=", 1) for line in systemd.hear("RELOADING=1").split("\n"))
            assert int(told["MONOTONIC_USEC"]) >= before
            return systemd.hear("READY=1").partition("\nSTATUS=")[2]

        assert reload() == "Reloaded, generation 2 serves"
        toml.write_text("bind = 7")
        assert reload().startswith("Reload refused: not reloaded, the configuration is wrong: ")
        toml.write_text('app = "tells:app"\nbind = ["127.0.0.1:0"]\n')
        (tmp_path / "tells.py").write_text("raise LookupError('no such thing')")
        assert reload().startswith("Reload failed, the generation before serves on: ")


@contextmanager
def activated(*arguments: str, listen: list[str], more: list[str], cwd: Path) -> Iterator[Output]:
    """`propylon serve` by systemd-socket-activate, which starts it at the first connection and
    becomes it; what both write to stderr."""
    listens = [f"--listen={address}" for address in listen]
    keep = [f"--setenv={name}" for name in environment()]
    process = subprocess.Popen(
        [ACTIVATE or "", *listens, *more, *keep, *command("serve", *arguments)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(),
        cwd=cwd,
    )
    stderr = Output(process.stderr)
    try:
        for address in listen:
            stderr.find(rf"Listening on .*{address.rpartition(':')[2]}", process)
        yield stderr
        process.terminate()
        assert process.wait(DEADLINE) == 0, stderr.text
    finally:
        if process.poll() is None:
            for pid in (*descendants(process.pid), process.pid):
                os.kill(pid, signal.SIGKILL)
            process.wait()
        stderr.finish()


@needs_curl
@needs_activate
def test_sockets_of_systemd_s(tmp_path: Path) -> None:
    port, path = free_port(), tmp_path / "app.sock"
    (tmp_path / "tells.py").write_text(TELLS)
    listen = [f"127.0.0.1:{port}", str(path)]
    with activated("tells:app", listen=listen, more=[], cwd=tmp_path) as stderr:
        assert curl(f"http://127.0.0.1:{port}/") == f"{port} []"
        stderr.find(rf"Serving on http://127\.0\.0\.1:{port} \(fd://3\), unix:{path} \(fd://4\)")
    assert path.exists()  # systemd's own: the next start needs it


@needs_activate
def test_sockets_by_name(tmp_path: Path) -> None:
    """Only the one that is asked for is served on."""
    path, other = tmp_path / "web.sock", tmp_path / "other.sock"
    with activated(
        APPS["asgi"],
        *("-b", "fd://web"),
        listen=[str(path), str(other)],
        more=["--fdname=web:other"],
        cwd=FOLDER,
    ) as stderr:
        facts = ask(str(path))
        assert (facts["client"], facts["server_name"]) == ("", str(path))
        assert stderr.find(r"Serving on (.*)")[1].startswith(f"unix:{path} (fd://3) (")


@needs_activate
def test_a_name_that_systemd_has_not(tmp_path: Path) -> None:
    path = tmp_path / "web.sock"
    process = subprocess.Popen(
        [
            *(ACTIVATE or "", f"--listen={path}", "--fdname=web"),
            *(f"--setenv={name}" for name in environment()),
            *command("serve", APPS["asgi"], "-b", "fd://wbe"),
        ],
        stderr=subprocess.PIPE,
        text=True,
        env=environment(),
        cwd=FOLDER,
    )
    stderr = Output(process.stderr)
    try:
        stderr.find(r"Listening on", process)
        with socket.socket(socket.AF_UNIX) as sock:
            sock.connect(str(path))
            assert process.wait(DEADLINE) == 2
        assert "no socket is called wbe (LISTEN_FDNAMES): those handed over are called web" in (
            stderr.finish()
        )
    finally:
        process.kill()
        process.wait()
