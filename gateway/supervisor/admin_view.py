"""The supervisor as its admin listener sees it. Imported only if there is one."""

from collections.abc import Iterable, Mapping, Sequence, Set
from typing import Protocol

from ..admin.health import HealthFacts, PoolHealth
from ..control.status import ProblemStatus, StatusReport
from ..metrics.exposed import ExposedFamily
from ..settings import AdminSettings
from .fleet.controller import FleetController
from .generations import Generations, Plan


class ShownInstance(Protocol):
    """The part of the supervisor that is shown."""

    async def status(self) -> StatusReport: ...

    async def families(self) -> Iterable[ExposedFamily]: ...

    def usable_pools(self) -> Set[str]: ...

    def oldest_waiters(self) -> Mapping[str, float]: ...

    def problems(self) -> Sequence[ProblemStatus]: ...


class AdminView:
    """An `AdminInstance`."""

    def __init__(
        self,
        instance: ShownInstance,
        plan: Plan,
        generations: Generations,
        controller: FleetController,
        *,
        has_started: bool,
    ) -> None:
        """`has_started`: the instance had, before an upgrade."""
        self._instance = instance
        self._plan = plan
        self._generations = generations
        self._controller = controller
        self._has_started = has_started

    @property
    def admin_settings(self) -> AdminSettings:
        return self._generations.current.admin

    async def status(self) -> StatusReport:
        return await self._instance.status()

    async def families(self) -> Iterable[ExposedFamily]:
        return await self._instance.families()

    def health(self) -> HealthFacts:
        fleet, phase = self._controller.fleet, self._controller.phase
        gateways = list(fleet.of_kind("gateway"))
        accepting = sum(one.state == "ready" and not fleet.hung(one) for one in gateways)
        pools, waits_for_workers = self._pools(), self._plan.with_workers
        if phase == "serving" and (accepting or not self._plan.gateways):
            self._has_started |= not waits_for_workers or all(pool.usable for pool in pools)
        return HealthFacts(
            phase=phase,
            accepting=accepting if self._plan.gateways else None,
            hung=tuple(str(one) for one in gateways if fleet.hung(one)),
            pools=pools,
            waits_for_workers=waits_for_workers,
            has_started=self._has_started,
            problems=tuple(f"{one.what}; {one.remedy}" for one in self._instance.problems()),
        )

    def _pools(self) -> tuple[PoolHealth, ...]:
        """The pools that a route needs; without gateways, all pools."""
        config = self._generations.current
        if self._plan.gateways:
            needed = [route.pool for route in config.routes if route.pool]
        else:
            needed = [pool.name for pool in config.pools]
        usable, waited = self._instance.usable_pools(), self._instance.oldest_waiters()
        return tuple(
            PoolHealth(name=name, usable=name in usable, oldest_waiter=waited.get(name, 0.0))
            for name in dict.fromkeys(needed)
        )
