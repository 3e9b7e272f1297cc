"""Makes a request of the fields of a HEADERS frame (RFC 9113 section 8). Pure.

Two things can be wrong with a request, and the answers differ. It may break the rules of how HTTP/2
writes requests down: a name in upper case, a pseudo-field behind the others, a field that describes
a connection. Such a request is *malformed* (section 8.1.1): some server behind us could read it in
another way than we do, so its stream is reset and nobody looks at it further. Or it is well-formed
and asks for what is not served: a host that is none, too many fields, an unknown expectation. Then
it gets the page and the status that it gets in HTTP/1, by the same code (`http`).

Most requests are well-formed, so the rules are asked about all fields at once: names and values are
joined, and what may stand in them is taken out at C speed; nothing may be left. Only when something
is left are the fields looked at one by one, for the sentence in the log.
"""

from collections.abc import Sequence
from typing import Final

from ...protocol.messages import TAKES_HINTS, Pairs
from ..exchange.body_limit import body_too_large
from ..exchange.errors import RequestError
from ..exchange.exchange import Request
from ..exchange.trace_context import TraceParent
from ..http.grammar import FIELD_VALUE, TOKEN, split_target
from ..http.head_limits import (
    LONGEST_SHOWN,
    field_too_long,
    head_too_long,
    line_too_long,
    too_many_fields,
)
from ..http.read_request import FieldsRequest
from ..http.rules import (
    HOP_BY_HOP,
    NOT_SERVED,
    Fields,
    check_request_trailer,
    not_served,
    request_length,
)
from ..settings import Http2Settings, HttpSettings

_IN_NAMES: Final = b"!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyz"
"""Octets of a field's name: those of a token without upper case (RFC 9113 section 8.2.1). A colon
would make it a pseudo-field."""
_IN_VALUES: Final = bytes(octet for octet in range(256) if octet == 9 or 32 <= octet != 127)
"""Octets of a value: those of HTTP/1's. RFC 9113 section 8.2.1 forbids NUL, LF and CR, and lets a
server refuse the other controls."""

_PSEUDO: Final = frozenset({b":method", b":scheme", b":path", b":authority"})
_PROTOCOL: Final = b":protocol"
"""The pseudo-field of an extended CONNECT (RFC 8441 section 4)."""
CONNECTION_SPECIFIC: Final = HOP_BY_HOP - {b"te"}
"""Fields that HTTP/2 does not have (RFC 9113 section 8.2.2)."""
_LOOKED_AT: Final = HOP_BY_HOP | {b"host", b"cookie", b"priority"}

_VERSION_SIZE: Final = len(" HTTP/1.1") + 1
"""Bytes of HTTP/1's request line beside method and target. The limits are those of HTTP/1, so a
request is measured as HTTP/1 would write it."""
_LINE_SIZE: Final = len(": \r\n")
"""Bytes of a field's line in HTTP/1 beside name and value."""
_MOST_AROUND: Final = 32
"""Bytes that a head of HTTP/1 has at most beside what is in fields."""


class MalformedRequest(Exception):
    """The request breaks the rules of HTTP/2: its stream is to be reset with PROTOCOL_ERROR (RFC
    9113 section 8.1.1). `refused_request` says what is known of it."""

    def __init__(self, sentence: str) -> None:
        super().__init__(sentence)
        self.sentence = sentence


class Http2Request(FieldsRequest):
    """A request in HTTP/2, with the one fact that HTTP/1 has no use for."""

    __slots__ = ("_ended", "priority")

    def __init__(
        self,
        method: str,
        target: bytes,
        path: bytes,
        query: bytes,
        ended: bool,
        headers: Pairs = (),
        forwarded: Pairs = (),
        host: str = "",
        trace_parent: TraceParent | None = None,
        told_ids: tuple[bytes, ...] = (),
        takes: int = 0,
        priority: bytes = b"",
    ) -> None:
        # Each field is set once, and not by the base class before: every request is made here.
        self.method = method
        self.target = target
        self.http_version = "2"
        self.path = path
        self.query = query
        self.headers = headers
        self.forwarded = forwarded
        self.host = host
        self.content_length = 0 if ended else None
        self.expects_continue = False
        self.upgrade = ""
        self.trace_parent = trace_parent
        self.told_ids = told_ids
        self.takes = takes
        self.priority = priority
        """The value of the priority field (RFC 9218 section 5); b"" if there is none."""
        self._ended = ended

    def with_target(self, target: bytes, path: bytes, query: bytes) -> "Http2Request":
        """Another request, without a body, that asks the same of another target."""
        return Http2Request(
            self.method, target, path, query, True,
            self.headers, self.forwarded, self.host, self.trace_parent, self.told_ids,
            self.takes, self.priority,
        )  # fmt: skip

    def _read_own(self, length: bytes | None, own: Fields) -> None:
        if length is None:
            return
        size = request_length(length)
        if self._ended and size:
            raise MalformedRequest(f"The body ended after 0 of {size} bytes.")
        self.content_length = size

    def take_hints(self) -> None:
        """Notes that the client reads interim responses: every client of HTTP/2 does."""
        self.takes |= TAKES_HINTS

    def become_websocket(self) -> None:
        """Reads an extended CONNECT, whose DATA is the WebSocket's (RFC 8441 section 5). Raises
        RequestError."""
        if self._ended or self.content_length:
            raise RequestError(400, "A WebSocket's handshake has no body and no end.")
        self.content_length = 0
        self.expects_continue = False
        self.upgrade = "websocket"

    def set_priority(self, values: list[bytes]) -> None:
        """Takes the values of all priority fields."""
        self.priority = b",".join(values)


def request_of(
    fields: Fields, ended: bool, settings: HttpSettings, http2: Http2Settings
) -> Http2Request:
    """Makes a request of all its fields, pseudo-fields among them. `ended` says whether it has no
    body. Raises MalformedRequest and RequestError."""
    pseudo: dict[bytes, bytes] = {}
    for name, value in fields:
        if name[:1] != b":":
            break
        if name in pseudo:
            raise MalformedRequest(f"There are two {_shown(name)} fields.")
        pseudo[name] = value
    fields = fields[len(pseudo) :]
    joined, values, present = _check_form(pseudo, fields)
    websocket = _PROTOCOL in pseudo and settings.websockets and http2.websockets
    if pseudo.keys() != _PSEUDO or pseudo[b":method"] == b"CONNECT":
        _check_pseudo(pseudo, websocket=websocket)
    method, path = pseudo[b":method"], pseudo[b":path"]
    authority = pseudo.get(b":authority")
    if authority is not None and b"host" not in present:
        fields.insert(0, (b"host", authority))
        joined = b"host\n" + joined
    most = len(joined) + len(values) + _LINE_SIZE * len(fields) + _MOST_AROUND
    if most > settings.limit_request_line or most > settings.limit_request_head:
        _check_head_size(method, path, fields, settings)
    request = _read_target(method, path, pseudo[b":scheme"], ended, websocket=websocket)
    if most > settings.limit_request_field_size or len(fields) > settings.limit_request_fields:
        _check_each_field(fields, settings)
    if authority is None and b"host" not in present:
        raise RequestError(400, "The request has neither :authority nor a Host field.")
    if b"cookie" in present:
        fields = _with_one_cookie(fields, settings)
    request.read(fields, joined, authority, settings)
    if settings.early_hints != "off":
        request.take_hints()
    if b"priority" in present:
        request.set_priority([value for name, value in fields if name == b"priority"])
    if websocket:
        request.become_websocket()
    return request


def check_trailers(fields: Fields, ended: bool) -> None:
    """Checks the fields behind a request's body, which are dropped. `ended` says whether they end
    the stream. Raises MalformedRequest and RequestError."""
    if not ended:
        raise MalformedRequest("The fields behind the body do not end the stream.")
    if any(name[:1] == b":" for name, _ in fields):
        raise MalformedRequest("A pseudo-field stands behind the body.")
    _check_form({}, fields)
    total = 0
    for name, value in fields:
        total += len(name) + len(": ") + len(value)
        check_request_trailer(name, total)


class BodyLength:
    """Checks that the DATA of a request is as long as its Content-Length says (RFC 9113 section
    8.1.1), or if there is none, not longer than a body may be."""

    __slots__ = ("_left", "_limit", "_total")

    def __init__(self, length: int | None, limit: int) -> None:
        """`length` is a request's `content_length`, `limit` the most bytes of a body without one,
        or 0."""
        self._left = length
        self._limit = limit
        self._total = 0

    @property
    def is_reached(self) -> bool:
        """Whether all that the Content-Length says has come, so that only the end is missing."""
        return self._left == 0

    def add(self, size: int, ended: bool) -> None:
        """Counts `size` bytes more, without padding, and looks whether they may be the last.
        Raises MalformedRequest and RequestError."""
        self._total += size
        if self._left is None:
            if 0 < self._limit < self._total:
                raise body_too_large(self._limit)
            return
        self._left -= size
        if self._left < 0:
            raise MalformedRequest(f"The body goes {-self._left} bytes over its Content-Length.")
        if ended and self._left:
            length = self._total + self._left
            raise MalformedRequest(f"The body ended after {self._total} of {length} bytes.")


def refused_request(fields: Sequence[tuple[bytes, bytes]]) -> Request:
    """What is known of a request that was refused, for the log. Without a method that could be one
    it is "-"; without a path the target is the authority, perhaps empty."""
    told = dict(reversed(fields))
    method = told.get(b":method", b"")
    if len(method) > 32 or TOKEN.fullmatch(method) is None:
        method = b"-"
    target = told.get(b":path") or told.get(b":authority", b"")
    if len(target) > LONGEST_SHOWN:
        target = target[:LONGEST_SHOWN] + b"..."
    return Request(method.decode(), target, "2")


# -- the form (RFC 9113 sections 8.2 and 8.3) ------------------------------------------------


def _check_form(
    pseudo: dict[bytes, bytes], fields: Fields
) -> tuple[bytes, bytes, frozenset[bytes]]:
    """Checks names and values. Returns the names of all fields that are no pseudo-fields, joined by
    LF; the values of all; and those of the names that are in `_LOOKED_AT`. Raises
    MalformedRequest."""
    names = [name for name, _ in fields]
    joined = b"\n".join(names)
    values = b"\n".join([*pseudo.values(), *[value for _, value in fields]])
    present = _LOOKED_AT.intersection(names)
    between = len(names) - 1
    if (
        (joined.translate(None, _IN_NAMES) != b"\n" * between)
        or b"" in names
        or values.translate(None, _IN_VALUES) != b"\n" * (len(pseudo) + between)
        or _has_blanks_around(values)
        or not CONNECTION_SPECIFIC.isdisjoint(present)
        or (b"te" in present and not _is_te_fine(fields))
    ):
        raise _why_malformed(pseudo, fields)
    return joined, values, present


def _has_blanks_around(values: bytes) -> bool:
    """Whether one of the values, joined by LF, begins or ends with a blank."""
    return (
        values[:1] in (b" ", b"\t")
        or values[-1:] in (b" ", b"\t")
        or b"\n " in values
        or b" \n" in values
        or (b"\t" in values and (b"\n\t" in values or b"\t\n" in values))
    )


def _is_te_fine(fields: Fields) -> bool:
    """TE may say trailers, and nothing else (RFC 9113 section 8.2.2)."""
    return all(value.lower() == b"trailers" for name, value in fields if name == b"te")


def _why_malformed(pseudo: dict[bytes, bytes], fields: Fields) -> MalformedRequest:
    """The first fault in fields that have one. Values are not shown: they may be secrets."""
    for name, _ in fields:
        shown = _shown(name)
        if name[:1] == b":":
            return MalformedRequest(f"The pseudo-field {shown} is behind other fields.")
        if name != name.lower():
            return MalformedRequest(f"The field's name {shown} has upper case.")
        if TOKEN.fullmatch(name) is None:
            return MalformedRequest(f"{shown} is no name of a field.")
        if name in CONNECTION_SPECIFIC:
            return MalformedRequest(f"HTTP/2 has no field {shown}.")
    for name, value in [*pseudo.items(), *fields]:
        shown = _shown(name)
        if FIELD_VALUE.fullmatch(value) is None:
            return MalformedRequest(f"The value of {shown} has a control character.")
        if value.strip(b" \t") != value:
            return MalformedRequest(f"The value of {shown} begins or ends with a blank.")
    return MalformedRequest("TE says something else than trailers.")


def _check_pseudo(pseudo: dict[bytes, bytes], *, websocket: bool) -> None:
    """Checks which pseudo-fields there are (RFC 9113 section 8.3.1), and those of CONNECT (section
    8.5; RFC 8441 section 4). Raises MalformedRequest and RequestError."""
    for name in pseudo:
        if name not in _PSEUDO and not (name == _PROTOCOL and websocket):
            raise MalformedRequest(f"There is no pseudo-field {_shown(name)}.")
    method, connects = pseudo.get(b":method"), pseudo.get(b":method") == b"CONNECT"
    if websocket and not connects:
        raise MalformedRequest("Only CONNECT has a :protocol.")
    if connects and not websocket:
        if pseudo.keys() != {b":method", b":authority"}:
            raise MalformedRequest("CONNECT has :method and :authority, and nothing else.")
        raise not_served("CONNECT")
    if websocket and b":authority" not in pseudo:
        raise MalformedRequest("There is no :authority.")
    if method is None or b":scheme" not in pseudo or b":path" not in pseudo:
        missing = next(name for name in (b":method", b":scheme", b":path") if name not in pseudo)
        raise MalformedRequest(f"There is no {missing.decode()}.")
    if websocket and pseudo[_PROTOCOL].lower() != b"websocket":
        raise RequestError(501, "The only protocol that CONNECT leads to is websocket.")


def _shown(name: bytes) -> str:
    """A name of the client, cut and escaped, for the log."""
    return repr(name[:60])[1:] + (" ..." if len(name) > 60 else "")


def longest_path(fields: Fields, settings: HttpSettings) -> int:
    """Bytes of a path with which a request of these fields, its own path not counted, is within all
    limits for sure; a longer one may be."""
    names = [name for name, _ in fields]
    method = fields[names.index(b":method")][1]
    others = sum([len(name) + len(value) + _LINE_SIZE for name, value in fields])
    return min(
        settings.limit_request_line - len(method) - _VERSION_SIZE,
        settings.limit_request_head - others - _MOST_AROUND,
    )


# -- what is asked for -----------------------------------------------------------------------


def _read_target(
    method: bytes, path: bytes, scheme: bytes, ended: bool, *, websocket: bool
) -> Http2Request:
    """The request without its fields. Raises MalformedRequest and RequestError."""
    if not path:
        raise MalformedRequest("The :path is empty.")
    if TOKEN.fullmatch(method) is None:
        raise RequestError(400, "The :method is malformed.")
    if not path.isascii() or b" " in path or b"\t" in path:
        raise RequestError(400, "The :path is malformed.")
    name = method.decode("ascii")
    if method in NOT_SERVED and not websocket:
        raise not_served(name)
    if scheme not in (b"https", b"http") and scheme.lower() not in (b"https", b"http"):
        raise RequestError(400, "The :scheme is neither http nor https.")
    if path[:1] != b"/" and path != b"*":
        raise RequestError(400, "The :path does not begin with a slash.")
    plain, query, _ = split_target(name, path)
    return Http2Request(name, path, plain, query, ended)


def _check_head_size(method: bytes, path: bytes, fields: Fields, settings: HttpSettings) -> None:
    """Measures the head as HTTP/1 would have it. Raises RequestError."""
    line = len(method) + len(path) + _VERSION_SIZE
    lines = [len(name) + len(value) + _LINE_SIZE for name, value in fields]
    if line + len("\r\n\r\n") + sum(lines) > settings.limit_request_head:
        raise head_too_long(settings)
    if line > settings.limit_request_line:
        raise line_too_long(settings)


def _check_each_field(fields: Fields, settings: HttpSettings) -> None:
    """Measures each field as HTTP/1 would write it, and counts them. Raises RequestError."""
    if len(fields) > settings.limit_request_fields:
        raise too_many_fields(settings)
    for name, value in fields:
        if len(name) + len(": ") + len(value) > settings.limit_request_field_size:
            raise field_too_long(settings)


def _with_one_cookie(fields: Fields, settings: HttpSettings) -> Fields:
    """Joins the crumbs of a cookie, which a client may send apart (RFC 9113 section 8.2.3), where
    the first one stands. Raises RequestError if it is too long then."""
    crumbs = [value for name, value in fields if name == b"cookie"]
    if len(crumbs) == 1:
        return fields
    cookie = b"; ".join(crumbs)
    _check_each_field([(b"cookie", cookie)], settings)
    at = next(place for place, (name, _) in enumerate(fields) if name == b"cookie")
    others = [field for field in fields[at:] if field[0] != b"cookie"]
    return [*fields[:at], (b"cookie", cookie), *others]
