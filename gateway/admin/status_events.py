"""What everybody who has the page open is sent: the status once a second, and the last minutes.

A viewer is first sent the whole history and the newest status, then both parts each second: the
status anew and the samples of the last few seconds. A viewer that was slow is skipped meanwhile
(`events`), so some samples come more than once; it knows by their uptime which ones it has.

The sampling goes on while nobody looks, so that a page shows how an incident began. It is one
status report a second, and JSON is made of it only for somebody.
"""

import json
from collections.abc import Awaitable, Callable
from typing import Any, Final

import msgspec

from ..control.status import StatusReport
from .history import History

OVERLAP: Final = 5.0
"""Seconds of samples in each event: a viewer that misses fewer has no gap."""


class StatusEvents:
    def __init__(self, status: Callable[[], Awaitable[StatusReport]]) -> None:
        """`status` makes the status report."""
        self._status = status
        self._history = History()
        self._report: StatusReport | None = None

    async def sample(self) -> None:
        """Takes the next status."""
        self._report = await self._status()
        self._history.record(self._report)

    def first(self) -> bytes:
        """Returns the events for a new viewer: all that is known."""
        return self._events(-1.0)

    def newest(self) -> bytes:
        """Returns the events for all viewers: what is new since the sample before."""
        return self._events(self._report.uptime - OVERLAP) if self._report else b""

    def _events(self, since: float) -> bytes:
        if self._report is None:
            return b""
        history = json.dumps(self._history.since(since), separators=(",", ":")).encode()
        return event_of("history", history) + event_of("status", status_json(self._report))


def status_json(report: StatusReport) -> bytes:
    """A report as one line of JSON, as `propylon status --json` shows it."""
    # Not msgspec: an app's error may hold half a surrogate pair, which UTF-8 cannot encode.
    builtins: Any = msgspec.to_builtins(report)
    return json.dumps(builtins, allow_nan=False).encode()


def event_of(name: str, data: bytes) -> bytes:
    """An event whose data is one line."""
    return b"event: %b\ndata: %b\n\n" % (name.encode(), data)
