"""Checks a response's head before it leaves the worker.

An app sends most fields again with its next response, so fields that were found right are
remembered and not checked again. If a head has a new field, one compiled pattern runs over the new
fields. Only if it does not match is each field looked at, to bring it into shape (upper case, outer
blanks) or to name what is wrong.
"""

import re
from collections.abc import Iterable
from typing import Final, cast

from ...protocol.messages import Pairs

# RFC 9110 sections 5.1 and 5.5: a token in lower case; no NUL, CR, LF in a value, no outer blanks.
_FIELD: Final = rb"[!#$%&'*+\-.^_`|~0-9a-z]+:(?![ \t])[^\x00\r\n]*(?<![ \t])\n"
_FIELDS_MATCH: Final = re.compile(rb"(?:" + _FIELD + rb")*").fullmatch
_NAME: Final = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_BAD_VALUE: Final = re.compile(rb"[\x00\r\n]")
_MOST_KNOWN: Final = 2_048
_LONGEST_KNOWN: Final = 256
"""Bytes of a value that is remembered. A longer one is hardly ever sent twice (cookies, policies
with nonces)."""
_LENGTH: Final = b"content-length"
_known: Final[set[tuple[bytes, bytes]]] = set()


def checked_status(status: object) -> int:
    if type(status) is not int:
        if not isinstance(status, int) or isinstance(status, bool):  # http.HTTPStatus is an int
            raise TypeError(f"status is a number, not {status!r}")
        status = int(status)
    if not 200 <= status <= 999:
        raise ValueError(f"status {status} is no final response")
    return status


def checked_headers(headers: Iterable[tuple[bytes, bytes]]) -> Pairs:
    """Returns the fields as pairs. Raises TypeError or ValueError, which name the wrong field."""
    pairs = new = tuple(headers)
    try:
        if _known.issuperset(pairs):
            return pairs
        new = tuple([field for field in pairs if field not in _known])
    except (TypeError, ValueError):
        pass  # pairs that are lists, or hold bytearrays, have no hash: each is looked at
    try:
        flat = b"".join([b"%b:%b\n" % (name, value) for name, value in new])
    except (TypeError, ValueError):
        return _shaped(pairs)
    # There must be as many line ends as fields: a value must not smuggle in another field.
    if _FIELDS_MATCH(flat) and flat.count(b"\n") == len(new):
        _learn(new)
        return pairs
    return _shaped(pairs)


def _learn(fields: Pairs) -> None:
    if len(_known) + len(fields) > _MOST_KNOWN:
        _known.clear()
    for field in fields:
        name, value = field
        plain = type(field) is tuple and type(name) is bytes and type(value) is bytes
        if plain and len(value) <= _LONGEST_KNOWN:
            _known.add(field)


def _shaped(fields: tuple[object, ...]) -> Pairs:
    shaped: list[tuple[bytes, bytes]] = []
    for field in fields:
        if not isinstance(field, (tuple, list)) or len(cast("list[object]", field)) != 2:
            raise TypeError(f"a header is a pair of name and value, not {field!r}")
        name, value = cast("list[object]", field)
        for part in (name, value):
            if not isinstance(part, (bytes, bytearray, memoryview)):
                raise TypeError(
                    f"header names and values are bytes, not {type(part).__name__}: {name!r}"
                )
        name, value = checked_field(bytes(cast("bytes", name)), bytes(cast("bytes", value)))
        shaped.append((name.lower(), value))
    return tuple(shaped)


def checked_field(name: bytes, value: bytes) -> tuple[bytes, bytes]:
    """Returns the field with the outer blanks of its value removed. Raises ValueError, which names
    what is wrong, but no value: it may be a cookie, and the log has what is raised."""
    value = value.strip(b" \t")
    if not _NAME.fullmatch(name):
        raise ValueError(f"{name!r} is no header name")
    if _BAD_VALUE.search(value):
        raise ValueError(f"the value of header {name!r} holds CR, LF or NUL")
    return name, value


def stated_length(fields: Pairs) -> int | None:
    """The size of the body that the app states, in bytes; None if it states none."""
    for name, value in fields:
        if len(name) == len(_LENGTH) and name.lower() == _LENGTH:
            return int(value) if value.isdigit() and len(value) < 19 else None
    return None
