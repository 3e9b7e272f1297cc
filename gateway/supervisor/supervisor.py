"""The supervisor's main loop: hears children, signals and the clock, tells the table, and does
what it decides. It touches no request."""

import logging
import math
import os
import signal
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Final

import msgspec
import trio

from ..config.build import WorkerSeat, gateway_settings, worker_arguments
from ..config.schema import Config, PoolConfig
from ..listen.address import speaks_tls
from ..listen.sockets import Listeners
from ..settings import ListenerSettings
from .children import ChildTable
from .console import logger
from .exit_reason import exit_hint, exit_words
from .messages import (
    Decision,
    Exited,
    Finish,
    Kill,
    Linked,
    NotReady,
    Place,
    Ready,
    Reload,
    Say,
    Spawn,
    Spawned,
    Start,
    Stop,
    Terminate,
    Tick,
    Told,
)
from .notify import Notifier
from .readiness import Readiness
from .seats import ChildrenSettings
from .spawn import ChildProcess, Event, send_settings, spawn

LEVELS: Final = {"info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}
PATIENCE: Final = 5.0
"""Seconds of silence after which the log says what the start is waiting for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What this supervisor runs."""

    config: Config
    run_dir: str
    listeners: Listeners
    gateways: int
    """0: `propylon worker`."""
    with_workers: bool = True
    """False: `propylon gateway`."""

    @property
    def worker_counts(self) -> Mapping[str, int]:
        return {pool.name: pool.workers for pool in self.config.pools if self.with_workers}

    def places(self) -> list[Place]:
        places = [Place("gateway", number + 1) for number in range(self.gateways)]
        for pool, workers in self.worker_counts.items():
            places += [Place("worker", number + 1, pool) for number in range(workers)]
        return places

    def serving(self) -> str:
        """ "Serving on http://127.0.0.1:8000 (2 workers, 1 gateway, pid 17)"."""
        count = sum(self.worker_counts.values())
        parts = [
            f"{number} {word}{'' if number == 1 else 's'}"
            for number, word in ((count, "worker"), (self.gateways, "gateway"))
            if number
        ]
        summary = f"({', '.join((*parts, f'pid {os.getpid()}'))})"
        if not self.gateways:
            return f"Working for the gateways at {self.run_dir} {summary}"
        urls = ", ".join(item.address.url for item in self.listeners.items)
        waiting = "" if self.with_workers else f"; workers are awaited at {self.run_dir}"
        return f"Serving on {urls} {summary}{waiting}"

    def pool(self, name: str) -> PoolConfig:
        return next(pool for pool in self.config.pools if pool.name == name)


class Supervisor:
    def __init__(self, plan: Plan, notifier: Notifier) -> None:
        self._plan = plan
        self._notifier = notifier
        config = plan.config
        settings = ChildrenSettings(
            startup_timeout=config.startup_timeout,
            graceful_timeout=config.serve.graceful_timeout,
            failed_boot="wait" if config.reload is not None else "exit",
        )
        self._table = ChildTable(settings, plan.places())
        self._readiness = Readiness(range(1, plan.gateways + 1), plan.worker_counts)
        self._processes: dict[int, ChildProcess] = {}
        self._apps: dict[str, Event] = {}
        """Pool -> what a worker of it said when it was ready."""
        self._said_serving = False
        self._code: int | None = None
        # Everything arrives here, so that one task alone tells the table.
        self._send, self._inbox = trio.open_memory_channel[Told](math.inf)

    async def run(self) -> int:
        """The exit code, when every child has ended."""
        async with trio.open_nursery() as nursery:
            await nursery.start(self._hear_signals)
            if self._plan.config.reload is not None:
                from .reload import watch  # watchfiles is an extra

                nursery.start_soon(watch, self._plan.config.reload, self._file_changed)
            nursery.start_soon(self._say_what_is_missing)
            if self._notifier.watchdog_every is not None:
                nursery.start_soon(self._say_it_lives, self._notifier.watchdog_every)
            self._do(Start(), nursery)
            while self._code is None:
                with trio.move_on_at(self._next_tick()) as timer:
                    self._do(await self._inbox.receive(), nursery)
                if timer.cancelled_caught:
                    self._do(Tick(), nursery)
            nursery.cancel_scope.cancel()
        return self._code

    def _next_tick(self) -> float:
        tick = self._table.next_tick
        return math.inf if tick is None else tick

    def _do(self, message: Told, nursery: trio.Nursery) -> None:
        for decision in self._table.tell(message, trio.current_time()):
            self._carry_out(decision, nursery)
        if self._table.phase in ("stopping", "ended"):
            # No gateway follows: when the last one closes its own, clients are refused at once.
            self._plan.listeners.close()
        self._say_when_serving()

    def _carry_out(self, decision: Decision, nursery: trio.Nursery) -> None:
        match decision:
            case Spawn():
                self._spawn(decision, nursery)
            case Terminate(child):
                self._signal(child, signal.SIGTERM)
            case Kill(child):
                self._signal(child, signal.SIGKILL)
            case Say(level, text, detail):
                logger.log(LEVELS[level], "%s", f"{text}\n{detail.rstrip()}" if detail else text)
            case Finish(code):
                self._code = code

    def _signal(self, child: int, number: signal.Signals) -> None:
        if child in self._processes:
            self._processes[child].signal(number)

    # Children.

    def _spawn(self, decision: Spawn, nursery: trio.Nursery) -> None:
        child, place = decision.child, decision.place
        try:
            if place.kind == "gateway":
                process = self._spawn_gateway(place, nursery)
            else:
                process = self._spawn_worker(place, decision.generation)
        except OSError as exc:
            self._send.send_nowait(Exited(child, f"could not be started: {exc.strerror}"))
            return
        logger.debug("%s started, pid %d", place, process.pid)
        self._processes[child] = process
        self._send.send_nowait(Spawned(child, process.pid))
        nursery.start_soon(self._tend, child, place, process)

    def _spawn_gateway(self, place: Place, nursery: trio.Nursery) -> ChildProcess:
        listeners = [
            ListenerSettings(fd=fd, address=address, tls=speaks_tls(item.address))
            for (fd, address), item in zip(
                self._plan.listeners.for_gateway(place.number),
                self._plan.listeners.items,
                strict=True,
            )
        ]
        settings = gateway_settings(self._plan.config, place.number, self._plan.run_dir, listeners)
        theirs, ours = os.pipe()
        try:
            process = spawn(
                "propylon.gateway.process",
                lambda leash: [f"--settings-fd={theirs}", f"--leash-fd={leash}"],
                [theirs, *(listener.fd for listener in listeners)],
            )
        except BaseException:
            os.close(ours)
            raise
        finally:
            os.close(theirs)
        nursery.start_soon(send_settings, ours, msgspec.json.encode(settings))
        return process

    def _spawn_worker(self, place: Place, generation: int) -> ChildProcess:
        plan = self._plan

        def arguments(leash: int) -> list[str]:
            seat = WorkerSeat(
                number=place.number, generation=generation, run_dir=plan.run_dir, leash_fd=leash
            )
            return worker_arguments(plan.config, plan.pool(place.pool), seat)

        return spawn("propylon.worker", arguments)

    async def _tend(self, child: int, place: Place, process: ChildProcess) -> None:
        code = await process.run(partial(self._hear_child, child, place))
        del self._processes[child]
        if place.kind == "gateway":
            self._readiness.gone(place.number)
            for pool in self._plan.worker_counts:
                self._send.send_nowait(Linked(pool, *self._readiness.range(pool)))
        self._send.send_nowait(Exited(child, exit_words(code), exit_hint(code), clean=code == 0))

    def _hear_child(self, child: int, place: Place, event: Event) -> None:
        match event:
            case {"event": "ready"} if place.kind == "worker":
                self._apps[place.pool] = event
                logger.debug("%s ready", place)
                self._send.send_nowait(Ready(child))
            case {"event": "listening"} if place.kind == "gateway":
                self._readiness.listening(place.number)
                self._send.send_nowait(Ready(child))
            case {"event": "pool", "pool": str(pool), "ready": int(ready)}:
                self._readiness.linked(place.number, pool, ready)
                self._send.send_nowait(Linked(pool, *self._readiness.range(pool)))
            case {"event": "not_ready" | "failed", "error": str(error)}:
                self._send.send_nowait(NotReady(child, error, str(event.get("detail") or "")))
            case _:
                logger.debug("%s says what is not understood: %r", place, event)

    # The world outside.

    async def _hear_signals(
        self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
    ) -> None:
        wanted = [signal.SIGTERM, signal.SIGINT]
        if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # else nohup's wish
            wanted.append(signal.SIGHUP)
        with trio.open_signal_receiver(*wanted) as signals:
            task_status.started()
            async for number in signals:
                if number == signal.SIGHUP:
                    self._hang_up()
                    continue
                if self._table.phase != "stopping":
                    logger.info("Stopping on %s", signal.Signals(number).name)
                    self._notifier.stopping(f"Stopping on {signal.Signals(number).name}")
                self._send.send_nowait(Stop())

    def _hang_up(self) -> None:
        if not self._plan.worker_counts:
            logger.warning("SIGHUP: there are no workers here to replace, nothing is reloaded")
        elif self._table.phase in ("starting", "serving"):
            logger.info("Reloading on SIGHUP: new workers; options stay as they are")
            self._send.send_nowait(Reload())

    def _file_changed(self, what: str) -> None:
        logger.info("%s changed, reloading", what)
        self._send.send_nowait(Reload())

    # What the operator reads.

    def _say_when_serving(self) -> None:
        if self._said_serving or self._table.phase != "serving" or not self._readiness.complete:
            return
        self._said_serving = True
        for pool, said in self._apps.items():
            name = f"Pool {pool}: " if len(self._apps) > 1 else ""
            on = f" on {said['loop']}" if said.get("loop") else ""
            logger.info("%s%s, %s%s", name, said.get("app"), said.get("interface"), on)
        logger.info("%s", self._plan.serving())
        self._notifier.ready(self._plan.serving())

    async def _say_what_is_missing(self) -> None:
        await trio.sleep(PATIENCE)
        missing = ", ".join(self._readiness.missing())
        if not self._said_serving and missing and self._table.phase in ("starting", "serving"):
            logger.info("Still starting; not there yet: %s", missing)
            self._notifier.status(f"Still starting; not there yet: {missing}")

    async def _say_it_lives(self, every: float) -> None:
        while True:
            self._notifier.alive()
            await trio.sleep(every)
