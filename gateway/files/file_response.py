"""The response with a file that is open: whole, in part, or only the word that nothing has changed.

It is the same whether a route has found the file or an app has handed it over. Who has it says
which fields it has besides; conditions (RFC 9110 section 13) and ranges (section 14) are answered
here.
"""

import secrets
from typing import Final, NamedTuple

from ...protocol.messages import Pairs
from ..exchange import end_codes
from ..exchange.exchange import Exchange
from ..exchange.pages import error_page
from .disk_file import DiskFile
from .disk_threads import DiskThreads
from .file_source import PIECE, FileSource
from .page_cache import read_from_memory
from .ranges import Part, multipart, parts_of
from .validators import Validators, judge, range_still_holds

Fields = list[tuple[bytes, bytes]]

_RANGES: Final = (b"accept-ranges", b"bytes")
_TYPE: Final = b"content-type"
_BYTES: Final = b"application/octet-stream"


def respond_with_file(
    exchange: Exchange,
    file: DiskFile,
    fields: Fields,
    state: Validators,
    disk: DiskThreads,
) -> None:
    """Answers with a file and status 200, 206, 304, 412 or 416, as the client asks. `fields` are
    those of a 200, Content-Type first and `state`'s validators among them, without Content-Length,
    Accept-Ranges and Content-Range."""
    headers = exchange.request.headers
    verdict = judge(headers, state)
    if verdict == "not modified":
        _respond(exchange, 304, tuple(fields[1:]))
    elif verdict == "failed":
        exchange.give_end(end_codes.GATEWAY_FILE)
        exchange.sink.fail(exchange, 412, "The file is not in the state that you ask for.")
    else:
        parts = asked_parts(exchange, state, file.size)
        if parts == []:
            unsatisfiable(exchange, file.size)
        else:
            send_answer(exchange, file, answer_of(fields, 200, Part(0, file.size), parts), disk)


def whole_fields(fields: Fields, size: int) -> Pairs:
    """All fields of the answer with the whole file."""
    return (*fields, _RANGES, (b"content-length", b"%d" % size))


def respond_with_whole_file(
    exchange: Exchange, status: int, file: DiskFile, fields: Fields, disk: DiskThreads
) -> None:
    """Answers with a file whatever the client's conditions are: they are about a 200."""
    send_answer(exchange, file, answer_of(fields, status, Part(0, file.size), None), disk)


def asked_parts(exchange: Exchange, state: Validators, size: int) -> list[Part] | None:
    """The parts that the client asks for; None for the whole file."""
    if exchange.request.method != "GET":  # RFC 9110 section 14.2
        return None
    headers = exchange.request.headers
    asked = [value for name, value in headers if name == b"range"]
    if len(asked) != 1 or not range_still_holds(headers, state):
        return None
    return parts_of(asked[0], size)


class FileAnswer(NamedTuple):
    """A response with a file's content."""

    status: int
    fields: Pairs
    """All but Content-Length."""
    todo: list[bytes | Part]
    """What the body is made of."""


def answer_of(fields: Fields, status: int, whole: Part, parts: list[Part] | None) -> FileAnswer:
    """How a file is sent of which `whole` is the content, or `parts` of that content."""
    fields = [*fields, _RANGES]
    if parts is None:
        return FileAnswer(status, tuple(fields), [whole])
    first, size = whole.start, whole.size
    of_file = [Part(first + part.start, first + part.stop) for part in parts]
    if len(parts) == 1:
        fields.append((b"content-range", parts[0].content_range(size)))
        return FileAnswer(206, tuple(fields), [*of_file])
    kind = next((value for name, value in fields if name.lower() == _TYPE), _BYTES)
    framed = multipart(parts, size, kind, secrets.token_hex(16).encode())
    others = [field for field in fields if field[0].lower() != _TYPE]
    todo: list[bytes | Part] = []
    for head, part in zip(framed.heads, of_file, strict=True):
        todo += [head, part]
    return FileAnswer(206, ((_TYPE, framed.content_type), *others), [*todo, framed.end])


def send_answer(exchange: Exchange, file: DiskFile, answer: FileAnswer, disk: DiskThreads) -> int:
    """Sends the file, whole or in part. Returns the status of the head that was sent."""
    todo = answer.todo
    length = sum(len(piece) if isinstance(piece, bytes) else piece.size for piece in todo)
    fields = (*answer.fields, (b"content-length", b"%d" % length))
    if exchange.request.method == "HEAD" or not length:
        return _respond(exchange, answer.status, fields)
    only = todo[0]
    if len(todo) == 1 and isinstance(only, Part) and only.size <= PIECE:
        body = read_from_memory(file, only.start, only.size)
        if body is not None and len(body) == only.size:
            return _respond(exchange, answer.status, fields, body)
    source = FileSource(exchange, file, todo, disk)
    if exchange.source is None:
        exchange.connect(source, exchange.opened)
    else:
        exchange.go_on_from(source)
    status = exchange.sink.head(exchange, answer.status, fields)
    if status:
        source.begin()
    return status


def unsatisfiable(exchange: Exchange, size: int) -> int:
    """Answers with 416: none of what the client asks for is in the file."""
    page, body = error_page(416, f"The file has {size} bytes.", request_id=exchange.request_id)
    fields = ((b"content-range", b"bytes */%d" % size), *page)
    return _respond(exchange, 416, fields, body)


def _respond(exchange: Exchange, status: int, fields: Pairs, body: bytes = b"") -> int:
    if exchange.source is None:  # else it is the app's response
        exchange.give_end(end_codes.GATEWAY_FILE)
    return exchange.sink.respond(exchange, status, fields, body)
