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
from .disk_threads import DiskThreads, read_from_memory
from .file_source import PIECE, FileSource
from .ranges import Part, multipart, parts_of
from .validators import Validators, judge, range_still_holds

Fields = list[tuple[bytes, bytes]]

_RANGES: Final = (b"accept-ranges", b"bytes")


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
        parts = _parts(exchange, state, file.size)
        if parts == []:
            _unsatisfiable(exchange, file.size)
        else:
            _send(exchange, file, _answer(fields, 200, file.size, parts), disk)


def respond_with_whole_file(
    exchange: Exchange, status: int, file: DiskFile, fields: Fields, disk: DiskThreads
) -> None:
    """Answers with a file whatever the client's conditions are: they are about a 200."""
    _send(exchange, file, _answer(fields, status, file.size, None), disk)


def _parts(exchange: Exchange, state: Validators, size: int) -> list[Part] | None:
    """The parts that the client asks for; None for the whole file."""
    if exchange.request.method != "GET":  # RFC 9110 section 14.2
        return None
    headers = exchange.request.headers
    asked = [value for name, value in headers if name == b"range"]
    if len(asked) != 1 or not range_still_holds(headers, state):
        return None
    return parts_of(asked[0], size)


class Answer(NamedTuple):
    """A response with a file's content."""

    status: int
    fields: Pairs
    """All but Content-Length."""
    todo: list[bytes | Part]
    """What the body is made of."""


def _answer(fields: Fields, status: int, size: int, parts: list[Part] | None) -> Answer:
    """How a file of `size` bytes is sent."""
    fields = [*fields, _RANGES]
    if parts is None:
        return Answer(status, tuple(fields), [Part(0, size)])
    if len(parts) == 1:
        fields.append((b"content-range", parts[0].content_range(size)))
        return Answer(206, tuple(fields), [*parts])
    framed = multipart(parts, size, fields[0][1], secrets.token_hex(16).encode())
    fields[0] = (b"content-type", framed.content_type)
    todo: list[bytes | Part] = []
    for head, part in zip(framed.heads, parts, strict=True):
        todo += [head, part]
    return Answer(206, tuple(fields), [*todo, framed.end])


def _send(exchange: Exchange, file: DiskFile, answer: Answer, disk: DiskThreads) -> None:
    """Sends the file, whole or in part."""
    todo = answer.todo
    length = sum(len(piece) if isinstance(piece, bytes) else piece.size for piece in todo)
    fields = (*answer.fields, (b"content-length", b"%d" % length))
    if exchange.request.method == "HEAD" or not length:
        _respond(exchange, answer.status, fields)
        return
    only = todo[0]
    if len(todo) == 1 and isinstance(only, Part) and only.size <= PIECE:
        body = read_from_memory(file.fd, only.size, only.start)
        if body is not None and len(body) == only.size:
            _respond(exchange, answer.status, fields, body)
            return
    source = FileSource(exchange, file, todo, disk)
    exchange.connect(source, exchange.opened)
    if exchange.sink.head(exchange, answer.status, fields):
        source.begin()


def _unsatisfiable(exchange: Exchange, size: int) -> None:
    page, body = error_page(416, f"The file has {size} bytes.", request_id=exchange.request_id)
    fields = ((b"content-range", b"bytes */%d" % size), *page)
    _respond(exchange, 416, fields, body)


def _respond(exchange: Exchange, status: int, fields: Pairs, body: bytes = b"") -> None:
    exchange.give_end(end_codes.GATEWAY_FILE)
    exchange.sink.respond(exchange, status, fields, body)
