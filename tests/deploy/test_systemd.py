"""deploy/systemd/: systemd accepts the units, their exposure is low, and their times add up.

Propylon works with the system calls that they allow: the kernel refuses it the others, as systemd
has it do. Their mounts (ProtectSystem=, PrivateTmp=, ProtectProc=) need a systemd that runs, and
are analysed only. A socket that stays open over restarts is held as systemd holds it."""

import ctypes.util
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import httpx
import pytest
from propylon.gateway.config.options import Options

from ..end_to_end.server import APPS, DEADLINE, Output, command, environment, wait_for

DEPLOY = Path(__file__).parents[2] / "deploy"
SERVICES = ("propylon.service", "propylon-gateway.service", "propylon-worker@.service")
ANALYZE = shutil.which("systemd-analyze")
ACTIVATE = shutil.which("systemd-socket-activate")
SETPRIV = shutil.which("setpriv")
APP = "asgi_raw:app"
SYSTEM_UNITS = Path("/lib/systemd/system")

needs_systemd = pytest.mark.skipif(ANALYZE is None, reason="needs systemd: apt-get install systemd")


def settings(name: str) -> dict[str, list[str]]:
    """Of a unit's [Service]: name -> its values, in order."""
    found: dict[str, list[str]] = {}
    text = (DEPLOY / "systemd" / name).read_text()
    for line in text.partition("[Service]")[2].partition("[Install]")[0].splitlines():
        if line and line[0] not in "#[":
            key, _, value = line.partition("=")
            found.setdefault(key, []).append(value)
    return found


@needs_systemd
def test_systemd_accepts_the_units(tmp_path: Path) -> None:
    """As deploy/debian/install.sh puts them in place, beside the system's own targets."""
    done = subprocess.run(
        ["sh", DEPLOY / "debian/install.sh", tmp_path], capture_output=True, text=True, check=True
    )
    assert done.stdout == ""
    units = tmp_path / "usr/lib/systemd/system"
    for target in SYSTEM_UNITS.glob("*.*"):
        if target.suffix in (".target", ".slice") and not target.is_symlink():
            shutil.copy(target, units / target.name)
    for folder in ("opt/propylon/bin", "srv/app/.venv/bin"):
        (program := tmp_path / folder / "propylon").parent.mkdir(parents=True)
        program.write_text("#!/bin/sh\n")
        program.chmod(0o755)
    override = tmp_path / "etc/systemd/system/propylon.service.d"
    override.mkdir(parents=True)
    for names in (
        ["propylon.socket", "propylon.service"],
        ["propylon-gateway.socket", "propylon-gateway.service", "propylon-worker@api.service"],
    ):
        assert verify(tmp_path, *names) == ""
    shutil.copy(DEPLOY / "systemd/propylon.service.d/override.conf", override)
    assert verify(tmp_path, "propylon.service") == ""


def verify(root: Path, *units: str) -> str:
    """What systemd finds wrong with units below another root."""
    done = subprocess.run(
        [ANALYZE or "", "verify", "--man=no", f"--root={root}", *units],
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stderr


@needs_systemd
@pytest.mark.parametrize("name", SERVICES)
def test_the_exposure_is_low(name: str) -> None:
    """Below 2.5; systemd counts in tenths."""
    done = subprocess.run(
        [ANALYZE or "", "security", "--offline=true", "--threshold=24", DEPLOY / "systemd" / name],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("name", SERVICES)
def test_the_times_add_up(name: str) -> None:
    """After TimeoutStopSec= systemd kills what is left: later than Propylon does it itself."""
    unit = settings(name)
    defaults = {one.name: one.default for one in Options.__dataclass_fields__.values()}
    graceful, startup = defaults["timeout_graceful_shutdown"], defaults["startup_timeout"]
    assert float(unit["TimeoutStopSec"][0]) >= graceful + 10
    assert float(unit["TimeoutStartSec"][0]) > startup
    assert unit["KillMode"] == ["mixed"]  # the supervisor ends its children, in their order
    assert unit["Type"] == ["notify"]
    for toml in ("propylon.toml", "gateway.toml", "worker.toml"):
        text = (DEPLOY / "debian" / toml).read_text()
        assert f"\ntimeout_graceful_shutdown = {graceful:g}\n" in text
    drop_in = (DEPLOY / "systemd/propylon.service.d/override.conf").read_text()
    longer = re.search(r"GRACEFUL_SHUTDOWN=(\d+)\n#TimeoutStopSec=(\d+)\n", drop_in)
    assert longer
    assert int(longer[2]) - int(longer[1]) == 15


# -- with the system calls that the units allow ----------------------------------------------------


def allowed_calls(unit: dict[str, list[str]]) -> set[str]:
    """What the lines of SystemCallFilter= come to, in their order."""
    allowed: set[str] = set()
    for line in unit["SystemCallFilter"]:
        names = {call for group in line.removeprefix("~").split() for call in calls(group)}
        allowed = allowed - names if line.startswith("~") else allowed | names
    if unit.get("RestrictSUIDSGID") == ["yes"]:
        allowed.add("-setgid")
    return allowed


def calls(group: str) -> set[str]:
    """The system calls of a group such as @system-service, and of the groups in it."""
    if not group.startswith("@"):
        return {group}
    done = subprocess.run(
        [ANALYZE or "", "syscall-filter", group], capture_output=True, text=True, check=True
    )
    named = [line.strip() for line in done.stdout.splitlines() if line.startswith("    ")]
    return {call for name in named if name[0] != "#" for call in calls(name)}


def start(*arguments: str, unit: str, folder: Path) -> tuple[subprocess.Popen[str], Output]:
    """A command of ours with what a unit leaves it: no capability, and its system calls."""
    allowed = folder / f"{unit}.calls"
    allowed.write_text("\n".join(sorted(allowed_calls(settings(unit)))))
    none = ["--bounding-set=-all"] if os.geteuid() == 0 else []  # an ordinary user has none
    process = subprocess.Popen(
        [
            *(SETPRIV or "", "--no-new-privs", "--inh-caps=-all", *none, "--"),
            *(sys.executable, str(Path(__file__).with_name("confined.py")), str(allowed)),
            *command(*arguments),
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(),
        cwd=APPS,
    )
    return process, Output(process.stderr)


needs_seccomp = pytest.mark.skipif(
    not (ANALYZE and SETPRIV and ctypes.util.find_library("seccomp")),
    reason="needs systemd-analyze, setpriv and libseccomp: apt-get install systemd libseccomp2",
)


def end(process: subprocess.Popen[str], stderr: Output) -> None:
    process.terminate()
    assert process.wait(DEADLINE) == 0, stderr.finish()
    assert "not permitted" not in stderr.finish()


@needs_seccomp
@pytest.mark.slow
def test_all_in_one_with_the_unit_s_calls(tmp_path: Path) -> None:
    process, stderr = start(
        *("serve", APP, "-w", "2", "-b", "127.0.0.1:0", "--run-dir", str(tmp_path / "run")),
        unit="propylon.service",
        folder=tmp_path,
    )
    try:
        url = stderr.find(r"Serving on (\S+)", process)[1]
        status = Path(f"/proc/{process.pid}/status").read_text()
        assert "Seccomp:\t2\n" in status
        assert "CapEff:\t0000000000000000\n" in status
        assert httpx.get(f"{url}/facts", trust_env=False).status_code == 200
        for generation in (2, 3):
            process.send_signal(signal.SIGHUP)
            stderr.find(rf"[Gg]eneration {generation}\b.*", process)
        wait_for(lambda: httpx.get(f"{url}/facts", trust_env=False).status_code == 200, "200")
        end(process, stderr)
    finally:
        process.kill()
        process.wait()


@needs_seccomp
@pytest.mark.slow
def test_gateway_and_worker_with_their_units_calls(tmp_path: Path) -> None:
    """They meet in a directory as tmpfiles.d makes it, whose group hands itself on."""
    (run := tmp_path / "run").mkdir()
    run.chmod(0o2770)
    at = ("--run-dir", str(run), "--pool", "api")
    worker, worker_log = start("worker", APP, *at, unit="propylon-worker@.service", folder=tmp_path)
    gateway, gateway_log = start(
        "gateway", "-b", "127.0.0.1:0", *at, unit="propylon-gateway.service", folder=tmp_path
    )
    try:
        url = gateway_log.find(r"Serving on (\S+)", gateway)[1]
        assert httpx.get(f"{url}/facts", trust_env=False, timeout=DEADLINE).status_code == 200
        assert (run / "api").stat().st_mode & 0o7777 == 0o2770
        end(worker, worker_log)
        end(gateway, gateway_log)
    finally:
        for process in (worker, gateway):
            process.kill()
            process.wait()


# -- a socket that outlives its service ------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.skipif(
    ACTIVATE is None, reason="needs systemd-socket-activate: apt-get install systemd"
)
def test_no_client_is_refused_while_the_service_restarts() -> None:
    """The socket is held here, as systemd holds it for propylon.socket; systemd-socket-activate
    waits for a first client and becomes the service, three times in a row."""
    answers: list[int | str] = []
    over = threading.Event()
    with socket.create_server(("127.0.0.1", 0), backlog=128) as held:
        url = f"http://127.0.0.1:{held.getsockname()[1]}/facts"

        def ask_again_and_again() -> None:
            while not over.is_set():
                try:
                    answers.append(httpx.get(url, trust_env=False, timeout=DEADLINE).status_code)
                except httpx.HTTPError as error:
                    answers.append(repr(error))

        clients = [threading.Thread(target=ask_again_and_again) for _ in range(4)]
        for client in clients:
            client.start()
        try:
            for _ in range(3):
                before = len(answers)
                process, stderr = activated_by(held)
                try:
                    stderr.find(r"Serving on .*fd://3", process)
                    wait_for(lambda: len(answers) >= before + 40, "forty answers more")  # noqa: B023
                    process.terminate()
                    assert process.wait(DEADLINE) == 0, stderr.finish()
                finally:
                    process.kill()
                    process.wait()
            process, stderr = activated_by(held)  # for those who wait now
            try:
                stderr.find(r"Serving on .*fd://3", process)
                over.set()
                for client in clients:
                    client.join(DEADLINE)
                process.terminate()
                assert process.wait(DEADLINE) == 0, stderr.finish()
            finally:
                process.kill()
                process.wait()
        finally:
            over.set()
    assert set(answers) == {200}


def activated_by(held: socket.socket) -> tuple[subprocess.Popen[str], Output]:
    """`propylon serve`, of which systemd-socket-activate, which gets the socket at descriptor 3 as
    a service would, becomes one at the first client."""
    keep = [f"--setenv={name}" for name in environment()]
    script = 'exec 3<&"$0"; export LISTEN_FDS=1 LISTEN_PID=$$; exec "$@"'
    number = os.dup(held.fileno())
    try:
        process = subprocess.Popen(
            [
                "bash",
                "-c",
                script,
                str(number),
                ACTIVATE or "",
                *keep,
                *command("serve", APP),
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            env=environment(),
            cwd=APPS,
            pass_fds=(number,),
        )
    finally:
        os.close(number)
    return process, Output(process.stderr)
