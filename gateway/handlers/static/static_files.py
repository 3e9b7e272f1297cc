"""The handler of a route with `static`: what becomes of one request.

In nginx's words: `root`, `index`, `try_files`, `gzip_static`, `error_page 404`, `expires`. Two of
its traps are left out. A file without Cache-Control is kept by browsers for as long as they guess,
so that visitors have last week's page after a deployment: here all that has no content hash in its
name is asked for again each time (`no-cache`, which costs a 304), and what has one is kept for a
year. And a page for every missing path (single-page apps) is sent for navigations only: a script
that is missing stays missing, instead of a page of HTML with the status 200.
"""

import os
import re
import secrets
from collections.abc import Callable
from contextlib import ExitStack
from logging import getLogger
from typing import Final, NamedTuple

from ....protocol.messages import Pairs
from ...exchange import end_codes
from ...exchange.exchange import Exchange, log_facts, log_tail
from ...exchange.pages import error_page
from ...settings import StaticSettings
from .codings import accepted_siblings
from .disk_threads import DiskThreads, read_from_memory
from .file_source import PIECE, FileSource
from .folder import Folder, Opened
from .media_types import can_be_compressed, media_type
from .ranges import Part, multipart, parts_of
from .validators import Validators, http_date, judge, range_still_holds, validators_of
from .wanted_path import wanted_path

log = getLogger("propylon.gateway")

IMMUTABLE: Final = b"public, max-age=31536000, immutable"
NO_CACHE: Final = b"no-cache"

_HEX_HASH: Final = re.compile(
    rb"[.-](?=[0-9]*[a-f][0-9]*[a-f])(?=[a-f]*[0-9][a-f]*[0-9])[0-9a-f]{8,64}\."
)
_MIXED_HASH: Final = re.compile(
    rb"-(?![A-Za-z]+[0-9]*\.)(?=[\w-]*[a-z])(?=[\w-]*[A-Z])(?=[\w-]*[0-9])"
    rb"[A-Za-z0-9_-]{8}\.[a-z0-9.]+$"
)


def has_hash(name: bytes) -> bool:
    """Whether a file's name holds a hash of its content, as Django's manifest storage, webpack and
    Parcel write it (hexadecimal) and as Vite does (eight characters of base64). A word that could
    be one is none: to keep a file for a year that changes is worse than to ask for it again."""
    return bool(_HEX_HASH.search(name) or _MIXED_HASH.search(name))


class StaticFiles:
    def __init__(
        self,
        settings: StaticSettings,
        prefix: str,
        disk: DiskThreads,
        otherwise: Callable[[Exchange], None] | None = None,
    ) -> None:
        """Serves below the route's `prefix`. `otherwise` answers what no file is there for; None if
        that is a 404."""
        self._settings = settings
        self._prefix = prefix.rstrip("/").encode()
        self._folder = Folder(settings.folder, settings.symlinks)
        self._disk = disk
        self._otherwise = otherwise
        self._fault = ""
        """What is wrong with the folder, as it was logged last; "" if nothing is."""

    def answer(self, exchange: Exchange) -> None:
        """Answers with a file, or hands the exchange on."""
        if exchange.request.method not in ("GET", "HEAD"):
            self._other_method(exchange)
            return
        try:
            if not self._send_wanted(exchange):
                self._nothing_there(exchange)
            self._fault = ""
        except PermissionError as error:
            self._forbidden(exchange, error)
        except OSError as error:
            self._failed(exchange, error)

    # -- what is asked for -------------------------------------------------------------------

    def _wanted(self, exchange: Exchange) -> bytes | None:
        path = exchange.request.path
        return wanted_path(path, self._prefix, hidden=self._settings.hidden)

    def _send_wanted(self, exchange: Exchange) -> bool:
        """Sends the file that the request names. Returns whether there was one."""
        wanted = self._wanted(exchange)
        found = None if wanted is None else self._folder.open(wanted)
        if wanted is None or found is None:
            return False
        if found.kind != "folder":
            if found.kind == "other" or wanted.endswith(b"/"):
                os.close(found.fd)
                return False
            self._send(exchange, wanted, found)
            return True
        os.close(found.fd)
        index = self._settings.index.encode()
        if not index:
            return False
        below = wanted if not wanted or wanted.endswith(b"/") else wanted + b"/"
        if not exchange.request.path.endswith(b"/"):
            return self._send_into(exchange, below + index)
        return self._send_named(exchange, below + index)

    def _send_named(self, exchange: Exchange, name: bytes, status: int = 200) -> bool:
        """Sends a file that the settings name. Returns whether it is there."""
        found = self._folder.open(name)
        if found is None:
            return False
        if found.kind != "file":
            os.close(found.fd)
            return False
        self._send(exchange, name, found, status)
        return True

    def _send_into(self, exchange: Exchange, index: bytes) -> bool:
        """Sends a client to the folder that it has named without a slash at the end: relative links
        of its index would lead elsewhere. Returns whether the folder has an index."""
        found = self._folder.open(index)
        if found is None:
            return False
        os.close(found.fd)
        query = exchange.request.query
        location = exchange.path + b"/" + (b"?" + query if query else b"")
        headers, body = error_page(
            308, f"Use {location.decode('latin-1')}", request_id=exchange.request_id
        )
        exchange.give_end(end_codes.GATEWAY_REDIRECT)
        exchange.sink.respond(exchange, 308, ((b"location", location), *headers), body)
        return True

    # -- a file ------------------------------------------------------------------------------

    def _send(self, exchange: Exchange, name: bytes, found: Opened, status: int = 200) -> None:
        """Answers with the file that was opened. It is closed here, or by the source that sends
        it."""
        with ExitStack() as files:
            files.callback(os.close, found.fd)
            self._send_from(exchange, name, found, status, files)

    def _send_from(
        self, exchange: Exchange, name: bytes, found: Opened, status: int, files: ExitStack
    ) -> None:
        """`files` closes what was opened, unless somebody else takes that over."""
        headers = exchange.request.headers
        kind = media_type(os.fsdecode(name))
        fields: list[tuple[bytes, bytes]] = [(b"content-type", kind.encode())]
        coding = ""
        if self._settings.precompressed and can_be_compressed(kind):
            fields.append((b"vary", b"accept-encoding"))
            coding, found = self._compressed(headers, name, found, files)
            if coding:
                fields.append((b"content-encoding", coding.encode()))
        state = validators_of(found.size, found.mtime_ns, found.number, coding)
        fields += [
            (b"etag", state.etag),
            (b"last-modified", http_date(state.modified)),
            (b"cache-control", self._cache_control(name, status)),
        ]
        verdict = judge(headers, state) if status == 200 else "proceed"
        if verdict == "not modified":
            _respond(exchange, 304, tuple(fields[1:]))
        elif verdict == "failed":
            exchange.give_end(end_codes.GATEWAY_FILE)
            exchange.sink.fail(exchange, 412, "The file is not in the state that you ask for.")
        else:
            parts = self._parts(exchange, state, found) if status == 200 else None
            if parts == []:
                _unsatisfiable(exchange, found.size)
            else:
                answer = _answer(fields, status, found.size, parts)
                self._send_parts(exchange, name, found, answer, files)

    def _compressed(
        self, headers: Pairs, name: bytes, found: Opened, files: ExitStack
    ) -> tuple[str, Opened]:
        """The precompressed form that the client likes best, with its coding; ("", `found`) if
        there is none that can be opened. One that is older than the file was forgotten when that
        was changed."""
        for coding, ending in accepted_siblings(headers):
            try:
                sibling = self._folder.open(name + ending)
            except OSError:
                continue  # the file as it is can be sent
            if sibling is None:
                continue
            files.callback(os.close, sibling.fd)
            if sibling.kind == "file" and sibling.mtime_ns >= found.mtime_ns:
                return coding, sibling
        return "", found

    def _cache_control(self, name: bytes, status: int) -> bytes:
        if status != 200:
            return NO_CACHE
        if self._settings.immutable and has_hash(name.rpartition(b"/")[2]):
            return IMMUTABLE
        return self._settings.cache_control.encode() or NO_CACHE

    def _parts(self, exchange: Exchange, state: Validators, found: Opened) -> list[Part] | None:
        """The parts that the client asks for; None for the whole file."""
        if exchange.request.method != "GET":  # RFC 9110 section 14.2
            return None
        headers = exchange.request.headers
        asked = [value for name, value in headers if name == b"range"]
        if len(asked) != 1 or not range_still_holds(headers, state):
            return None
        return parts_of(asked[0], found.size)

    def _send_parts(
        self, exchange: Exchange, name: bytes, found: Opened, answer: "Answer", files: ExitStack
    ) -> None:
        """Sends the file, whole or in part."""
        todo = answer.todo
        length = sum(len(piece) if isinstance(piece, bytes) else piece.size for piece in todo)
        fields = (*answer.fields, (b"content-length", b"%d" % length))
        if exchange.request.method == "HEAD" or not length:
            _respond(exchange, answer.status, fields)
            return
        only = todo[0]
        if len(todo) == 1 and isinstance(only, Part) and only.size <= PIECE:
            body = read_from_memory(found.fd, only.size, only.start)
            if body is not None and len(body) == only.size:
                _respond(exchange, answer.status, fields, body)
                return
        path = os.path.join(self._settings.folder, os.fsdecode(name))
        source = FileSource(exchange, os.dup(found.fd), path, todo, self._disk)
        exchange.connect(source, exchange.opened)
        if exchange.sink.head(exchange, answer.status, fields):
            source.begin()
        else:
            source.close()

    # -- no file -----------------------------------------------------------------------------

    def _other_method(self, exchange: Exchange) -> None:
        if self._otherwise is not None:
            self._otherwise(exchange)
            return
        exchange.give_end(end_codes.CLIENT_UNSUPPORTED)
        headers, body = error_page(
            405, "Files are read here, with GET or HEAD.", request_id=exchange.request_id
        )
        exchange.sink.respond(exchange, 405, ((b"allow", b"GET, HEAD"), *headers), body)

    def _nothing_there(self, exchange: Exchange) -> None:
        if self._otherwise is not None:
            self._otherwise(exchange)
            return
        settings = self._settings
        page = settings.fallback.encode() if _navigates(exchange) else b""
        if page and self._send_named(exchange, page):
            return
        exchange.give_end(end_codes.GATEWAY_NO_FILE)
        if settings.not_found and self._send_named(exchange, settings.not_found.encode(), 404):
            return
        exchange.sink.fail(exchange, 404, "There is no such file.")

    def _forbidden(self, exchange: Exchange, error: PermissionError) -> None:
        self._say(f"may not be read: {error.filename or ''} {error.strerror}", exchange)
        exchange.give_end(end_codes.GATEWAY_NO_FILE)
        exchange.sink.fail(exchange, 403, "The server may not read this file.")

    def _failed(self, exchange: Exchange, error: OSError) -> None:
        self._say(f"can't be used: {error.strerror}", exchange)
        exchange.give_end(end_codes.GATEWAY_FILE_BROKE)
        exchange.sink.fail(exchange, 500, "The file could not be opened.")

    def _say(self, fault: str, exchange: Exchange) -> None:
        """Logs what is wrong, and not again before something else was."""
        if fault != self._fault:
            self._fault = fault
            tail, facts = log_tail(exchange), log_facts(exchange)
            log.error("static folder %s %s%s", self._settings.folder, fault, tail, extra=facts)


class Answer(NamedTuple):
    """A response with a file's content."""

    status: int
    fields: Pairs
    """All but Content-Length."""
    todo: list[bytes | Part]
    """What the body is made of."""


def _answer(
    fields: list[tuple[bytes, bytes]], status: int, size: int, parts: list[Part] | None
) -> Answer:
    """How a file of `size` bytes is sent; `fields` begin with its Content-Type."""
    fields = [*fields, (b"accept-ranges", b"bytes")]
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


def _unsatisfiable(exchange: Exchange, size: int) -> None:
    page, body = error_page(416, f"The file has {size} bytes.", request_id=exchange.request_id)
    fields = ((b"content-range", b"bytes */%d" % size), *page)
    _respond(exchange, 416, fields, body)


def _respond(exchange: Exchange, status: int, fields: Pairs, body: bytes = b"") -> None:
    exchange.give_end(end_codes.GATEWAY_FILE)
    exchange.sink.respond(exchange, status, fields, body)


def _navigates(exchange: Exchange) -> bool:
    """Whether a page is asked for, and not something that a page has named: the last segment of the
    path has no extension, or the client asks for HTML by name."""
    if b"." not in exchange.request.path.rpartition(b"/")[2]:
        return True
    return any(
        name == b"accept" and b"text/html" in value for name, value in exchange.request.headers
    )
