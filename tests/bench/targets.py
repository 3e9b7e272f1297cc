"""What is to be reached, as ratios of medians in one run."""

from dataclasses import dataclass
from typing import Final

from .results import Ratio, Result


@dataclass(frozen=True)
class Target:
    row: str
    against: str
    bound: float
    ours: str = "propylon"
    most: bool = False
    """The bound is the most that is allowed, not the least that is wanted."""

    def met(self, ratio: Ratio) -> bool:
        return ratio.median <= self.bound if self.most else ratio.median >= self.bound

    def says(self, result: Result | None) -> str:
        """Whether it is met, and by how much."""
        words = f"{'at most' if self.most else 'at least'} {self.bound:g}"
        ratio = result and result.ratio(self.ours, self.against)
        if result is None or ratio is None:
            fault = result and (result.fault(self.ours) or result.fault(self.against))
            return f"{words}: not measured{f' ({fault})' if fault else ''}"
        verdict = "met" if self.met(ratio) else "MISSED"
        by = abs(ratio.median / self.bound - 1)
        return f"{words}: {ratio}, {verdict} by {by:.0%}"


TARGETS: Final = (
    Target("hello", "nginx-uvicorn", 1.3),
    Target("fastapi", "nginx-uvicorn", 1.4),
    Target("fastapi", "uvicorn-2-workers", 1.0),
    Target("fastapi", "granian-2-workers", 1.0),
    Target("fastapi", "uvicorn-3-workers", 1.0, ours="propylon-2-workers"),
    Target("fastapi", "granian-3-workers", 1.0, ours="propylon-2-workers"),
    Target("django", "nginx-gunicorn-gthread", 2.0),
    Target("flask", "nginx-gunicorn-gthread", 2.0),
    Target("tls", "nginx-uvicorn", 1.1),
    Target("websocket-128", "nginx-uvicorn", 1.3),
    Target("down-1m", "nginx-uvicorn", 1.0),
    Target("up-1m", "nginx-uvicorn", 1.0),
    Target("open-loop", "nginx-uvicorn", 1.0, most=True),
    Target("open-loop-equal", "nginx-uvicorn", 1.0, most=True),
    Target("access-log", "propylon", 0.92, ours="propylon-access-log"),
    Target("connections", "propylon at 64", 0.8, ours="propylon at 2,000"),
    Target("idle", "uvicorn", 1.0, most=True),
)
