"""The run directory, where workers find the gateways: `<run-dir>/<pool>/<gateway>.sock`.

By default each instance makes one for itself. It is named by the pid and lies below a directory of
the user; one that a killed instance left behind is removed by the next instance. A supervisor with
gateways holds a lock in its run directory (flock(2)). A lock ends with its process and, unlike a
pid, means the same in every container that shares the directory.

The holder of the lock answers at `control.sock`. Workers that run alone share the directory with a
gateway, perhaps with other workers, and perhaps from containers in which each supervisor has pid 1.
So their control sockets are named `control-<random>.sock`.

A user who can write to the directory can take workers from a gateway, or clients' requests from
workers. So the directory has to be trusted (see `directories`), and nothing in it is opened,
emptied or removed through a link. A gateway and workers of two users share a directory that a
common group may write to. Then the group decides, by the permissions of the directory and its
sockets: the user who makes the directory lets its primary group write, and what is made in it gets
the directory's group.
"""

import errno
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

from ...protocol.supervision.problems import ROOM
from ..config.identity import Identity
from ..directories import Policy, Untrusted, is_socket, may_write, open_directory, open_inside
from ..listen.address import SUN_PATH

LOCK: Final = "gateway.lock"
CONTROL: Final = "control.sock"
OWN_MODE: Final = 0o750
SHARED_MODE: Final = 0o2770
"""The mode of a directory that two users share. setgid: what is made in it gets its group."""
FALLBACK: Final = "/dev/shm"
"""A directory that exists and can be written to even if the file system is read-only."""

_CONTROL_OF_WORKERS: Final = re.compile(r"control-[0-9a-f]{4}\.sock")
_NOWHERE: Final = (errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOENT, errno.ENOTDIR)
"""Errors that mean that no directory can be made in a place, so that the next one is tried."""
_MOUNTED: Final = "mount it without readOnly, or name another directory with --run-dir"
_FULL: Final = (errno.ENOSPC, errno.EDQUOT)


class RunDirError(Exception):
    """The run directory cannot be used. The message is a sentence."""


class RunDir:
    """A run directory that exists and can be written to. `close` lets go of its lock, and removes
    the directory if it was made for this instance."""

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
    path: str | None,
    pools: Sequence[str],
    gateways: int,
    *,
    with_gateway: bool = True,
    shared: bool = False,
    owner: Identity | None = None,
) -> RunDir:
    """Opens the run directory at `path`, or makes it; None makes one for this instance.

    `with_gateway` takes the lock and makes a directory for each pool; workers alone do neither.
    `shared` means that another supervisor, perhaps of another user, uses it too. `owner` is the
    identity that the children run as; the pools' directories then belong to it, and everything else
    belongs to us. Raises RunDirError.
    """
    if path is None:
        run_dir = _of_our_own(owner)
    else:
        path = os.path.abspath(path)
        _check_length(path, pools, gateways, with_gateway)
        run_dir = _given(path, with_gateway, shared or not with_gateway, owner)
    try:
        _check_length(run_dir.path, pools, gateways, with_gateway)
        if with_gateway:
            for pool in pools:
                make_pool_directory(run_dir.path, pool, shared=shared, tidy=True, owner=owner)
    except RunDirError:
        run_dir.close()
        raise
    return run_dir


def make_pool_directory(
    run_dir: str,
    pool: str,
    *,
    shared: bool = False,
    tidy: bool = False,
    owner: Identity | None = None,
) -> None:
    """Makes the directory of a pool's sockets, in which only those may connect who may write to the
    run directory. A run directory that was removed meanwhile is made anew, `shared` or not. `tidy`
    removes sockets of a killed instance. Raises RunDirError."""
    path = os.path.join(run_dir, pool)
    try:
        made = SHARED_MODE if shared else OWN_MODE
        policy = Policy(() if owner is None else (owner.uid,), shared=True)
        folder = open_directory(run_dir, policy, made, _gid(owner))
        try:
            above = os.fstat(folder)
            by_group = above.st_mode & stat.S_IWGRP
            mode = SHARED_MODE if by_group else OWN_MODE
            group = above.st_gid if by_group else _gid(owner)
            inside = open_inside(folder, pool, policy, mode, group)
        finally:
            os.close(folder)
        try:
            if owner is not None and os.fstat(inside).st_uid == os.geteuid():
                os.fchown(inside, owner.uid, -1)
            if not may_write(inside):
                raise Untrusted("cannot be written to by this user; name another with --run-dir")
            if tidy:
                _remove_sockets(inside)
        finally:
            os.close(inside)
    except Untrusted as why:
        raise RunDirError(f"run directory {path} {why}") from None
    except OSError as exc:
        raise RunDirError(
            f"run directory {path} cannot be used: {exc.strerror}{_room(exc, '')}"
        ) from None


def own_run_dirs() -> list[str]:
    """The run directories that instances of this user have made for themselves; some may be left
    behind. A service may lack the $XDG_RUNTIME_DIR that a login has, so every place is looked at.
    """
    return [path for base in _bases() if _is_ours(base) for path in sorted(_instances(base))]


def control_sockets(run_dir: str) -> list[str]:
    """The paths of the control sockets in a run directory, the gateway's first. Raises OSError."""
    folder = os.open(run_dir, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        return [os.path.join(run_dir, name) for name in _control_sockets(folder)]
    finally:
        os.close(folder)


def _control_sockets(folder: int) -> list[str]:
    names = sorted(name for name in os.listdir(folder) if _CONTROL_OF_WORKERS.fullmatch(name))
    return [name for name in (CONTROL, *names) if is_socket(folder, name)]


# -- a run directory that the operator names -----------------------------------------------------


def _given(path: str, with_gateway: bool, shared: bool, owner: Identity | None) -> RunDir:
    mode = SHARED_MODE if shared else OWN_MODE
    policy = Policy(() if owner is None else (owner.uid,), shared=shared)
    try:
        folder = open_directory(path, policy, mode, _gid(owner))
    except Untrusted as why:
        raise RunDirError(f"run directory {path} {why}") from None
    except OSError as exc:
        raise _unusable(path, exc) from None
    try:
        if not may_write(folder):
            raise RunDirError(_not_writable(path, folder))
        _remove_dead_sockets(folder, path)
        lock_fd = _lock(folder) if with_gateway else None
    except OSError as exc:
        raise RunDirError(
            f"{LOCK} in the run directory {path} cannot be used: {exc.strerror}"
            + _room(exc, "; remove it, or name another directory with --run-dir")
        ) from None
    finally:
        os.close(folder)
    if with_gateway and lock_fd is None:
        raise RunDirError(
            f"run directory {path} is in use by another gateway{_written_pid(path)}; "
            "each needs its own --run-dir"
        )
    return RunDir(path, lock_fd, temporary=False)


def _unusable(path: str, error: OSError) -> RunDirError:
    return RunDirError(
        f"run directory {path} cannot be used: {error.strerror}"
        + _room(error, "; name another with --run-dir")
    )


def _room(error: OSError, otherwise: str) -> str:
    """What to do about an error, as the end of a sentence: make room if the volume is full, mount
    it otherwise if it is read-only, and else `otherwise`."""
    if error.errno == errno.EROFS:
        return f"; {_MOUNTED}"
    if error.errno not in _FULL:
        return otherwise
    return f"; {ROOM}"


def _not_writable(path: str, folder: int) -> str:
    if os.fstatvfs(folder).f_flag & os.ST_RDONLY:
        return f"run directory {path} is on a read-only volume; {_MOUNTED}"
    mode = stat.S_IMODE(os.fstat(folder).st_mode)
    return (
        f"run directory {path} (mode {mode:04o}) cannot be written to by this user; name another "
        "with --run-dir, or let a group write that both users are in (chgrp GROUP, chmod 2770)"
    )


# -- a run directory that is made for this instance ----------------------------------------------


def _gid(owner: Identity | None) -> int:
    """The owner's group; without an owner -1, which makes chown(2) leave the group as it is."""
    return -1 if owner is None else owner.gid


def _of_our_own(owner: Identity | None) -> RunDir:
    tried: list[str] = []
    # $XDG_RUNTIME_DIR is closed to other users.
    for base in _bases() if owner is None else _bases()[-2:]:
        try:
            return _made_below(base, owner)
        except OSError as exc:
            tried.append(f"{base}: {exc.strerror}")
            if exc.errno not in _NOWHERE:
                break
    raise RunDirError(
        "no run directory can be made; name a writable directory with --run-dir (PROPYLON_RUN_DIR)"
        f"; tried {', '.join(tried)}"
    )


def _made_below(base: str, owner: Identity | None) -> RunDir:
    """Makes a run directory below `base`. Raises OSError if nothing can be made there, RunDirError
    if the place is not trusted."""
    folder = _open_base(base)
    try:
        if owner is not None:
            os.fchmod(folder, 0o711)  # the children pass through it and cannot list it
        _remove_stale(folder, base)
        for number in count(1):
            # The same pid may be taken by an instance in another container.
            name = f"{os.getpid()}" if number == 1 else f"{os.getpid()}-{number}"
            try:
                os.mkdir(name, 0o700, dir_fd=folder)
            except FileExistsError:
                continue
            inside = open_inside(folder, name, Policy())
            try:
                if owner is not None:
                    os.fchown(inside, -1, owner.gid)
                os.fchmod(inside, OWN_MODE)
                return RunDir(os.path.join(base, name), _lock(inside), temporary=True)
            finally:
                os.close(inside)
    finally:
        os.close(folder)
    raise AssertionError("count() has no end")


def _open_base(path: str) -> int:
    try:
        folder = open_directory(path, Policy(), 0o700)
    except Untrusted as why:
        # In a directory that every user may write to, another user may have made it first.
        raise RunDirError(f"run directory {path} {why}; use --run-dir") from None
    if _is_ours(path):
        return folder
    os.close(folder)
    raise RunDirError(f"run directory {path} belongs to another user; use --run-dir")


def _bases() -> list[str]:
    """The places for a run directory, in the order in which they are tried: $XDG_RUNTIME_DIR if it
    is ours and writable, the directory for temporary files, and FALLBACK."""
    bases: list[str] = []
    runtime = os.environ.get("XDG_RUNTIME_DIR", "")
    if runtime and _is_ours(runtime) and os.access(runtime, os.W_OK | os.X_OK):
        bases.append(os.path.join(runtime, "propylon"))
    return bases + [
        os.path.join(place, f"propylon-{os.getuid()}") for place in (_temporary(), FALLBACK)
    ]


def _temporary() -> str:
    try:
        return tempfile.gettempdir()
    except FileNotFoundError:  # nothing is writable; the error names the usual place
        return "/tmp"


def _is_ours(path: str) -> bool:
    try:
        status = os.lstat(path)
    except OSError:
        return False
    return stat.S_ISDIR(status.st_mode) and status.st_uid == os.getuid()


def _remove_stale(folder: int, base: str) -> None:
    for path in _instances(base):
        name = os.path.basename(path)
        try:
            inside = open_inside(folder, name, Policy())
        except (OSError, Untrusted):
            continue
        try:
            lock_fd = _lock(inside)
        except OSError:
            continue
        finally:
            os.close(inside)
        if lock_fd is not None:
            shutil.rmtree(name, ignore_errors=True, dir_fd=folder)
            os.close(lock_fd)


def _instances(base: str) -> Iterator[str]:
    """The run directories below `base`. One without a lock file is still being made, and is passed
    over."""
    for name in os.listdir(base):
        if name.replace("-", "").isdecimal() and os.path.exists(os.path.join(base, name, LOCK)):
            yield os.path.join(base, name)


# -- what is in it -------------------------------------------------------------------------------


def _remove_dead_sockets(folder: int, path: str) -> None:
    """Removes control sockets that killed instances of workers have left behind. Their names are
    random, so no later instance would replace them."""
    for name in _control_sockets(folder):
        if name != CONTROL and is_dead(os.path.join(path, name)):
            try:
                os.unlink(name, dir_fd=folder)
            except OSError:
                pass  # it belongs to another user


def is_dead(path: str) -> bool:
    """Whether nobody listens at a socket."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            return True
        except OSError:
            return False
    return False


def _lock(folder: int) -> int | None:
    """Returns a descriptor that holds the lock; None if another process holds it. Raises OSError,
    also for a link or another user's file: writing to it could change any file of ours."""
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    lock_fd = os.open(LOCK, flags, 0o640, dir_fd=folder)
    try:
        status = os.fstat(lock_fd)
        if not stat.S_ISREG(status.st_mode) or status.st_nlink != 1:
            raise OSError(errno.EPERM, "it is no ordinary file of its own")
        if status.st_uid != os.geteuid() and os.geteuid() == 0:
            raise OSError(errno.EPERM, "it belongs to another user")
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
        fd = os.open(os.path.join(path, LOCK), os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        with open(fd) as lock:
            pid = lock.read(20).strip()
    except (OSError, ValueError):
        return ""
    return f" (pid {pid})" if pid else ""


def _remove_sockets(folder: int) -> None:
    """Removes a pool's sockets, which a killed instance has left behind."""
    for name in os.listdir(folder):
        if name.endswith(".sock") and is_socket(folder, name):
            os.unlink(name, dir_fd=folder)


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
