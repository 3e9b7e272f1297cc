"""Pages: the gateway's own answers, where no app answers. Pure.

Under overload most answers are these, and one that costs as much as serving would make the overload
worse. So what a page of a status from 500 on says is built once and kept, and so are its fields:
only the request's id differs from one refused request to the next. Pages below 500 answer what a
client has sent, and often quote it. They are built anew, as nobody should fill a memory with them.
"""

from functools import lru_cache
from typing import Final

from ...protocol.messages import Pairs
from ...protocol.reason_phrases import REASONS

_HELP: Final[dict[int, str]] = {
    404: "If you run this server, its [[routes]] say what is answered here, and by what.",
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
    and the request's id. `option` sets the limit that was met; `retry_after` is in seconds."""
    build = _kept_text if status >= 500 else _text
    body = build(status, sentence, option)
    if request_id:
        body += f"\nRequest id: {request_id}\n".encode()
    return _fields(len(body), retry_after), body


def _text(status: int, sentence: str, option: str) -> bytes:
    """A page without the request's id."""
    lines = [f"{status} {REASONS[status]}", "", sentence]
    if option:
        lines.append(f"If you run this server, --{option} sets the limit.")
    elif status in _HELP:
        lines.append(_HELP[status])
    return ("\n".join(lines) + "\n").encode()


_kept_text = lru_cache(maxsize=256)(_text)


@lru_cache(maxsize=1_024)
def _fields(length: int, retry_after: int | None) -> Pairs:
    fields = (
        (b"content-type", b"text/plain; charset=utf-8"),
        (b"content-length", b"%d" % length),
    )
    return fields if retry_after is None else (*fields, (b"retry-after", b"%d" % retry_after))
