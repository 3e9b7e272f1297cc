"""Files that an app names in a field of its response: `X-Accel-Redirect` and `X-Sendfile`.

An app decides whether this client may have the file, and a field of its response says which one it
is. nginx calls it X-Accel-Redirect, and the value is a path of the URL space, below an `internal`
location; Apache and lighttpd call it X-Sendfile, and the value is the file's path. Many apps can do
one or the other. The file is sent instead of the response's body, with the response's other fields.

The app's word alone opens nothing: a field is easily made of what a client has sent. Files are
opened below the folders of `--internal-files` only, by the kernel's own rule (see `files.folder`).
Where a pool has no such folder, nothing here runs, and the fields go on to the client: there may be
an nginx in front that they are meant for.

An open may wait for a disk or for the server behind a network file system, and the loop must not:
what is not at hand is opened in a thread, as a static file is. Meanwhile the app has nothing more
to say, so it is no longer the exchange's source.
"""

import os
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final, Literal, NamedTuple
from urllib.parse import quote_from_bytes

from ...protocol.messages import CLIENT_GONE, Pairs
from ..exchange import end_codes
from ..exchange.exchange import Exchange, OpenFile, Sink, log_app_fault
from ..files.disk_file import DiskFile
from ..files.disk_threads import MAY_BE_OVER, DiskThreads, on_the_loop
from ..files.file_response import respond_with_file, respond_with_whole_file
from ..files.file_source import OpeningSource
from ..files.folder import Folder, WouldWaitError
from ..files.validators import http_date, validators_of
from ..files.wanted_path import wanted_path
from .static.media_types import media_type

ACCEL_REDIRECT: Final = b"x-accel-redirect"
SENDFILE: Final = b"x-sendfile"
_NOT_KEPT: Final = frozenset({
    b"content-length", b"content-encoding", b"content-range", b"accept-ranges",
    b"transfer-encoding", b"etag", b"last-modified", b"content-type", SENDFILE,
})  # fmt: skip
"""Fields that are about the response's own body. Content-Type is kept if it says something."""


class InternalFolder(NamedTuple):
    prefix: bytes
    """The beginning of the path that X-Accel-Redirect names, without a slash at its end."""
    folder: Folder


class InternalFiles:
    """Answers the exchanges of a pool, whose app may name files."""

    def __init__(
        self, folders: Sequence[str], answer: Callable[[Exchange], None], disk: DiskThreads
    ) -> None:
        """`folders` are those of the option, PREFIX=DIR with an absolute path; `answer` asks the
        app."""
        pairs = [text.partition("=")[::2] for text in folders]
        self._folders = [
            InternalFolder(prefix.rstrip("/").encode(), Folder(path))
            for prefix, path in sorted(pairs, key=lambda pair: -len(pair[0]))
        ]
        self._answer = answer
        self.disk = disk

    def answer(self, exchange: Exchange) -> None:
        """Asks the app, and minds what it answers."""
        NamedFileSink(exchange, self)
        self._answer(exchange)

    def open_at_once(self, name: bytes, value: bytes) -> DiskFile | None:
        """Opens the file that a field names, if nothing has to be waited for; None if there is
        none, or none that may be sent. Raises WouldWaitError if something has, OSError."""
        return self._open(name, value, may_wait=False)

    def open(self, name: bytes, value: bytes) -> DiskFile | None:
        """The same, and waits for it: for a thread."""
        return self._open(name, value, may_wait=True)

    def _open(self, name: bytes, value: bytes, *, may_wait: bool) -> DiskFile | None:
        for folder in self._folders:
            if name == ACCEL_REDIRECT:
                below, path = folder.prefix, value.partition(b"?")[0]
            else:  # it is no URL, so a percent sign in it means itself
                below, path = os.fsencode(folder.folder.path).rstrip(b"/"), value
            if path.startswith(below + b"/"):
                rest = path[len(below) :]
                raw = rest if name == ACCEL_REDIRECT else quote_from_bytes(rest).encode()
                wanted = wanted_path(raw, b"", hidden=True)
                if not wanted:
                    return None
                below_it = folder.folder
                found = below_it.open(wanted) if may_wait else below_it.open_at_once(wanted)
                return found if found is not None and found.kind == "file" else None
        return None


class NamedFileSink:
    """Stands before the client's side of one exchange, as its sink, until it is over."""

    __slots__ = ("_files", "_sink", "_state")

    def __init__(self, exchange: Exchange, files: InternalFiles) -> None:
        self._files = files
        self._sink: Sink = exchange.pass_through(self)
        self._state: Literal["waiting", "passing"] = "waiting"
        """Whether the head of the app is still to come, or everything is passed on."""

    def respond(self, exchange: Exchange, status: int, fields: Pairs, body: bytes) -> int:
        named = self._named(status, fields)
        if named is None:
            return self._sink.respond(exchange, status, self._shown(fields), body)
        return self._send(exchange, *named, fields)

    def head(self, exchange: Exchange, status: int, fields: Pairs) -> int:
        named = self._named(status, fields)
        if named is None:
            return self._sink.head(exchange, status, self._shown(fields))
        if exchange.source is not None:
            exchange.source.abandon(CLIENT_GONE, "a file is sent instead of the body")
        return self._send(exchange, *named, fields)

    def body(self, exchange: Exchange, data: bytes) -> None:
        self._sink.body(exchange, data)

    def file(self, exchange: Exchange, file: OpenFile, offset: int, count: int) -> bool:
        return self._sink.file(exchange, file, offset, count)

    def interim(self, exchange: Exchange, status: int, fields: Pairs) -> None:
        self._sink.interim(exchange, status, fields)

    def trailers(self, exchange: Exchange, fields: Pairs) -> None:
        self._sink.trailers(exchange, fields)

    def end(self, exchange: Exchange) -> None:
        self._sink.end(exchange)

    def fail(self, exchange: Exchange, status: int, sentence: str, option: str = "") -> int:
        return self._sink.fail(exchange, status, sentence, option)

    # -- the file ----------------------------------------------------------------------------

    def _named(self, status: int, fields: Pairs) -> tuple[bytes, bytes] | None:
        """The field that names a file, and its value. A response that is no success keeps its own
        body."""
        if self._state == "passing" or not 200 <= status < 300:
            return None
        values = {name.lower(): value for name, value in fields}
        for name in (ACCEL_REDIRECT, SENDFILE):
            if value := values.get(name):
                return name, value
        return None

    def _shown(self, fields: Pairs) -> Pairs:
        """The fields of a response whose body is sent: the client sees no name of a file."""
        if self._state == "passing":
            return fields
        self._state = "passing"
        return tuple([field for field in fields if not _is_internal(field[0].lower())])

    def _send(self, exchange: Exchange, name: bytes, value: bytes, fields: Pairs) -> int:
        """Sends the file instead of the response's body. Returns the status that was sent; 0 if
        the file has to be waited for."""
        self._state = "passing"
        files = self._files
        found: DiskFile | OSError | None
        try:
            found = files.open_at_once(name, value)
        except WouldWaitError:
            source = exchange.source
            exchange.go_on_from(OpeningSource(None if source is None else source.account()))
            then = partial(self._was_opened, exchange, name, value, fields)
            files.disk.run(partial(files.open, name, value), on_the_loop(exchange, then))
            return 0
        except OSError as error:
            found = error
        self._was_opened(exchange, name, value, fields, found)
        return exchange.status

    def _was_opened(
        self,
        exchange: Exchange,
        name: bytes,
        value: bytes,
        fields: Pairs,
        file: DiskFile | OSError | None,
    ) -> None:
        if isinstance(file, PermissionError):
            self._refuse(exchange, 403, name, value, f"may not be read: {file.strerror}")
            return
        if isinstance(file, OSError):
            status = 503 if file.errno in MAY_BE_OVER else 500
            self._refuse(exchange, status, name, value, f"can't be opened: {file.strerror}")
            return
        if file is None:
            self._refuse(exchange, 404, name, value, "is no file below --internal-files")
            return
        state = validators_of(file.size, file.mtime_ns, file.number)
        kept = [field for field in fields if field[0].lower() not in _NOT_KEPT]
        sent = [
            (b"content-type", _stated_type(fields) or media_type(file.name).encode()),
            *[field for field in kept if not _is_internal(field[0].lower())],
            (b"etag", state.etag),
            (b"last-modified", http_date(state.modified)),
        ]
        if exchange.request.method in ("GET", "HEAD"):
            respond_with_file(exchange, file, sent, state, self._files.disk)
        else:
            respond_with_whole_file(exchange, 200, file, sent, self._files.disk)

    def _refuse(self, exchange: Exchange, status: int, name: bytes, value: bytes, why: str) -> None:
        field = name.decode()
        log_app_fault(exchange, f"its {field} {value.decode('latin-1')!r} {why}")
        exchange.give_end(
            end_codes.GATEWAY_FILE_BROKE if status >= 500 else end_codes.GATEWAY_NO_FILE
        )
        exchange.give_reason(f"The {field} of the app's response {why}.")
        self._sink.fail(exchange, status, "The file cannot be sent.")


def _is_internal(name: bytes) -> bool:
    return name == SENDFILE or name.startswith(b"x-accel-")


def _stated_type(fields: Pairs) -> bytes:
    """The media type that the app has stated; b"" if it has stated none."""
    return next((value for name, value in fields if name.lower() == b"content-type"), b"")
