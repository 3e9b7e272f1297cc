"""The file that tells other programs the supervisor's pid."""

import os


class PidFileError(Exception):
    """The file cannot be written, as a sentence."""


class PidFile:
    """Written when made; close() removes it where it is still ours."""

    def __init__(self, path: str) -> None:
        """Raises PidFileError."""
        self._path = os.path.abspath(path)
        other = _live_pid(self._path)
        if other is not None:
            raise PidFileError(f"pid file {path} names process {other}, which is running")
        # Renamed into place: a reader never sees half a number.
        draft = f"{self._path}.{os.getpid()}"
        try:
            with open(draft, "w") as file:
                file.write(f"{os.getpid()}\n")
            os.replace(draft, self._path)
        except OSError as exc:
            raise PidFileError(f"pid file {path} cannot be written: {exc.strerror}") from None

    def close(self) -> None:
        if _read(self._path) == os.getpid():
            os.unlink(self._path)


def _read(path: str) -> int | None:
    try:
        with open(path) as file:
            text = file.read(32).strip()
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
