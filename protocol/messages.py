"""Every message of a link, as the msgpack array that travels.

A message is a plain tuple, and its first element is its kind. The unpacker yields tuples and the
packer takes them, so the hot path builds no object twice. The aliases below give type checkers the
shape of each message (they narrow a `Message` on `message[0] == OPEN`).

Numbers never change meaning. A new kind takes a new number behind a feature name (SPEC.md 3.2).
"""

from typing import Final, Literal

MAGIC: Final = "propylon"
VERSION_LOW: Final = 1
VERSION_HIGH: Final = 1

# -- the link itself -------------------------------------------------------------------------
HELLO: Final = 0
READY: Final = 1
NOT_READY: Final = 2
SLOTS: Final = 3
# -- calls -----------------------------------------------------------------------------------
OPEN: Final = 4
STARTED: Final = 5
EVENT: Final = 6
REQUEST_BODY: Final = 7
RESPONSE_START: Final = 8
RESPONSE_BODY: Final = 9
RESPONSE: Final = 10
WS_MESSAGE: Final = 11
CREDIT: Final = 12
RESET: Final = 13
END: Final = 14
# -- the link's health and its end -----------------------------------------------------------
PING: Final = 15
PONG: Final = 16
DRAIN: Final = 17
BYE: Final = 19
# -- files, with the feature FILES -----------------------------------------------------------
FILE: Final = 18
RESPONSE_FILE: Final = 20

KIND_NAMES: Final[dict[int, str]] = {
    HELLO: "HELLO", READY: "READY", NOT_READY: "NOT_READY", SLOTS: "SLOTS", OPEN: "OPEN",
    STARTED: "STARTED", EVENT: "EVENT", REQUEST_BODY: "REQUEST_BODY",
    RESPONSE_START: "RESPONSE_START", RESPONSE_BODY: "RESPONSE_BODY", RESPONSE: "RESPONSE",
    WS_MESSAGE: "WS_MESSAGE", CREDIT: "CREDIT", RESET: "RESET", END: "END", PING: "PING",
    PONG: "PONG", DRAIN: "DRAIN", FILE: "FILE", BYE: "BYE", RESPONSE_FILE: "RESPONSE_FILE",
}  # fmt: skip

# Flags of OPEN.
CONFIRM_START: Final = 1
"""The worker sends STARTED, and has it on the wire, before the app is called."""
HOLD_BODY: Final = 2
"""The request window starts at zero: the worker's first CREDIT says that the app wants the body
(how `Expect: 100-continue` reaches the app, RFC 9110 section 10.1.1)."""
IDENTIFIED: Final = 4
"""The last of the headers is the gateway's own, and its value is the request's id."""
TAKES_HINTS: Final = 8
"""The client can take interim responses: the app may send early hints (RFC 8297)."""
TAKES_TRAILERS: Final = 16
"""The client has asked for trailers (RFC 9110 section 10.1.4), and its connection carries them."""

# Codes of RESET: why a call is abandoned.
CLIENT_GONE: Final = 1
TIMED_OUT: Final = 2
APP_FAILED: Final = 3
BAD_RESPONSE: Final = 4
REFUSED: Final = 5
SHUTDOWN: Final = 6

# Codes of BYE: why a link ends.
BYE_NORMAL: Final = 0
BYE_PROTOCOL: Final = 1
BYE_VERSION: Final = 2
BYE_REFUSED: Final = 3

# What gateway and worker say to each other in an EVENT, beside ASGI's own.
REASON: Final = "propylon.reason"
"""The event with the app's own reason phrase: `status` int, `reason` bytes. It comes before the
response (SPEC.md 5.4)."""
EARLY_HINT: Final = "http.response.early_hint"
"""ASGI's event with early hints: `links`, and further fields as pairs in `headers` (SPEC.md
5.5)."""
MOST_HINTS: Final = 16
"""Early hints of one response that a worker sends; further ones are dropped. They cost no credit,
so that nothing else bounds them."""
TRAILERS: Final = "http.response.trailers"
"""ASGI's event with the fields behind the body: `headers`. It comes before the last piece of the
body (SPEC.md 5.6)."""

# Features (SPEC.md 3.2).
NAMES_AS_WRITTEN: Final = "names-as-written"
"""Feature: names of a response's fields may have capitals and reach the client as they were
written."""
COUNTED_MESSAGES: Final = "counted-messages"
"""Feature: each piece of a WebSocket message costs MESSAGE_OVERHEAD bytes of credit more, so that
credit bounds the number of messages too (SPEC.md 7.6)."""
SHARED_SLOTS: Final = "shared"
"""What a worker says of its slots (HELLO's `who`) that shares them out among its gateways."""
FILES: Final = "files"
"""Feature: a response may end with a part of a file, whose descriptor the worker passes (SPEC.md
6.7)."""
FEATURES: Final = frozenset({NAMES_AS_WRITTEN, COUNTED_MESSAGES, FILES})
"""All features that this implementation has."""

MAX_BODY: Final = 65_536
"""Bytes of body in one message at most."""
MAX_MESSAGE: Final = 1_048_576
"""Bytes of the largest encoded message that this implementation takes; announced in HELLO."""
WINDOW: Final = 262_144
"""Bytes of a call's window in each direction. A worker announces it in HELLO, as the credit that a
call has at first."""
FIRST_WINDOW: Final = 65_536
"""Bytes of credit that a gateway's calls have at first, for their responses; announced in HELLO. A
client that takes nothing costs the memory of this, and the app's work for no more."""
MESSAGE_OVERHEAD: Final = 64
"""Bytes of credit that a piece of a WebSocket message costs beside its data, where COUNTED_MESSAGES
is in use: about what a queued message that is empty takes in the memory of a worker."""
MAX_OFFSET: Final = 2**63 - 1
"""The largest offset in a file, and the largest number of a descriptor."""
MAX_CALL_ID: Final = 2**53 - 1
"""The largest id of a call. Ids only rise; at a million calls a second they last 285 years."""

Pairs = tuple[tuple[bytes, bytes], ...]
"""Header fields in their order: a name in lower case, and a value without outer blanks."""
Address = tuple[str, int] | tuple[str, None]
"""Host and port, or the path of a Unix socket and None."""

Scope = tuple[
    str, str, str, str, bytes, bytes, str, Pairs, Address | None, Address | None,
    dict[str, object] | None,
]  # fmt: skip
"""A request as the gateway saw it, of which the worker makes the ASGI scope or WSGI environ: type
("http" or "websocket"), HTTP version ("1.1"), method, scheme, raw path (still percent-encoded),
query string, root path, headers, client, server, extensions. Facts of the gateway (scheme, client,
server) have places of their own and never mix with fields that a client can send."""

Hello = tuple[
    Literal[0], str, int, int, tuple[str, ...], dict[str, float], dict[str, object]
]  # magic, lowest and highest version, features, limits, who
Ready = tuple[Literal[1], dict[str, object]]
NotReady = tuple[Literal[2], str, str, str]  # step, error, tail of the log
Slots = tuple[Literal[3], int]
Open = tuple[Literal[4], int, Scope, bytes, bool, int]  # id, scope, body, more, flags
Started = tuple[Literal[5], tuple[int, ...]]
Event = tuple[Literal[6], int, dict[str, object]]
RequestBody = tuple[Literal[7], int, bytes, bool]  # id, body, more
ResponseStart = tuple[Literal[8], int, int, Pairs]  # id, status, headers
ResponseBody = tuple[Literal[9], int, bytes, bool, bool]  # id, body, more, ended
Response = tuple[Literal[10], int, int, Pairs, bytes, bool]  # id, status, headers, body, ended
WsMessage = tuple[Literal[11], int, bytes | str, bool]  # id, piece, more
Credit = tuple[Literal[12], int, int]
Reset = tuple[Literal[13], int, int, str]  # id, code, reason
End = tuple[Literal[14], int]
Ping = tuple[Literal[15], int]
Pong = tuple[Literal[16], int, dict[str, object]]
Drain = tuple[Literal[17], str]
File = tuple[Literal[18], int, int, int, int, bool]  # id, number, offset, count, ended
Bye = tuple[Literal[19], int, str]
ResponseFile = tuple[
    Literal[20], int, int, Pairs, int, int, int, bool
]  # id, status, headers, number, offset, count, ended

Message = (
    Hello | Ready | NotReady | Slots | Open | Started | Event | RequestBody | ResponseStart
    | ResponseBody | Response | WsMessage | Credit | Reset | End | Ping | Pong | Drain | File
    | Bye | ResponseFile
)  # fmt: skip


def name_of(kind: object) -> str:
    """The name of a kind for an error text, also for a number that is not a kind."""
    return KIND_NAMES.get(kind, f"kind {kind!r}") if isinstance(kind, int) else f"{kind!r}"
