"""A cache of a client's last head. As a rule the next request of a connection has the same fields,
byte for byte, so they need not be checked and parsed again.

Only plain requests are cached: HTTP/1.1, a path as target, no body, no upgrade. All others are read
by `request_head.read_head`, which gives the same Request for the same head.
"""

import re
from typing import Final

from ..exchange.trace_context import TraceParent
from ..http.grammar import TOKEN
from ..http.rules import NOT_SERVED
from ..settings import HttpSettings
from .request_head import Http1Request

_PATH: Final = rb"/[\x21\x22\x24\x26-\x3e\x40-\x7e]*+"
"""A path without percent-encoding; it ends before a query."""
_QUERY: Final = rb"[\x21\x22\x24-\x7e]*+"
_PLAIN_LINE: Final = re.compile(
    rb"(" + TOKEN.pattern + rb") ((" + _PATH + rb")(?:\?(" + _QUERY + rb"))?) HTTP/1\.1\r\n"
)
"""Groups: method, target, path, query."""
MOST_REMEMBERED: Final = 2_048
"""Bytes of fields that a connection keeps for the next request."""


class RepeatedFields:
    """The fields of the last request of one connection."""

    __slots__ = ("_block", "_forwarded", "_headers", "_host", "_keep_alive", "_told_ids",
                 "_trace_parent")  # fmt: skip

    def __init__(self) -> None:
        self._block = b""
        """The bytes behind the request line, with the empty line; b"" while there are none."""
        self._headers = self._forwarded = ()
        self._host = ""
        self._keep_alive = True
        self._trace_parent: TraceParent | None = None
        self._told_ids: tuple[bytes, ...] = ()

    def read(self, head: bytes, settings: HttpSettings) -> Http1Request | None:
        """Returns the request of a whole head, if its fields are cached and its line is plain."""
        block = self._block
        if not block or not head.endswith(block):
            return None
        line = _PLAIN_LINE.match(head)
        if line is None or line.end() + len(block) != len(head):
            return None
        method, target, path, query = line.groups(b"")
        if (
            b".." in path
            or b"%00" in query
            or method in NOT_SERVED
            or line.end() - 2 > settings.limit_request_line
        ):
            return None
        return Http1Request(
            method.decode(), target, "1.1", path, query,
            self._headers, self._forwarded, self._host, self._keep_alive, self._trace_parent,
            self._told_ids,
        )  # fmt: skip

    def learn(self, head: bytes, request: Http1Request) -> None:
        """Caches the fields of a request that `read_head` has made of this head."""
        start = head.index(b"\r\n") + 2
        if (
            request.http_version == "1.1"
            and request.content_length == 0
            and not request.upgrade
            and len(head) - start <= MOST_REMEMBERED
        ):
            self._block = head[start:]
            self._headers, self._forwarded = request.headers, request.forwarded
            self._host, self._keep_alive = request.host, request.keep_alive
            self._trace_parent, self._told_ids = request.trace_parent, request.told_ids
        else:
            self._block = b""
