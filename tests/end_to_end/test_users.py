"""A gateway and workers of different users, as in a pod: which run directories join them."""

import os
import pwd
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from .other_proxies import NGINX, nginx
from .other_users import NOBODY, as_user, everybodys_folder, for_others, propylon, why_not
from .server import APPS, DEADLINE, Output, Propylon, wait_for
from .test_drain import NO_PROXY

GATEWAY, WORKER, GROUP = 20_001, 20_002, 20_100
UMASK = "import os, sys; os.umask(int(sys.argv[1], 8)); os.execvp(sys.argv[2], sys.argv[2:])"

needs_users = pytest.mark.skipif(bool(why_not()), reason=why_not() or "-")
only_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")


@dataclass
class Part:
    """`propylon gateway` or `propylon worker`, of a user."""

    process: "subprocess.Popen[str]"
    stderr: Output


@pytest.fixture
def folder() -> Iterator[Path]:
    with everybodys_folder() as path:
        yield path


class Parts:
    """The two, of two users, on one run directory."""

    def __init__(self, folder: Path, run_dir: Path, umask: str = "022") -> None:
        self._folder = folder
        self._run_dir = run_dir
        self._umask = umask
        self._stack = ExitStack()

    def __enter__(self) -> "Parts":
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def start(self, user: list[str], *arguments: str) -> Part:
        process = subprocess.Popen(
            [
                *(sys.executable, "-c", UMASK, self._umask, *user),
                *propylon(self._folder, *arguments, "--run-dir", str(self._run_dir)),
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            env=for_others(self._folder),
            cwd=self._folder,
        )
        assert process.stderr is not None
        part = Part(process, Output(process.stderr))
        self._stack.callback(self._end, part)
        return part

    def _end(self, part: Part) -> None:
        part.process.terminate()
        part.process.wait(DEADLINE)
        part.stderr.finish()

    def gateway(self, user: list[str]) -> Part:
        return self.start(user, "gateway", "-b", "127.0.0.1:0")

    def worker(self, user: list[str], *more: str) -> Part:
        app = ["asgi_raw:app", "--app-dir", str(APPS), "--lifespan", "off"]
        return self.start(user, "worker", *app, *more)


def served(gateway: Part) -> None:
    url = gateway.stderr.find(r"Serving on (http://[^\s,;]+)", gateway.process)[1]
    assert httpx.get(url, timeout=DEADLINE, **NO_PROXY).text == "hello"


def shared(folder: Path, mode: int, group: int, user: int = 0) -> Path:
    path = folder / "run"
    path.mkdir()
    os.chown(path, user, group)
    path.chmod(mode)
    return path


SUPPLEMENTARY = (as_user(GATEWAY, GATEWAY, GROUP), as_user(WORKER, WORKER, GROUP))
PRIMARY = (as_user(GATEWAY, GROUP), as_user(WORKER, GROUP))
POD = (as_user(GATEWAY, 0, GROUP), as_user(WORKER, 0, GROUP))


@needs_users
@pytest.mark.parametrize(
    ("mode", "users", "first", "umask"),
    [
        (0o2770, SUPPLEMENTARY, "worker", "027"),
        pytest.param(0o2770, SUPPLEMENTARY, "gateway", "077", marks=pytest.mark.slow),
        pytest.param(0o770, SUPPLEMENTARY, "gateway", "022", marks=pytest.mark.slow),
        pytest.param(0o770, SUPPLEMENTARY, "worker", "027", marks=pytest.mark.slow),
        pytest.param(0o2777, POD, "gateway", "022", marks=pytest.mark.slow),
        pytest.param(0o2777, POD, "worker", "022", marks=pytest.mark.slow),
        pytest.param(None, PRIMARY, "gateway", "027", marks=pytest.mark.slow),
        pytest.param(None, PRIMARY, "worker", "027", marks=pytest.mark.slow),
    ],
)
@pytest.mark.slow
def test_two_users_with_a_group_in_common_link(
    folder: Path, mode: int | None, users: tuple[list[str], ...], first: str, umask: str
) -> None:
    """`mode` None: the first one makes the run directory."""
    if mode is None:
        folder.chmod(0o1777)
        run_dir = folder / "run"
    else:
        run_dir = shared(folder, mode, GROUP)
    with Parts(folder, run_dir, umask) as parts:
        if first == "gateway":
            gateway = parts.gateway(users[0])
            gateway.stderr.find("Serving on", gateway.process)
            parts.worker(users[1])
        else:
            worker = parts.worker(users[1])
            worker.stderr.find("Working for", worker.process)
            gateway = parts.gateway(users[0])
        served(gateway)
        pools = run_dir / "default"
        assert pools.stat().st_gid == GROUP
        (door,) = pools.glob("*.sock")
        assert (door.stat().st_gid, door.stat().st_mode & 0o777) == (GROUP, 0o660)


@needs_users
@pytest.mark.slow
def test_a_worker_tells_a_strangers_gateway_nothing(folder: Path) -> None:
    """In a directory that everybody may write to, without a group in common."""
    run_dir = shared(folder, 0o777, 0)
    with Parts(folder, run_dir) as parts:
        gateway = parts.gateway(as_user(GATEWAY, GATEWAY))
        gateway.stderr.find("Serving on", gateway.process)
        (door,) = (run_dir / "default").glob("*.sock")
        # The permissions alone would keep it out, were they those of an honest gateway.
        door.parent.chmod(0o755)
        door.chmod(0o666)
        worker = parts.worker(as_user(WORKER, WORKER))
        worker.stderr.find(rf"no link to {door}: it is of another user", worker.process)
        gateway.process.terminate()


@needs_users
@pytest.mark.slow
def test_a_socket_that_may_not_be_connected_to_until_it_may(folder: Path) -> None:
    run_dir = shared(folder, 0o2770, GROUP)
    with Parts(folder, run_dir) as parts:
        gateway = parts.gateway(SUPPLEMENTARY[0])
        gateway.stderr.find("Serving on", gateway.process)
        (door,) = (run_dir / "default").glob("*.sock")
        door.chmod(0o600)
        worker = parts.worker(SUPPLEMENTARY[1])
        worker.stderr.find(
            rf"no link to {door}: Permission denied \(uid {GATEWAY}, gid {GROUP}, mode 0600; "
            rf"we are uid {WORKER}, gid {WORKER}\); run both containers as one user",
            worker.process,
        )
        door.chmod(0o660)
        worker.stderr.find(f"No longer: no link to {door}", worker.process)
        assert worker.stderr.text.count("Permission denied") == 2
        worker.process.terminate()
        gateway.process.terminate()


@needs_users
@pytest.mark.slow
def test_a_stranger_at_the_control_socket_is_told_nothing(folder: Path) -> None:
    """Whoever may write to the directory replaces it, and `stop` would say what he likes."""
    run_dir = shared(folder, 0o2770, GROUP)
    with Parts(folder, run_dir) as parts:
        gateway = parts.gateway(SUPPLEMENTARY[0])
        gateway.stderr.find("Serving on", gateway.process)
        plant = (
            "import os, socket, sys, time\n"
            "os.unlink(sys.argv[1]); s = socket.socket(socket.AF_UNIX); s.bind(sys.argv[1])\n"
            "os.chmod(sys.argv[1], 0o666); s.listen(); s.accept()[0].recv(1)\n"
            "print(s.accept()[0].recv(1000))\n"
        )
        control = run_dir / "control.sock"
        python = propylon(folder)[0]
        planted = subprocess.Popen(
            [*SUPPLEMENTARY[1], python, "-c", plant, str(control)], stdout=subprocess.PIPE
        )
        try:
            wait_for(lambda: control.exists() and control.stat().st_uid == WORKER, "the plant")
            asked = parts.start(SUPPLEMENTARY[0], "status")
            asked.stderr.find(r"is not the socket of an instance of yours", asked.process)
            assert asked.process.wait(DEADLINE) == 1
        finally:
            planted.kill()
            planted.communicate()


def as_nobody(path: Path) -> bool:
    """Whether another user may connect there."""
    if (child := os.fork()) == 0:
        try:
            os.setgroups([])
            os.setgid(NOBODY)
            os.setuid(NOBODY)
            with socket.socket(socket.AF_UNIX) as sock:
                sock.connect(str(path))
            os._exit(0)
        finally:
            os._exit(1)
    return os.waitpid(child, 0)[1] == 0


@only_root
def test_an_nginx_of_another_user_is_served_by_a_unix_socket(folder: Path) -> None:
    """Whatever umask a service has; who wants fewer clients says so."""
    open_one, narrow = folder / "app.sock", folder / "narrow.sock"
    name = f"propylon-{os.getpid()}"
    flags = ["-b", f"unix:{open_one}", "-b", f"unix:{narrow}?mode=600", "-b", f"unix:@{name}"]
    before = os.umask(0o077)
    try:
        with Propylon("asgi_raw:app", *flags) as server:
            os.umask(before)
            server.stderr.find(f"Serving on unix:{open_one}, unix:{narrow}, unix:@{name} ")
            assert as_nobody(open_one)
            assert not as_nobody(narrow)
            if NGINX:
                names = {user.pw_name for user in pwd.getpwall()} & {"www-data", "nobody"}
                upstream = f"http://unix:{open_one}:"
                with nginx(folder / "nginx", upstream, user=max(names)) as port:
                    assert httpx.get(f"http://127.0.0.1:{port}/", **NO_PROXY).text == "hello"
            with httpx.Client(transport=httpx.HTTPTransport(uds=f"\0{name}")) as client:
                assert client.get("http://a/").text == "hello"
    finally:
        os.umask(before)


@only_root
def test_umask_narrows_a_unix_socket(folder: Path) -> None:
    path = folder / "app.sock"
    with Propylon("asgi_raw:app", "-b", f"unix:{path}", "--umask", "007"):
        assert path.stat().st_mode & 0o777 == 0o660
        assert not as_nobody(path)
