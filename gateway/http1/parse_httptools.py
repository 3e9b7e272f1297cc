"""The adapter for httptools: one raw head in, its fields out (llhttp, at C speed).

Only heads come here. `body` finds the end of a body for both parsers, because llhttp would read on
into the next request before its head has been checked.
"""

import httptools

from ..http.rules import Fields
from .parse_h11 import parse_fields as parse_fields_with_h11


class _Collector:
    __slots__ = ("fields",)

    def __init__(self) -> None:
        self.fields: Fields = []

    def on_header(self, name: bytes, value: bytes) -> None:
        # llhttp leaves blanks behind a value, which do not belong to it (RFC 9112 section 5.1).
        self.fields.append((name.lower(), value.rstrip(b" \t")))


def parse_fields(head: bytes) -> Fields:
    """The fields of a checked head, with names in lower case and trimmed values. Raises ValueError
    if the parser refuses the head.

    A new parser for each head costs 0.2 us. A parser that was kept would take the head behind a
    request with a body for that body.
    """
    collector = _Collector()
    try:
        httptools.HttpRequestParser(collector).feed_data(head)
    except httptools.HttpParserUpgrade:
        pass  # llhttp's way to say that what follows is not HTTP; the fields are complete
    except httptools.HttpParserError:
        # llhttp refuses some heads that RFC 9110 allows: methods that it does not know, blanks
        # behind `chunked`. They are rare, and h11 decides about them.
        return parse_fields_with_h11(head)
    return collector.fields
