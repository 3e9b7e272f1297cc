"""httptools' only door: one raw head in, its fields out (llhttp, C speed).

Only heads come here. Where a body ends is decided in one place for both parsers (`body`), since
llhttp reads on into the next request before that one's head has been checked.
"""

import httptools

from ..http.rules import Fields
from .parse_h11 import parse_fields as parse_fields_with_h11


class _Collector:
    __slots__ = ("fields",)

    def __init__(self) -> None:
        self.fields: Fields = []

    def on_header(self, name: bytes, value: bytes) -> None:
        # llhttp leaves white space behind a value; RFC 9112 section 5.1 takes it off.
        self.fields.append((name.lower(), value.rstrip(b" \t")))


def parse_fields(head: bytes) -> Fields:
    """The fields of one checked head: lower-case names, trimmed values. ValueError if refused.

    A parser for each head costs 0.2 us and has no state to get wrong: after a request with a body,
    a kept one would take the next head for that body.
    """
    collector = _Collector()
    try:
        httptools.HttpRequestParser(collector).feed_data(head)
    except httptools.HttpParserUpgrade:
        pass  # llhttp's way to say that what follows is not HTTP; the fields are complete
    except httptools.HttpParserError:
        # llhttp refuses some heads that RFC 9110 allows: methods beyond its list, white space
        # behind `chunked`. Such a head is rare, and h11 has the last word on it.
        return parse_fields_with_h11(head)
    return collector.fields
