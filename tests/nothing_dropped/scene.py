"""What the clients of a trial and those who disturb the server share."""

import asyncio
import time
from dataclasses import dataclass, field

from ..compare.strict_client import Failed, Response
from .tally import Tally

SERVES = 3.0
"""Seconds for which a process that answered counts as one that serves."""


@dataclass
class Scene:
    address: tuple[str, int]
    tally: Tally
    ending: asyncio.Event = field(default_factory=asyncio.Event)
    """Clients finish what they are at."""
    serving: dict[int, float] = field(default_factory=dict)
    """Pid of a worker -> when it last answered."""
    versions: set[int] = field(default_factory=set)
    """Versions of the app's code that answered."""
    posted: dict[str, str] = field(default_factory=dict)
    """Unique id -> what its POST was answered, "" for nothing."""
    stopped: list[int] = field(default_factory=list)
    """Workers that were sent SIGSTOP."""
    refusal_expected: bool = False
    """Whether the server is stopped, or about to be."""
    cuts: list[float] = field(default_factory=list)
    """When a process was killed that holds clients' connections."""
    pace: float = 1.0
    """What slow exchanges take, as a part of their usual seconds."""

    def heard(self, response: Response) -> None:
        """Notes who answered."""
        if "x-pid" in response.headers:
            self.serving[int(response.headers["x-pid"])] = time.monotonic()
            self.versions.add(int(response.headers["x-version"]))

    def serving_now(self) -> list[int]:
        """Pids that have answered lately, in no order."""
        return [pid for pid, at in self.serving.items() if time.monotonic() - at < SERVES]

    def fail(self, client: str, failure: Failed) -> None:
        if failure.what == "refused" and self.refusal_expected:
            self.tally.note("refused while stopped")
        else:
            self.tally.fail(client, failure)
