"""The handler of a route with `static`: what becomes of one request.

In nginx's words: `root`, `index`, `try_files`, `gzip_static`, `error_page 404`, `expires`. Two of
its traps are left out. A file without Cache-Control is kept by browsers for as long as they guess,
so that visitors have last week's page after a deployment: here all that has no content hash in its
name is asked for again each time (`no-cache`, which costs a 304), and what has one is kept for a
year. And a page for every missing path (single-page apps) is sent for navigations only: a script
that is missing stays missing, instead of a page of HTML with the status 200.
"""

import math
import os
import re
from collections.abc import Callable, Hashable
from functools import partial
from logging import getLogger
from typing import Final

from ...exchange import end_codes
from ...exchange.exchange import Exchange, log_facts, log_tail
from ...exchange.pages import error_page
from ...files.disk_threads import MAY_BE_OVER, DiskThreads, on_the_loop
from ...files.file_response import respond_with_file, respond_with_whole_file, whole_fields
from ...files.file_source import PIECE
from ...files.folder import Folder, WouldWaitError
from ...files.hot_files import HotFile, HotFiles, stamp_of
from ...files.page_cache import read_from_memory
from ...files.validators import http_date, judge, validators_of
from ...files.wanted_path import wanted_path
from ...settings import StaticSettings
from .codings import accepted_siblings
from .lookup import Asked, Found, FoundFile, Lookup
from .media_types import can_be_compressed, media_type

log = getLogger("propylon.gateway")

IMMUTABLE: Final = b"public, max-age=31536000, immutable"
NO_CACHE: Final = b"no-cache"
BETTER_FORM_AFTER: Final = 1.0
"""Seconds after which we look again whether a file has a compressed form."""
LONGEST_KEY: Final = 1_000
"""Bytes of a path and an Accept-Encoding up to which an answer is kept. They are as long as the
client likes, and kept as well."""
_DECIDE: Final = frozenset({
    b"accept-encoding", b"range", b"if-range", b"if-match", b"if-none-match",
    b"if-modified-since", b"if-unmodified-since",
})  # fmt: skip
"""Fields of a request on which the answer with a file depends."""

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
        hot: HotFiles,
        otherwise: Callable[[Exchange], None] | None = None,
    ) -> None:
        """Serves below the route's `prefix`. `otherwise` answers what no file is there for; None if
        that is a 404."""
        self._settings = settings
        self._prefix = prefix.rstrip("/").encode()
        self._folder = Folder(settings.folder, settings.symlinks)
        self._lookup = Lookup(settings, self._folder, otherwise is None)
        self._disk = disk
        self._hot = hot
        self._otherwise = otherwise
        self._fault = ""
        """What is wrong with the folder, as it was logged last; "" if nothing is."""

    def answer(self, exchange: Exchange) -> None:
        """Answers with a file, or hands the exchange on."""
        request = exchange.request
        if request.method not in ("GET", "HEAD"):
            self._other_method(exchange)
            return
        accepted, conditional = b"", False
        for name, value in request.headers:
            if name in _DECIDE:
                if name != b"accept-encoding":
                    conditional = True
                else:
                    accepted = accepted + b"," + value if accepted else value
        key = None
        if len(request.path) + len(accepted) <= LONGEST_KEY:
            key = (self, request.path, accepted)
        known = None if key is None else self._hot.find(key, exchange.opened)
        if known is not None and self._send_known(exchange, known, conditional):
            return
        asked = self._asked(exchange)
        try:
            found = self._lookup.at_once(asked)
        except WouldWaitError:
            look = partial(self._lookup.slowly, asked)
            then = on_the_loop(exchange, partial(self._was_found, exchange, key))
            self._disk.run(look, then)
        except OSError as error:
            self._failed(exchange, error)
        else:
            self._reply(exchange, found, key)

    def _was_found(
        self, exchange: Exchange, key: Hashable | None, found: Found | OSError | None
    ) -> None:
        """Goes on, when a thread has looked for the file."""
        if isinstance(found, OSError):
            self._failed(exchange, found)
        else:
            # What is kept is looked at again in the loop, which must not ask a server.
            near = isinstance(found, FoundFile) and all(map(self._folder.is_near, found.depends_on))
            self._reply(exchange, found, key if near else None)

    def _asked(self, exchange: Exchange) -> Asked:
        request, settings = exchange.request, self._settings
        siblings = accepted_siblings(request.headers) if settings.precompressed else []
        return Asked(
            wanted_path(request.path, self._prefix, hidden=settings.hidden),
            request.path,
            request.headers,
            _navigates(exchange),
            siblings,
        )

    def _reply(self, exchange: Exchange, found: Found | None, key: Hashable | None) -> None:
        """Answers with what was found. `key` is what the answer may be kept by."""
        self._fault = ""
        if found is None:
            self._nothing_there(exchange)
        elif isinstance(found, FoundFile):
            self._send(exchange, found, key)
        elif found == "redirect":
            _redirect(exchange)
        else:
            exchange.give_end(end_codes.GATEWAY_FILE)
            exchange.sink.respond(exchange, 200, found.fields, found.body)

    # -- a file ------------------------------------------------------------------------------

    def _send_known(self, exchange: Exchange, known: HotFile, conditional: bool) -> bool:
        """Answers with a file that was asked for before. Returns whether that could be done."""
        body = known.body
        if body is None:
            file = known.file
            assert file is not None, "there is one of the two"
            if file.size > PIECE:
                if conditional:
                    respond_with_file(exchange, file, known.fields, known.state, self._disk)
                else:
                    respond_with_whole_file(exchange, 200, file, known.fields, self._disk)
                return True
            body = read_from_memory(file, 0, file.size)
            if body is None or len(body) < file.size:
                return False
            self._hot.keep_body(known, body)
        if not conditional:
            exchange.give_end(end_codes.GATEWAY_FILE)
            exchange.sink.respond(exchange, 200, known.whole, body)
            return True
        if judge(exchange.request.headers, known.state) != "not modified":
            return False
        exchange.give_end(end_codes.GATEWAY_FILE)
        exchange.sink.respond(exchange, 304, tuple(known.fields[1:]), b"")
        return True

    def _send(self, exchange: Exchange, found: FoundFile, key: Hashable | None) -> None:
        """Answers with the file that was opened."""
        file, coding = found.file, found.coding
        kind = media_type(os.fsdecode(found.name))
        fields: list[tuple[bytes, bytes]] = [(b"content-type", kind.encode())]
        if self._settings.precompressed and can_be_compressed(kind):
            fields.append((b"vary", b"accept-encoding"))
            if coding:
                fields.append((b"content-encoding", coding.encode()))
        state = validators_of(file.size, file.mtime_ns, file.number, coding)
        fields += [
            (b"etag", state.etag),
            (b"last-modified", http_date(state.modified)),
            (b"cache-control", self._cache_control(found.name, found.status)),
        ]
        if found.status != 200:
            exchange.give_end(end_codes.GATEWAY_NO_FILE)
            respond_with_whole_file(exchange, found.status, file, fields, self._disk)
            return
        if key is not None and found.depends_on:
            # A better form of the file may come, and the file itself says nothing of it.
            until = exchange.opened + BETTER_FORM_AFTER if len(fields) > 4 else math.inf
            whole = whole_fields(fields, file.size)
            stamps = tuple(map(stamp_of, found.depends_on))
            kept = HotFile(fields, whole, state, file, None, stamps, until)
            self._hot.keep(key, kept, exchange.opened)
        respond_with_file(exchange, file, fields, state, self._disk)

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
        exchange.give_end(end_codes.GATEWAY_NO_FILE)
        exchange.sink.fail(exchange, 404, "There is no such file.")

    def _failed(self, exchange: Exchange, error: OSError) -> None:
        if isinstance(error, PermissionError):
            self._say(f"may not be read: {error.filename or ''} {error.strerror}", exchange)
            exchange.give_end(end_codes.GATEWAY_NO_FILE)
            exchange.sink.fail(exchange, 403, "The server may not read this file.")
            return
        self._say(f"can't be used: {error.strerror}", exchange)
        exchange.give_end(end_codes.GATEWAY_FILE_BROKE)
        status = 503 if error.errno in MAY_BE_OVER else 500
        exchange.sink.fail(exchange, status, "The file could not be opened.")

    def _say(self, fault: str, exchange: Exchange) -> None:
        """Logs what is wrong, and not again before something else was."""
        if fault != self._fault:
            self._fault = fault
            tail, facts = log_tail(exchange), log_facts(exchange)
            log.error("static folder %s %s%s", self._settings.folder, fault, tail, extra=facts)


def _redirect(exchange: Exchange) -> None:
    """Sends a client to the folder that it has named without a slash at the end: relative links of
    its index would lead elsewhere."""
    query = exchange.request.query
    location = exchange.path + b"/" + (b"?" + query if query else b"")
    headers, body = error_page(
        308, f"Use {location.decode('latin-1')}", request_id=exchange.request_id
    )
    exchange.give_end(end_codes.GATEWAY_REDIRECT)
    exchange.sink.respond(exchange, 308, ((b"location", location), *headers), body)


def _navigates(exchange: Exchange) -> bool:
    """Whether a page is asked for, and not something that a page has named: the last segment of the
    path has no extension, or the client asks for HTML by name."""
    if b"." not in exchange.request.path.rpartition(b"/")[2]:
        return True
    return any(
        name == b"accept" and b"text/html" in value for name, value in exchange.request.headers
    )
