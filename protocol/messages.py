"""Every message of a link, as the msgpack array that travels.

A message is a plain tuple whose first element is its kind. Tuples are what the unpacker yields
and what the packer takes, so the hot path builds no object twice; the aliases below give type
checkers the shape of each (they narrow a `Message` on `message[0] == OPEN`).

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
# 18 is FD, a file descriptor beside the bytes: reserved for the feature "fd".
BYE: Final = 19

KIND_NAMES: Final[dict[int, str]] = {
    HELLO: "HELLO", READY: "READY", NOT_READY: "NOT_READY", SLOTS: "SLOTS", OPEN: "OPEN",
    STARTED: "STARTED", EVENT: "EVENT", REQUEST_BODY: "REQUEST_BODY",
    RESPONSE_START: "RESPONSE_START", RESPONSE_BODY: "RESPONSE_BODY", RESPONSE: "RESPONSE",
    WS_MESSAGE: "WS_MESSAGE", CREDIT: "CREDIT", RESET: "RESET", END: "END", PING: "PING",
    PONG: "PONG", DRAIN: "DRAIN", BYE: "BYE",
}  # fmt: skip

# Flags of OPEN.
CONFIRM_START: Final = 1
"""The worker sends STARTED, and has it on the wire, before the app is called."""
HOLD_BODY: Final = 2
"""The request window starts at zero: the worker's first CREDIT says that the app wants the body
(how `Expect: 100-continue` reaches the app, RFC 9110 section 10.1.1)."""

# Codes of RESET: why a call is given up.
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
"""The app's own reason phrase: `status` int, `reason` bytes. Before the response (SPEC.md 5.4)."""

# Features (SPEC.md 3.2).
NAMES_AS_WRITTEN: Final = "names-as-written"
"""Names of a response's fields may have capitals: they reach the client as the app wrote them."""
FEATURES: Final = frozenset({NAMES_AS_WRITTEN})
"""All that this implementation can do."""

MAX_BODY: Final = 65_536
"""Largest body in one message, in bytes."""
MAX_MESSAGE: Final = 1_048_576
"""Largest encoded message that this implementation takes, in bytes; announced in HELLO."""
WINDOW: Final = 262_144
"""Initial byte credit of a call, per direction; announced in HELLO."""
MAX_CALL_ID: Final = 2**53 - 1
"""Ids only rise; at a million calls a second they last 285 years."""

Pairs = tuple[tuple[bytes, bytes], ...]
"""Header fields in their order: lower-case name, value without outer white space."""
Address = tuple[str, int] | tuple[str, None]
"""Host and port, or the path of a Unix socket and None."""

Scope = tuple[
    str, str, str, str, bytes, bytes, str, Pairs, Address | None, Address | None,
    dict[str, object] | None,
]  # fmt: skip
"""What a request is, as the gateway saw it; the worker makes the ASGI scope or WSGI environ of it:
(type "http" or "websocket", HTTP version "1.1", method, scheme, raw path still percent-encoded,
query string, root path, headers, client, server, extensions). Facts of the gateway (scheme,
client, server) have places of their own and never mix with fields that a client can send."""

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
Bye = tuple[Literal[19], int, str]

Message = (
    Hello | Ready | NotReady | Slots | Open | Started | Event | RequestBody | ResponseStart
    | ResponseBody | Response | WsMessage | Credit | Reset | End | Ping | Pong | Drain | Bye
)  # fmt: skip


def name_of(kind: object) -> str:
    """The message's name for an error text; a number that is none says so."""
    return KIND_NAMES.get(kind, f"kind {kind!r}") if isinstance(kind, int) else f"{kind!r}"
