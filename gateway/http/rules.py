"""RFC 9110's rules for requests and responses, the same in every HTTP version. Pure.

HTTP/1.1 and HTTP/2 write messages down in different ways, and mean the same by them. How a message
is written (lines and chunks, or frames) is its version's room. What it means is here: who may have
a body, what a Content-Length promises, which fields belong to a connection and not to a message,
which fields only a proxy may set. A driver of another version that asks these rules gives the same
answers.

Order: what a client may ask, what reaches the app, what the app may answer.
"""

from typing import Final

from ...protocol.messages import Pairs
from ..exchange.errors import RequestError, ResponseError
from ..exchange.trace_context import TRACEPARENT, TRACESTATE
from ..settings import HeaderMap
from .grammar import DECIMAL, FIELD_NAME, FIELD_VALUE

Fields = list[tuple[bytes, bytes]]
"""Names in lower case, values without blanks around them."""

# -- requests --------------------------------------------------------------------------------

NOT_SERVED: Final = frozenset({b"CONNECT", b"TRACE"})
"""Methods that are a proxy's. An extended CONNECT (RFC 8441) is none of them."""
ALLOW: Final[Pairs] = ((b"allow", b"GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"),)
"""RFC 9110 section 15.5.6. It is for the app to know more."""


def not_served(method: str) -> RequestError:
    return RequestError(405, f"{method} is not served here.", ALLOW)


CONTINUE_EXPECTED: Final = b"100-continue"
"""The only expectation that there is (RFC 9110 section 10.1.1)."""

FORBIDDEN_TRAILERS: Final = frozenset({
    b"content-length", b"transfer-encoding", b"host", b"trailer", b"connection", b"te",
    b"content-encoding", b"content-type", b"authorization", b"cookie", b"set-cookie", b"expect",
})  # fmt: skip
"""Framing, routing and credentials have no place behind a body (RFC 9110 section 6.5.1)."""

MOST_TRAILERS: Final = 8_192
"""Bytes of the fields behind a request's body."""


def check_request_trailer(name: bytes, total: int) -> None:
    """Checks the name of a well-formed field behind a request's body; `total` are the bytes of this
    field and of those before it. Raises RequestError 400. The field is dropped in any case: no ASGI
    extension that we support delivers trailers."""
    if total > MOST_TRAILERS:
        raise RequestError(400, "A trailer field is malformed or too long.")
    if name in FORBIDDEN_TRAILERS:
        raise RequestError(400, "A trailer field that frames or routes is refused.")


def request_length(value: bytes) -> int:
    """A request's Content-Length in bytes. Raises RequestError 400."""
    if DECIMAL.fullmatch(value) is None:
        raise RequestError(400, "The Content-Length is not a number of bytes.")
    return int(value)


def takes_trailers(te: bytes) -> bool:
    """Whether a TE field of a request, perhaps of several values, names trailers (RFC 9110 section
    10.1.4)."""
    return any(one.strip(b" \t").lower() == b"trailers" for one in te.split(b","))


# -- what reaches the app --------------------------------------------------------------------

FORWARDED: Final = frozenset({
    b"forwarded", b"x-forwarded-for", b"x-forwarded-proto", b"x-forwarded-host",
    b"x-forwarded-port", b"x-forwarded-prefix", b"x-real-ip",
})  # fmt: skip
"""Fields that only a proxy may set. They are kept apart, and dropped unless the peer is trusted
(`trust`)."""

DROPPED: Final = FORWARDED | {b"proxy"}
"""What lies: the above, and httpoxy (a WSGI environ would call it HTTP_PROXY). All else reaches the
app as the client sent it, hop-by-hop fields too: the worker is no hop, and apps look at them (a
WebSocket's `upgrade`, a body's `transfer-encoding`). They decide nothing behind the gateway."""

MEANINGFUL: Final = DROPPED | {
    b"host", b"content-length", b"transfer-encoding", b"connection", b"expect", b"upgrade",
    b"te",
    TRACEPARENT, TRACESTATE,
}  # fmt: skip
"""Fields of a request with a meaning for the gateway; all others pass without a look."""


def sift(fields: Fields, header_map: HeaderMap) -> tuple[Fields, Pairs]:
    """The fields for the app, and apart from them the rarer forwarded ones (other X-Forwarded-*).

    X_Forwarded_For is X-Forwarded-For in every environ (RFC 3875 section 4.1.18), also in those
    that are made of an ASGI scope. Raises RequestError 400 if such names are refused."""
    kept: Fields = []
    forwarded: Fields = []
    for name, value in fields:
        if b"_" in name:
            if header_map == "refuse":
                raise RequestError(400, "A header field's name has an underscore.")
            dashed = name.replace(b"_", b"-")
            if header_map == "drop" or dashed in MEANINGFUL or dashed.startswith(b"x-forwarded-"):
                continue
        elif name.startswith(b"x-forwarded-") and name not in FORWARDED:
            forwarded.append((name, value))
            continue
        kept.append((name, value))
    return kept, tuple(forwarded)


def sift_ids(fields: Fields, name: bytes) -> tuple[Fields, tuple[bytes, ...]]:
    """The fields without those of request ids, and apart from them their values. `name` is the
    field's; one with underscores in its place is dropped, as an environ takes it for the same."""
    kept = [field for field in fields if field[0].replace(b"_", b"-") != name]
    return kept, tuple(value for key, value in fields if key == name)


# -- responses -------------------------------------------------------------------------------

BODILESS: Final = frozenset({204, 304})
"""RFC 9110 section 6.4.1: these end with their head, as does every answer to HEAD."""

HOP_BY_HOP: Final = frozenset({
    b"connection", b"keep-alive", b"proxy-connection", b"transfer-encoding", b"upgrade", b"te",
})  # fmt: skip
"""RFC 9110 section 7.6.1: these describe one connection, and the one to the client is ours. HTTP/2
has none of them (RFC 9113 section 8.2.2)."""

MOST_FIELDS_REMEMBERED: Final = 2_048
"""Fields of responses that are kept as they are sent."""
LONGEST_REMEMBERED: Final = 256
"""Bytes of a field that is kept. A longer one hardly ever comes twice (cookies, policies with
nonces)."""


def ends_with_head(method: str, status: int) -> bool:
    """Whether a response has no body, whatever the app gives."""
    return status in BODILESS or method == "HEAD"


def interim_fields(fields: Pairs) -> Pairs:
    """The fields of an app that may stand in an interim response: none about a body or the
    connection. Raises ResponseError."""
    for field in fields:
        check_field(*field)
    return tuple(
        [
            field
            for field in fields
            if (name := field[0].lower()) not in HOP_BY_HOP and name != b"content-length"
        ]
    )


def check_trailer(name: bytes, value: bytes) -> None:
    """Raises ResponseError for a field of an app that may not stand behind a body."""
    check_field(name, value)
    lower = name.lower()
    if lower in FORBIDDEN_TRAILERS or lower in HOP_BY_HOP:
        raise ResponseError(f"{lower.decode()} is no trailer field: it frames or routes")


def check_field(name: bytes, value: bytes) -> None:
    """Raises ResponseError for a field of an app's response that would change what stands around
    it."""
    if FIELD_NAME.fullmatch(name) is None:
        raise ResponseError(f"{name[:60]!r} is no name for a header field")
    if FIELD_VALUE.fullmatch(value) is None:
        raise ResponseError(f"the header field {name.decode()} has a control character in it")


def check_final_status(status: int) -> None:
    """Raises ResponseError for a status of an app that ends no exchange."""
    if not 200 <= status <= 999:
        raise ResponseError(f"{status} is no status of a final response")


def response_length(value: bytes, before: int | None) -> int:
    """Reads the Content-Length, in bytes, that an app has set. `before` is the one of an earlier
    field, which must be equal. Raises ResponseError."""
    if not value.isdigit() or len(value) > 18:
        raise ResponseError(f"content-length is {value[:60]!r}")
    number = int(value)
    if before is not None and before != number:
        raise ResponseError(f"content-length is {before} and {number}")
    return number


def fit(body: bytes, length: int) -> tuple[bytes, str]:
    """Returns the part of a whole body that may go out if it differs from its Content-Length, and
    the app's fault for the log."""
    size = len(body)
    if size > length:
        return body[:length], f"a body of {size} bytes was cut to its content-length {length}"
    return body, f"the body ended after {size} of {length} bytes"


def went_over(count: int) -> str:
    """The fault, for the log, of an app that sends `count` bytes more than its Content-Length."""
    return f"the body went {count} bytes over"


def ended_before(count: int) -> str:
    """The fault, for the log, of an app that ends `count` bytes before its Content-Length."""
    return f"the body ended {count} bytes before its content-length"
