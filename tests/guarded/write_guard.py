"""Keeps tests, and every Python process that they start, from writing outside temporary folders.

A test runs as whoever started it, often as root, and hands paths to the apps that it serves. One
path too many (an app that replaces a file by renaming another over it, asked to write /dev/null)
and the machine is broken. `guard` refuses it where it happens: an audit hook (PEP 578) raises
PermissionError before the call is made, so that the test fails and the file stays.

Children are guarded through `sitecustomize.py` beside this file, which Python imports at its start;
`conftest.py` puts this folder on their PYTHONPATH. So every process of every test imports this: it
needs nothing but os and sys. What C code opens by itself (SQLite, OpenSSL)
raises no audit event and is not seen.
"""

import os
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__)))) + "/"
WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
CHANGES = {
    # audit event -> where its paths stand, and which argument is the folder's descriptor of each
    "os.rename": ((0, 2), (1, 3)),
    "os.link": ((1, 3),),
    "os.symlink": ((1, 2),),
    "os.remove": ((0, 1),),
    "os.mkdir": ((0, 2),),
    "os.rmdir": ((0, 1),),
    "os.truncate": ((0, None),),
    "os.chmod": ((0, 2),),
    "os.chown": ((0, 3),),
    "os.utime": ((0, 3),),
}
INHERITED = "TESTS_MAY_WRITE_BELOW"
"""A child's TMPDIR may be one of its own; it may write where the test that started it may, too."""
NO_FOLDER = (None, -1)
CACHES = {"__pycache__", ".pytest_cache", ".hypothesis", ".ruff_cache"}


def may_write() -> tuple[str, ...]:
    """Folders below which a test may change anything."""
    folders = ["/dev/shm", f"/run/user/{os.getuid()}"]
    if inherited := os.environ.get(INHERITED):
        folders += inherited.split(os.pathsep)
    else:
        import tempfile

        folders.append(tempfile.gettempdir())
    if name := os.environ.get("TMPDIR"):
        folders.append(name)
    if name := os.environ.get("XDG_RUNTIME_DIR"):
        folders.append(name)
    return tuple(os.path.realpath(folder) + "/" for folder in folders if folder)


def is_allowed(path: str, folders: tuple[str, ...]) -> bool:
    """Whether a path may be made, replaced or removed."""
    if path.startswith("/proc/self/fd/"):  # a file that is open
        path = os.path.realpath(path)
    folder, name = os.path.split(os.path.abspath(path))
    real = os.path.join(os.path.realpath(folder), name) + "/"
    if real.startswith(ROOT):  # which may itself lie below a temporary folder
        if not CACHES.isdisjoint(real.removeprefix(ROOT).split("/")):
            return True
        folders = tuple(one for one in folders if not ROOT.startswith(one))
    return real.startswith(folders)


class Guard:
    """Whether writes are refused now: pytest writes its own files between tests."""

    active = False


def guard() -> Guard:
    """Refuses every write outside `may_write()` in this process, while the result is active."""
    folders = may_write()
    state = Guard()

    def hook(event: str, arguments: tuple[object, ...]) -> None:
        if not state.active:
            return
        if event == "open":
            path, mode, flags = arguments
            if not (isinstance(flags, int) and flags & WRITES):
                return
            if mode is None and not os.path.isabs(_text(path)):
                return  # os.open may have a folder's descriptor, and the event does not tell it
            # What is no regular file (/dev/null, /proc/self/…, a terminal) may be written to.
            text = _text(path)
            if not text or (os.path.exists(text) and not os.path.isfile(text)):
                return
            if text.startswith("/proc/"):
                return
            _check(event, text, folders)
        elif event in CHANGES:
            for index, folder in CHANGES[event]:
                if folder is None or arguments[folder] in NO_FOLDER:
                    text = _text(arguments[index])
                    if text:
                        _check(event, text, folders)

    sys.addaudithook(hook)
    return state


def _check(event: str, path: str, folders: tuple[str, ...]) -> None:
    if not is_allowed(path, folders):
        raise PermissionError(f"a test may not write there ({event}): {path}")


def _text(path: object) -> str:
    """The path as text; empty for a descriptor, which somebody has opened already."""
    if isinstance(path, (str, bytes, os.PathLike)):
        return os.fsdecode(path)
    return ""
