"""What an app says about a response's head, checked before it leaves the worker.

One compiled pattern runs over all header fields at once; only where it does not match is each
field looked at, to bring it into shape (upper case, outer blanks) or to name what is wrong.
"""

import re
from collections.abc import Iterable
from typing import Final, cast

from ..protocol.messages import Pairs

# RFC 9110 sections 5.1 and 5.5: a token in lower case; no NUL, CR, LF in a value, no outer blanks.
_FIELD: Final = rb"[!#$%&'*+\-.^_`|~0-9a-z]+:(?![ \t])[^\x00\r\n]*(?<![ \t])\n"
_FIELDS_MATCH: Final = re.compile(rb"(?:" + _FIELD + rb")*").fullmatch
_NAME: Final = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_BAD_VALUE: Final = re.compile(rb"[\x00\r\n]")


def checked_status(status: object) -> int:
    if type(status) is not int:
        if not isinstance(status, int) or isinstance(status, bool):  # http.HTTPStatus is an int
            raise TypeError(f"status is a number, not {status!r}")
        status = int(status)
    if not 200 <= status <= 999:
        raise ValueError(f"status {status} is no final response")
    return status


def checked_headers(headers: Iterable[tuple[bytes, bytes]]) -> Pairs:
    """The fields as pairs. Raises TypeError or ValueError, naming the field that is wrong."""
    pairs = tuple(headers)
    try:
        flat = b"".join([b"%b:%b\n" % (name, value) for name, value in pairs])
    except (TypeError, ValueError):
        return _shaped(pairs)
    # As many line ends as fields: a value that holds a field of its own does not pass.
    if _FIELDS_MATCH(flat) and flat.count(b"\n") == len(pairs):
        return pairs
    return _shaped(pairs)


def _shaped(fields: tuple[object, ...]) -> Pairs:
    shaped: list[tuple[bytes, bytes]] = []
    for field in fields:
        if not isinstance(field, (tuple, list)) or len(cast("list[object]", field)) != 2:
            raise TypeError(f"a header is a pair of name and value, not {field!r}")
        name, value = cast("list[object]", field)
        for part in (name, value):
            if not isinstance(part, (bytes, bytearray, memoryview)):
                raise TypeError(
                    f"header names and values are bytes, not {type(part).__name__}: {field!r}"
                )
        name, value = bytes(cast("bytes", name)), bytes(cast("bytes", value)).strip(b" \t")
        if not _NAME.fullmatch(name):
            raise ValueError(f"{name!r} is no header name")
        if _BAD_VALUE.search(value):
            raise ValueError(f"the value of header {name!r} holds CR, LF or NUL: {value!r}")
        shaped.append((name.lower(), value))
    return tuple(shaped)
