"""What load is: something that puts a contestant under it and says what came of it.

Everything that is not the expected answer is a fault, and a contestant with faults has no figure.
"""

from typing import Protocol

from .servers import Server

Sample = dict[str, float]
"""What one round gives. Of "rate" (a second), "p50", "p99", "p99.9" (milliseconds), "count" (what
the rate counts, for the CPU per 1,000 of it), or what the row is about."""


class Load(Protocol):
    unit: str
    """Of the figure."""
    figure: str
    """Which of a sample's is compared."""
    ready: tuple[str, ...]
    """Paths that answer 200 when a contestant is up."""

    def warm_up(self, server: Server, seconds: float) -> None:
        """The first load, in which as much is checked as can be. Raises Wrong."""
        ...

    def measure(self, server: Server, seconds: float) -> Sample:
        """Raises Wrong."""
        ...


def percentiles(milliseconds: list[float]) -> Sample:
    ordered = sorted(milliseconds)
    last = len(ordered) - 1
    shares = {"p50": 0.5, "p99": 0.99, "p99.9": 0.999}
    return {name: ordered[min(last, int(share * len(ordered)))] for name, share in shares.items()}
