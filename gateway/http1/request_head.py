"""Makes a request of a raw head, or an error that says what is wrong with the head.

First come the head's grammar and limits, then the parser, then the meaning of single fields. Each
rule stands here once and holds for both parsers. If a parser refuses a head that the grammar let
pass, the same rules are applied to it, so that both parsers give the same status.
"""

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Final, Literal

from ...protocol.messages import TAKES_HINTS, Pairs
from ..exchange.errors import Http2Preface, RequestError, TlsToPlainPort
from ..exchange.trace_context import (
    TraceParent,
)
from ..http.grammar import (
    FIELD_LINE,
    FIELD_NAME,
    HEAD,
    LINE,
    QUOTED,
    TOKEN,
    split_target,
)
from ..http.head_limits import field_too_long, line_too_long, too_many_fields
from ..http.read_request import FieldsRequest
from ..http.rules import (
    FORWARDED,
    MEANINGFUL,
    NOT_SERVED,
    Fields,
    not_served,
    request_length,
    sift,
)
from ..settings import HttpSettings
from . import parse_h11

ParseFields = Callable[[bytes], Fields]


_PROTOCOL: Final = re.compile(TOKEN.pattern + rb"(?:/" + TOKEN.pattern + rb")?")
"""An entry of Upgrade (RFC 9110 section 7.8)."""
_CODING: Final = re.compile(
    TOKEN.pattern + rb"(?:[ \t]*+;[ \t]*+" + TOKEN.pattern + rb"[ \t]*+=[ \t]*+(?:"
    + TOKEN.pattern + rb"|" + QUOTED.pattern + rb"))*"
)  # fmt: skip
"""A transfer coding and its parameters (RFC 9112 section 7)."""

_KEPT_IN_CONNECTION: Final = FORWARDED | frozenset({
    b"host", b"content-length", b"transfer-encoding", b"authorization", b"cookie", b"expect",
    b"content-type", b"range", b"cache-control", b"max-forwards", b"proxy-authorization",
    b"origin", b"referer", b"user-agent", b"content-encoding",
})  # fmt: skip
"""Fields that Connection must not name. An intermediary would take a named field off, which is an
attack; without the forwarded fields a proxy would be taken for the client."""
_KEPT_KINDS: Final = (b"sec-", b"x-forwarded-", b"if-")
"""Beginnings of further names that Connection must not name; a browser vouches for `sec-`."""

_BREAK: Final = re.compile(rb"[\r\n]")
"""What a client may take for the end of the request line; the fields behind it are not shown."""


class Http1Request(FieldsRequest):
    """A request in HTTP/1, with the one fact that only HTTP/1 has."""

    __slots__ = ("keep_alive",)

    def __init__(
        self,
        method: str,
        target: bytes,
        http_version: str,
        path: bytes,
        query: bytes,
        headers: Pairs = (),
        forwarded: Pairs = (),
        host: str = "",
        keep_alive: bool = True,
        trace_parent: TraceParent | None = None,
        told_ids: tuple[bytes, ...] = (),
        takes: int = 0,
    ) -> None:
        # Each field is set once, and not by the base class before: every request is made here.
        self.method = method
        self.target = target
        self.http_version = http_version
        self.path = path
        self.query = query
        self.headers = headers
        self.forwarded = forwarded
        self.host = host
        self.content_length = 0
        self.expects_continue = False
        self.upgrade = ""
        self.trace_parent = trace_parent
        self.told_ids = told_ids
        self.takes = takes
        self.keep_alive = keep_alive
        """Whether another request may follow on this connection (RFC 9112 section 9.3)."""

    def _read_own(self, length: bytes | None, own: Fields) -> None:
        coding: bytes | None = None
        options: set[bytes] = set()
        upgrades = b""
        for name, value in own:
            if name == b"transfer-encoding":
                if coding is not None:
                    raise RequestError(400, "Two Transfer-Encoding fields.")
                coding = value
            elif name == b"connection":
                options.update(_connection_options(value))
            elif name == b"upgrade":
                upgrades += value.lower() + b","
        self._read_framing(length, coding)
        if upgrades and b"upgrade" in options:
            protocols = {protocol.strip(b" \t") for protocol in upgrades.split(b",")}
            if b"websocket" in protocols:
                if any(_PROTOCOL.fullmatch(protocol) is None for protocol in protocols - {b""}):
                    raise RequestError(400, "The Upgrade field is malformed.")
                self.upgrade = "websocket"
        if b"close" in options:
            self.keep_alive = False
        elif b"keep-alive" in options:
            self.keep_alive = True

    def _read_framing(self, length: bytes | None, coding: bytes | None) -> None:
        """Reads the framing of the body (RFC 9112 section 6.3), strictly: what two servers could
        read in two ways is refused."""
        if coding is not None:
            if length is not None:
                raise RequestError(400, "Content-Length together with Transfer-Encoding.")
            if self.http_version == "1.0":
                raise RequestError(400, "HTTP/1.0 has no Transfer-Encoding.")
            if coding.lower() != b"chunked":
                status: Literal[400, 501] = 501 if _is_foreign(coding.lower()) else 400
                raise RequestError(status, "The only transfer coding that is taken is chunked.")
            self.content_length = None
        elif length is not None:
            self.content_length = request_length(length)

    def take_hints(self) -> None:
        """Takes the operator's word that clients of HTTP/1.1 read interim responses. HTTP/1.0 has
        none (RFC 9110 section 15.2)."""
        if self.http_version != "1.0":
            self.takes |= TAKES_HINTS

    def ignore_upgrade(self) -> None:
        """Has the request served as any other (RFC 9110 section 7.8)."""
        self.upgrade = ""


def choose_parser(name: str) -> ParseFields:
    """The parser of this name: `auto`, `httptools` or `h11`. `auto` takes httptools if it is
    installed."""
    if name == "h11":
        return parse_h11.parse_fields
    try:
        from . import parse_httptools
    except ImportError:
        if name == "httptools":
            raise
        return parse_h11.parse_fields
    return parse_httptools.parse_fields


def read_head(head: bytes, settings: HttpSettings, parse_fields: ParseFields) -> Http1Request:
    """Reads a whole head, with its last empty line. Raises RequestError."""
    match = HEAD.fullmatch(head)
    if match is None:
        raise why_malformed(head, settings)
    target, version, block = match.groups()
    method = head[: match.start(1) - 1]
    request, authority = read_line(method, target, version, settings)
    if len(block) > settings.limit_request_field_size or block.count(b"\n") > (
        settings.limit_request_fields
    ):
        _check_each_field(block, settings)
    if version != b"HTTP/1.1" and version != b"HTTP/1.0":
        parse_fields = parse_h11.parse_fields  # httptools knows no other version
    try:
        fields = parse_fields(head)
    except ValueError:
        fields = [(name.lower(), value.strip(b" \t")) for name, value in FIELD_LINE.findall(block)]
        request.read_fields(fields, authority)
        raise RequestError(400, "The request's head is malformed.") from None
    names = b"\n".join([name for name, _ in fields])
    request.read(fields, names, authority, settings)
    if settings.early_hints == "all":
        request.take_hints()
    if request.upgrade and not settings.websockets:
        request.ignore_upgrade()
    return request


def read_line(
    method: bytes, target: bytes, version: bytes, settings: HttpSettings
) -> tuple[Http1Request, bytes | None]:
    """Reads a request line that has passed the grammar. Returns the request, and the authority in
    its target or None. Raises RequestError."""
    if len(method) + len(target) + len(version) + 2 > settings.limit_request_line:
        raise line_too_long(settings)
    name = method.decode("ascii")
    if not version.startswith(b"HTTP/1."):
        if method == b"PRI":
            raise Http2Preface(505, "This listener speaks HTTP/1.1, not HTTP/2.")
        raise RequestError(505, f"This server speaks HTTP/1.1, not {version.decode()}.")
    if method in NOT_SERVED:
        raise not_served(name)
    path, query, authority = split_target(name, target)
    if version == b"HTTP/1.0":
        return Http1Request(name, target, "1.0", path, query, keep_alive=False), authority
    # An unknown minor version is answered in the highest that we know (RFC 9110 section 2.5).
    return Http1Request(name, target, "1.1", path, query), authority


class FieldsSoFar:
    """The fields of a head that has not ended. A field that means 400 whatever follows is refused
    at once. One that means another status waits for the head's end, since a 400 would go before
    it."""

    __slots__ = ("_authority", "_count", "_meant", "_request", "_settings")

    def __init__(
        self, request: Http1Request, authority: bytes | None, settings: HttpSettings
    ) -> None:
        self._request = request
        self._authority = authority
        self._settings = settings
        self._count = 0
        self._meant: Fields = []

    def add(self, name: bytes, value: bytes, size: int) -> None:
        """Takes another field; its line has `size` bytes. Raises RequestError."""
        settings = self._settings
        self._count += 1
        if self._count > settings.limit_request_fields:
            raise too_many_fields(settings)
        if size > settings.limit_request_field_size:
            raise field_too_long(settings)
        if b"_" in name:
            sift([(name, value)], settings.header_map)
        if name not in MEANINGFUL or len(self._meant) == _MOST_JUDGED_EARLY:
            return
        self._meant.append((name, value))
        first = self._request
        asked = Http1Request(
            first.method, first.target, first.http_version, first.path, first.query
        )
        try:
            asked.read_fields(self._meant, self._authority, whole=False)
        except RequestError as error:
            if error.status == 400:
                raise


_MOST_JUDGED_EARLY: Final = 64
"""Fields that are judged before the head's end. Each new one has all of them judged again."""


def _check_each_field(block: bytes, settings: HttpSettings) -> None:
    lines = block.split(b"\r\n")[:-1]
    if len(lines) > settings.limit_request_fields:
        raise too_many_fields(settings)
    if max(map(len, lines)) > settings.limit_request_field_size:
        raise field_too_long(settings)


def _is_foreign(coding: bytes) -> bool:
    """Whether a Transfer-Encoding is well-formed and unknown to us (RFC 9112 section 6.1): a list
    of codings, with `chunked` last or not at all. A coding that only looks like `chunked` is
    malformed. So is `identity`, which would leave the body without an end."""
    codings = [one.strip(b" \t") for one in coding.split(b",")]
    if codings[-1] == b"chunked":
        codings.pop()
    return all(
        _CODING.fullmatch(one) is not None and b"chunked" not in one and one != b"identity"
        for one in codings
    )


@lru_cache(maxsize=128)
def _connection_options(value: bytes) -> frozenset[bytes]:
    options = frozenset({option.strip(b" \t").lower() for option in value.split(b",")}) - {b""}
    if any(TOKEN.fullmatch(option) is None for option in options):
        raise RequestError(400, "The Connection field is not a list of names.")
    if options & _KEPT_IN_CONNECTION or any(map(_is_of_kept_kind, options)):
        raise RequestError(400, "The Connection field names a field that is not hop-by-hop.")
    return options


def _is_of_kept_kind(option: bytes) -> bool:
    return option.startswith(_KEPT_KINDS)


def why_malformed(head: bytes, settings: HttpSettings) -> RequestError:
    """The error for a head that does not pass the grammar: the first fault in it."""
    line, _, rest = head.partition(b"\r\n")
    if head.startswith(b"\x16\x03") or head == b"\x16":
        return TlsToPlainPort(400, "This looks like TLS, and this is a plain HTTP port.")
    if len(line) > settings.limit_request_line:
        return line_too_long(settings)
    if LINE.fullmatch(line) is None:
        return RequestError(400, f"The request line is malformed: {_shown(_BREAK.split(line)[0])}")
    try:
        method, target, version = line.split(b" ")
        read_line(method, target, version, settings)
    except RequestError as error:
        return error
    for field in rest.split(b"\r\n"):
        name, colon, _ = field.partition(b":")
        if field and (
            not colon
            or FIELD_NAME.fullmatch(name) is None
            or FIELD_LINE.fullmatch(field + b"\r\n") is None
        ):
            # Its value may be a password or a cookie, and the reason stands in the log.
            what = f": {_shown(name)}" if colon and field[0] not in b" \t" else "."
            return RequestError(400, f"A header field is malformed{what}")
    return RequestError(400, "The request's head is malformed.")


def _shown(data: bytes) -> str:
    """Bytes of the client, cut and escaped, for an error page and the log."""
    return repr(data[:60])[1:] + (" ..." if len(data) > 60 else "")
