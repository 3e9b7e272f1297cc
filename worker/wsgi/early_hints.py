"""`wsgi.early_hints`: the callable by which a WSGI app sends early hints (RFC 8297).

PEP 3333 has no word for them. This is gunicorn's: a list of header fields, as for `start_response`,
typically `Link`s. It may be called many times, and does nothing once the response is on its way.
The environ has it only where the client takes hints.
"""

from collections.abc import Callable, Iterable

from ...protocol.messages import EARLY_HINT, MOST_HINTS
from .start_response import read_headers


class EarlyHints:
    __slots__ = ("_left", "_send")

    def __init__(self, send: Callable[[dict[str, object]], None]) -> None:
        self._send = send
        self._left = MOST_HINTS

    def __call__(self, headers: Iterable[tuple[str, str]]) -> None:
        """Sends the fields. Raises TypeError or ValueError, which name the wrong field."""
        fields = read_headers(headers, as_written=False)
        if not fields or not self._left:
            return
        self._left -= 1
        links = tuple([value for name, value in fields if name == b"link"])
        others = tuple([field for field in fields if field[0] != b"link"])
        event: dict[str, object] = {"type": EARLY_HINT, "links": links}
        if others:
            event["headers"] = others
        self._send(event)
