"""A head that comes in pieces: refused with the first byte that makes a head impossible.

Most heads arrive whole, and this is never asked. Where one does not, its client may be slow, or it
may speak another protocol, end its lines with LF alone, or send what is refused whatever follows.
Without a look at the pieces all of these would wait for the time limit, and hear 408 where the
truth is 400.

Each byte is looked at once: the part of the head that the last piece has ended in is known, and
where it began. What a whole line means is judged by the same rules as in a whole head (`heads`), so
that it does not matter how a head was cut.
"""

import re
from typing import Final, Literal

from ..exchange.errors import RequestError
from ..http.grammar import TARGET_SO_FAR, TOKEN_SO_FAR, VALUE_SO_FAR
from ..settings import HttpSettings
from .request_head import FieldsSoFar, read_line, why_malformed

_Part = Literal["method", "target", "version", "end", "name", "value"]
_PARTS: Final[dict[_Part, tuple[re.Pattern[bytes], bytes, _Part]]] = {
    # part: (what it is made of, what ends it, what follows)
    "method": (TOKEN_SO_FAR, b" ", "target"),
    "target": (TARGET_SO_FAR, b" ", "version"),
    "version": (TARGET_SO_FAR, b"\r", "end"),
    "end": (re.compile(b""), b"\n", "name"),
    "name": (TOKEN_SO_FAR, b":", "value"),
    "value": (VALUE_SO_FAR, b"\r", "end"),
}
_VERSION: Final = b"HTTP/1.1"


class UnfinishedHead:
    """What is known of a head whose end has not come."""

    __slots__ = ("_at", "_fields", "_line", "_part", "_part_at", "_settings")

    def __init__(self, settings: HttpSettings) -> None:
        self._settings = settings
        self._part: _Part = "method"
        self._part_at: int = 0
        """Where in the head this part begins."""
        self._line = 0
        """Where the line begins."""
        self._at = 0
        """How far the head is good."""
        self._fields: FieldsSoFar | None = None
        """None while the request line is not whole."""

    def look(self, head: bytes) -> None:
        """`head`: all that has come of it. Raises RequestError if it can't become a head that is
        served."""
        size = len(head)
        while self._at < size:
            run, ends, follows = _PARTS[self._part]
            made = run.match(head, self._at)
            stop = self._at if made is None else made.end()
            if self._part == "version":
                self._check_version(head, stop)
            if stop == size:
                self._at = stop
                break
            if head[stop : stop + 1] != ends or (
                stop == self._part_at and self._part not in ("end", "value")
            ):
                if self._part == "name" and head[self._part_at :] == b"\r":
                    break  # perhaps the empty line
                raise why_malformed(head, self._settings)
            self._at = self._part_at = stop + 1
            self._part = follows
            if follows == "name":
                self._end_of_line(head)
        self._check_size(head)

    def _check_version(self, head: bytes, stop: int) -> None:
        """Two digits around a dot, as the grammar has it; which ones is for the whole line."""
        said = head[self._part_at : stop]
        name, digits = said[:5], said[5:]
        good = (
            _VERSION.startswith(name)
            and len(digits) <= 3
            and all(
                (digit == 0x2E) if place == 1 else (0x30 <= digit <= 0x39)
                for place, digit in enumerate(digits)
            )
            and (stop == len(head) or len(said) == len(_VERSION))
        )
        if not good:
            raise why_malformed(head, self._settings)

    def _end_of_line(self, head: bytes) -> None:
        line = head[self._line : self._at - 2]
        self._line = self._at
        if self._fields is None:
            method, target, version = line.split(b" ")
            request, authority = read_line(method, target, version, self._settings)
            self._fields = FieldsSoFar(request, authority, self._settings)
        else:
            name, _, value = line.partition(b":")
            self._fields.add(name.lower(), value.strip(b" \t"), len(line))

    def _check_size(self, head: bytes) -> None:
        """Of the line that has not ended, and of it all."""
        settings = self._settings
        long = len(head) - self._line - (self._part == "end")
        if self._fields is None:
            if long > settings.limit_request_line:
                raise RequestError(
                    414,
                    f"The request line is over {settings.limit_request_line} bytes.",
                    option="limit-request-line",
                )
        elif long > settings.limit_request_field_size:
            raise RequestError(
                431,
                f"A header field is over {settings.limit_request_field_size} bytes.",
                option="limit-request-field-size",
            )
        if len(head) > settings.limit_request_head:
            raise RequestError(
                431,
                f"The request's head is over the limit of {settings.limit_request_head} bytes.",
                option="limit-request-field-size",
            )
