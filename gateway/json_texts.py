"""JSON for what our own processes say to each other, whose texts may be names of files.

A file's name is bytes, and Python keeps those that are not UTF-8 as lone surrogates (PEP 383),
which JSON in UTF-8 cannot hold. The standard library escapes them, and reads them back.
"""

import json
from typing import Any, TypeVar

import msgspec

T = TypeVar("T")


def encode(value: Any) -> bytes:
    """Of anything that msgspec knows."""
    return json.dumps(msgspec.to_builtins(value, str_keys=True)).encode()


def decode(data: bytes, kind: type[T]) -> T:
    """Raises ValueError for what is none."""
    return msgspec.convert(json.loads(data), kind, str_keys=True)
