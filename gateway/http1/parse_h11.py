"""The adapter for h11: one raw head in, its fields out. It is pure Python and runs everywhere."""

import re
from typing import Final

import h11

from ..http.rules import Fields

_LENGTHS: Final = re.compile(rb"\ncontent-length:[ \t]*([^\r]*)\r", re.IGNORECASE)


def parse_fields(head: bytes) -> Fields:
    """The fields of a checked head, with names in lower case and trimmed values. Raises ValueError
    if h11 refuses the head."""
    connection = h11.Connection(h11.SERVER, max_incomplete_event_size=len(head))
    connection.receive_data(head)
    try:
        event = connection.next_event()
    except h11.RemoteProtocolError as error:
        raise ValueError(str(error)) from error
    if not isinstance(event, h11.Request):
        raise ValueError("not a whole request head")
    fields = list(event.headers)
    lengths = [value for name, value in fields if name == b"content-length"]
    if lengths != [value.rstrip(b" \t") for value in _LENGTHS.findall(head)]:
        # h11 joins "5, 5", and repeated fields, into one; another reader may see another body.
        raise ValueError("repeated Content-Length")
    return fields
