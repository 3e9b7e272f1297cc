"""End codes: one word for who has ended an exchange, and in which phase. Pure.

A status does not say that. A 502 may mean that a worker was killed, that it has refused the request
or that it broke the protocol; a 200 may have been cut after its first byte, by the client, the app,
the worker or a deadline; a client that leaves gets no status at all. The `reason` of an exchange is
a sentence for a reader: it names workers and options, and cannot be counted. So an exchange has a
word besides, from the closed list below, as HAProxy has its termination state. The access log, the
metrics (label `end`), the list of failed requests and docs/END-CODES.md use the same words.

A word begins with who has ended the exchange:

`client`   it has left, was too slow, or has sent what can't be served
`gateway`  it has answered or ended the exchange by itself
`worker`   the process that had the request has ended, or did not do what the protocol demands
`app`      the app's code has failed, or has sent what can't be a response
`ok`       the app's response went out whole, whatever its status: an app's own 500 is `ok`

The rest says what happened, or the phase in which it did. The phases are those of an exchange:

`request`    the request is coming in and is checked; no worker has been asked
`queue`      it waits for a worker
`upload`     a worker has it, and the rest of its body is still coming
`app`        a worker has all of it, and no response has begun
`response`   the response's head has gone out
`websocket`  the WebSocket was accepted

Whoever ends an exchange says the word (`Exchange.give_end`) before it ends, and the first word
stays: what happens afterwards (the client of an error page has left too) is not the cause. The code
of a client that leaves is told from the exchange's own marks (`where_client_left`).
"""

from dataclasses import dataclass
from typing import Final, Literal

from .exchange import Exchange

Phase = Literal["request", "queue", "upload", "app", "response", "websocket", "any"]


@dataclass(frozen=True, slots=True)
class EndCode:
    """One row of the table."""

    word: str
    phase: Phase
    """Where the exchange had got to; `any` if the code does not tell."""
    status: str
    """What the client sees as a rule: a status, or "cut" for a response whose end is missing, or
    the code of a WebSocket's close frame, or "-" if it sees nothing any more."""
    meaning: str
    """One sentence."""
    is_failure: bool
    """Whether the client did not get what it had asked for. A status that the app has chosen is
    none of this: also a 500 of the app's own went out as it was meant."""

    @property
    def who(self) -> str:
        """Who has ended the exchange: client, gateway, worker or app."""
        return "app" if self.word == OK else self.word.partition("_")[0]


OK: Final = "ok"

END_CODES: Final[dict[str, EndCode]] = {}
"""Word -> its row, in the order of the table."""


def _row(word: str, phase: Phase, status: str, meaning: str, *, is_failure: bool = True) -> str:
    """Adds a row to the table and returns its word."""
    END_CODES[word] = EndCode(word, phase, status, meaning, is_failure)
    return word


_row(
    OK,
    "response",
    "any",
    "The app's response is on its way to the client, whole.",
    is_failure=False,
)
# The client's.
CLIENT_MALFORMED: Final = _row(
    "client_malformed",
    "request",
    "400",
    "What the client sent is no valid HTTP, or could be read in two ways.",
)
CLIENT_FLOOD: Final = _row(
    "client_flood",
    "any",
    "cut",
    "The request's HTTP/2 connection was ended: its client sent too much of what costs it little.",
)
CLIENT_TOO_LARGE: Final = _row(
    "client_too_large",
    "request",
    "413, 414, 431",
    "The request line, the head or the body is over a limit.",
)
CLIENT_UNSUPPORTED: Final = _row(
    "client_unsupported",
    "request",
    "405, 417, 426, 501, 505",
    "The client asks for a method, version, coding or expectation that is not served here.",
)
CLIENT_FOREIGN_ORIGIN: Final = _row(
    "client_foreign_origin",
    "request",
    "403",
    "A page of an origin that is not allowed asked for a WebSocket.",
)
CLIENT_HEAD_TIMEOUT: Final = _row(
    "client_head_timeout", "request", "408", "The request's head did not arrive in time."
)
CLIENT_BODY_TIMEOUT: Final = _row(
    "client_body_timeout", "upload", "408", "The request's body did not arrive in time."
)
CLIENT_BODY_RATE: Final = _row(
    "client_body_rate",
    "upload",
    "408",
    "The request's body arrived more slowly than the least rate.",
)
CLIENT_LEFT_QUEUE: Final = _row(
    "client_left_queue", "queue", "-", "The client left while its request waited for a worker."
)
CLIENT_LEFT_UPLOAD: Final = _row(
    "client_left_upload",
    "upload",
    "-",
    "The client left before the app had taken all of the request's body.",
)
CLIENT_LEFT_APP: Final = _row(
    "client_left_app", "app", "-", "The client left while the app worked on its request."
)
CLIENT_LEFT_RESPONSE: Final = _row(
    "client_left_response", "response", "-", "The client left before the response was whole."
)
CLIENT_SEND_TIMEOUT: Final = _row(
    "client_send_timeout",
    "response",
    "cut",
    "The client took nothing of what it was sent for too long.",
)
CLIENT_SEND_RATE: Final = _row(
    "client_send_rate",
    "response",
    "cut",
    "The client took what it was sent more slowly than the least rate.",
)
CLIENT_CLOSED_WEBSOCKET: Final = _row(
    "client_closed_websocket",
    "websocket",
    "its own code",
    "The client closed the WebSocket with a close frame.",
    is_failure=False,
)
CLIENT_LEFT_WEBSOCKET: Final = _row(
    "client_left_websocket",
    "websocket",
    "-",
    "The connection of the WebSocket ended without a close frame.",
)
CLIENT_BAD_FRAME: Final = _row(
    "client_bad_frame",
    "websocket",
    "1002, 1007",
    "The client broke the WebSocket protocol, or sent text that is not UTF-8.",
)
CLIENT_MESSAGE_TOO_LARGE: Final = _row(
    "client_message_too_large", "websocket", "1009", "A message of the client's was over the limit."
)
CLIENT_MESSAGE_RATE: Final = _row(
    "client_message_rate",
    "websocket",
    "1008",
    "The client sent more messages than the limit allows.",
)
CLIENT_BYTE_RATE: Final = _row(
    "client_byte_rate",
    "websocket",
    "1008",
    "The client sent more bytes than the limit allows.",
)
CLIENT_PING_TIMEOUT: Final = _row(
    "client_ping_timeout", "websocket", "1011", "The client did not answer a ping in time."
)
# The gateway's.
GATEWAY_REDIRECT: Final = _row(
    "gateway_redirect", "request", "308", "Plain HTTP was sent to https.", is_failure=False
)
GATEWAY_NO_ROUTE: Final = _row(
    "gateway_no_route", "request", "404", "No route leads from this host and path to an app."
)
GATEWAY_NO_ROOM: Final = _row(
    "gateway_no_room",
    "request",
    "507",
    "The request's body was to be kept until it is whole, and there was no room for it on disk.",
)
GATEWAY_FILE: Final = _row(
    "gateway_file",
    "response",
    "200, 206, 304, 412, 416",
    "A route with `static` has sent a file, or what was asked about one.",
    is_failure=False,
)
GATEWAY_NO_FILE: Final = _row(
    "gateway_no_file",
    "request",
    "403, 404",
    "A route with `static`, or a folder of `internal_files`, has no such file or may not read it.",
)
GATEWAY_FILE_BROKE: Final = _row(
    "gateway_file_broke",
    "any",
    "500, 503, cut",
    "A file, or its folder, could not be read, or the file became shorter while it was sent.",
)
GATEWAY_QUEUE_FULL: Final = _row(
    "gateway_queue_full", "queue", "503", "No worker was free, and the pool's queue was full."
)
GATEWAY_QUEUE_TIMEOUT: Final = _row(
    "gateway_queue_timeout",
    "queue",
    "503",
    "The pool's workers were busy for as long as a request may wait.",
)
GATEWAY_ROUTE_FULL: Final = _row(
    "gateway_route_full",
    "queue",
    "503",
    "As many requests of its route were under way as `limit_concurrency` allows.",
)
GATEWAY_NO_WORKER: Final = _row(
    "gateway_no_worker",
    "queue",
    "503",
    "The pool had no ready worker for as long as a request may wait, or none while the queue of a"
    " route's share was full.",
)
GATEWAY_STOPPED_QUEUE: Final = _row(
    "gateway_stopped_queue",
    "queue",
    "503",
    "The gateway's time to finish was over, and the request still waited for a worker.",
)
GATEWAY_STOPPED_APP: Final = _row(
    "gateway_stopped_app",
    "app",
    "504",
    "The gateway's time to finish was over, and the app had not answered.",
)
GATEWAY_CUT: Final = _row(
    "gateway_cut",
    "any",
    "cut",
    "The gateway cut the connection, as a rule because its time to finish was over.",
)
GATEWAY_RESTART: Final = _row(
    "gateway_restart",
    "websocket",
    "1012",
    "The gateway or the worker ends and has closed the WebSocket; clients connect again.",
    is_failure=False,
)
GATEWAY_FAILED: Final = _row(
    "gateway_failed", "any", "502, cut", "The gateway itself has failed; its log has the traceback."
)
# The worker's.
WORKER_DIED: Final = _row(
    "worker_died",
    "app",
    "502",
    "The worker that had the request ended, and no other could be given it.",
)
WORKER_DIED_RESPONSE: Final = _row(
    "worker_died_response",
    "response",
    "cut, 1011",
    "The worker ended in the middle of its response, or of its WebSocket.",
)
WORKER_STOPPED: Final = _row(
    "worker_stopped",
    "app",
    "502",
    "The worker was told to stop and had no time left for the request.",
)
WORKER_STOPPED_RESPONSE: Final = _row(
    "worker_stopped_response",
    "response",
    "cut",
    "The worker was told to stop and had no time left for the rest of its response.",
)
WORKER_REFUSED: Final = _row(
    "worker_refused", "app", "500, 502", "The workers would not take the request."
)
WORKER_PROTOCOL: Final = _row(
    "worker_protocol",
    "any",
    "502, cut, 1011",
    "The worker broke the link protocol, and its link was ended.",
)
# The app's.
APP_FAILED: Final = _row(
    "app_failed", "app", "500", "The app raised an exception before it answered."
)
APP_FAILED_RESPONSE: Final = _row(
    "app_failed_response",
    "response",
    "cut, 1011",
    "The app raised an exception in the middle of its response, or of its WebSocket.",
)
APP_BAD_RESPONSE: Final = _row(
    "app_bad_response",
    "app",
    "500",
    "The app's response was not valid HTTP, or what it sent made no response.",
)
APP_NO_END: Final = _row(
    "app_no_end", "response", "cut", "The app returned in the middle of its response."
)
APP_WRONG_LENGTH: Final = _row(
    "app_wrong_length",
    "response",
    "cut",
    "The app's body was shorter or longer than the Content-Length that it gave.",
)
APP_NO_RESPONSE: Final = _row(
    "app_no_response", "app", "500", "The app's call ended without a response."
)
APP_TIMEOUT: Final = _row("app_timeout", "app", "504", "The app did not begin to answer in time.")
APP_REFUSED_WEBSOCKET: Final = _row(
    "app_refused_websocket", "app", "403", "The app refused the WebSocket.", is_failure=False
)
APP_NO_WEBSOCKETS: Final = _row(
    "app_no_websockets", "app", "400", "The app has no WebSockets: it is a WSGI app."
)
APP_CLOSED_WEBSOCKET: Final = _row(
    "app_closed_websocket",
    "websocket",
    "its own code",
    "The app closed the WebSocket, or returned.",
    is_failure=False,
)

_OF_STATUS: Final = {
    403: CLIENT_FOREIGN_ORIGIN,
    405: CLIENT_UNSUPPORTED,
    413: CLIENT_TOO_LARGE,
    414: CLIENT_TOO_LARGE,
    417: CLIENT_UNSUPPORTED,
    426: CLIENT_UNSUPPORTED,
    431: CLIENT_TOO_LARGE,
    501: CLIENT_UNSUPPORTED,
    505: CLIENT_UNSUPPORTED,
}


def refused_with(status: int) -> str:
    """The code of a request that is refused with this status, because of what the client sent."""
    return _OF_STATUS.get(status, CLIENT_MALFORMED)


def where_client_left(exchange: Exchange) -> str:
    """The code for a client that leaves now, as far as the exchange has come."""
    if exchange.status:
        return CLIENT_LEFT_RESPONSE
    if exchange.queued and not exchange.started:
        return CLIENT_LEFT_QUEUE
    return CLIENT_LEFT_UPLOAD if exchange.more_body else CLIENT_LEFT_APP


def code_of(exchange: Exchange) -> str:
    """The code of an exchange that has ended."""
    return exchange.end_code or OK


def has_failed(exchange: Exchange) -> bool:
    """Whether an exchange that has ended is a failure by its end code."""
    return bool(exchange.end_code) and END_CODES[exchange.end_code].is_failure


def is_server_error(status: int, end_code: str) -> bool:
    """Whether an exchange that has ended in this way is an error of the server or the app: a 5xx,
    or a response or WebSocket that the server has not sent whole. One that the client did not take
    whole is none; nor is a 501 or 505, which any client can have by asking for what does not
    exist."""
    if end_code == CLIENT_UNSUPPORTED:
        return False
    if status >= 400:
        return status >= 500
    row = END_CODES.get(end_code)
    return row is not None and row.is_failure and row.who != "client"
