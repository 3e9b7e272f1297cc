"""The last minutes of each pool, for the plots of the status page. Pure.

A page that is opened in the middle of an incident must show how it began, so the supervisor keeps a
few numbers of each second for as long as the admin listener is on. A viewer is sent all of them
first and then one a second, in the same form:

    {"columns": ["requests", ...], "samples": [[uptime, {"web": [12.0, ...]}], ...]}

`uptime` is that of the report that the sample was made of, so that a page which reconnects knows
what it has. A number is null where there is none: a latency in a second without requests. A pool is
missing from a sample if two reports in a row did not have it.
"""

from collections import deque
from typing import Any, Final

from ..control.rates import PoolRates, rates
from ..control.status import StatusReport, TrafficStatus

KEPT: Final = 300
"""Samples that are kept: five minutes, at one a second."""
COLUMNS: Final = (
    "requests",
    "client_errors",
    "server_errors",
    "p50",
    "p95",
    "p99",
    "queued",
    "running",
    "slots",
    "received",
    "sent",
    "queue_time",
    "app_time",
)
"""The first six and the last four are of the second that has passed, the others of its end."""

Number = float | None
Sample = tuple[float, dict[str, list[Number]]]
"""The uptime in seconds, and by pool one number for each of COLUMNS."""


class History:
    def __init__(self) -> None:
        self._samples: deque[Sample] = deque(maxlen=KEPT)
        self._last: StatusReport | None = None

    def record(self, report: StatusReport) -> None:
        """Takes a report, about once a second."""
        last, self._last = self._last, report
        found = rates(last, report)
        if found is None:
            if last is not None and report.uptime < last.uptime:
                self._samples.clear()  # the clock of another instance: the rest is not comparable
            return
        pools = {
            traffic.pool: _numbers(found.pools[traffic.pool], traffic)
            for traffic in report.traffic
            if traffic.pool in found.pools
        }
        self._samples.append((round(report.uptime, 1), pools))

    def since(self, uptime: float = -1.0) -> dict[str, Any]:
        """Returns what a viewer is sent, as JSON data: all samples that are newer than this."""
        newer = [sample for sample in self._samples if sample[0] > uptime]
        return {"columns": COLUMNS, "samples": newer}


def _numbers(now: PoolRates, traffic: TrafficStatus) -> list[Number]:
    return [
        _short(now.requests),
        _short(now.client_errors),
        _short(now.server_errors),
        _short(now.p50),
        _short(now.p95),
        _short(now.p99),
        traffic.queued,
        traffic.running,
        traffic.slots,
        _short(now.received),
        _short(now.sent),
        _short(now.queue_time),
        _short(now.app_time),
    ]


def _short(value: float | None) -> Number:
    """The number with four digits, which is more than a plot can show."""
    return None if value is None else float(f"{value:.4g}")
