"""W3C Trace Context: which trace a request belongs to. Pure.

A trace is a tree of spans, one for each thing that was done for one request somewhere in a system.
Who asks the next one sends two fields (https://www.w3.org/TR/trace-context/):

    traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01
                 |  trace id                         parent's span id flags, in lower-case hex
                 version
    tracestate:  rojo=00f067aa0ba902b7,congo=t61rcWkgMzE

Any client can write them, and a tracing library that trusts them would mix its spans with ids of
zeros, or give up. So a request has either a `traceparent` that is well-formed, and perhaps a
`tracestate` that is, or neither of them: then a trace begins here, or in the app. A malformed
`tracestate` is dropped alone (section 3.3.1.4). Neither field ever refuses a request.
"""

import re
from typing import Final, NamedTuple

TRACEPARENT: Final = b"traceparent"
TRACESTATE: Final = b"tracestate"

SAMPLED: Final = 0x01
"""The flag of a trace that is recorded (section 3.2.2.5.1)."""
RANDOM: Final = 0x02
"""The flag of a trace id that is random in its last seven bytes (level 2, section 3.2.2.5.2)."""
MOST_MEMBERS: Final = 32
"""Members of a `tracestate` (section 3.3.1.1). One with more is malformed."""

_TRACEPARENT: Final = re.compile(
    rb"(?!ff)([0-9a-f]{2})-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(-[ -~]*)?"
)
"""Groups: version, trace id, parent's id, flags, and what a version to come may add."""
_KEY: Final = rb"[a-z0-9][a-z0-9_\-*/]{0,255}|[a-z0-9][a-z0-9_\-*/]{0,240}@[a-z][a-z0-9_\-*/]{0,13}"
_MEMBER: Final = re.compile(
    rb"(?:" + _KEY + rb")=[\x20-\x2b\x2d-\x3c\x3e-\x7e]{0,255}[\x21-\x2b\x2d-\x3c\x3e-\x7e]"
)
"""One `key=value` (section 3.3.1.3). Level 2 lets a key begin with a digit."""


class TraceParent(NamedTuple):
    """Where in which trace a request belongs, as its client says."""

    trace_id: str
    """32 digits in lower-case hex, not all of them 0."""
    span_id: str
    """The client's span: 16 digits, not all of them 0."""
    flags: int
    """SAMPLED and RANDOM; what else a client sets is not passed on (section 3.2.2.5.3)."""
    state: bytes = b""
    """The `tracestate` as it came, from several fields joined; b"" if there is none."""


def continued_trace(parents: list[bytes], states: list[bytes]) -> TraceParent | None:
    """Reads the values of all `traceparent` and all `tracestate` fields of a request. None means
    that no trace is continued: there is no `traceparent`, several of them, or a malformed one."""
    if len(parents) != 1:
        return None
    match = _TRACEPARENT.fullmatch(parents[0])
    if match is None or (match[5] is not None and match[1] == b"00"):
        return None
    state = b",".join(states)
    return TraceParent(
        match[2].decode(),
        match[3].decode(),
        int(match[4], 16) & (SAMPLED | RANDOM),
        state if state and is_tracestate(state) else b"",
    )


def is_tracestate(value: bytes) -> bool:
    """Whether the joined `tracestate` fields are well-formed. Empty members are; so is a key that
    comes twice, which is for its reader to mend (section 3.3.1.3)."""
    members = [stripped for member in value.split(b",") if (stripped := member.strip(b" \t"))]
    return len(members) <= MOST_MEMBERS and all(map(_MEMBER.fullmatch, members))


def write_traceparent(trace_id: str, span_id: str, flags: int) -> bytes:
    """The `traceparent` for the next one, in the version that we know."""
    return f"00-{trace_id}-{span_id}-{flags:02x}".encode()
