"""Our own log as lines of JSON (--log-format json): one event, one line. Pure.

A line is an object in ASCII. Whatever an app or a client has written into a message, no line feed
or other control of it gets through: JSON escapes it, and bytes that are not UTF-8 are written as
Python writes them, `\\udcff`. A text longer than LONGEST_TEXT loses its middle, because log
shippers cut long lines, and what is left of such a line is no JSON.

docs/LOGS.md describes the keys. The supervisor and the gateways make the same lines
(`gateway.observe.json_lines`); a test holds the two equal. Only a worker that logs JSON imports
this.
"""

import json
import logging
from collections.abc import Mapping
from datetime import datetime
from typing import Final

LONGEST_TEXT: Final = 32_768
"""Characters of a message, or of a traceback, that a line has at most."""


class JsonFormatter(logging.Formatter):
    """Formats records as lines of JSON."""

    def __init__(self, about: Mapping[str, int | str]) -> None:
        """`about`: which process this is, in keys of every line: `process`, its kind, and its
        numbers."""
        super().__init__()
        self._about = dict(about)

    def format(self, record: logging.LogRecord) -> str:
        detail: str = getattr(record, "detail", "")
        line: dict[str, object] = {
            "time": rfc3339(record.created),
            "level": record.levelname.lower(),
            **self._about,
            "pid": record.process,
            "logger": record.name,
            "message": bounded(record.getMessage().removesuffix(f"\n{detail}")),
        }
        if request_id := getattr(record, "request_id", ""):
            line["request_id"] = bounded(str(request_id))
        if record.exc_info and (error := record.exc_info[1]):
            line["exception"] = {
                "type": _name(type(error)),
                "message": bounded(_text(error)),
                "traceback": bounded(self.formatException(record.exc_info)),
            }
        elif detail:
            line["exception"] = {"type": None, "message": None, "traceback": bounded(detail)}
        return json.dumps(line, separators=(",", ":"))


def rfc3339(seconds: float) -> str:
    """Seconds since the epoch in local time, with milliseconds and the zone."""
    return datetime.fromtimestamp(seconds).astimezone().isoformat(timespec="milliseconds")


def bounded(text: str) -> str:
    """A text that UTF-8 can encode, and no longer than LONGEST_TEXT and a note of what is
    missing."""
    text = text.encode("utf-8", "backslashreplace").decode()
    if len(text) <= LONGEST_TEXT:
        return text
    half = LONGEST_TEXT // 2
    return f"{text[:half]}\n... {len(text) - 2 * half} characters left out ...\n{text[-half:]}"


def _name(kind: type[BaseException]) -> str:
    name = kind.__qualname__
    return name if kind.__module__ == "builtins" else f"{kind.__module__}.{name}"


def _text(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:  # a `__str__` of the app's own
        return "<no text: its __str__ fails>"
