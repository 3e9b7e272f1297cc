"""Pages: the gateway's own answers, where no app answers. Pure."""

from typing import Final

from ...protocol.messages import Pairs
from ...protocol.reason_phrases import REASONS

_HELP: Final[dict[int, str]] = {
    404: "No app is routed to this host and path. If you run this server, look at its [[routes]].",
    500: "If you run this server, its log has the traceback.",
    502: "If you run this server, its log says what the worker did.",
    503: "Try again in a moment. If you run this server, its log says what its workers are doing.",
}


def error_page(
    status: int,
    sentence: str,
    retry_after: int | None = None,
    option: str = "",
    request_id: str = "",
) -> tuple[Pairs, bytes]:
    """Returns headers and body of the gateway's own answer: plain text, one sentence, what to do,
    and the request's id. `option` sets the limit that was met."""
    lines = [f"{status} {REASONS[status]}", "", sentence]
    if option:
        lines.append(f"If you run this server, --{option} sets the limit.")
    elif status in _HELP:
        lines.append(_HELP[status])
    if request_id:
        lines += ["", f"Request id: {request_id}"]
    body = ("\n".join(lines) + "\n").encode()
    headers = [
        (b"content-type", b"text/plain; charset=utf-8"),
        (b"content-length", b"%d" % len(body)),
    ]
    if retry_after is not None:
        headers.append((b"retry-after", b"%d" % retry_after))
    return tuple(headers), body
