"""The real thing: `propylon serve` in processes of its own, started and stopped for a test."""

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import httpx

APPS = Path(__file__).parent.parent / "apps"
DEADLINE = 20.0
"""Seconds that anything may take before a test says that it never came."""

T = TypeVar("T")


def wait_for(condition: Callable[[], T], what: str, deadline: float = DEADLINE) -> T:
    """The condition's first true value."""
    end = time.monotonic() + deadline
    while not (value := condition()):
        assert time.monotonic() < end, f"{deadline} s and not yet: {what}"
        time.sleep(0.01)
    return value


class Output:
    """What a process writes to one of its streams, read as it comes."""

    def __init__(self, stream) -> None:
        self._text = ""
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._read, args=(stream,), daemon=True)
        self._thread.start()

    def _read(self, stream) -> None:
        with stream:
            for line in stream:
                with self._changed:
                    self._text += line
                    self._changed.notify_all()
        with self._changed:
            self._changed.notify_all()

    @property
    def text(self) -> str:
        with self._changed:
            return self._text

    def find(self, pattern: str, process: subprocess.Popen[str] | None = None) -> re.Match[str]:
        """Waits for the pattern to appear (or the process to end without it)."""

        def look() -> re.Match[str] | bool | None:
            match = re.search(pattern, self._text, re.M)
            return match or (process is not None and not self._thread.is_alive())

        with self._changed:
            found = self._changed.wait_for(look, DEADLINE)
        match = re.search(pattern, self.text, re.M)
        assert found, f"{DEADLINE} s without {pattern!r}:\n{self.text}"
        assert match, f"it ended without {pattern!r}:\n{self.text}"
        return match

    def finish(self) -> str:
        self._thread.join(DEADLINE)
        return self.text


def command(*arguments: str) -> list[str]:
    return [str(Path(sys.executable).with_name("propylon")), *arguments]


def environment(**changes: str) -> dict[str, str]:
    """Ours without what would configure Propylon, and with what a test adds."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PROPYLON_")}
    kept.pop("WEB_CONCURRENCY", None)
    return {**kept, "PYTHONDONTWRITEBYTECODE": "1", **changes}


class Propylon:
    """`propylon serve …` on a free port of 127.0.0.1, unless the arguments bind something else.

    Leaving the context stops it with SIGTERM and asserts that it ended well: exit code 0, no
    process left, no traceback of ours.
    """

    def __init__(
        self,
        *arguments: str,
        env: dict[str, str] | None = None,
        cwd: str | Path = APPS,
        within: Sequence[str] = (),
    ) -> None:
        """`within` is a command that becomes Propylon, as `nice -n 5` would."""
        self._within = within
        self._arguments = ["serve", *arguments]
        if not {"-b", "--bind", "-c"} & set(arguments):
            self._arguments += ["-b", "127.0.0.1:0"]
        self._env = environment(**(env or {}))
        self.cwd = cwd
        self.url = ""

    def __enter__(self) -> "Propylon":
        self.process = subprocess.Popen(
            [*self._within, *command(*self._arguments)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=self._env,
            cwd=self.cwd,
        )
        assert self.process.stdout is not None
        assert self.process.stderr is not None
        self.stdout, self.stderr = Output(self.process.stdout), Output(self.process.stderr)
        try:
            self.url = self.stderr.find(r"Serving on (\S+)", self.process)[1].rstrip(",")
        except BaseException:
            self.kill()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None:
            self.kill()
            sys.stderr.write(f"--- propylon's stderr:\n{self.stderr.finish()}\n")
            return
        code = self.stop()
        log = self.stderr.text
        assert code == 0, log
        assert not traceback_of_ours(log), log

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Asks it to end, waits, and sees that nothing is left of it. Returns the exit code."""
        family = descendants(self.process.pid)
        if self.process.poll() is None:
            self.process.send_signal(number)
        try:
            code = self.process.wait(DEADLINE)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"it does not end:\n{self.stderr.finish()}") from None
        self.stdout.finish()
        self.stderr.finish()
        left = [pid for pid, started in family.items() if start_time(pid) == started]
        assert not left, f"{left} outlived the supervisor:\n{self.stderr.text}"
        return code

    def kill(self) -> None:
        family = descendants(self.process.pid)
        self.process.kill()
        self.process.wait()
        for pid, started in family.items():
            if start_time(pid) == started:
                with_no_such(os.kill, pid, signal.SIGKILL)
        self.stdout.finish()
        self.stderr.finish()

    # -- looking at it -----------------------------------------------------------------------

    @contextmanager
    def client(self, **options) -> Iterator[httpx.Client]:
        options = {"base_url": self.url, "timeout": DEADLINE, "trust_env": False, **options}
        with httpx.Client(**options) as client:
            yield client

    @property
    def address(self) -> tuple[str, int]:
        url = httpx.URL(self.url)
        assert url.port is not None
        return url.host, url.port

    def pids(self, kind: str) -> list[int]:
        """Of the gateway or worker processes that run now."""
        module = {"gateway": "propylon.gateway.process", "worker": "propylon.worker"}[kind]
        return [pid for pid in descendants(self.process.pid) if module in command_line(pid)]


def with_no_such(call: Callable[..., object], *arguments: object) -> None:
    try:
        call(*arguments)
    except ProcessLookupError:
        pass


def traceback_of_ours(log: str) -> bool:
    """Whether a traceback's last frame is in our code: our own failure, not the app's."""
    frames = re.findall(r"Traceback \(.*?\n((?:\s+.*\n)+)", log)
    ours = re.compile(r'File "[^"]*/(gateway|protocol|worker)/[^"]*\.py"')
    return any(ours.search(frame) for frame in frames)


# -- /proc ---------------------------------------------------------------------------------------


def stat(pid: int) -> list[str]:
    """Fields of /proc/PID/stat behind the command's name, [] for one that is gone or a zombie."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return []
    fields = text.rpartition(")")[2].split()
    return [] if fields[0] == "Z" else fields


def start_time(pid: int) -> str | None:
    fields = stat(pid)
    return fields[19] if fields else None


def descendants(pid: int) -> dict[int, str]:
    """Every process below this one, with its start time: pids are used again."""
    parents: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and (fields := stat(int(entry.name))):
            parents.setdefault(int(fields[1]), []).append(int(entry.name))
    found: dict[int, str] = {}
    waiting = [pid]
    while waiting:
        for child in parents.get(waiting.pop(), []):
            if (started := start_time(child)) is not None:
                found[child] = started
                waiting.append(child)
    return found


def command_line(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    except (FileNotFoundError, ProcessLookupError):
        return ""


def resident(pid: int) -> int:
    """Bytes of memory that the process has in use."""
    status = Path(f"/proc/{pid}/status").read_text()
    match = re.search(r"^VmRSS:\s+(\d+) kB", status, re.M)
    assert match
    return int(match[1]) * 1024
