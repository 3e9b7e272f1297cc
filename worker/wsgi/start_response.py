"""Checks what a WSGI app says to start_response, and brings it into the form that travels.

Status lines and fields that were found right are remembered and not checked again, as in
`response_head`. Names keep the case in which the app wrote them.
"""

import re
from typing import Any, Final

from ...protocol.messages import Pairs
from ...protocol.reason_phrases import REASONS
from ..app.response_head import checked_field, checked_status

_MOST_KNOWN: Final = 2_048
_LONGEST_KNOWN: Final = 256
"""Characters of a value that is remembered, as in `response_head`."""
_CONTROL: Final = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")

_statuses: Final[dict[str, tuple[int, bytes]]] = {}
_fields: Final[dict[tuple[str, str], tuple[bytes, bytes]]] = {}


def read_status(status: object) -> tuple[int, bytes]:
    """The number of a status, and the app's own reason phrase; b"" for the usual phrase, and for
    one that a status line cannot hold. Raises TypeError or ValueError for another value."""
    if type(status) is not str:
        raise TypeError(f"status is a string such as '200 OK', not {status!r}")
    known = _statuses.get(status)
    if known is not None:
        return known
    number = checked_status(int(status[:3])) if status[:3].isdecimal() else 0
    if not number or status[3:4].strip():
        raise ValueError(f"status is a string such as '200 OK', not {status!r}")
    phrase = status[4:].strip()
    if _CONTROL.search(phrase):
        raise ValueError(f"the status {status!r} holds a control character")
    reason = b"" if phrase == REASONS.get(number) else phrase.encode("latin-1", "ignore")
    if len(reason) != len(phrase):
        reason = b""
    if len(status) <= _LONGEST_KNOWN:
        if len(_statuses) >= _MOST_KNOWN:
            _statuses.clear()
        _statuses[status] = number, reason
    return number, reason


def read_headers(headers: Any, *, as_written: bool) -> Pairs:
    """The fields as pairs, with names in lower case unless they may travel `as_written`. Raises
    TypeError or ValueError, which name the wrong field."""
    fields: list[Any] = list(headers)
    try:
        pairs = tuple([_fields.get(field) or _read(field) for field in fields])
    except TypeError:  # a pair that is a list has no hash; or a field is wrong, and is named below
        pairs = tuple([_read(field) for field in fields])
    return pairs if as_written else tuple([(name.lower(), value) for name, value in pairs])


def _read(field: Any) -> tuple[bytes, bytes]:
    name = None
    try:
        name, value = field
        encoded = name.encode("latin-1"), value.encode("latin-1")
    except (AttributeError, TypeError, ValueError):
        which = f": {name!r}" if name else f", not {type(field).__name__}"
        raise TypeError(f"a header is a pair of latin-1 strings{which}") from None
    pair = checked_field(*encoded)
    if type(field) is tuple and len(value) <= _LONGEST_KNOWN:
        if len(_fields) >= _MOST_KNOWN:
            _fields.clear()
        _fields[name, value] = pair
    return pair
