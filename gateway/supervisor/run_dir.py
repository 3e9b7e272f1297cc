"""The run directory: `<run-dir>/<pool>/<gateway>.sock`, where workers find the gateways.

By default each instance makes one for itself, named by its pid, below a directory of its user;
those that a killed instance left behind are removed by the next. Who serves from a run directory
holds a lock in it (flock(2)), which ends with the process and, unlike a pid, means the same in
every container that shares the directory.

Its holder answers at `control.sock`. Workers that run alone share the directory with a gateway,
perhaps with each other, and perhaps from containers where each has pid 1: their sockets are named
`control-<random>.sock`.
"""

import fcntl
import os
import re
import secrets
import shutil
import socket
import stat
import tempfile
from collections.abc import Iterator, Sequence
from itertools import count
from typing import Final

from ..listen.address import SUN_PATH

LOCK: Final = "gateway.lock"
CONTROL: Final = "control.sock"
MODE: Final = 0o750

_CONTROL_OF_WORKERS: Final = re.compile(r"control-[0-9a-f]{4}\.sock")


class RunDirError(Exception):
    """The run directory cannot be used, as a sentence."""


class RunDir:
    """Exists, is writable, has a directory for each pool. close() tidies up what is ours."""

    def __init__(self, path: str, lock_fd: int | None, temporary: bool) -> None:
        self.path = path
        alone = f"control-{secrets.token_hex(2)}.sock"
        self.control_socket = os.path.join(path, alone if lock_fd is None else CONTROL)
        self.lock_fd = lock_fd
        self.temporary = temporary

    def close(self) -> None:
        if self.temporary:
            shutil.rmtree(self.path, ignore_errors=True)
        if self.lock_fd is not None:
            os.close(self.lock_fd)
            self.lock_fd = None


def open_run_dir(
    path: str | None, pools: Sequence[str], gateways: int, *, with_gateway: bool = True
) -> RunDir:
    """`path` None: one of our own. Workers alone only use what is there, or make it.

    Raises RunDirError.
    """
    try:
        if path is None:
            run_dir = _of_our_own()
        else:
            _check_length(os.path.abspath(path), pools, gateways, with_gateway)
            run_dir = _given(os.path.abspath(path), with_gateway)
    except OSError as exc:
        where = exc.filename or path
        raise RunDirError(
            f"run directory {where} cannot be used: {exc.strerror}; name another with --run-dir"
        ) from None
    try:
        _check_length(run_dir.path, pools, gateways, with_gateway)
        for pool in pools:
            _make(os.path.join(run_dir.path, pool))
            if with_gateway:
                _remove_doors(os.path.join(run_dir.path, pool))
    except OSError as exc:
        run_dir.close()
        raise RunDirError(f"run directory {exc.filename}: {exc.strerror}") from None
    except RunDirError:
        run_dir.close()
        raise
    return run_dir


def own_run_dirs() -> list[str]:
    """Those that instances of this user have made for themselves; some may be left behind.

    Only looks. A service and a login may differ in having $XDG_RUNTIME_DIR, so both places count.
    """
    return [path for base in _bases() if _is_ours(base) for path in sorted(_instances(base))]


def control_sockets(run_dir: str) -> list[str]:
    """Where instances may answer, the gateway's first. Raises OSError."""
    names = sorted(name for name in os.listdir(run_dir) if _CONTROL_OF_WORKERS.fullmatch(name))
    if os.path.exists(os.path.join(run_dir, CONTROL)):
        names.insert(0, CONTROL)
    return [os.path.join(run_dir, name) for name in names]


def _given(path: str, with_gateway: bool) -> RunDir:
    os.makedirs(path, mode=MODE, exist_ok=True)
    _remove_dead_sockets(path)
    if not with_gateway:
        return RunDir(path, None, temporary=False)
    lock_fd = _lock(path)
    if lock_fd is None:
        raise RunDirError(
            f"run directory {path} is in use by another gateway{_written_pid(path)}; "
            "each needs its own --run-dir"
        )
    return RunDir(path, lock_fd, temporary=False)


def _of_our_own() -> RunDir:
    base = _base()
    _remove_stale(base)
    for number in count(1):
        # The same pid may be taken by an instance in another container.
        name = f"{os.getpid()}" if number == 1 else f"{os.getpid()}-{number}"
        path = os.path.join(base, name)
        try:
            os.mkdir(path, MODE)
        except FileExistsError:
            continue
        return RunDir(path, _lock(path), temporary=True)
    raise AssertionError("count() has no end")


def _base() -> str:
    """The first place of _bases(), made."""
    path = _bases()[0]
    os.makedirs(path, mode=0o700, exist_ok=True)
    if not _is_ours(path):
        # In a directory that all may write to, somebody else may have been there first.
        raise RunDirError(f"run directory {path} belongs to another user; use --run-dir")
    return path


def _bases() -> list[str]:
    """$XDG_RUNTIME_DIR/propylon where that is ours and writable, and /tmp/propylon-<uid>."""
    bases = [os.path.join(tempfile.gettempdir(), f"propylon-{os.getuid()}")]
    runtime = os.environ.get("XDG_RUNTIME_DIR", "")
    if runtime and _is_ours(runtime) and os.access(runtime, os.W_OK | os.X_OK):
        bases.insert(0, os.path.join(runtime, "propylon"))
    return bases


def _is_ours(path: str) -> bool:
    try:
        status = os.lstat(path)
    except OSError:
        return False
    return stat.S_ISDIR(status.st_mode) and status.st_uid == os.getuid()


def _remove_stale(base: str) -> None:
    for path in _instances(base):
        lock_fd = _lock(path)
        if lock_fd is not None:
            shutil.rmtree(path, ignore_errors=True)
            os.close(lock_fd)


def _instances(base: str) -> Iterator[str]:
    """Only what has a lock: a directory that is being made has none yet."""
    for name in os.listdir(base):
        if name.replace("-", "").isdecimal() and os.path.exists(os.path.join(base, name, LOCK)):
            yield os.path.join(base, name)


def _remove_dead_sockets(run_dir: str) -> None:
    """What killed instances of workers left behind: nobody else would take the name again."""
    for path in control_sockets(run_dir):
        if os.path.basename(path) != CONTROL and _is_dead(path):
            try:
                os.unlink(path)
            except OSError:
                pass  # another user's


def _is_dead(path: str) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            return True
        except OSError:
            return False
    return False


def _lock(path: str) -> int | None:
    """A file descriptor that holds the lock; None: somebody else does."""
    lock_fd = os.open(os.path.join(path, LOCK), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
    try:
        fcntl.flock(lock_fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.ftruncate(lock_fd, 0)
        os.write(lock_fd, f"{os.getpid()}\n".encode())
    except BlockingIOError:
        os.close(lock_fd)
        return None
    except BaseException:
        os.close(lock_fd)
        raise
    return lock_fd


def _written_pid(path: str) -> str:
    try:
        with open(os.path.join(path, LOCK)) as lock:
            pid = lock.read(20).strip()
    except OSError:
        return ""
    return f" (pid {pid})" if pid else ""


def _make(path: str) -> None:
    os.makedirs(path, mode=MODE, exist_ok=True)
    if not os.access(path, os.W_OK | os.X_OK):
        raise RunDirError(f"run directory {path} cannot be written; name another with --run-dir")


def _remove_doors(path: str) -> None:
    """Those of a killed instance, at which nobody opens."""
    for name in os.listdir(path):
        if name.endswith(".sock"):
            os.unlink(os.path.join(path, name))


def _check_length(run_dir: str, pools: Sequence[str], gateways: int, with_gateway: bool) -> None:
    paths = {
        "pool socket": os.path.join(run_dir, max(pools, key=len), f"{gateways}.999.sock"),
        "control socket": os.path.join(run_dir, CONTROL if with_gateway else "control-1234.sock"),
    }
    for what, path in paths.items():
        length = len(os.fsencode(path))
        if length > SUN_PATH:
            raise RunDirError(
                f"the {what} {path} would have a path of {length} bytes, and a Unix socket's has "
                f"at most {SUN_PATH}; name a shorter --run-dir"
            )
