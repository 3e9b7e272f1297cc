"""The pid file, which tells other programs the supervisor's pid."""

import os
import secrets
import stat
from typing import Final

LONGEST_PID: Final = 32
"""Bytes of a pid file at most. A longer file is something else, and is not overwritten."""


class PidFileError(Exception):
    """The file cannot be written. The message is a sentence."""


class PidFile:
    """A pid file, which exists from the object's creation until `close`."""

    def __init__(self, path: str) -> None:
        """Writes the file. Raises PidFileError, also if it names another live process."""
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
    # Renaming puts it in place: a reader never sees half a number. The draft has a random name and
    # has to be a new file, because in /tmp another user may have put a link under its name.
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
    """Raises PidFileError if the path holds something else than a pid file: the operator may have
    named it by mistake."""
    try:
        status = os.lstat(path)
    except OSError:
        return  # there is none, or writing will say what is wrong
    if stat.S_ISLNK(status.st_mode):
        return  # the link itself is replaced, not its target
    if not stat.S_ISREG(status.st_mode):
        raise PidFileError(f"pid file {shown}: what is there is no file")
    if status.st_size > LONGEST_PID:
        raise PidFileError(f"pid file {shown}: another file is there already, which is no pid file")


def _read(path: str) -> int | None:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(fd) as file:
            text = file.read(LONGEST_PID).strip()
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
        pass  # alive, and of another user
    return pid
