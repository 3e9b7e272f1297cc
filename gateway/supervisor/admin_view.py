"""The supervisor as its admin listener sees it. Imported only if there is one."""

from collections.abc import Awaitable, Callable

from ..admin.health import HealthFacts, PoolHealth
from ..control.status import StatusReport
from ..settings import AdminSettings
from .fleet.controller import FleetController
from .generations import Generations, Plan
from .status_builder import StatusBuilder


class AdminView:
    """An `AdminInstance`."""

    def __init__(
        self,
        plan: Plan,
        generations: Generations,
        controller: FleetController,
        status_builder: StatusBuilder,
        status: Callable[[], Awaitable[StatusReport]],
        *,
        has_been_ready: bool,
    ) -> None:
        """`status` makes the status report. `has_been_ready`: the instance was, before an
        upgrade."""
        self._plan = plan
        self._generations = generations
        self._controller = controller
        self._status_builder = status_builder
        self._status = status
        self._has_been_ready = has_been_ready

    @property
    def admin_settings(self) -> AdminSettings:
        return self._generations.current.admin

    async def status(self) -> StatusReport:
        return await self._status()

    def health(self) -> HealthFacts:
        fleet, phase = self._controller.fleet, self._controller.phase
        gateways = list(fleet.of_kind("gateway"))
        accepting = sum(one.state == "ready" and not fleet.hung(one) for one in gateways)
        pools = self._pools()
        if phase == "serving" and (accepting or not self._plan.gateways):
            self._has_been_ready |= all(pool.usable for pool in pools)
        return HealthFacts(
            phase=phase,
            accepting=accepting if self._plan.gateways else None,
            hung=tuple(str(one) for one in gateways if fleet.hung(one)),
            pools=pools,
            has_been_ready=self._has_been_ready,
        )

    def _pools(self) -> tuple[PoolHealth, ...]:
        """The pools that a route needs; without gateways, all pools."""
        config = self._generations.current
        if self._plan.gateways:
            needed = [route.pool for route in config.routes]
        else:
            needed = [pool.name for pool in config.pools]
        usable = self._status_builder.usable_pools(self._plan, self._controller)
        return tuple(PoolHealth(name=name, usable=name in usable) for name in dict.fromkeys(needed))
