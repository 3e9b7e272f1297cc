"""A cache of a connection's last head, as HTTP/1 has one. Pure.

The next request of a connection often has the same fields but for its `:path`. The engine has
unpacked all of them nevertheless; but they need not be checked and read again. Only plain requests
are cached: a path without percent-encoding, no body, no upgrade. All others are read by
`request_fields.request_of`, which gives the same Request for the same fields.
"""

import re
from typing import Final

from ..http.grammar import PLAIN_PATH, PLAIN_QUERY
from ..http.head_limits import MOST_REMEMBERED
from ..http.rules import Fields
from ..settings import Http2Settings, HttpSettings
from .request_fields import Http2Request, longest_path, request_of

_PLAIN_TARGET: Final = re.compile(rb"(" + PLAIN_PATH + rb")(?:\?(" + PLAIN_QUERY + rb"))?")
"""Groups: path, query."""


class HeadCache:
    """Reads the requests of one connection, and remembers the last one."""

    __slots__ = (
        "_after", "_before", "_http2", "_last", "_longest_path", "_same", "_settings", "_target",
    )  # fmt: skip

    def __init__(self, settings: HttpSettings, http2: Http2Settings) -> None:
        self._settings = settings
        self._http2 = http2
        self._last: Http2Request | None = None
        """A copy of the last request, if it was plain."""
        self._before: Fields = []
        """The last request's fields in front of `:path`."""
        self._after: Fields = []
        """The last request's fields behind `:path`."""
        self._longest_path = 0
        """Bytes of a path with which the last request's other fields are within all limits."""
        self._same: Fields | None = None
        """The last fields that the cache has answered: the decoder gives the same list for the same
        block (`field_compression`)."""
        self._target = (b"", b"", b"")
        """Their target, path and query."""

    def read(self, fields: Fields, ended: bool) -> Http2Request:
        """Makes a request of all its fields, as `request_of` does. Raises MalformedRequest and
        RequestError."""
        last = self._last
        if fields is self._same and ended and last is not None:
            return last.with_target(*self._target)
        if last is not None and ended and len(fields) > len(self._before):
            at = len(self._before)
            name, path = fields[at]
            if (
                name == b":path"
                and fields[at + 1 :] == self._after
                and (not at or fields[:at] == self._before)
                and (match := _PLAIN_TARGET.fullmatch(path)) is not None
                and len(path) <= self._longest_path
            ):
                plain, query = match.groups(b"")
                if b".." not in plain and b"%00" not in query:
                    self._same, self._target = fields, (path, plain, query)
                    return last.with_target(path, plain, query)
        request = request_of(fields, ended, self._settings, self._http2)
        self._learn(fields, request, ended)
        return request

    def _learn(self, fields: Fields, request: Http2Request, ended: bool) -> None:
        """Caches the fields of a request that `request_of` has made of them. Others may change
        that request, so a copy of it is kept."""
        self._last = self._same = None
        if not ended:
            return
        at = [name for name, _ in fields].index(b":path")
        before, after = fields[:at], fields[at + 1 :]
        if sum([len(name) + len(value) for name, value in before + after]) <= MOST_REMEMBERED:
            self._last = request.with_target(b"", b"", b"")
            self._before, self._after = before, after
            self._longest_path = longest_path(before + after, self._settings)
