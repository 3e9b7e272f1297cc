"""The handler of a route with `static`: what becomes of one request.

In nginx's words: `root`, `index`, `try_files`, `gzip_static`, `error_page 404`, `expires`. Two of
its traps are left out. A file without Cache-Control is kept by browsers for as long as they guess,
so that visitors have last week's page after a deployment: here all that has no content hash in its
name is asked for again each time (`no-cache`, which costs a 304), and what has one is kept for a
year. And a page for every missing path (single-page apps) is sent for navigations only: a script
that is missing stays missing, instead of a page of HTML with the status 200.
"""

import errno
import os
import re
from collections.abc import Callable
from logging import getLogger
from typing import Final

from ....protocol.messages import Pairs
from ...exchange import end_codes
from ...exchange.exchange import Exchange, log_facts, log_tail
from ...exchange.pages import error_page
from ...files.disk_file import DiskFile
from ...files.disk_threads import DiskThreads
from ...files.file_response import respond_with_file, respond_with_whole_file
from ...files.folder import Folder
from ...files.validators import http_date, validators_of
from ...files.wanted_path import wanted_path
from ...settings import StaticSettings
from .codings import accepted_siblings
from .media_types import can_be_compressed, media_type

log = getLogger("propylon.gateway")

IMMUTABLE: Final = b"public, max-age=31536000, immutable"
NO_CACHE: Final = b"no-cache"
TOO_MANY_OPEN: Final = frozenset({errno.EMFILE, errno.ENFILE})
"""Errors of a file that can be opened a moment later."""

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
                return False
            self._send(exchange, wanted, found)
            return True
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
        if found is None or found.kind != "file":
            return False
        self._send(exchange, name, found, status)
        return True

    def _send_into(self, exchange: Exchange, index: bytes) -> bool:
        """Sends a client to the folder that it has named without a slash at the end: relative links
        of its index would lead elsewhere. Returns whether the folder has an index."""
        if self._folder.open(index) is None:
            return False
        query = exchange.request.query
        location = exchange.path + b"/" + (b"?" + query if query else b"")
        headers, body = error_page(
            308, f"Use {location.decode('latin-1')}", request_id=exchange.request_id
        )
        exchange.give_end(end_codes.GATEWAY_REDIRECT)
        exchange.sink.respond(exchange, 308, ((b"location", location), *headers), body)
        return True

    # -- a file ------------------------------------------------------------------------------

    def _send(self, exchange: Exchange, name: bytes, file: DiskFile, status: int = 200) -> None:
        """Answers with the file that was opened."""
        kind = media_type(os.fsdecode(name))
        fields: list[tuple[bytes, bytes]] = [(b"content-type", kind.encode())]
        coding = ""
        if self._settings.precompressed and can_be_compressed(kind):
            fields.append((b"vary", b"accept-encoding"))
            coding, file = self._compressed(exchange.request.headers, name, file)
            if coding:
                fields.append((b"content-encoding", coding.encode()))
        state = validators_of(file.size, file.mtime_ns, file.number, coding)
        fields += [
            (b"etag", state.etag),
            (b"last-modified", http_date(state.modified)),
            (b"cache-control", self._cache_control(name, status)),
        ]
        if status == 200:
            respond_with_file(exchange, file, fields, state, self._disk)
        else:
            respond_with_whole_file(exchange, status, file, fields, self._disk)

    def _compressed(self, headers: Pairs, name: bytes, file: DiskFile) -> tuple[str, DiskFile]:
        """The precompressed form that the client likes best, with its coding; ("", `file`) if
        there is none that can be opened. One that is older than the file was forgotten when that
        was changed."""
        for coding, ending in accepted_siblings(headers):
            try:
                sibling = self._folder.open(name + ending)
            except OSError:
                continue  # the file as it is can be sent
            if sibling is None or sibling.kind != "file":
                continue
            if sibling.mtime_ns >= file.mtime_ns:
                return coding, sibling
        return "", file

    def _cache_control(self, name: bytes, status: int) -> bytes:
        if status != 200:
            return NO_CACHE
        if self._settings.immutable and has_hash(name.rpartition(b"/")[2]):
            return IMMUTABLE
        return self._settings.cache_control.encode() or NO_CACHE

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
        status = 503 if error.errno in TOO_MANY_OPEN else 500
        exchange.sink.fail(exchange, status, "The file could not be opened.")

    def _say(self, fault: str, exchange: Exchange) -> None:
        """Logs what is wrong, and not again before something else was."""
        if fault != self._fault:
            self._fault = fault
            tail, facts = log_tail(exchange), log_facts(exchange)
            log.error("static folder %s %s%s", self._settings.folder, fault, tail, extra=facts)


def _navigates(exchange: Exchange) -> bool:
    """Whether a page is asked for, and not something that a page has named: the last segment of the
    path has no extension, or the client asks for HTML by name."""
    if b"." not in exchange.request.path.rpartition(b"/")[2]:
        return True
    return any(
        name == b"accept" and b"text/html" in value for name, value in exchange.request.headers
    )
