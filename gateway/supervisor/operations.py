"""Carries out what the operator asks for, on the control socket or by signal."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, Protocol

import trio

from ..config.config import Config
from ..config.faults import ConfigError
from ..control import commands
from ..control.commands import Command, Result
from ..control.server import Say
from ..control.status import StatusReport, tail
from ..observe.process_log import logger
from .fleet.controller import FleetController
from .fleet.events import FleetEvent, ReloadEnded, ScalePool
from .generations import Generations, Plan, fleet_settings
from .systemd_notify import Notifier
from .upgrade.exec import refused
from .upgrade.saved_state import Handover

STOPPING: Final = Result(False, "Propylon is stopping")
NO_WORKERS: Final = "there are no workers here: this is a gateway alone"


class Operated(Protocol):
    """What operations need of the supervisor."""

    plan: Plan
    generations: Generations
    controller: FleetController
    notifier: Notifier

    def status(self) -> StatusReport: ...

    def save(self) -> Handover: ...

    def exec_soon(self) -> None: ...

    def tell(self, message: FleetEvent) -> None: ...

    def reopen_logs(self) -> None: ...

    def stop(self, why: str, *, now: bool = False) -> None: ...


@dataclass(slots=True, eq=False)
class _Reloading:
    """A reload that has been ordered."""

    generation: int
    over: trio.Event = field(default_factory=trio.Event)
    ended: ReloadEnded | None = None


class Operations:
    def __init__(self, supervisor: Operated) -> None:
        self._supervisor = supervisor
        self._reloads: dict[int, _Reloading] = {}
        self._stops = 0
        """Signals to stop; only who sends a second one is in a hurry."""
        self._upgrading = False
        self._listening: set[Say] = set()
        """Who waits for the end of a reload and hears what is logged meanwhile."""
        self._by_signal = 0
        """What was asked for by signals and is not begun yet."""

    # -- the control socket ------------------------------------------------------------------

    async def carry_out(self, command: Command, say: Say) -> Result:
        if self._stopping and not isinstance(command, commands.Status | commands.Stop):
            return STOPPING
        match command:
            case commands.Status():
                return Result(True, "", self._supervisor.status())
            case commands.Reload(wait):
                return await self._reload_and_wait(self._read_again, say, wait=wait)
            case commands.Rollback(wait):
                return await self._reload_and_wait(self._config_before, say, wait=wait)
            case commands.Scale(workers, relative, pool):
                return self._scale(pool, workers, relative=relative)
            case commands.Stop(now):
                self._supervisor.stop("`propylon stop`", now=now)
                return await self._say_until_the_end(say)
            case commands.Drain():
                self._supervisor.stop("`propylon drain`")
                return Result(True, "Draining: what is under way is finished, then it ends")
            case commands.Upgrade():
                return await self._upgrade(say)

    async def _say_until_the_end(self, say: Say) -> Result:
        """Of a stop: what it waits for. The answer is the end of this process."""
        say("Stopping")
        self._listening.add(say)
        try:
            await trio.sleep_forever()
        finally:
            self._listening.discard(say)

    @property
    def idle(self) -> bool:
        """Whether all that was asked for by signals has been begun, or refused."""
        return not self._by_signal

    @property
    def _stopping(self) -> bool:
        return self._supervisor.controller.stops

    # -- reload ------------------------------------------------------------------------------

    async def _reload_and_wait(
        self, configure: Callable[[], Config], say: Say, *, wait: bool
    ) -> Result:
        try:
            reloading = await self._begin_reload(configure, say)
        except _Refused as refused:
            return Result(False, str(refused))
        if not wait:
            return Result(True, f"Reloading: generation {reloading.generation}")
        self._listening.add(say)
        try:
            await reloading.over.wait()
        finally:
            self._listening.discard(say)
        ended = reloading.ended
        if ended is None or ended.committed:
            return Result(True, "")  # the log's line has been said
        if ended.overtaken:
            return Result(False, f"not reloaded: {ended.why}")
        what = f"not reloaded, the old serve on: {ended.why}"
        return Result(False, f"{what}\n{tail(ended.detail)}" if ended.detail else what)

    async def _begin_reload(self, configure: Callable[[], Config], say: Say) -> _Reloading:
        """Raises _Refused."""
        try:
            config = await trio.to_thread.run_sync(configure)
        except ConfigError as error:
            faults = "\n".join(str(fault) for fault in error.faults)
            raise _Refused(f"not reloaded, the configuration is wrong:\n{faults}") from None
        generations = self._supervisor.generations
        for name in generations.needs_restart(config):
            sentence = f"{name} has changed: it takes effect when Propylon is started anew"
            logger.warning("%s", sentence)
            say(sentence)
        return self._order(config)

    def _order(self, config: Config) -> _Reloading:
        supervisor = self._supervisor
        if not supervisor.plan.with_workers and config == supervisor.generations.current:
            raise _Refused(f"{NO_WORKERS}, and its configuration is as it was")
        order = supervisor.generations.next(config, observe=config.reload_observe)
        reloading = self._reloads[order.generation] = _Reloading(order.generation)
        supervisor.controller.configure(fleet_settings(config))
        supervisor.notifier.reloading()
        supervisor.tell(order)
        return reloading

    def reload_ended(self, ended: ReloadEnded) -> None:
        """Told of every one, whoever asked for it."""
        supervisor = self._supervisor
        if ended.committed:
            supervisor.generations.commit(ended.generation)
        if supervisor.plan.with_workers:
            supervisor.generations.count(supervisor.controller.fleet.replicas)
        elif not ended.overtaken:
            supervisor.generations.failed()
        if supervisor.controller.rollout is None:
            current = supervisor.generations.current
            supervisor.controller.configure(fleet_settings(current))
            supervisor.notifier.reloaded()
        reloading = self._reloads.pop(ended.generation, None)
        if reloading is not None:
            reloading.ended = ended
            reloading.over.set()

    def said(self, text: str) -> None:
        """A line of the log."""
        for say in self._listening:
            say(text)

    def _read_again(self) -> Config:
        return self._supervisor.generations.read()

    def _config_before(self) -> Config:
        before = self._supervisor.generations.before
        if before is None:
            raise _Refused(
                "there is no configuration to go back to: it has not changed since this "
                "supervisor began, or was upgraded"
            )
        return before

    def file_changed(self, what: str) -> None:
        if not self._stopping:
            logger.info("%s changed, reloading", what)
            self._order(self._supervisor.generations.current)

    # -- upgrade -----------------------------------------------------------------------------

    async def _upgrade(self, say: Say) -> Result:
        if self._upgrading:
            return Result(False, "not upgraded: an upgrade is under way")
        self._upgrading = True
        result = Result(False, "")
        try:
            result = await self._check_and_upgrade(say)
        finally:
            self._upgrading = result.ok  # until it has been done, or could not be
        return result

    @property
    def upgrading(self) -> bool:
        return self._upgrading

    def not_upgraded(self, why: str) -> None:
        self._upgrading = False
        logger.error("Not upgraded: %s", why)

    async def _check_and_upgrade(self, say: Say) -> Result:
        supervisor = self._supervisor
        if why := self.not_now():
            return Result(False, f"not upgraded: {why}")
        try:
            config = await trio.to_thread.run_sync(supervisor.generations.read)
        except ConfigError as error:
            faults = "\n".join(str(fault) for fault in error.faults)
            return Result(False, f"not upgraded, the configuration is wrong:\n{faults}")
        if config != supervisor.generations.current:
            return Result(False, "not upgraded: the configuration has changed; reload first")
        say("Looking at the code that is installed now")
        if why := await refused(supervisor.save()) or self.not_now():
            return Result(False, f"not upgraded: {why}")
        logger.info("Upgrading: the code that is installed now takes over")
        supervisor.exec_soon()
        generation = supervisor.generations.last + 1 if supervisor.plan.gateways else 0
        return Result(True, "The supervisor takes over", {"generation": generation})

    def changed(self) -> str:
        """Why the configuration as it stands now is none to begin with; "" it is as it was."""
        generations = self._supervisor.generations
        try:
            same = generations.read() == generations.current
        except Exception as error:  # at this moment nothing must go wrong
            logger.debug("the configuration is not read: %r", error)
            same = False
        return "" if same else "the configuration has changed; reload first"

    def not_now(self) -> str:
        """Why there can be no upgrade at this moment; "" there can."""
        controller = self._supervisor.controller
        if controller.phase != "serving":
            return f"Propylon is {controller.phase}"
        if controller.rollout is not None:
            return "a reload is under way"
        gateways = [
            c for c in controller.fleet.processes.values() if c.replica_id.kind == "gateway"
        ]
        if any(gateway.state == "starting" for gateway in gateways):
            return "a gateway is starting"
        if any(pool.preload for pool in self._supervisor.generations.current.pools):
            return "workers of --preload are not children of ours; start Propylon anew instead"
        return ""

    # -- scale -------------------------------------------------------------------------------

    def _scale(self, pool: str, workers: int, *, relative: bool) -> Result:
        counts = self._supervisor.generations.workers
        if not self._supervisor.plan.with_workers:
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
        counts[pool] = wanted
        self._supervisor.tell(ScalePool(pool, wanted))
        sentence = f"Pool {pool}: {wanted} worker{'s' * (wanted > 1)} wanted, {before} before"
        logger.info("%s", sentence)
        return Result(True, sentence)

    # -- signals -----------------------------------------------------------------------------

    def on_stop(self, name: str) -> None:
        self._stops += 1
        self._supervisor.stop(name, now=self._stops > 1)

    def on_logs_moved(self) -> None:
        self._supervisor.reopen_logs()

    async def on_hang_up(self) -> None:
        if self._stopping:
            return
        logger.info("Reloading on SIGHUP")
        self._by_signal += 1
        try:
            await self._begin_reload(self._read_again, _unheard)
        except _Refused as refused:
            logger.error("SIGHUP: %s", refused)
        finally:
            self._by_signal -= 1

    def on_scale(self, by: int) -> None:
        result = self._scale("", by, relative=True)
        if not result.ok:
            logger.warning("%s: %s", "SIGTTIN" if by > 0 else "SIGTTOU", result.message)

    async def on_upgrade(self) -> None:
        result = await self._upgrade(_unheard)
        if not result.ok:
            logger.error("SIGUSR2: %s", result.message)


def _unheard(text: str) -> None:
    """Who sends a signal reads the log."""


class _Refused(Exception):
    """Why a reload is not begun, as a sentence."""
