"""--user and --group: started by root, served by somebody else."""

import json
import os
import pwd
import re
import signal
import ssl
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from ..gateway.tls.issued import issue, trusting
from .other_users import NOBODY, everybodys_folder, for_others, propylon, why_not
from .server import DEADLINE, Output, command, descendants, environment, wait_for
from .test_drain import NO_PROXY

APP = """
import json, os
async def app(scope, receive, send):
    if scope["type"] != "http":
        raise RuntimeError
    who = [os.getuid(), os.getgid(), os.getgroups(), os.environ.get("HOME")]
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": json.dumps(who).encode()})
"""
INI = """
[loggers]
keys = root
[handlers]
keys = file
[formatters]
keys =
[logger_root]
level = INFO
handlers = file
[handler_file]
class = logging.FileHandler
args = ("{log}", "a")
"""
GROUP = 20_100
USER = next((user for user in pwd.getpwall() if user.pw_uid == NOBODY), None)

needs_users = pytest.mark.skipif(bool(why_not()), reason=why_not() or "-")
needs_nobody = pytest.mark.skipif(USER is None, reason="there is no user with uid 65534")


@pytest.fixture
def folder() -> Iterator[Path]:
    with everybodys_folder() as path:
        (path / "who.py").write_text(APP)
        yield path


@contextmanager
def serving(folder: Path, *arguments: str) -> Iterator[tuple[Output, "subprocess.Popen[str]"]]:
    process = subprocess.Popen(
        propylon(folder, "serve", "who:app", *arguments),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        cwd=folder,
        env=for_others(folder),
    )
    assert process.stderr is not None
    stderr = Output(process.stderr)
    try:
        stderr.find("Serving on", process)
        yield stderr, process
    finally:
        process.terminate()
        code = process.wait(DEADLINE)
        text = stderr.finish()
    assert code == 0, text


def uids(pid: int) -> set[int]:
    """Real, effective and saved."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    (line,) = (line for line in lines if line.startswith("Uid:"))
    return set(map(int, line.split()[1:]))


@needs_users
@needs_nobody
@pytest.mark.slow
def test_root_s_keys_and_somebody_else_s_processes(folder: Path) -> None:
    assert USER is not None
    secrets = folder / "root"
    secrets.mkdir(mode=0o700)
    issued = issue(secrets, "127.0.0.1", file="site")
    log, sock = folder / "access.log", folder / "app.sock"
    flags = ["-u", USER.pw_name, "-g", str(GROUP), *issued.flags, "--access-logfile", str(log)]
    flags += ["-b", "127.0.0.1:0", "-b", f"unix:{sock}", "--preload"]
    with serving(folder, *flags) as (stderr, process):
        url = stderr.find(r"Serving on (https://[^\s,]+)")[1]
        with httpx.Client(verify=trusting(), timeout=DEADLINE, trust_env=False) as client:
            uid, gid, groups, home = client.get(url).json()
        assert (uid, gid, home) == (USER.pw_uid, GROUP, USER.pw_dir)
        assert 0 not in groups
        children = descendants(process.pid)
        assert len(children) >= 2
        assert {uid for pid in children for uid in uids(pid)} == {USER.pw_uid}
        assert uids(process.pid) == {0}
        for path in (log, sock):
            assert (path.stat().st_uid, path.stat().st_gid) == (USER.pw_uid, GROUP)
        # The operator is root, and finds it.
        asked = ["--pid", str(process.pid)]
        for verb in (["status"], ["reload"]):
            said = subprocess.run(
                command(*verb, *asked), capture_output=True, text=True, env=environment()
            )
            assert said.returncode == 0, said
        before = ssl.get_server_certificate(_address(url))
        issue(secrets, "127.0.0.1", file="site")
        wait_for(lambda: ssl.get_server_certificate(_address(url)) != before, "the new certificate")
        stderr.find(rf"{re.escape(str(secrets))}\S+: a new certificate is in use")


@needs_users
@pytest.mark.slow
def test_logs_are_rotated_in_a_directory_of_root_s(folder: Path) -> None:
    """As /var/log mostly is: the user may make no file there, and nothing is written on into the
    one that was moved."""
    access, error = folder / "access.log", folder / "error.log"
    flags = ["--user", "20001", "--group", str(GROUP), "-b", "127.0.0.1:0"]
    process = subprocess.Popen(
        propylon(
            folder, "serve", "who:app", *flags,
            "--access-logfile", str(access), "--error-logfile", str(error),
        ),
        stderr=subprocess.DEVNULL,
        cwd=folder,
        env=for_others(folder),
    )  # fmt: skip
    try:
        wait_for(lambda: error.exists() and "Serving on" in error.read_text(), "the service")
        found = re.search(r"Serving on (http://[^\s,]+)", error.read_text())
        assert found
        for path in (access, error):
            path.rename(f"{path}.1")
        process.send_signal(signal.SIGUSR1)

        def is_logged() -> bool:
            httpx.get(found[1], **NO_PROXY)
            return access.exists() and " 200 " in access.read_text()

        wait_for(is_logged, "the new access log")
        assert {path.stat().st_uid for path in (access, error)} == {20_001}
        assert "cannot be" not in Path(f"{error}.1").read_text() + error.read_text()
    finally:
        process.terminate()
        assert process.wait(DEADLINE) == 0
    assert "Stopped" in error.read_text()


@needs_users
@pytest.mark.parametrize("kind", ["json", pytest.param("ini", marks=pytest.mark.slow)])
def test_files_of_log_config_in_a_directory_of_root_s(folder: Path, kind: str) -> None:
    """Root opens them first, and those who serve write to them."""
    log, config = folder / "app.log", folder / f"logging.{kind}"
    if kind == "json":
        handlers = {"file": {"class": "logging.FileHandler", "filename": str(log)}}
        root = {"handlers": ["file"], "level": "INFO"}
        config.write_text(json.dumps({"version": 1, "handlers": handlers, "root": root}))
    else:
        config.write_text(INI.format(log=log))
    (folder / "who.py").write_text(f"import logging\nlogging.warning('imported')\n{APP}")
    process = subprocess.Popen(
        propylon(
            folder, "serve", "who:app", "--user", "20001", "--group", str(GROUP),
            "-b", "127.0.0.1:0", "--log-config", str(config),
        ),
        stderr=subprocess.DEVNULL,
        cwd=folder,
        env=for_others(folder),
    )  # fmt: skip
    try:
        wait_for(
            lambda: (
                process.poll() is not None or (log.exists() and "Serving on" in log.read_text())
            ),
            "the service",
        )
        assert "imported" in log.read_text()
        assert log.stat().st_uid == 20_001
    finally:
        process.terminate()
        assert process.wait(DEADLINE) == 0


def _address(url: str) -> tuple[str, int]:
    parsed = httpx.URL(url)
    return parsed.host, parsed.port or 443


@needs_users
@pytest.mark.slow
def test_a_run_directory_of_root_s(folder: Path) -> None:
    """By number, with a group; the user cannot touch what is the supervisor's."""
    run_dir = folder / "run"
    flags = ["--user", "20001", "--group", str(GROUP), "--run-dir", str(run_dir)]
    for _ in range(2):  # it can be used again
        with serving(folder, *flags, "-b", "127.0.0.1:0") as (stderr, _process):
            url = stderr.find(r"Serving on (http://[^\s,]+)")[1]
            assert httpx.get(url, **NO_PROXY).json()[:3] == [20001, GROUP, [GROUP]]
            owners = {path.name: path.stat().st_uid for path in run_dir.rglob("*")}
            assert owners == {
                "gateway.lock": 0,
                "control.sock": 0,
                "default": 20001,
                "1.sock": 20001,
            }
            assert stat.S_IMODE(run_dir.stat().st_mode) == 0o750
            assert run_dir.stat().st_gid == GROUP


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        (["--user", "no-such-user"], "--user: there is no user no-such-user"),
        (["--group", "no-such-group"], "--group: there is no group no-such-group"),
        (["-u", "4000000"], "--user: user 4000000 is not known here, and so not its group: give"),
        (["-u", "a:b"], "--user: found 'a:b'; a user or a group is a name, as www-data, or a"),
    ],
)
def test_nobody_is_called_so(flags: list[str], sentence: str, tmp_path: Path) -> None:
    ended = subprocess.run(
        command("check", "--no-app", "who:app", *flags),
        capture_output=True,
        text=True,
        env=environment(),
        cwd=tmp_path,
    )
    assert ended.returncode == 2
    assert ended.stderr.startswith(f"propylon: {sentence}")


def test_only_root_becomes_somebody_else() -> None:
    code = (
        "import os\n"
        "from propylon.gateway.config.identity import identity\n"
        "if os.geteuid() == 0: os.setgid(65534); os.setuid(65534)\n"
        "assert identity(str(os.geteuid()), str(os.getegid())) is None\n"
        "try: identity('root', None)\n"
        "except ValueError as error: print(error)\n"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert ended.stdout.startswith("only root can start processes as another user or group")


def test_who_we_are_needs_no_root() -> None:
    from propylon.gateway.config.identity import identity

    assert identity(None, None) is None
    assert identity(str(os.geteuid()), str(os.getegid())) is None
