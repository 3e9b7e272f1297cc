"""The access log on a terminal: short lines such as `12:01:02 GET /path 200 1.2 KB 3 ms`. Pure.

Only a terminal gets them. A file, a pipe, and a format that the operator chose stay as they are.
"""

from collections.abc import Callable
from datetime import datetime
from functools import lru_cache
from typing import Final

from .formats import Entry, Format, escaped

_RESET: Final = "\x1b[0m"
_DIM: Final = "\x1b[2m"
_COLOURS: Final = {2: "\x1b[32m", 3: "\x1b[36m", 4: "\x1b[33m", 5: "\x1b[31m"}
"""First digit of a status -> its colour."""


def terminal_format(colour: bool, columns: Callable[[], int]) -> Format:
    """Returns the function that makes a line. `columns` gives the terminal's width now; a target
    that does not fit is cut."""

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
        if exchange.reason:  # such a line may be longer than the terminal is wide
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
    """A number of bytes as people read it: `999 B`, `1.2 KB`."""
    if count < 1_000:
        return f"{count} B"
    amount = float(count)
    for unit in ("KB", "MB", "GB"):
        amount /= 1_000
        if amount < 999.95:
            return f"{amount:.1f} {unit}"
    return f"{amount / 1_000:.1f} TB"


def duration(seconds: float) -> str:
    """Seconds as people read them: `0.5 ms`, `12 ms`, `1.25 s`."""
    if seconds < 0.0095:
        return f"{seconds * 1_000:.1f} ms"
    if seconds < 0.9995:
        return f"{seconds * 1_000:.0f} ms"
    return f"{seconds:.2f} s" if seconds < 60 else f"{seconds:.0f} s"
