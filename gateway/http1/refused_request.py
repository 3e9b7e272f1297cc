"""A request that was refused before it could be read, made from its line for the log. Pure."""

import re
from typing import Final

from ..exchange.exchange import Request
from ..http.head_limits import LONGEST_SHOWN

_LINE: Final = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]{1,32}) ([!-~]+) HTTP/([0-9]\.[0-9])")
_BREAK: Final = re.compile(rb"[\r\n]")
"""Also a single one ends the line here: what is behind it may be a field with a password."""


def refused_request(head: bytes) -> Request:
    """The request line, of a head or its beginning. Where it is none that can be told apart, the
    method is "-", the version is "" and the target is the line as it came, perhaps empty."""
    line = _BREAK.split(head.lstrip(b"\r\n")[: LONGEST_SHOWN + 1], 1)[0]
    match = _LINE.fullmatch(line)
    if match is not None and len(line) <= LONGEST_SHOWN:
        return Request(match[1].decode("ascii"), match[2], match[3].decode("ascii"))
    cut = line if len(line) <= LONGEST_SHOWN else line[:LONGEST_SHOWN] + b"..."
    return Request("-", cut, "")
