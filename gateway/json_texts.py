"""JSON for our own processes, with texts that may be names of files.

The name of a file is bytes. Python keeps bytes that are not UTF-8 as lone surrogates (PEP 383),
which JSON in UTF-8 cannot hold. The standard library escapes them, and reads them back.
"""

import json
from typing import Any, TypeVar

import msgspec

T = TypeVar("T")


def encode(value: Any) -> bytes:
    """JSON of a value that msgspec can convert."""
    return json.dumps(msgspec.to_builtins(value, str_keys=True)).encode()


def decode(data: bytes, kind: type[T]) -> T:
    """Reads JSON into a type that msgspec knows. Raises ValueError if it does not fit."""
    return msgspec.convert(json.loads(data), kind, str_keys=True)
