"""The worker's own lines, on a standard error that takes them, takes nothing, or comes back."""

import fcntl
import logging
import os
import re
import select
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from propylon.worker.process.own_log import MOST_KEPT, OwnLog

from ..gateway_peer import running

PATIENCE = 20.0
CODE = """
import sys
from propylon.worker.process import own_log
own_log.begin("info")
log = own_log._logger
"""


def child(code: str, stderr: int) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-c", CODE + code],
        stderr=stderr, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip


def wait_for(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def narrow() -> tuple[int, int]:
    read, write = os.pipe()
    fcntl.fcntl(write, fcntl.F_SETPIPE_SZ, select.PIPE_BUF)
    return read, write


def read_until(fd: int, pattern: str) -> str:
    text = b""
    while not re.search(pattern, text.decode()):
        assert select.select([fd], [], [], PATIENCE)[0], text.decode()
        data = os.read(fd, 65_536)
        assert data, text.decode()
        text += data
    return text.decode()


LOGS_AND_RETRIES = """
for number in range(400):
    log.error("%d %s", number, 9_000 * "x")
print("logged", flush=True)
sys.stdin.readline()
while own_log._logger.handlers[0]._kept:
    own_log.retry()
log.error("the last")
"""


@pytest.mark.parametrize("kind", ["pipe", "socket", "pipe of another user"])
def test_lines_are_kept_dropped_and_counted(kind: str) -> None:
    code = LOGS_AND_RETRIES
    if kind == "socket":
        ours, theirs = socket.socketpair()
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        read, write = ours.detach(), theirs.detach()
    else:
        read, write = narrow()
    if kind == "pipe of another user":  # /proc says no
        code = "own_log._own_description = lambda fd: None\n" + (
            "log.handlers[0]._write = own_log._writer(2)\n" + code
        )
    process = child(code, write)
    assert process.stdout is not None
    assert process.stdout.readline() == "logged\n", "it waited for the reader"
    assert os.get_blocking(write)
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()
    os.close(write)
    text = read_until(read, "the last")
    assert process.wait(PATIENCE) == 0
    numbers = [int(number) for number in re.findall(r"error   (\d+) x{9000}\n", text)]
    assert numbers == list(range(len(numbers)))
    assert len(numbers) * 9_000 >= MOST_KEPT // 2
    lost = re.search(r"the log is too slow: (\d+) lines of this worker", text)
    assert lost is not None
    assert int(lost[1]) == 400 - len(numbers)
    os.close(read)
    process.stdin.close()
    process.stdout.close()


def test_the_end_waits_for_a_moment_only() -> None:
    read, write = narrow()
    with child("for _ in range(9): log.error(1_000 * 'x')\n", write) as process:
        os.close(write)
        assert process.wait(PATIENCE) == 0
    os.close(read)


CONFIGURES_AND_ENDS = """
import logging.config
logging.config.dictConfig({"version": 1})
own_log.LAST_WRITE = 20.0
log.error("%s the end", 20_000 * "x")
print("logged", flush=True)
sys.stdin.readline()
"""


def test_the_last_lines_are_written_though_the_app_has_configured_logging() -> None:
    read, write = narrow()
    with child(CONFIGURES_AND_ENDS, write) as process:
        os.close(write)
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stdout.readline() == "logged\n"
        process.stdin.close()
        read_until(read, "the end\n")
    assert process.returncode == 0
    os.close(read)


def test_a_fork_says_nothing_twice() -> None:
    read, write = narrow()
    code = """
import os
for number in range(9):
    log.error("%d %s", number, 900 * "x")
pid = os.fork()
if pid:
    os.waitpid(pid, 0)
    print("waited", flush=True)
"""
    with child(code, write) as process:
        os.close(write)
        assert process.stdout is not None
        assert process.stdout.readline() == "waited\n"
        text = read_until(read, "8 x{900}\n")
        assert process.wait(PATIENCE) == 0
    assert re.findall(r"(\d) x", text) == list("012345678")
    os.close(read)


def test_a_file_is_opened_again(tmp_path: Path) -> None:
    path = tmp_path / "log"
    log = OwnLog(str(path))
    record = logging.LogRecord("propylon.worker", logging.INFO, "", 0, "%s", ("first",), None)
    log.handle(record)
    path.rename(tmp_path / "log.1")
    log.handle(record)
    log.reopen()
    record.args = ("second",)
    log.handle(record)
    assert (tmp_path / "log.1").read_text().count("first") == 2
    assert re.fullmatch(r"[-\d]+ [:\d]+ info    second\n", path.read_text())


@pytest.mark.parametrize("host", ["asgi_apps:app", "wsgi_apps:application"])
def test_a_worker_hears_that_its_log_was_moved(run_dir: Path, host: str) -> None:
    path = run_dir / "own.log"
    with running(host, run_dir, f"--log-file={path}", "--log-level=debug") as (worker, peer):
        assert peer.get("/hello").body == b"hello"
        path.rename(run_dir / "own.log.1")
        worker.channel.sendall(b"reopen\nconfirm 7\n")
        said = worker.reports("reopened")
        assert (said["token"], said["problem"]) == (7, "")
        assert path.exists()
        worker.channel.sendall(b"now\n")
        assert worker.process.wait(PATIENCE) == 0
    assert "stopped" in path.read_text()
    assert "serves" in (run_dir / "own.log.1").read_text()
