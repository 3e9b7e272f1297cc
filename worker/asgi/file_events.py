"""The events by which an ASGI app answers with a file (ASGI extensions, "Path Send" and "Zero Copy
Send").

`http.response.pathsend` names the path of a file that is sent whole, and is all of its response's
body. `http.response.zerocopysend` gives a file object, from where it stands or from an `offset` on,
up to its end or for `count` bytes, and may stand among events with bytes. Its file object is the
app's, which may close it when `send` has returned.

The size that a response has stated bounds what is sent of a file, as long as the event names no
count: what has been appended since is not a part of it.
"""

import io
import os
from typing import Any, Final

from ..app.files import UNKNOWN, FileReader, open_path, part_of

PATH_SEND: Final = "http.response.pathsend"
ZERO_COPY_SEND: Final = "http.response.zerocopysend"
FILE_EVENTS: Final = frozenset({PATH_SEND, ZERO_COPY_SEND})


def file_extensions() -> dict[str, dict[str, object]]:
    """What a scope's extensions have where files can be sent."""
    return {PATH_SEND: {}, ZERO_COPY_SEND: {}}


def file_of(event: dict[str, Any], stated: int | None) -> FileReader:
    """The file of an event, to be closed by the caller. `stated` is the response's Content-Length,
    if it is known. Raises OSError, ValueError, TypeError, KeyError."""
    if event["type"] == PATH_SEND:
        part = open_path(event["path"])
        try:
            return FileReader(part if stated is None else part.cut(stated), owns=True)
        except BaseException:
            os.close(part.fd)
            raise
    file = event["file"]
    fd: int = file.fileno()
    count, offset = _whole(event, "count"), _whole(event, "offset")
    part = part_of(fd, _position(file, fd) if offset is None else offset, count)
    if count is None and stated is not None:
        part = part.cut(stated)
    if offset is None and part.length != UNKNOWN:
        _move(file, fd, part.offset + part.length)
    return FileReader(part, owns=False)


def _whole(event: dict[str, Any], name: str) -> int | None:
    value = event.get(name)
    if value is None:
        return None
    if not isinstance(value, int) or value < 0:
        raise ValueError(f"{name} of {event['type']} is a number of bytes, not {value!r}")
    return value


def _position(file: Any, fd: int) -> int:
    """Where a file object stands; its buffer may have read on from there."""
    if hasattr(file, "tell") and not isinstance(file, io.TextIOBase):
        return int(file.tell())
    return os.lseek(fd, 0, os.SEEK_CUR)


def _move(file: Any, fd: int, position: int) -> None:
    """Moves it behind what was sent, as sendfile(2) does. The position has to be one that the file
    system takes: ext4 refuses more than the largest file it has (EINVAL)."""
    if hasattr(file, "seek") and not isinstance(file, io.TextIOBase):
        file.seek(position)
    else:
        os.lseek(fd, position, os.SEEK_SET)
