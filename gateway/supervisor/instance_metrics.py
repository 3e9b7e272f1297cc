"""The metrics of a whole instance: where the counts of gateway processes, of workers and of the
supervisor come together, for scrapes and for the status.
"""

import platform
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from time import time
from typing import Final

import msgspec
import trio

from ...protocol.supervision.messages import FailedRequest, GatewayMetrics, Vitals
from ..control.status import MOST_FAILED, ServedCertificate, StatusReport
from ..metrics.exposed import ExposedFamily, exposed
from ..metrics.families import (
    LATENCY,
    POOL_QUEUE_OLDEST,
    SCALINGS,
    SCRAPES,
    SNAPSHOT_AGE,
    WORKER_CPU,
)
from ..metrics.snapshot import Series, Snapshot
from ..metrics.totals import Totals, merge
from ..observe.process_log import logger
from ..settings import TlsSettings
from ..tls.expiry import CertificateDates
from .fleet.controller import FleetController
from .fleet.events import ReloadEnded
from .metrics_collection import MetricsCollection, Tell
from .own_metrics import OwnCounts, present
from .process.child import ChannelledProcess
from .traffic import failed, traffic, with_memory
from .upgrade.saved_state import SavedMetrics

COLLECTED_EVERY: Final = 1.0
"""Seconds after which counts are collected if nobody has asked for any. Of a gateway process that
is killed, no more than these are lost, or twice that when somebody has just stopped asking."""
ENDED: Final = 0
"""Stands for all processes that have ended."""
MOST_COMPLAINTS: Final = 100
"""Faults of snapshots that are logged; a process may have more of them to offer."""

More = Callable[[], Awaitable[list[ExposedFamily]]]
"""Returns families of others, such as the app's, within a bounded time."""


class InstanceMetrics:
    def __init__(
        self,
        controller: FleetController,
        processes: Mapping[int, ChannelledProcess],
        saved: SavedMetrics | None = None,
    ) -> None:
        """`processes` are those that run, by number. `saved` is what the code before an upgrade had
        counted."""
        self._controller = controller
        self._processes = processes
        self._collection = MetricsCollection(self._gateways)
        self._own = OwnCounts()
        self._totals = Totals()
        self._certificates = CertificateDates()
        self._heard: dict[int, float] = {}
        """Gateway process -> when it has last reported, in seconds of the supervisor's clock."""
        self._failed: dict[int, tuple[FailedRequest, ...]] = {}
        """Gateway process -> the requests that have failed there."""
        self._began = time()
        self._reload_failed = False
        self._reloaded = 0.0
        self._more: list[More] = []
        self._said: set[str] = set()
        if saved is not None:
            self._restore(saved)

    def add(self, more: More) -> None:
        """Has further families shown at each scrape."""
        self._more.append(more)

    # -- what happens --------------------------------------------------------------------------

    def gateway_reported(self, child: int, report: GatewayMetrics, now: float) -> None:
        self._heard[child] = now
        self._failed[child] = report.failed[-MOST_FAILED:]
        self._complain("a gateway process", self._totals.take(child, report.snapshot))
        self._collection.answered(child, report.token)

    def worker_reported(self, child: int, pool: str, vitals: Vitals) -> None:
        self._totals.take(child, {WORKER_CPU.name: [((pool,), vitals.cpu)]})

    def ended(self, child: int) -> None:
        """A process has ended, and all its reports have been read."""
        self._heard.pop(child, None)
        if requests := self._failed.pop(child, ()):
            kept = sorted((*self._failed.get(ENDED, ()), *requests), key=lambda one: one.at)
            self._failed[ENDED] = tuple(kept[-MOST_FAILED:])
        self._totals.end(child)
        self._collection.ended(child)

    def scaled(self, pool: str, *, up: bool) -> None:
        """An autoscaler has changed the number of a pool's workers."""
        self._own.add(SCALINGS, (pool, "up" if up else "down"))

    def reload_ended(self, reload: ReloadEnded, now: float) -> None:
        self._own.reload_ended(reload, now)
        if not reload.overtaken:
            self._reload_failed, self._reloaded = not reload.committed, time()

    # -- an upgrade ----------------------------------------------------------------------------

    def save(self) -> SavedMetrics:
        ended, last = self._totals.save()
        return SavedMetrics(
            ended=ended,
            last=last,
            failed=self._failed.get(ENDED, ()),
            own=self._own.save(self._controller.fleet.context.turnover),
            began=self._began,
            reloaded=self._reloaded,
            reload_failed=self._reload_failed,
        )

    def _restore(self, saved: SavedMetrics) -> None:
        self._complain("the code before", self._totals.restore(saved.ended, saved.last))
        self._complain("the code before", self._own.restore(saved.own))
        try:
            self._failed[ENDED] = msgspec.convert(saved.failed, tuple[FailedRequest, ...])
        except msgspec.ValidationError as error:
            self._complain("the code before", [f"failed requests: {error}"])
        self._began = saved.began or self._began
        self._reload_failed, self._reloaded = saved.reload_failed, saved.reloaded

    def _complain(self, who: str, faults: Iterable[str]) -> None:
        """Logs what was left out of a snapshot, once: it comes again every second."""
        for fault in faults:
            if fault not in self._said and len(self._said) < MOST_COMPLAINTS:
                self._said.add(fault)
                logger.warning("Metrics of %s are left out: %s", who, fault)

    # -- what is shown -------------------------------------------------------------------------

    async def collect(self) -> None:
        """Asks the gateway processes for their counts; those of one that does not answer in time
        stay as they were."""
        await self._collection.collect()

    async def collect_for_ever(self) -> None:
        await self._collection.collect_every(COLLECTED_EVERY)

    def filled(self, report: StatusReport, pools: Iterable[str], tls: TlsSettings) -> StatusReport:
        """The status report of an instance with gateways, with what was counted. `pools` are those
        that its gateways serve."""
        certificates = self._certificates.read(tls.certificates)
        return replace(
            report,
            gateways=with_memory(report.gateways, self._totals.total()),
            latency_bounds=LATENCY,
            traffic=traffic(self._totals.total(), pools),
            failed=failed(self._failed.values(), time()),
            certificates=tuple(
                ServedCertificate(name=one.name, file=one.file, expires=one.expires)
                for one in certificates
            ),
        )

    def total(self) -> Snapshot:
        """All that gateways and workers had counted when they were last asked."""
        return self._totals.total()

    def oldest_waiters(self) -> dict[str, float]:
        """Pool -> seconds that the oldest request in its queues had waited when the gateways were
        last asked."""
        series = self._totals.series(POOL_QUEUE_OLDEST)
        return {pool: value for (pool,), value in series.items() if not isinstance(value, list)}

    async def families(
        self, report: Callable[[], StatusReport], now: Callable[[], float]
    ) -> list[ExposedFamily]:
        """All that is shown at a scrape. `report` makes a status report, `now` reads the
        supervisor's clock, when the counts have come."""
        others: list[list[ExposedFamily] | None] = [None] * len(self._more)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._collection.collect)
            for at in range(len(self._more)):
                nursery.start_soon(self._ask, at, others)
        whole = all(families is not None for families in others)
        self._own.add(SCRAPES, ("ok" if whole else "partial",))
        found = exposed(self._snapshot(report(), now()))
        return [*found, *(family for families in others for family in families or ())]

    async def _ask(self, at: int, others: list[list[ExposedFamily] | None]) -> None:
        try:
            others[at] = await self._more[at]()
        except Exception:
            logger.exception("a fault of Propylon's supervisor: some metrics are not shown")

    def _snapshot(self, report: StatusReport, now: float) -> Snapshot:
        turnover = self._controller.fleet.context.turnover
        total = self._totals.total()
        for snapshot in (
            self._own.counted(turnover, [pool.name for pool in report.pools]),
            present(
                report,
                platform.python_version(),
                began=self._began,
                reloaded=self._reloaded,
                reload_failed=self._reload_failed,
            ),
            {SNAPSHOT_AGE.name: self._ages(now)},
        ):
            for name, series in snapshot.items():
                merge(total.setdefault(name, {}), series)
        return total

    def _ages(self, now: float) -> Series:
        ages: Series = {}
        for child, at in self._heard.items():
            process = self._controller.fleet.processes.get(child)
            if process is not None:
                labels = (str(process.replica_id.number),)
                merge(ages, {labels: max(now - at, 0.0)}, SNAPSHOT_AGE.merge)
        return ages

    def _gateways(self) -> Iterator[tuple[int, Tell]]:
        fleet = self._controller.fleet
        for number, process in self._processes.items():
            known = fleet.processes.get(number)
            if known is None or known.replica_id.kind != "gateway" or known.state == "starting":
                continue
            if not fleet.hung(known):
                yield number, process.order
