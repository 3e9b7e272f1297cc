"""Turnover: how often processes were replaced, and why. Pure.

A *restart* follows from a failure: the process has ended by itself, hangs, or could not start. A
*recycling* is planned: the process has served enough, or there is newer code. A replica that is
removed is neither. The words below are values of metric labels; `docs/METRICS.md` explains them.
"""

from collections import Counter
from typing import Final, Literal, get_args

from .events import ExitKind, RecycleKind, ReplicaId

Restart = ExitKind | Literal["hung", "stuck", "start_failed"]
Recycling = RecycleKind | Literal["reload"]

RESTART_REASONS: Final[tuple[str, ...]] = (
    *get_args(ExitKind), "hung", "stuck", "start_failed",
)  # fmt: skip
RECYCLE_REASONS: Final[tuple[str, ...]] = (*get_args(RecycleKind), "reload")


class Turnover:
    """The counts since this code of the supervisor began."""

    def __init__(self) -> None:
        self.restarts: Counter[tuple[ReplicaId, Restart]] = Counter()
        """(Replica, reason) -> how many."""
        self.recycles: Counter[tuple[ReplicaId, Recycling]] = Counter()

    def restarted(self, replica_id: ReplicaId, reason: Restart) -> None:
        self.restarts[replica_id, reason] += 1

    def recycled(self, replica_id: ReplicaId, reason: Recycling) -> None:
        self.recycles[replica_id, reason] += 1
