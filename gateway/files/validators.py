"""What tells one state of a file from another: its ETag and its time of modification (RFC 9110
section 8.8); and what a client's conditions on them come to (section 13). Pure.

The tag is made of the file's size and its time of modification in nanoseconds. It is strong,
because whoever writes a file anew gives it another time, also within the same second. Archives and
images are the exception: their times are whole seconds, or one and the same for everything that was
built reproducibly, and two versions of a file may have both in common (sites on such stores have
been served stale by servers that look at no more). Such a file's tag has its number on the file
system too. The price is that replicas on several machines disagree about it, so a client that
changes machines gets the file once more. A file that changes its content and keeps all three is one
whose writer has taken care to hide it.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final, Literal

from ...protocol.messages import Pairs

_LATEST: Final = 253_402_300_799
"""The last second of the year 9999, the latest that a date can name."""
_LEAST: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Validators:
    """Of one file in one state."""

    etag: bytes
    """With its quotes; always strong."""
    modified: int
    """Whole seconds since the epoch."""


def validators_of(size: int, mtime_ns: int, number: int, coding: str = "") -> Validators:
    """`number` is the inode's; `coding` names the content coding of a precompressed file, which is
    another representation and so has another tag."""
    seconds, below = divmod(mtime_ns, 10**9)
    parts = [f"{seconds:x}", f"{below:x}" if below else f"i{number:x}", f"{size:x}"]
    if coding:
        parts.append(coding)
    return Validators(f'"{"-".join(parts)}"'.encode(), max(seconds, 0))


def stated_validators(fields: Pairs) -> Validators:
    """The validators of a response that an app has made, as its fields state them. Where there are
    none, and for a weak tag, they are such as no client can name: b"" and -1."""
    lower = tuple([(name.lower(), value) for name, value in fields])
    etag, modified = _value(lower, b"etag") or b"", _date(lower, b"last-modified")
    return Validators(etag if etag.startswith(b'"') else b"", -1 if modified is None else modified)


Verdict = Literal["proceed", "not modified", "failed"]


def judge(headers: Pairs, found: Validators) -> Verdict:
    """What the conditions of a GET or HEAD come to, in the order of RFC 9110 section 13.2.2: send
    the file, answer 304, or answer 412. What cannot be read is ignored, as section 13.1 says."""
    if (tags := _value(headers, b"if-match")) is not None:
        if not _names(tags, found.etag, weakly=False):
            return "failed"
    elif (date := _date(headers, b"if-unmodified-since")) is not None and found.modified > date:
        return "failed"
    if (tags := _value(headers, b"if-none-match")) is not None:
        return "not modified" if _names(tags, found.etag, weakly=True) else "proceed"
    date = _date(headers, b"if-modified-since")
    return "not modified" if date is not None and found.modified <= date else "proceed"


def range_still_holds(headers: Pairs, found: Validators) -> bool:
    """Whether If-Range lets a Range be answered: the client's part is of the file in this state
    (RFC 9110 section 13.1.5). Without If-Range it does. A weak tag never does, and a date has to be
    exactly the file's."""
    value = _value(headers, b"if-range")
    if value is None:
        return True
    if value.startswith((b'"', b"W/")):
        return value == found.etag
    return _date(headers, b"if-range") == found.modified


def http_date(seconds: int) -> bytes:
    """As in `Sun, 06 Nov 1994 08:49:37 GMT` (RFC 9110 section 5.6.7)."""
    moment = datetime.fromtimestamp(min(seconds, _LATEST), UTC)
    day, month = _DAYS[moment.weekday()], _MONTHS[moment.month - 1]
    return f"{day}, {moment.day:02} {month} {moment.year:04} {moment:%H:%M:%S} GMT".encode()


_DAYS: Final = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS: Final = (
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
)  # fmt: skip
"""Not the locale's."""


def _value(headers: Pairs, name: bytes) -> bytes | None:
    """The values of a field as one list; None if it is not there."""
    values = [value for field, value in headers if field == name]
    return b", ".join(values) if values else None


def _date(headers: Pairs, name: bytes) -> int | None:
    """The date of a field in seconds since the epoch; None if there is none, or no valid one. All
    three forms of RFC 9110 section 5.6.7 are read."""
    value = _value(headers, name)
    if value is None:
        return None
    try:
        text = value.decode("ascii")
        moment = _of_1994(text) or parsedate_to_datetime(text)
    except (ValueError, OverflowError):  # no date, or one in a year that Python has not
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return int((moment - _LEAST).total_seconds())


def _of_1994(text: str) -> datetime | None:
    """A date in asctime's form, as `Sun Nov  6 08:49:37 1994`."""
    words = text.split()
    if len(words) != 5 or "," in text or words[1] not in _MONTHS:
        return None
    clock = [int(part) for part in words[3].split(":")]
    if len(clock) != 3:
        return None
    return datetime(int(words[4]), _MONTHS.index(words[1]) + 1, int(words[2]), *clock, tzinfo=UTC)


def _names(tags: bytes, etag: bytes, *, weakly: bool) -> bool:
    """Whether a list of entity tags has this one, or is `*`. A tag may hold commas, so the list is
    read tag by tag."""
    if tags.strip() == b"*":
        return True
    rest = tags
    while rest := rest.lstrip(b" \t,"):
        weak = rest.startswith(b"W/")
        rest = rest.removeprefix(b"W/")
        if not rest.startswith(b'"'):
            return False
        end = rest.find(b'"', 1)
        if end < 0:
            return False
        if rest[: end + 1] == etag and (weakly or not weak):
            return True
        rest = rest[end + 1 :]
    return False
