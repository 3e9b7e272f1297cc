"""What there shall be, as an operator changes it: reload, rollback and scale.

A reload has two halves, and time passes between them. The first reads the configuration, gives it
the number of a new generation and orders the rollout; whoever has asked hears of faults in the
configuration at once. The second comes when the rollout has ended, seconds or minutes later: then
the new generation is the one that counts, or the old one still is. In between anything may be
ordered anew: the fleet drops the older rollout, and both end. So each order has a `Reloading` of
its own to wait on, and settings that concern all processes (deadlines, mostly) are those of the
latest order.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

import trio

from ..config.config import Config
from ..config.faults import ConfigError
from ..control.commands import Result
from ..control.server import Say
from ..observe.process_log import logger
from .fleet.controller import FleetController
from .fleet.events import FleetEvent, ReloadEnded, ScalePool
from .generations import Generations, fleet_settings
from .systemd_notify import Notifier

NO_WORKERS: Final = "there are no workers here: this is a gateway alone"


class Refused(Exception):
    """Why something is not begun, as a sentence."""


@dataclass(slots=True, eq=False)
class Reloading:
    """A reload that has been ordered."""

    generation: int
    ended: ReloadEnded | None = None
    _over: trio.Event = field(default_factory=trio.Event)

    def end(self, ended: ReloadEnded) -> None:
        self.ended = ended
        self._over.set()

    async def wait(self) -> ReloadEnded:
        await self._over.wait()
        assert self.ended is not None, "it is over"
        return self.ended


class Deployment:
    def __init__(
        self,
        generations: Generations,
        controller: FleetController,
        notifier: Notifier,
        tell: Callable[[FleetEvent], None],
    ) -> None:
        self._generations = generations
        self._controller = controller
        self._notifier = notifier
        self._tell = tell
        self._reloads: dict[int, Reloading] = {}
        """By generation: those that have not ended."""

    # -- reload and rollback -------------------------------------------------------------------

    async def reload(self, say: Say) -> Reloading:
        """To the configuration as it would be at a start now. Raises Refused."""
        try:
            config = await trio.to_thread.run_sync(self._generations.read)
        except ConfigError as error:
            faults = "\n".join(str(fault) for fault in error.faults)
            raise Refused(f"not reloaded, the configuration is wrong:\n{faults}") from None
        return self._deploy(config, say)

    async def roll_back(self, say: Say) -> Reloading:
        """To the configuration before the last reload that changed one. Raises Refused."""
        before = self._generations.before
        if before is None:
            raise Refused(
                "there is no configuration to go back to: it has not changed since this "
                "supervisor began, or was upgraded"
            )
        return self._deploy(before, say)

    def reload_code(self, what: str) -> None:
        """The same configuration, and whatever code is there now. Raises Refused."""
        logger.info("%s changed, reloading", what)
        self._order(self._generations.current)

    def _deploy(self, config: Config, say: Say) -> Reloading:
        for name in self._generations.needs_restart(config):
            sentence = f"{name} has changed: it takes effect when Propylon is started anew"
            logger.warning("%s", sentence)
            say(sentence)
        return self._order(config)

    def _order(self, config: Config) -> Reloading:
        if not self._generations.with_workers and config == self._generations.current:
            raise Refused(f"{NO_WORKERS}, and its configuration is as it was")
        order = self._generations.next(config, observe=config.reload_observe)
        reloading = self._reloads[order.generation] = Reloading(order.generation)
        self._controller.configure(fleet_settings(config))
        self._notifier.reloading()
        self._tell(order)
        return reloading

    def reload_ended(self, ended: ReloadEnded) -> None:
        """Told of every one, whoever asked for it."""
        self._generations.ended(ended, self._controller.fleet.replicas)
        if self._controller.rollout is None:
            self._controller.configure(fleet_settings(self._generations.current))
            self._notifier.reloaded()
        reloading = self._reloads.pop(ended.generation, None)
        if reloading is not None:
            reloading.end(ended)

    # -- scale ---------------------------------------------------------------------------------

    def scale(self, pool: str, workers: int, *, relative: bool) -> Result:
        """`pool`: "" where there is only one. `relative`: so many more, or fewer."""
        counts = self._generations.workers
        if not self._generations.with_workers:
            return Result(False, NO_WORKERS)
        if not pool and len(counts) > 1:
            return Result(False, f"there are several pools, say which: {', '.join(counts)}")
        pool = pool or next(iter(counts))
        if pool not in counts:
            return Result(False, f"there is no pool {pool}; there is {', '.join(counts)}")
        before = counts[pool]
        wanted = before + workers if relative else workers
        if wanted < 1:
            return Result(False, f"pool {pool} has {before}, and needs at least one worker")
        self._generations.scale(pool, wanted)
        self._tell(ScalePool(pool, wanted))
        sentence = f"Pool {pool}: {wanted} worker{'s' * (wanted > 1)} wanted, {before} before"
        logger.info("%s", sentence)
        return Result(True, sentence)
