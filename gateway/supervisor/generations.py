"""The configurations that one supervisor runs: a plan that stays for its life, what each generation
asks for, and how an operator changes that, by reload, rollback and scale.

A reload has two halves, and time passes between them. The first reads the configuration, gives it
the number of a new generation and orders the rollout; faults in the configuration are reported at
once. The second comes when the rollout has ended, seconds or minutes later: then the new generation
is current, or the old one still is. In between a new rollout may be ordered: the fleet drops the
older one, and both end. So each order has a `Reloading` of its own to wait on, and the settings of
all processes (mostly deadlines) are those of the latest order.
"""

import os
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Final

import trio

from ..config.build import gateway_settings
from ..config.config import Config, PoolConfig
from ..config.faults import ConfigError
from ..control.commands import Result
from ..control.server import Say
from ..listen.sockets import Listeners
from ..observe.process_log import logger
from .fleet.autoscaler import Move
from .fleet.controller import FleetController
from .fleet.events import (
    Configure,
    FleetEvent,
    FleetSettings,
    ReloadEnded,
    ReplicaId,
    RollOut,
    ScalePool,
)
from .systemd_notify import Notifier

NO_WORKERS: Final = "there are no workers here: this is a gateway alone"
_FOR_LIFE: Final = (
    "addresses", "backlog", "gateways", "run_dir", "pid_file", "identity", "umask", "reload",
    "admin_addresses",
)  # fmt: skip
"""Fields of Config that a reload leaves as they are; they need a restart."""
_CALLED: Final = {
    "addresses": "bind", "pid_file": "pid", "identity": "user or group",
    "admin_addresses": "admin-bind",
}  # fmt: skip
"""Such a field -> its option, if that has another name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    run_dir: str
    control_socket: str
    listeners: Listeners
    admin: Listeners = field(default_factory=Listeners)
    """The sockets of the admin listener; none if there is none."""
    lock: int | None = None
    """The descriptor of the run directory's lock."""
    temporary: bool = False
    """Whether the run directory is removed at the end."""
    gateways: int
    """How many gateway processes there are; 0 for `propylon worker`."""
    with_workers: bool = True
    """Whether there are workers; False for `propylon gateway`."""


class Generations:
    """The configurations that are in use, by generation, and the one before."""

    def __init__(self, plan: Plan, config: Config, read: Callable[[], Config]) -> None:
        """`read` reads the configuration again; it raises ConfigError."""
        self.read = read
        self.current = config
        self.before: Config | None = None
        """The configuration before the last reload that changed it."""
        self.workers: dict[str, int] = {pool.name: pool.workers for pool in config.pools}
        """Pool -> the number of workers that are wanted now, by configuration or by `scale`."""
        self.scaled: set[str] = set()
        """The pools whose number an operator has set: no autoscaler changes it."""
        self._plan = plan
        self._configs = {1: config}
        self._last = 1
        self._gateways_due = False
        """Whether the gateways still run the code from before an upgrade."""

    def resume(
        self, generation: int, last: int, workers: Mapping[str, int], scaled: Iterable[str]
    ) -> None:
        """Continues after an upgrade, with the same configuration. `scaled` are the pools that an
        operator has scaled; older code does not say so, but a number out of the range tells it."""
        self.scaled = set(scaled) | {
            pool.name
            for pool in self.current.pools
            if not pool.workers <= workers.get(pool.name, pool.workers) <= pool.most_workers
        }
        self._configs = {generation: self.current}
        self._last = last
        self.workers = dict(workers)

    @property
    def with_workers(self) -> bool:
        return self._plan.with_workers

    @property
    def next_of_gateways(self) -> int:
        """The generation of the gateways after an upgrade; 0 if there are none."""
        return self._last + 1 if self._plan.gateways else 0

    @property
    def last(self) -> int:
        """The number of the newest generation."""
        return self._last

    def config(self, generation: int) -> Config:
        return self._configs[generation]

    def pool(self, generation: int, name: str) -> PoolConfig:
        """The configuration of a pool in a generation. Raises LookupError."""
        for pool in self._configs[generation].pools:
            if pool.name == name:
                return pool
        raise LookupError(f"there is no pool {name}")

    def replicas(self) -> frozenset[ReplicaId]:
        """The replicas of the current configuration, as it has been scaled."""
        return self._replicas(self.workers)

    def _replicas(self, workers: Mapping[str, int]) -> frozenset[ReplicaId]:
        gateways = [ReplicaId("gateway", number + 1) for number in range(self._plan.gateways)]
        if not self._plan.with_workers:
            return frozenset(gateways)
        return frozenset(gateways) | {
            ReplicaId("worker", number + 1, pool)
            for pool, count in workers.items()
            for number in range(count)
        }

    def next(self, config: Config, *, observe: float) -> RollOut:
        """Begins a generation: returns the order to bring a configuration, and the code that is
        installed now, into use."""
        config = replace(config, **{name: getattr(self.current, name) for name in _FOR_LIFE})
        self._last += 1
        self._configs[self._last] = config
        changed = config != self.current
        return RollOut(
            generation=self._last,
            replicas=self._replicas(self._wanted(config)),
            replaced=frozenset({"worker", "gateway"})
            if self._gateways_due or self._gateway_side(config) != self._gateway_side(self.current)
            else frozenset({"worker"}),
            at_once=config.reload is not None,
            observe=0.0 if config.reload is not None else observe,
            # With --preload a zygote keeps the old code in memory.
            reverts=changed or all(pool.preload for pool in self.current.pools),
        )

    def next_gateways(self) -> RollOut:
        """Begins a generation: returns the order to replace the gateways alone, by the code that is
        installed now."""
        self._last += 1
        self._configs[self._last] = self.current
        self._gateways_due = True
        return RollOut(
            generation=self._last, replicas=self.replicas(), replaced=frozenset({"gateway"})
        )

    def needs_restart(self, config: Config) -> list[str]:
        """The options that have changed and that a reload leaves as they are."""
        return [
            _CALLED.get(name, name.replace("_", "-"))
            for name in _FOR_LIFE
            if getattr(config, name) != getattr(self.current, name)
        ]

    def scale(self, pool: str, workers: int) -> None:
        """An operator sets the number of a pool's workers."""
        self.workers[pool] = workers
        self.scaled.add(pool)

    def move(self, pool: str, workers: int) -> None:
        """An autoscaler changes the number of a pool's workers."""
        self.workers[pool] = workers

    def unscale(self, pool: str) -> int:
        """Takes an operator's number back. Returns the number that the configuration means: the
        present one where it is in the range."""
        self.scaled.discard(pool)
        for one in self.current.pools:
            if one.name == pool:
                self.workers[pool] = _within(one, self.workers[pool])
        return self.workers[pool]

    def ended(self, rollout: ReloadEnded, replicas: Iterable[ReplicaId]) -> None:
        """A rollout has ended; `replicas` are wanted from now on."""
        if rollout.committed:
            config = self._configs[rollout.generation]
            self.scaled &= self._unchanged(config)
            if config != self.current:
                self.before, self.current = self.current, config
            self._gateways_due = False
            self._drop_older_than(rollout.generation)
        if self.with_workers:
            # Their number is the configuration's, unless it was scaled meanwhile.
            counts = Counter(name.pool for name in replicas if name.kind == "worker")
            self.workers = {pool.name: counts[pool.name] for pool in self.current.pools}
        elif not rollout.overtaken:
            # It failed for a reason of its own: the next one need not replace the gateways for it.
            self._gateways_due = False

    def _wanted(self, config: Config) -> dict[str, int]:
        """The wanted workers of each pool. A number that was scaled stays, unless the configuration
        has changed its own; what an autoscaler has found stays as far as a new range allows."""
        unchanged = self._unchanged(config)
        return {
            pool.name: self.workers[pool.name]
            if pool.name in unchanged
            else _within(pool, self.workers.get(pool.name, 0))
            for pool in config.pools
        }

    def _unchanged(self, config: Config) -> set[str]:
        """The pools whose number of workers is in a configuration as it is now."""
        before = {pool.name: (pool.workers, pool.workers_max) for pool in self.current.pools}
        return {
            pool.name
            for pool in config.pools
            if before.get(pool.name) == (pool.workers, pool.workers_max)
        }

    def _gateway_side(self, config: Config) -> object:
        return gateway_settings(config, 1, self._plan.run_dir, ())

    def _drop_older_than(self, generation: int) -> None:
        self._configs = {number: c for number, c in self._configs.items() if number >= generation}


def _within(pool: PoolConfig, workers: int) -> int:
    return min(max(workers, pool.workers), pool.most_workers)


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
        """Generation -> its reload, for all that have not ended."""
        self._reading = 0
        """Reloads that read their configuration now."""

    # -- reload and rollback -------------------------------------------------------------------

    async def reload(self, say: Say) -> Reloading:
        """Reloads: reads the configuration as a start would, and deploys it. Raises Refused."""
        with self._announced():
            self._reading += 1
            try:
                config = await trio.to_thread.run_sync(self._generations.read)
            except ConfigError as error:
                faults = "\n".join(str(fault) for fault in error.faults)
                raise Refused(f"not reloaded, the configuration is wrong:\n{faults}") from None
            finally:
                self._reading -= 1
            return self._deploy(config, say)

    async def roll_back(self, say: Say) -> Reloading:
        """Deploys the configuration before the last reload that changed it. Raises Refused."""
        before = self._generations.before
        if before is None:
            raise Refused(
                "there is no configuration to go back to: it has not changed since this "
                "supervisor began, or was upgraded"
            )
        with self._announced():
            return self._deploy(before, say)

    def reload_code(self, what: str) -> None:
        """Deploys the same configuration with the code that is there now. Raises Refused."""
        logger.info("%s changed, reloading", what)
        with self._announced():
            self._order(self._generations.current)

    @contextmanager
    def _announced(self) -> Generator[None]:
        """Tells systemd that a reload begins, and, if it is refused, that it is over.

        `systemctl reload` of a unit of Type=notify-reload sends SIGHUP and waits for both words
        (systemd.service(5)); without them it would wait for TimeoutStartSec. Of several reloads
        the last to end says READY.
        """
        self._notifier.reloading()
        try:
            yield
        except Refused as error:
            self._say_reloaded(f"Reload refused: {error}")
            raise

    def _say_reloaded(self, status: str) -> None:
        if self._controller.rollout is None and not self._reading:
            self._notifier.reloaded(status)

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
        self._tell(Configure(fleet_settings(config)))
        self._tell(order)
        return reloading

    def reload_ended(self, ended: ReloadEnded) -> None:
        """Notes the end of a rollout."""
        self._generations.ended(ended, self._controller.fleet.replicas)
        if self._controller.rollout is None:
            self._tell(Configure(fleet_settings(self._generations.current)))
            self._say_reloaded(how_it_went(ended))
        reloading = self._reloads.pop(ended.generation, None)
        if reloading is not None:
            reloading.end(ended)

    # -- scale ---------------------------------------------------------------------------------

    def scale(self, pool: str, workers: int, *, relative: bool) -> Result:
        """Sets the number of a pool's workers. `pool` may be "" if there is only one pool. If
        `relative`, `workers` is added to the number."""
        try:
            pool = self._pool_called(pool)
        except Refused as refused:
            return Result(False, str(refused))
        before = self._generations.workers[pool]
        wanted = before + workers if relative else workers
        if wanted < 1:
            return Result(False, f"pool {pool} has {before}, and needs at least one worker")
        self._generations.scale(pool, wanted)
        self._tell(ScalePool(pool, wanted))
        return Result(True, _say_scaled(pool, wanted, before))

    def unscale(self, pool: str) -> Result:
        """Takes back what `scale` has set: the configuration's number is wanted, or an autoscaler
        moves it."""
        try:
            pool = self._pool_called(pool)
        except Refused as refused:
            return Result(False, str(refused))
        before = self._generations.workers[pool]
        wanted = self._generations.unscale(pool)
        self._tell(ScalePool(pool, wanted))
        of = self._generations.pool(self._controller.fleet.generation, pool)
        return Result(True, _say_scaled(pool, wanted, before, f"configured are {of.workers_text}"))

    def move(self, pool: str, move: Move) -> None:
        """Carries out what an autoscaler has decided."""
        self._generations.move(pool, move.workers)
        self._tell(ScalePool(pool, move.workers))
        _say_scaled(pool, move.workers, move.before, move.why)

    def _pool_called(self, pool: str) -> str:
        """The name of a pool; "" is the only one. Raises Refused."""
        counts = self._generations.workers
        if not self._generations.with_workers:
            raise Refused(NO_WORKERS)
        if not pool and len(counts) > 1:
            raise Refused(f"there are several pools, say which: {', '.join(counts)}")
        pool = pool or next(iter(counts))
        if pool not in counts:
            raise Refused(f"there is no pool {pool}; there is {', '.join(counts)}")
        return pool


def _say_scaled(pool: str, wanted: int, before: int, why: str = "") -> str:
    """Logs how many workers a pool shall have from now on. Returns the sentence."""
    sentence = f"Pool {pool}: {wanted} worker{'s' * (wanted > 1)} wanted, {before} before"
    sentence = f"{sentence}: {why}" if why else sentence
    logger.info("%s", sentence)
    return sentence


def how_it_went(ended: ReloadEnded) -> str:
    """A reload's end as `systemctl status` shows it, after the word that the service is ready."""
    if ended.committed:
        return f"Reloaded, generation {ended.generation} serves"
    return f"Reload failed, the generation before serves on: {ended.why}"


def fleet_settings(config: Config) -> FleetSettings:
    return FleetSettings(
        startup_timeout=config.startup_timeout,
        graceful_timeout=config.serve.graceful_timeout,
        heartbeat_timeout=config.heartbeat_timeout,
        failed_boot="wait" if config.reload is not None else "exit",
    )


def serving(plan: Plan, workers: Mapping[str, int]) -> str:
    """The line of the log that says what is served and where: "Serving on http://127.0.0.1:8000 (2
    workers, 1 gateway, pid 17)"."""
    count = sum(workers.values()) if plan.with_workers else 0
    parts = [
        f"{number} {word}{'' if number == 1 else 's'}"
        for number, word in ((count, "worker"), (plan.gateways, "gateway"))
        if number
    ]
    summary = f"({', '.join((*parts, f'pid {os.getpid()}'))})"
    if not plan.gateways:
        return f"Working for the gateways at {plan.run_dir} {summary}"
    urls = ", ".join(item.address.url for item in plan.listeners.items)
    waiting = "" if plan.with_workers else f"; workers are awaited at {plan.run_dir}"
    return f"Serving on {urls} {summary}{waiting}"
