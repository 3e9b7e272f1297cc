"""A cache of a client's last head. As a rule the next request of a connection has the same fields,
byte for byte, so they need not be checked and parsed again. A proxy that traces writes another
`traceparent` into each of them; so the bytes before and behind its value are compared, and the
value alone is read.

Only plain requests are cached: HTTP/1.1, a path as target, no body, no upgrade. All others are read
by `request_head.read_head`, which gives the same Request for the same head.
"""

import re
from typing import Final

from ...protocol.messages import Pairs
from ..exchange.trace_context import TRACEPARENT, TraceParent, continued_trace
from ..http.grammar import PLAIN_PATH, PLAIN_QUERY, TOKEN
from ..http.head_limits import MOST_REMEMBERED
from ..http.rules import NOT_SERVED
from ..settings import HttpSettings
from .request_head import Http1Request

_PLAIN_LINE: Final = re.compile(
    rb"(" + TOKEN.pattern + rb") ((" + PLAIN_PATH + rb")(?:\?(" + PLAIN_QUERY + rb"))?)"
    rb" HTTP/1\.1\r\n"
)
"""Groups: method, target, path, query."""
_TRACEPARENT_LINE: Final = re.compile(
    rb"(?i:(?:\A|\n)traceparent):[ \t]*+([0-9a-f-]{55})[ \t]*+\r\n"
)
"""Group: a value of the length that version 00 has."""
_TRACEPARENT_SIZE: Final = 55


class RepeatedFields:
    """The fields of the last request of one connection."""

    __slots__ = ("_after_trace", "_before_trace", "_block", "_forwarded", "_headers", "_host",
                 "_keep_alive", "_takes", "_told_ids", "_trace_parent")  # fmt: skip

    def __init__(self) -> None:
        self._block = b""
        """The bytes behind the request line, with the empty line; b"" while there are none."""
        self._before_trace = self._after_trace = b""
        """The parts of the block before and behind the value of its `traceparent`; b"" if it has
        none whose value may change."""
        self._headers: Pairs = ()
        self._forwarded: Pairs = ()
        self._host = ""
        self._keep_alive = True
        self._trace_parent: TraceParent | None = None
        self._told_ids: tuple[bytes, ...] = ()
        self._takes = 0

    def read(self, head: bytes, settings: HttpSettings) -> Http1Request | None:
        """Returns the request of a whole head, if its fields are cached and its line is plain."""
        block = self._block
        headers, trace_parent = self._headers, self._trace_parent
        if not block:
            return None
        if not head.endswith(block):
            value = self._another_trace(head)
            trace_parent = continued_trace([value], []) if value else None
            if trace_parent is None:
                return None
            headers = tuple([
                (name, value if name == TRACEPARENT else old) for name, old in headers
            ])  # fmt: skip
            if self._trace_parent is not None and self._trace_parent.state:
                trace_parent = trace_parent._replace(state=self._trace_parent.state)
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
            headers, self._forwarded, self._host, self._keep_alive, trace_parent, self._told_ids,
            self._takes,
        )  # fmt: skip

    def _another_trace(self, head: bytes) -> bytes:
        """The value of the `traceparent` of a head with the fields of the block, if that alone is
        another; b"" if other bytes are."""
        after = self._after_trace
        if not after or not head.endswith(after):
            return b""
        end = len(head) - len(after)
        start = end - _TRACEPARENT_SIZE
        if start < 0 or not head.endswith(self._before_trace, 0, start):
            return b""
        return head[start:end]

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
            self._takes = request.takes
            self._learn_trace()
        else:
            self._block = b""

    def _learn_trace(self) -> None:
        """Finds the value in the block that is another one in the next request."""
        self._before_trace = self._after_trace = b""
        if self._trace_parent is None:
            return
        match = _TRACEPARENT_LINE.search(self._block)
        if match is not None:
            self._before_trace = self._block[: match.start(1)]
            self._after_trace = self._block[match.end(1) :]
