"""The file that tells other programs the supervisor's pid."""

import os
import secrets
import stat
from typing import Final

LONGEST: Final = 32
"""Bytes of what may be a pid file; a longer one is something else, perhaps a program."""


class PidFileError(Exception):
    """The file cannot be written, as a sentence."""


class PidFile:
    """Written when made; close() removes it where it is still ours."""

    def __init__(self, path: str) -> None:
        """Raises PidFileError."""
        self._path = os.path.abspath(path)
        _check(self._path, path)
        other = _live_pid(self._path)
        if other is not None:
            raise PidFileError(f"pid file {path} names process {other}, which is running")
        try:
            _write(self._path)
        except OSError as exc:
            raise PidFileError(f"pid file {path} cannot be written: {exc.strerror}") from None

    def close(self) -> None:
        if _read(self._path) == os.getpid():
            try:
                os.unlink(self._path)
            except OSError:
                pass  # its directory may be read-only by now


def _write(path: str) -> None:
    # Renamed into place: a reader never sees half a number. Under a name that nobody foresees, and
    # only as a new file: in /tmp another user may have put a link there.
    draft = f"{path}.{secrets.token_hex(4)}"
    fd = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
    try:
        with open(fd, "w") as file:
            file.write(f"{os.getpid()}\n")
        os.replace(draft, path)
    except BaseException:
        os.unlink(draft)
        raise


def _check(path: str, shown: str) -> None:
    """What is there already is a pid file, not what somebody has named by mistake."""
    try:
        status = os.lstat(path)
    except OSError:
        return  # none; or writing will say what is wrong
    if stat.S_ISLNK(status.st_mode):
        return  # it is the link that is replaced
    if not stat.S_ISREG(status.st_mode):
        raise PidFileError(f"pid file {shown}: what is there is no file")
    if status.st_size > LONGEST:
        raise PidFileError(f"pid file {shown}: another file is there already, which is no pid file")


def _read(path: str) -> int | None:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(fd) as file:
            text = file.read(LONGEST).strip()
    except (OSError, UnicodeDecodeError):
        return None
    return int(text) if text.isascii() and text.isdecimal() else None


def _live_pid(path: str) -> int | None:
    pid = _read(path)
    if not pid or pid == os.getpid():
        return None
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return None
    except OverflowError:
        return None
    except PermissionError:
        pass  # somebody else's, and alive
    return pid
