"""The response with a file that an app has handed over: the file is open, the head is the app's.

The app has decided that it is this file, and with which status and fields. Left to do is what
nearly every app forgets: to answer a client that asks for a part of it, as one does that resumes a
download or moves on in a video. A worker can't do that for its app, since it does not know who else
would: so the app's head tells. Where it says anything of ranges (Accept-Ranges, Content-Range), the
app sees to them itself. A Content-Encoding says that the app has chosen one of several forms, and
the client's part may be of another one. What is no 200 is no whole file. In all other cases a GET
with a Range gets its part.

The client's other conditions (If-None-Match and its like) are left alone: an app that sends a 200
has judged them, or does not want them judged. If-Range compares with the validators that the app's
head has; if it has none, the whole file is sent.
"""

from typing import Final, NamedTuple

from ...protocol.messages import Pairs
from ..exchange.exchange import Exchange
from .disk_file import DiskFile
from .disk_threads import DiskThreads
from .file_response import (
    FileAnswer,
    answer_of,
    asked_parts,
    send_answer,
    unsatisfiable,
)
from .file_source import FileSource
from .ranges import Part
from .validators import stated_validators

_SEEN_TO: Final = frozenset({b"accept-ranges", b"content-range", b"content-encoding"})
"""Fields of a head by which the app sees to ranges itself."""
_WITHOUT_BODY: Final = frozenset({204, 304})


class AppFile(NamedTuple):
    """A part of a file, which is the whole of a body, or the rest of one."""

    file: DiskFile
    part: Part

    @property
    def fault(self) -> str:
        """What is wrong with it; "" if it can be sent."""
        if self.file.kind != "file":
            return "is no regular file"
        if not self.file.is_readable:
            return "is not open for reading"
        if self.part.size and self.part.stop > self.file.size:
            return f"has {self.file.size} bytes, and not {self.part.stop}"
        return ""


def respond_with_app_file(
    exchange: Exchange, status: int, fields: Pairs, sent: AppFile, disk: DiskThreads
) -> int:
    """Answers with the app's head and its file. Returns the status of the head that was sent."""
    whole, length = sent.part, b"%d" % sent.part.size
    rest = [each for each in fields if each[0].lower() != b"content-length" or each[1] != length]
    if status in _WITHOUT_BODY:
        return exchange.sink.respond(exchange, status, fields, b"")
    if status != 200 or any(name.lower() in _SEEN_TO for name, _ in fields):
        return send_answer(exchange, sent.file, FileAnswer(status, tuple(rest), [whole]), disk)
    state = stated_validators(fields)
    parts = asked_parts(exchange, state, whole.size)
    if parts == []:
        return unsatisfiable(exchange, whole.size)
    return send_answer(exchange, sent.file, answer_of(rest, 200, whole, parts), disk)


def end_with_app_file(exchange: Exchange, sent: AppFile, disk: DiskThreads) -> None:
    """Ends the app's response, whose head was sent, with its file."""
    if exchange.request.method == "HEAD":
        exchange.sink.end(exchange)
        return
    source = FileSource(exchange, sent.file, [sent.part] if sent.part.size else [], disk)
    exchange.go_on_from(source)
    source.begin()
