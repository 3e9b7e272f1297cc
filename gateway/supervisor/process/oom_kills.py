"""Tells a process that the kernel has killed for memory from one that somebody has killed.

Both end with SIGKILL. The kernel counts those that it kills in the control group (see
`config.memory`), but not by pid, and the supervisor is not alone in the group: the app may start
processes, and the container may have others. So each kill that is counted is *claimed* by a child
that ends with SIGKILL about that time. One that no child claims within a while was another
process's. It is said in the log, since it explains what the app sees, and must not be claimed by a
worker that somebody kills an hour later.
"""

import signal
from collections.abc import Callable
from typing import Final

import trio

from ...observe.process_log import logger
from ..fleet.events import ExitKind
from .exit_reason import exit_hint, exit_kind, exit_words

LOOKS_EVERY: Final = 5.0
"""Seconds between looks at the kernel's count."""
CLAIMED_WITHIN: Final = 20.0
"""Seconds. A process that the kernel kills may take some to end: its memory is freed first."""


class OomKills:
    """The kernel's kills for memory that no child has claimed yet."""

    def __init__(self, count: Callable[[], int | None], limit: Callable[[], int | None]) -> None:
        """`count` is the kernel's count of kills, `limit` the group's limit in bytes; None means
        that it is not known."""
        self._count, self._limit = count, limit
        self._seen = count()
        self._unclaimed: list[float] = []
        """When each kill was seen."""

    def exit_of(
        self, code: int, rss: int, now: float, *, killed: bool
    ) -> tuple[str, str, ExitKind]:
        """How a child has ended, a hint at why, and the kind of it. `rss` is what it had when it
        reported last, in bytes, or 0; `killed` says that the supervisor has sent SIGKILL."""
        if code == -signal.SIGKILL and not killed and self._claim(now):
            return "was killed by the kernel for memory (OOM)", self._facts(rss), "oom"
        return exit_words(code), exit_hint(code), exit_kind(code)

    async def run(self, clock: Callable[[], float]) -> None:
        """Looks at the count for as long as the instance lives."""
        while self._seen is not None:
            await trio.sleep(LOOKS_EVERY)
            if others := self.look(clock()):
                processes = "a process" if others == 1 else f"{others} processes"
                logger.warning(
                    "The kernel has killed %s beside Propylon's own for memory (OOM)%s: "
                    "perhaps one that the app had started",
                    processes,
                    f"; {facts}" if (facts := self._facts(0)) else "",
                )

    def look(self, now: float) -> int:
        """Looks at the count. Returns how many kills nobody has claimed, each of them once."""
        count = self._count()
        if count is not None and self._seen is not None:
            self._unclaimed += [now] * (count - self._seen)
        self._seen = count if count is not None else self._seen
        kept = [seen for seen in self._unclaimed if now < seen + CLAIMED_WITHIN]
        others, self._unclaimed = len(self._unclaimed) - len(kept), kept
        return others

    def _claim(self, now: float) -> bool:
        self.look(now)
        if self._unclaimed:
            self._unclaimed.pop(0)
            return True
        return False

    def _facts(self, rss: int) -> str:
        limit = self._limit()
        facts = [f"the limit is {_megabytes(limit)} MB"] if limit else []
        if rss:
            facts.append(f"it had {_megabytes(rss)} MB when it reported last")
        return ", ".join(facts)


def _megabytes(size: int) -> str:
    return f"{size / 1_048_576:.0f}"
