"""The access log on a terminal: short, legible lines, `12:01:02 GET /path 200 1.2 KB 3 ms`. Pure.

Only what is read by a person looks so: a file, a pipe and a format of one's own stay as they are.
"""

from collections.abc import Callable
from datetime import datetime
from functools import lru_cache
from typing import Final

from .formats import Entry, Format, escaped

_RESET: Final = "\x1b[0m"
_DIM: Final = "\x1b[2m"
_COLOURS: Final = {2: "\x1b[32m", 3: "\x1b[36m", 4: "\x1b[33m", 5: "\x1b[31m"}
"""Of a status, by its first digit."""


def terminal_format(colour: bool, columns: Callable[[], int]) -> Format:
    """`columns`: how wide the terminal is now; a longer target is cut."""

    def line(entry: Entry) -> bytes:
        exchange, seconds, ended = entry
        request = exchange.request
        target = escaped(request.target) or "-"
        status = str(exchange.status)
        rest = f"{size(exchange.body_sent)} {duration(seconds)}"
        if exchange.reason:
            rest += f" {escaped(exchange.reason.encode('utf-8', 'backslashreplace'))}"
        at = _clock(int(ended))
        room = columns() - len(at) - len(request.method) - len(status) - len(rest) - 4
        if exchange.reason:  # it may take another line
            room = max(room, 40)
        target = target if len(target) <= room else target[: max(room - 3, 4)] + "..."
        if colour:
            at = f"{_DIM}{at}{_RESET}"
            status = f"{_COLOURS.get(exchange.status // 100, '')}{status}{_RESET}"
        return f"{at} {request.method} {target} {status} {rest}".encode()

    return line


@lru_cache(maxsize=8)
def _clock(second: int) -> str:
    return datetime.fromtimestamp(second).astimezone().strftime("%H:%M:%S")


def size(count: int) -> str:
    """Bytes, for people."""
    if count < 1_000:
        return f"{count} B"
    amount = float(count)
    for unit in ("KB", "MB", "GB"):
        amount /= 1_000
        if amount < 999.95:
            return f"{amount:.1f} {unit}"
    return f"{amount / 1_000:.1f} TB"


def duration(seconds: float) -> str:
    """For people."""
    if seconds < 0.0095:
        return f"{seconds * 1_000:.1f} ms"
    if seconds < 0.9995:
        return f"{seconds * 1_000:.0f} ms"
    return f"{seconds:.2f} s" if seconds < 60 else f"{seconds:.0f} s"
