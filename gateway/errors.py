"""Whose fault a failed exchange is, and the page that says so. A leaf."""

from typing import Final

from ..protocol.messages import Pairs


class ExchangeError(Exception):
    """An exchange that the gateway itself answers: a status and one sentence for the client."""

    def __init__(self, status: int, sentence: str, headers: Pairs = ()) -> None:
        super().__init__(sentence)
        self.status = status
        self.sentence = sentence
        self.headers = headers
        """What the answer carries besides the page's own."""


class RequestError(ExchangeError):
    """The client's fault: 4xx, 501 or 505. The connection closes."""

    notice = ""
    """What the log should say of it, once per address and minute; "" for nothing."""


class TlsToPlainPort(RequestError):
    notice = "TLS came to a plain HTTP port"


class ResponseError(Exception):
    """The app's fault: a response that may not reach the wire as it is."""


REASONS: Final[dict[int, str]] = {
    100: "Continue", 101: "Switching Protocols", 102: "Processing", 103: "Early Hints",
    200: "OK", 201: "Created", 202: "Accepted", 203: "Non-Authoritative Information",
    204: "No Content", 205: "Reset Content", 206: "Partial Content", 207: "Multi-Status",
    208: "Already Reported", 226: "IM Used", 300: "Multiple Choices", 301: "Moved Permanently",
    302: "Found", 303: "See Other", 304: "Not Modified", 305: "Use Proxy",
    307: "Temporary Redirect", 308: "Permanent Redirect", 400: "Bad Request", 401: "Unauthorized",
    402: "Payment Required", 403: "Forbidden", 404: "Not Found", 405: "Method Not Allowed",
    406: "Not Acceptable", 407: "Proxy Authentication Required", 408: "Request Timeout",
    409: "Conflict", 410: "Gone", 411: "Length Required", 412: "Precondition Failed",
    413: "Content Too Large", 414: "URI Too Long", 415: "Unsupported Media Type",
    416: "Range Not Satisfiable", 417: "Expectation Failed", 418: "I'm a Teapot",
    421: "Misdirected Request", 422: "Unprocessable Content", 423: "Locked",
    424: "Failed Dependency", 425: "Too Early", 426: "Upgrade Required",
    428: "Precondition Required", 429: "Too Many Requests",
    431: "Request Header Fields Too Large", 451: "Unavailable For Legal Reasons",
    500: "Internal Server Error", 501: "Not Implemented", 502: "Bad Gateway",
    503: "Service Unavailable", 504: "Gateway Timeout", 505: "HTTP Version Not Supported",
    506: "Variant Also Negotiates", 507: "Insufficient Storage", 508: "Loop Detected",
    511: "Network Authentication Required",
}  # fmt: skip
"""Reason phrases of the IANA status code registry (RFC 9110 section 15)."""

_HELP: Final[dict[int, str]] = {
    404: "No app is routed to this host and path. If you run this server, look at its [[routes]].",
    413: "If you run this server, --max-request-body-size sets the limit.",
    500: "If you run this server, its log has the traceback.",
    502: "If you run this server, its log says what the worker did.",
    503: "Try again in a moment. If you run this server, its log says what its workers are doing.",
    504: "If you run this server, --request-timeout sets the limit.",
}


def error_page(status: int, sentence: str, retry_after: int | None = None) -> tuple[Pairs, bytes]:
    """Headers and body of the gateway's own answer: plain text, one sentence, what to do."""
    lines = [f"{status} {REASONS[status]}", "", sentence]
    if status in _HELP:
        lines.append(_HELP[status])
    body = ("\n".join(lines) + "\n").encode()
    headers = [
        (b"content-type", b"text/plain; charset=utf-8"),
        (b"content-length", b"%d" % len(body)),
    ]
    if retry_after is not None:
        headers.append((b"retry-after", b"%d" % retry_after))
    return tuple(headers), body
