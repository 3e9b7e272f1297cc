"""The run directory: `<run-dir>/<pool>/<gateway>.sock`, where workers find the gateways.

By default each instance makes one for itself, named by its pid, below a directory of its user;
those that a killed instance left behind are removed by the next. Who serves from a run directory
holds a lock in it (flock(2)), which ends with the process and, unlike a pid, means the same in
every container that shares the directory.
"""

import fcntl
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator, Sequence
from itertools import count
from typing import Final

from ..listen.address import SUN_PATH

LOCK: Final = "gateway.lock"
MODE: Final = 0o750


class RunDirError(Exception):
    """The run directory cannot be used, as a sentence."""


class RunDir:
    """Exists, is writable, has a directory for each pool. close() tidies up what is ours."""

    def __init__(self, path: str, lock_fd: int | None, temporary: bool) -> None:
        self.path = path
        self._lock_fd = lock_fd
        self._temporary = temporary

    def close(self) -> None:
        if self._temporary:
            shutil.rmtree(self.path, ignore_errors=True)
        if self._lock_fd is not None:
            os.close(self._lock_fd)
            self._lock_fd = None


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
            _check_length(os.path.abspath(path), pools, gateways)
            run_dir = _given(os.path.abspath(path), with_gateway)
    except OSError as exc:
        where = exc.filename or path
        raise RunDirError(
            f"run directory {where} cannot be used: {exc.strerror}; name another with --run-dir"
        ) from None
    try:
        _check_length(run_dir.path, pools, gateways)
        for pool in pools:
            _make(os.path.join(run_dir.path, pool))
    except OSError as exc:
        run_dir.close()
        raise RunDirError(f"run directory {exc.filename}: {exc.strerror}") from None
    except RunDirError:
        run_dir.close()
        raise
    return run_dir


def _given(path: str, with_gateway: bool) -> RunDir:
    os.makedirs(path, mode=MODE, exist_ok=True)
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
    """$XDG_RUNTIME_DIR/propylon where that is ours and writable, else /tmp/propylon-<uid>."""
    runtime = os.environ.get("XDG_RUNTIME_DIR", "")
    if runtime and _is_ours(runtime) and os.access(runtime, os.W_OK | os.X_OK):
        path = os.path.join(runtime, "propylon")
    else:
        path = os.path.join(tempfile.gettempdir(), f"propylon-{os.getuid()}")
    os.makedirs(path, mode=0o700, exist_ok=True)
    if not _is_ours(path):
        # In a directory that all may write to, somebody else may have been there first.
        raise RunDirError(f"run directory {path} belongs to another user; use --run-dir")
    return path


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


def _check_length(run_dir: str, pools: Sequence[str], gateways: int) -> None:
    path = os.path.join(run_dir, max(pools, key=len), f"{gateways}.sock")
    length = len(os.fsencode(path))
    if length > SUN_PATH:
        raise RunDirError(
            f"the pool socket {path} would have a path of {length} bytes, and a Unix socket's has "
            f"at most {SUN_PATH}; name a shorter --run-dir"
        )
