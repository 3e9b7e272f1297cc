"""Programs that are compared: found, ended without a rest, and what they use of the machine."""

import ctypes
import os
import re
import shutil
import signal
import sys
import time
from pathlib import Path

from ..end_to_end.server import command_line, descendants, stat, with_no_such

PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36
LIBC = ctypes.CDLL(None, use_errno=True)
TICKS, PAGE = os.sysconf("SC_CLK_TCK"), os.sysconf("SC_PAGE_SIZE")


class Absent(Exception):
    """A program that a contestant needs is not installed."""


def python_tool(name: str) -> str:
    path = Path(sys.executable).with_name(name)
    if not path.exists():
        raise Absent(f"{name}: pip install {name}")
    return str(path)


def program(name: str) -> str:
    path = shutil.which(name) or shutil.which(name, path="/usr/sbin")
    if path is None:
        raise Absent(name)
    return path


# -- their ends ------------------------------------------------------------------------------


def adopt_orphans() -> None:
    """What a contestant leaves behind becomes a child of this process, where it is found. A SIGTERM
    ends this process as Ctrl-C does, with everything below it."""
    if LIBC.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl")
    signal.signal(signal.SIGTERM, signal.default_int_handler)


def die_with_parent() -> None:
    """In a contestant's process: should the harness be killed, nobody else would end it."""
    LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)


def end_all() -> list[str]:
    """Kills whatever is left below this process. Returns the command lines."""
    return end(list(descendants(os.getpid())))


def end(pids: list[int]) -> list[str]:
    """Kills those, which are below this process. Returns the command lines of those that ran."""
    left = [pid for pid in pids if command_line(pid)]
    lines = [command_line(pid) for pid in left]
    for pid in left:
        with_no_such(os.kill, pid, signal.SIGKILL)
    until = time.monotonic() + 5
    while any(map(stat, left)) and time.monotonic() < until:
        time.sleep(0.01)
    reap(left)
    return lines


def reap(pids: list[int]) -> None:
    """Of those that became this process's children; Popen waits for its own."""
    for pid in pids:
        try:
            os.waitpid(pid, os.WNOHANG)
        except ChildProcessError:
            pass


# -- what they have used ---------------------------------------------------------------------


def cpu_seconds(pid: int) -> float:
    """User's and system's; 0.0 of one that is gone."""
    fields = stat(pid)
    return (int(fields[11]) + int(fields[12])) / TICKS if fields else 0.0


def memory(pid: int) -> int:
    """Resident bytes; what processes share counts in each."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE
    except (FileNotFoundError, ProcessLookupError):
        return 0


def role(pid: int) -> str:
    """What the process is, in a word or two: "gateway", "nginx", "uvicorn"."""
    line = command_line(pid)
    if match := re.search(r"propylon\.(gateway\.process|worker)", line):
        return match[1].split(".")[0]
    if "multiprocessing" in line:
        return "spawned"
    words = [Path(word.strip(":")).name for word in line.split()[:2]]
    if words and words[0].startswith("python"):
        words = words[1:]
    name = words[0] if words else str(pid)
    return "supervisor" if name == "propylon" else name
