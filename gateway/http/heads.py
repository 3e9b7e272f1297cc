"""A raw head becomes a Request, or an answer that says what is wrong with it.

The order: the head's grammar and limits, the parser, then what single fields mean. Each rule is
there once, whichever parser runs; what a parser refuses although the grammar let it pass is looked
at by the same rules, so that both give the same status.
"""

from collections.abc import Callable
from typing import Final, Literal

from ..errors import RequestError, TlsToPlainPort
from ..exchange import Request
from ..settings import HttpSettings
from . import parse_h11
from .grammar import DECIMAL, FIELD_LINE, FIELD_NAME, HEAD, TOKEN, host_name, split_target
from .parse_h11 import Fields

ParseFields = Callable[[bytes], Fields]

_FORWARDED: Final = frozenset({
    b"forwarded", b"x-forwarded-for", b"x-forwarded-proto", b"x-forwarded-host",
    b"x-forwarded-port", b"x-forwarded-prefix", b"x-real-ip",
})  # fmt: skip
"""A proxy's word: kept apart, and dropped unless the peer is trusted to give it (`trust`)."""

_DROPPED: Final = _FORWARDED | {b"proxy"}
"""What lies: the above, and httpoxy (a WSGI environ would call it HTTP_PROXY). All else reaches the
app as the client sent it, hop-by-hop fields too: the worker is no hop, and apps look at them (a
WebSocket's `upgrade`, a body's `transfer-encoding`). They decide nothing behind the gateway."""

# Fields with a meaning for the gateway; all others pass without a look.
_MEANINGFUL: Final = _DROPPED | {
    b"host", b"content-length", b"transfer-encoding", b"connection", b"expect", b"upgrade",
}  # fmt: skip

_KEPT_IN_CONNECTION: Final = _FORWARDED | frozenset({
    b"host", b"content-length", b"transfer-encoding", b"authorization", b"cookie", b"expect",
    b"content-type", b"range", b"cache-control", b"max-forwards", b"proxy-authorization",
})  # fmt: skip
"""Naming one of these in Connection would have an intermediary take it off: an attack. So it
would on a proxy's word, and the proxy would seem to be the client."""


def choose_parser(name: str) -> ParseFields:
    """`auto`, `httptools` or `h11`; auto is httptools where its wheel is installed."""
    if name == "h11":
        return parse_h11.parse_fields
    try:
        from . import parse_httptools
    except ImportError:
        if name == "httptools":
            raise
        return parse_h11.parse_fields
    return parse_httptools.parse_fields


def read_head(head: bytes, settings: HttpSettings, parse_fields: ParseFields) -> Request:
    """A whole head, CRLF CRLF included, as a Request. Raises RequestError."""
    match = HEAD.fullmatch(head)
    if match is None:
        raise why_malformed(head, settings)
    target, version, block = match.groups()
    method = head[: match.start(1) - 1].decode("ascii")
    _check_sizes(match.start(3) - 2, block, settings)
    if version == b"HTTP/1.1":
        request = Request(method, target, "1.1")
    elif version == b"HTTP/1.0":
        request = Request(method, target, "1.0")
        request.keep_alive = False
    elif version.startswith(b"HTTP/1."):
        # A minor version that we do not know is spoken as the highest that we do (RFC 9110 2.5).
        request = Request(method, target, "1.1")
        parse_fields = parse_h11.parse_fields
    else:
        raise RequestError(505, f"This server speaks HTTP/1.1, not {version.decode()}.")
    if method == "CONNECT" or method == "TRACE":
        raise RequestError(405, f"{method} is not served here.")
    request.path, request.query, authority = split_target(method, target)
    try:
        fields = parse_fields(head)
    except ValueError:
        fields = [(name.lower(), value.strip(b" \t")) for name, value in FIELD_LINE.findall(block)]
        _read_fields(request, fields, authority)
        raise RequestError(400, "The request's head is malformed.") from None
    _read_fields(request, fields, authority)
    if request.content_length and 0 < settings.max_request_body_size < request.content_length:
        raise RequestError(
            413, f"The request body is over the limit of {settings.max_request_body_size} bytes."
        )
    return request


def _check_sizes(line: int, block: bytes, settings: HttpSettings) -> None:
    if line > settings.limit_request_line:
        raise RequestError(414, f"The request line is over {settings.limit_request_line} bytes.")
    if len(block) > settings.limit_request_field_size or block.count(b"\n") > (
        settings.limit_request_fields
    ):
        _check_each_field(block, settings)


def _check_each_field(block: bytes, settings: HttpSettings) -> None:
    lines = block.split(b"\r\n")[:-1]
    if len(lines) > settings.limit_request_fields:
        raise RequestError(431, f"More than {settings.limit_request_fields} header fields.")
    if max(map(len, lines)) > settings.limit_request_field_size:
        raise RequestError(
            431, f"A header field is over {settings.limit_request_field_size} bytes."
        )


def _read_fields(request: Request, fields: Fields, authority: bytes | None) -> None:
    """What the meaningful fields say, and the rest for the app."""
    host: bytes | None = None
    meant: list[tuple[bytes, bytes]] = []
    for field in fields:
        if field[0] in _MEANINGFUL:
            if field[0] != b"host":
                meant.append(field)
            elif host is None:
                host = field[1]
            else:
                raise RequestError(400, "Two Host fields.")
    if host is not None:
        request.host = host_name(host)
        if authority is not None and authority.lower() != host.lower():
            raise RequestError(400, "The target's authority and the Host field differ.")
    elif request.http_version == "1.1":
        raise RequestError(400, "HTTP/1.1 needs a Host field.")
    elif authority is not None:
        request.host = host_name(authority)
    if meant:
        fields = _read_meant(request, fields, meant)
    request.headers = tuple(fields)


def _read_meant(request: Request, fields: Fields, meant: Fields) -> Fields:
    """Everything but Host; returns the fields that reach the app."""
    length: bytes | None = None
    coding: bytes | None = None
    options: set[bytes] = set()
    upgrades = b""
    for name, value in meant:
        if name == b"content-length":
            if length is not None:
                raise RequestError(400, "Two Content-Length fields.")
            length = value
        elif name == b"transfer-encoding":
            if coding is not None:
                raise RequestError(400, "Two Transfer-Encoding fields.")
            coding = value
        elif name == b"connection":
            options.update(_connection_options(value))
        elif name == b"upgrade":
            upgrades += value.lower() + b","
        elif name == b"expect":
            if value.lower() != b"100-continue":
                raise RequestError(417, "The only expectation that is known is 100-continue.")
            request.expects_continue = request.http_version != "1.0"
        elif name in _FORWARDED:
            request.forwarded += ((name, value),)
    _read_framing(request, length, coding)
    if b"upgrade" in options and b"websocket" in [u.strip(b" \t") for u in upgrades.split(b",")]:
        request.upgrade = "websocket"
    if b"close" in options:
        request.keep_alive = False
    elif b"keep-alive" in options:
        request.keep_alive = True
    return [field for field in fields if field[0] not in _DROPPED]


def _read_framing(request: Request, length: bytes | None, coding: bytes | None) -> None:
    """RFC 9112 section 6.3, strict: whatever two readers could read in two ways is refused."""
    if coding is not None:
        if length is not None:
            raise RequestError(400, "Content-Length together with Transfer-Encoding.")
        if request.http_version == "1.0":
            raise RequestError(400, "HTTP/1.0 has no Transfer-Encoding.")
        if coding.lower() != b"chunked":
            known = TOKEN.fullmatch(coding) is not None and coding.lower() in _REGISTERED_CODINGS
            status: Literal[400, 501] = 501 if known else 400
            raise RequestError(status, "The only transfer coding that is taken is chunked.")
        request.content_length = None
    elif length is not None:
        if DECIMAL.fullmatch(length) is None:
            raise RequestError(400, "The Content-Length is not a number of bytes.")
        request.content_length = int(length)


_REGISTERED_CODINGS: Final = frozenset({b"gzip", b"x-gzip", b"deflate", b"compress", b"x-compress"})
"""Well-formed, registered with IANA, and not for us: 501 (RFC 9112 section 6.1)."""


def _connection_options(value: bytes) -> set[bytes]:
    options = {option.strip(b" \t").lower() for option in value.split(b",")} - {b""}
    if any(TOKEN.fullmatch(option) is None for option in options):
        raise RequestError(400, "The Connection field is not a list of names.")
    if options & _KEPT_IN_CONNECTION:
        raise RequestError(400, "The Connection field names a field that is not hop-by-hop.")
    return options


def why_malformed(head: bytes, settings: HttpSettings) -> RequestError:
    """The answer to a head that is not of the grammar: the first thing that is wrong with it."""
    line, _, rest = head.partition(b"\r\n")
    if head.startswith(b"PRI * HTTP/2.0\r\n"):
        return RequestError(505, "This listener speaks HTTP/1.1, not HTTP/2.")
    if head.startswith(b"\x16\x03"):
        return TlsToPlainPort(400, "This looks like TLS, and this is a plain HTTP port.")
    if len(line) > settings.limit_request_line:
        return RequestError(414, f"The request line is over {settings.limit_request_line} bytes.")
    if HEAD.fullmatch(line + b"\r\n\r\n") is None:
        return RequestError(400, f"The request line is malformed: {_shown(line)}")
    for field in rest.split(b"\r\n"):
        name, colon, _ = field.partition(b":")
        if field and (
            not colon
            or FIELD_NAME.fullmatch(name) is None
            or FIELD_LINE.fullmatch(field + b"\r\n") is None
        ):
            return RequestError(400, f"A header field is malformed: {_shown(field)}")
    return RequestError(400, "The request's head is malformed.")


def _shown(data: bytes) -> str:
    """Bytes of the client's, cut and escaped, for a page and a log."""
    return repr(data[:60])[1:] + (" ..." if len(data) > 60 else "")
