"""A request that reads itself from its fields: what they mean in every HTTP version (RFC 9110).

A version adds what is its own: how a target and fields are written, what frames the body, what a
connection is. It is a subclass that sets all fields of a `Request`, and reads those of `own` (see
`_read_own`).
"""

from ...protocol.messages import TAKES_TRAILERS, Pairs
from ..exchange.body_limit import body_too_large
from ..exchange.errors import RequestError
from ..exchange.exchange import Request
from ..exchange.trace_context import TRACEPARENT, TRACESTATE, continued_trace
from ..settings import HttpSettings
from .grammar import host_name
from .rules import (
    CONTINUE_EXPECTED,
    DROPPED,
    FORWARDED,
    MEANINGFUL,
    Fields,
    sift,
    sift_ids,
    takes_trailers,
)


class FieldsRequest(Request):
    __slots__ = ()

    def read(
        self, fields: Fields, names: bytes, authority: bytes | None, settings: HttpSettings
    ) -> None:
        """Reads all fields of a whole head. `names` are their names, with one byte that is in none
        between two of them; `authority` is the one in the target. Raises RequestError."""
        forwarded: Pairs = ()
        if b"_" in names or b"x-forwarded-" in names:
            fields, forwarded = sift(fields, settings.header_map)
        told_ids: tuple[bytes, ...] = ()
        id_name = settings.request_id_header.encode()
        if id_name and id_name in (names.replace(b"_", b"-") if b"_" in names else names):
            fields, told_ids = sift_ids(fields, id_name)
        self.read_fields(fields, authority, forwarded, told_ids)
        if self.content_length and 0 < settings.max_request_body_size < self.content_length:
            raise body_too_large(settings.max_request_body_size)

    def read_fields(
        self,
        fields: Fields,
        authority: bytes | None,
        forwarded: Pairs = (),
        told_ids: tuple[bytes, ...] = (),
        *,
        whole: bool = True,
    ) -> None:
        """Reads the fields with a meaning for us, and keeps those for the app. `authority` is the
        one in the target, `forwarded` and `told_ids` are what was sifted out of the fields, and
        `whole` says whether the head has ended. Raises RequestError."""
        self.forwarded, self.told_ids = forwarded, told_ids
        host: bytes | None = None
        meant: list[tuple[bytes, bytes]] = []
        for field in fields:
            if field[0] in MEANINGFUL:
                if field[0] != b"host":
                    meant.append(field)
                elif host is None:
                    host = field[1]
                else:
                    raise RequestError(400, "Two Host fields.")
        if host is not None:
            self.host = host_name(host)
            if authority is not None and authority.lower() != host.lower():
                raise RequestError(400, "The target's authority and the Host field differ.")
        elif self.http_version == "1.1":
            if whole:
                raise RequestError(400, "HTTP/1.1 needs a Host field.")
        elif authority is not None:
            self.host = host_name(authority)
        if meant:
            fields = self._read_meant(fields, meant)
        self.headers = tuple(fields)

    def _read_meant(self, fields: Fields, meant: Fields) -> Fields:
        """Reads the fields with a meaning for us, except Host. Returns the fields for the app."""
        length: bytes | None = None
        wishes = b""
        expects = expects_more = False
        parents: list[bytes] = []
        states: list[bytes] = []
        own: Fields = []
        for field in meant:
            name, value = field
            if name == b"content-length":
                if length is not None:
                    raise RequestError(400, "Two Content-Length fields.")
                length = value
            elif name == b"expect":
                expects_more = expects_more or value.lower() != CONTINUE_EXPECTED
                expects = self.http_version != "1.0"
            elif name == b"te":
                wishes += value + b","
            elif name == TRACEPARENT:
                parents.append(value)
            elif name == TRACESTATE:
                states.append(value)
            elif name in FORWARDED:
                self.forwarded += (field,)
            else:
                own.append(field)
        self._read_own(length, own)
        self.expects_continue = expects and self.content_length != 0
        if expects_more:
            raise RequestError(417, "The only expectation that is known is 100-continue.")
        if wishes and self.http_version != "1.0" and takes_trailers(wishes):
            self.takes |= TAKES_TRAILERS
        dropped = DROPPED
        if parents or states:
            self.trace_parent = parent = continued_trace(parents, states)
            if parent is None:
                dropped = DROPPED | {TRACEPARENT, TRACESTATE}
            elif states and not parent.state:
                dropped = DROPPED | {TRACESTATE}
        return [field for field in fields if field[0] not in dropped]

    def _read_own(self, length: bytes | None, own: Fields) -> None:
        """Reads what frames the body and what is about the connection: a Content-Length, and fields
        whose meaning is the version's. Raises RequestError."""
        raise NotImplementedError
