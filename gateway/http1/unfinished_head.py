"""A head that comes in pieces is refused with the first byte that makes a valid head impossible.

Most heads arrive whole, and then nothing here runs. If one does not, its client may be slow, or it
may speak another protocol, end its lines with LF alone, or send what is refused whatever follows.
Without a look at the pieces, all of these would wait for the time limit and get 408 although the
right answer is 400.

Each byte is looked at once, because the object remembers in which part of the head the last piece
ended and where that part began. A whole line is judged by the same rules as in a whole head
(`request_head`), so it does not matter how a head was cut.
"""

import re
from typing import Final, Literal

from ..http.grammar import TARGET_SO_FAR, TOKEN_SO_FAR, VALUE_SO_FAR
from ..http.head_limits import field_too_long, head_too_long, line_too_long
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
    """What is known of a head that has not ended."""

    __slots__ = ("_at", "_fields", "_line", "_part", "_part_at", "_settings")

    def __init__(self, settings: HttpSettings) -> None:
        self._settings = settings
        self._part: _Part = "method"
        self._part_at: int = 0
        """The place in the head where this part begins."""
        self._line = 0
        """The place where the line begins."""
        self._at = 0
        """The place up to which the head is checked."""
        self._fields: FieldsSoFar | None = None
        """None until the request line is whole."""

    def look(self, head: bytes) -> None:
        """Checks the bytes of the head that have arrived, all of them in `head`. Raises
        RequestError if they cannot become a head that is served."""
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
        """Checks the form of the version, two digits around a dot. `read_line` judges which version
        it is."""
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
        """Checks the size of the line that has not ended, and of the whole head."""
        settings = self._settings
        long = len(head) - self._line - (self._part == "end")
        if self._fields is None:
            if long > settings.limit_request_line:
                raise line_too_long(settings)
        elif long > settings.limit_request_field_size:
            raise field_too_long(settings)
        if len(head) > settings.limit_request_head:
            raise head_too_long(settings)
