"""Opens directories that are safe to work in, step by step. A leaf.

A path alone proves nothing. In a directory that every user may write to (/tmp, a volume that
containers share) another user may have been there first: with a directory of that name, in which
the user can put and replace anything, or with a symbolic link to a file of ours. So a path is
opened one name at a time (openat(2), O_NOFOLLOW), and each step is checked through its descriptor.
All further work is done through that descriptor, which goes on meaning the same directory, whatever
is renamed meanwhile.

Trusted users are root, our own user, and those that the caller names (the user that children run
as). Another user's directory can be shared if its group is one of ours and may write to it.
"""

import errno
import os
import pwd
import socket
import stat
from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

MOST_LINKS: Final = 40
"""Symbolic links in one path at most, as in the kernel (path_resolution(7))."""

_STEP: Final = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC
"""Flags for a directory on the way. With O_PATH it need not be readable."""
_OPEN: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_MADE_ON_THE_WAY: Final = 0o755


class Untrusted(Exception):
    """A user who is not trusted could change what is in the directory. The message is a sentence
    that begins behind the path."""


@dataclass(frozen=True, slots=True)
class Policy:
    """Which users' directories may be used."""

    users: Collection[int] = ()
    """Uids that are trusted besides root and our own."""
    shared: bool = False
    """Whether a directory of a user with a group in common may be used wherever it is. If not, it
    may be used only in a place where not every user could have made it."""

    def trusts(self, uid: int) -> bool:
        return uid in (0, os.geteuid()) or uid in self.users


def open_directory(path: str, policy: Policy, mode: int | None = None, group: int = -1) -> int:
    """Returns a descriptor of the directory. With a `mode` it is made if it is missing, with
    exactly these permissions, and with `group` unless that is -1. Raises OSError, and Untrusted."""
    here, above = _open_root(), None
    try:
        names = _names(path)
        links = 0
        while names:
            name = names.pop()
            below = _step(here, name, mode, group, last=not names)
            if above is not None:
                os.close(above)
            above, here = here, below
            status = os.fstat(here)
            if stat.S_ISLNK(status.st_mode):
                _check_link(status, policy, name)
                links += 1
                if links > MOST_LINKS:
                    raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
                target = os.readlink("", dir_fd=here)
                names += _names(target)
                os.close(here)
                here, above = above, None
                if target.startswith("/"):
                    os.close(here)
                    here = _open_root()
            elif names:
                _check_step(status, above, policy, name)
        _check(os.fstat(here), above, policy)
        return os.open(".", _OPEN, dir_fd=here)
    except OSError as error:
        error.filename = path
        raise
    finally:
        os.close(here)
        if above is not None:
            os.close(above)


def open_inside(
    folder: int, name: str, policy: Policy, mode: int | None = None, group: int = -1
) -> int:
    """Does what `open_directory` does, for a name in an open directory. The name must not be a
    link, because only Propylon makes names there. A new directory gets the group if we may give
    it."""
    made = False
    if mode is not None:
        made = _make(folder, name, mode)
    try:
        fd = os.open(name, _OPEN, dir_fd=folder)
    except OSError as error:
        if _is_link(folder, name):
            raise Untrusted("is a symbolic link, where a directory should be") from None
        error.filename = name
        raise
    try:
        status = os.fstat(fd)
        if made:
            status = _finish(fd, status, mode or 0, group)
        elif status.st_mode & stat.S_IWOTH and status.st_uid == os.geteuid():
            os.fchmod(fd, stat.S_IMODE(status.st_mode) & ~stat.S_IRWXO)
            status = os.fstat(fd)
        _check(status, folder, Policy(policy.users, shared=True))
        if status.st_mode & stat.S_IWOTH:
            raise Untrusted("may be written to by everybody; take that away with chmod o-w")
    except BaseException:
        os.close(fd)
        raise
    return fd


def may_write(folder: int) -> bool:
    """Whether files can be made in an open directory."""
    return os.access(".", os.W_OK | os.X_OK, dir_fd=folder)


def is_socket(folder: int, name: str) -> bool:
    """Whether a name in an open directory is a socket, and not a symbolic link to one."""
    try:
        return stat.S_ISSOCK(os.lstat(name, dir_fd=folder).st_mode)
    except OSError:
        return False


def bind_socket(path: str, mode: int, users: Collection[int] = ()) -> socket.socket:
    """Binds a Unix socket, with this mode and the group of its directory, and replaces what is at
    the path. It does not listen yet. The directory may also belong to one of `users`. Raises
    OSError, and Untrusted if the directory is not safe."""
    folder = _folder_of(path)
    try:
        _check(os.fstat(folder), None, Policy(users, shared=True))
        name = os.path.basename(path)
        _unlink(folder, name)
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            # bind(2) applies the umask; a chmod afterwards would come too late for a quick peer.
            umask = os.umask(0o777 & ~mode)
            try:
                sock.bind(path)
            finally:
                os.umask(umask)
            _settle(folder, name, mode)
        except BaseException:
            sock.close()
            raise
    finally:
        os.close(folder)
    return sock


def remove_socket(path: str) -> None:
    """Removes a socket, if there is one and it may be removed."""
    try:
        folder = _folder_of(path)
    except (OSError, Untrusted):
        return
    try:
        _unlink(folder, os.path.basename(path))
    except OSError:
        pass
    finally:
        os.close(folder)


def user_name(uid: int) -> str:
    """The name of a user as in "www-data", or "with uid 33" for a uid that has none."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"with uid {uid}"


# -- sockets in them -----------------------------------------------------------------------------


def _folder_of(path: str) -> int:
    """A descriptor of a path's directory. The way to it is not checked. Raises Untrusted if it is a
    symbolic link."""
    directory = os.path.dirname(path)
    try:
        return os.open(directory, _OPEN)
    except OSError:
        if os.path.islink(directory):
            raise Untrusted(f"{directory} is a symbolic link") from None
        raise


def _unlink(folder: int, name: str) -> None:
    try:
        os.unlink(name, dir_fd=folder)
    except FileNotFoundError:
        pass


def _settle(folder: int, name: str, mode: int) -> None:
    """Gives a new socket its group and mode, whatever a default ACL (acl(5)) has set. Whoever owns
    the directory may put another file there at any moment, so both are changed by a descriptor of
    the very file that was looked at. Raises Untrusted if it is not the socket that was made."""
    try:
        fd = os.open(name, _STEP, dir_fd=folder)
    except FileNotFoundError:
        raise Untrusted("was replaced while a socket was made in it") from None
    try:
        status = os.fstat(fd)
        ours = status.st_uid == os.geteuid() and status.st_nlink == 1
        if not stat.S_ISSOCK(status.st_mode) or not ours:
            raise Untrusted("was replaced while a socket was made in it")
        here = f"/proc/self/fd/{fd}"  # chmod(2) takes no descriptor of a path
        group = os.fstat(folder).st_gid
        if status.st_gid != group:
            try:
                os.chown(here, -1, group)
            except PermissionError:
                pass  # a group that we are not in; then no process of ours needs it
        if stat.S_IMODE(os.fstat(fd).st_mode) != mode:
            os.chmod(here, mode)
    finally:
        os.close(fd)


# -- one step ------------------------------------------------------------------------------------


def _open_root() -> int:
    return os.open("/", _STEP | os.O_DIRECTORY)


def _names(path: str) -> list[str]:
    """The names of a path, the last one first. `..` is a name like any other: the kernel resolves
    it."""
    return [name for name in reversed(path.split("/")) if name not in ("", ".")]


def _step(folder: int, name: str, mode: int | None, group: int, *, last: bool) -> int:
    try:
        return os.open(name, _STEP, dir_fd=folder)
    except FileNotFoundError:
        if mode is None:
            raise
    wanted = mode if last else _MADE_ON_THE_WAY
    made = _make(folder, name, wanted)
    fd = os.open(name, _STEP, dir_fd=folder)
    if made and last:
        try:
            ours = os.open(name, _OPEN, dir_fd=folder)
            try:
                _finish(ours, os.fstat(ours), wanted, group)
            finally:
                os.close(ours)
        except BaseException:
            os.close(fd)
            raise
    return fd


def _make(folder: int, name: str, mode: int) -> bool:
    """Makes a directory, and returns whether it was missing."""
    try:
        # No other user may write to it before `_finish` has set it up.
        os.mkdir(name, mode & 0o755, dir_fd=folder)
    except FileExistsError:
        return False
    return True


def _finish(fd: int, status: os.stat_result, mode: int, group: int) -> os.stat_result:
    """Gives a directory that was just made its group and its mode, whatever the umask was. Returns
    its new status. Raises Untrusted if it was replaced meanwhile."""
    if status.st_uid != os.geteuid():
        raise Untrusted(f"belongs to user {user_name(status.st_uid)}")
    if group not in (-1, status.st_gid):
        try:
            os.fchown(fd, -1, group)
        except PermissionError:
            pass  # a group that we are not in; then no process of ours needs it
    os.fchmod(fd, mode)
    return os.fstat(fd)


def _is_link(folder: int, name: str) -> bool:
    try:
        return stat.S_ISLNK(os.lstat(name, dir_fd=folder).st_mode)
    except OSError:
        return False


# -- who is trusted ------------------------------------------------------------------------------


def _check_link(status: os.stat_result, policy: Policy, name: str) -> None:
    if not policy.trusts(status.st_uid):
        owner = user_name(status.st_uid)
        raise Untrusted(f"is reached by a symbolic link of user {owner} ({name})")


def _check_step(status: os.stat_result, above: int, policy: Policy, name: str) -> None:
    """Checks a directory on the way: its owner can replace everything below. A directory in a place
    where only the administrator could have made it is the administrator's decision."""
    if policy.trusts(status.st_uid) or not _anybody_writes(above):
        return
    if not policy.shared or status.st_gid not in _groups():
        owner = user_name(status.st_uid)
        raise Untrusted(f"is below {name}, which belongs to user {owner}")


def _check(status: os.stat_result, above: int | None, policy: Policy) -> None:
    if not stat.S_ISDIR(status.st_mode):
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
    if policy.trusts(status.st_uid):
        return
    common = status.st_gid in _groups() and bool(status.st_mode & stat.S_IWGRP)
    if common and (policy.shared or not _anybody_writes(above)):
        return
    raise Untrusted(
        f"belongs to user {user_name(status.st_uid)}, who could put anything there; it has to be "
        "yours or root's, or to let a group write that you are in (chgrp GROUP, chmod 2770)"
    )


def _anybody_writes(folder: int | None) -> bool:
    return folder is not None and bool(os.fstat(folder).st_mode & stat.S_IWOTH)


def _groups() -> set[int]:
    return {os.getegid(), *os.getgroups()}
