"""The supervisor's main loop. It takes events of children, signals and the clock, hands them to the
fleet's controller, and carries out the commands that the controller answers with. It touches no
request.
"""

import logging
import math
import secrets
import signal
from collections.abc import Iterable, Iterator, Mapping, Set
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Final

import trio

from ...protocol.supervision.messages import (
    ConfirmLogs,
    ExitNow,
    GatewayAlive,
    GatewayDraining,
    GatewayFailed,
    GatewayMetrics,
    Listening,
    LogsReopened,
    NotUnderstood,
    PoolWorkers,
    Problem,
    ProblemsSeen,
    RecycleWish,
    ReopenLogs,
    Report,
    StopWaits,
    Vitals,
    WorkerEnded,
    WorkerFailed,
    WorkerReady,
)
from ..config.config import Config, PoolConfig
from ..config.memory import memory_limit, oom_kills
from ..control.run_dir import RunDirError
from ..control.server import ControlServer
from ..control.status import PoolStatus, ProblemStatus, StatusReport
from ..metrics.exposed import ExposedFamily
from ..observe.logs import Logs
from ..observe.process_log import logger
from .autoscaling import Autoscaling
from .child_ends import ChildEnd, ChildEnds
from .fleet.controller import FleetController
from .fleet.events import (
    Alive,
    Answered,
    Draining,
    DrainProcess,
    Exited,
    Finish,
    FleetCommand,
    FleetEvent,
    Kill,
    Linked,
    NotReady,
    Ready,
    Recycle,
    ReloadEnded,
    ReplicaId,
    Say,
    ShowStacks,
    Spawn,
    Spawned,
    Start,
    StopAll,
    StopNow,
    Tick,
    read_recycle_kind,
)
from .fleet.shutdown_waits import waits_for
from .full_volume import FullVolume
from .generations import Deployment, Generations, Plan, fleet_settings, serving
from .instance_metrics import InstanceMetrics
from .log_reopening import LogReopening, Process
from .no_workers import NoWorkers
from .operations import Operations
from .own_problems import OwnProblems
from .problems import Problems
from .process.child import ChannelledProcess, children
from .process.launcher import Launcher
from .process.log_files import give_logs
from .process.oom_kills import OomKills
from .process.reaper import reap_strangers
from .process.zygote import PreloadFailed
from .signals import hear_signals
from .status_builder import StatusBuilder
from .systemd_notify import Notifier
from .upgrade.code_upgrade import CodeUpgrade
from .upgrade.exec import exec_installed_code, hold_signals
from .upgrade.save_and_restore import restore, save
from .upgrade.saved_state import Handover

if TYPE_CHECKING:
    from ..admin.listener import AdminListener
    from .app_metrics import AppMetrics

LEVELS: Final = {"info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}
STOP_SAYS_AFTER: Final = 2.0
"""Seconds after which the log says what a stop waits for."""
STOP_SAYS_EVERY: Final = 10.0
MISSING_AFTER: Final = 5.0
"""Seconds without news after which the log says what a start waits for."""
ANSWERED_WITHIN: Final = 1.0
"""Seconds that clients of the control socket have to read their answers before an exec."""
COMES_WITHIN: Final = 0.2
"""Seconds after which a signal to a whole group has reached every process of it."""
HEARD_WITHIN: Final = 20
"""Turns of the event loop within which a signal that has come is handled; twice as many as it
takes."""


class Supervisor:
    def __init__(
        self,
        plan: Plan,
        generations: Generations,
        notifier: Notifier,
        handover: Handover | None = None,
    ) -> None:
        """`handover` is the state from before an upgrade; None for a new start."""
        if handover is not None:
            generations.resume(
                handover.generation, handover.last_generation, handover.workers, handover.scaled
            )
        self._plan = plan
        self._generations = generations
        self._notifier = notifier
        # A gateway may be linked to workers of several supervisors, so numbers have to differ.
        self._controller = FleetController(
            fleet_settings(generations.current),
            sorted(generations.replicas()),
            first_id=handover.next_id if handover else secrets.randbits(40) << 12,
        )
        addresses = tuple(item.address.url for item in plan.listeners.items)
        admin = tuple(item.address.url for item in plan.admin.items)
        self._status_builder = StatusBuilder(0.0, addresses, admin)
        self._oom_kills = OomKills(oom_kills, memory_limit)
        self._deployment = Deployment(generations, self._controller, notifier, self._tell)
        self._upgrade = CodeUpgrade(generations, self._controller, self._save, self._tell)
        self._operations = Operations(self, self._deployment, self._upgrade)
        self._control = ControlServer(
            plan.control_socket, self._operations.carry_out, handover.control if handover else None
        )
        self._admin: AdminListener | None = None
        self._app_metrics: AppMetrics | None = None
        self._launcher: Launcher
        self._processes: dict[int, ChannelledProcess] = {}
        self._metrics = InstanceMetrics(
            self._controller, self._processes, handover.metrics if handover else None
        )
        self._autoscaling = Autoscaling(
            generations, self._controller, self._deployment, self._metrics, self._status_builder
        )
        self._forking: dict[int, trio.CancelScope] = {}
        """Workers that a zygote is about to fork."""
        self._logs = Logs()
        self._logs_moved: set[int] = set()
        """Workers that are not ready yet and have opened their logs before these were moved."""
        self._reopening = LogReopening()
        self._problems = Problems(
            lambda sentence: logger.error("%s", sentence),
            lambda sentence: logger.info("%s", sentence),
        )
        self._own_problems = OwnProblems(self._problems, trio.current_time)
        self._no_workers = NoWorkers(plan.run_dir, with_workers=plan.with_workers)
        self._own_problems.add(self._pools_without_workers)
        self._own_problems.add(self._control.problems)
        self._own_problems.add(self._logs.problems)
        self._own_problems.add(FullVolume(f"the run directory {plan.run_dir}", plan.run_dir).at)
        self._ends = ChildEnds(
            self._controller.fleet.processes, self._oom_kills, self._status_builder
        )
        self._ends.hear(lambda end: self._metrics.ended(end.child))
        self._ends.hear(lambda end: self._problems.ended(end.child, end.at))
        self._ends.hear(lambda end: self._logs_moved.discard(end.child))
        self._ends.hear(lambda end: self._reopening.process_ended(end.child))
        self._ends.hear(self._links_ended)
        self._apps: dict[str, WorkerReady] = {}
        """Pool -> the report of a worker of it that was ready."""
        self._handover = handover
        self._said_serving = handover is not None
        self._stopping = trio.Event()
        self._exec_by: float | None = None
        self._code: int | None = None
        # All events arrive here, so that only one task talks to the controller.
        self._send, self._inbox = trio.open_memory_channel[FleetEvent](math.inf)

    def _tell(self, event: FleetEvent) -> None:
        """Queues an event for the controller."""
        self._send.send_nowait(event)

    async def run(self) -> int:
        """Runs the loop. Returns the exit code when every child has ended. Raises RunDirError (in a
        group)."""
        uptime = self._handover.uptime if self._handover else 0.0
        self._status_builder.begin(trio.current_time() - uptime)
        config = self._generations.current
        async with trio.open_nursery() as nursery:
            self._launcher = Launcher(self._plan, nursery, self._reopening, self._found_limit)
            self._own_problems.add(self._launcher.problems)
            if self._handover is not None:
                # The start comes before the requests of signals and commands that have waited.
                self._resume(self._handover, nursery)
            await nursery.start(hear_signals, self._operations)
            try:
                await nursery.start(self._control.run)
            except OSError as exc:
                problem = f"control socket {self._plan.control_socket}: {exc.strerror}"
                raise RunDirError(problem) from None
            if self._plan.admin.items:
                nursery.start_soon(self._open_admin().run)
                nursery.start_soon(self._metrics.collect_for_ever)
                nursery.start_soon(self._open_app_metrics().run)
            if self._plan.gateways and self._plan.with_workers:
                nursery.start_soon(self._autoscaling.run, trio.current_time)
            if config.reload is not None:
                from .file_watcher import watch  # watchfiles is an extra

                nursery.start_soon(watch, config.reload, self._operations.file_changed)
            await nursery.start(reap_strangers, children, self._knows_all_children)
            nursery.start_soon(self._oom_kills.run, trio.current_time)
            nursery.start_soon(self._own_problems.run)
            nursery.start_soon(self._say_what_is_missing)
            nursery.start_soon(self._say_what_a_stop_waits_for)
            if self._notifier.watchdog_every is not None:
                nursery.start_soon(self._say_it_lives, self._notifier.watchdog_every)
            if self._handover is None:
                self._do(Start(), nursery)
            while self._code is None:
                await self._exec_if_due()
                with trio.move_on_at(self._next_tick()) as timer:
                    self._do(await self._inbox.receive(), nursery)
                if timer.cancelled_caught:
                    self._do(Tick(), nursery)
            if self._admin is not None:
                # The listener has duplicates; with these, nobody can connect who is not answered.
                self._plan.admin.close()
                await self._admin.end()
            nursery.cancel_scope.cancel()
        return self._code

    def _found_limit(self, pool: str) -> int:
        return self._status_builder.found_limit(self._controller.fleet.processes.values(), pool)

    def _open_admin(self) -> "AdminListener":
        # Imported here: without an admin listener the supervisor serves no HTTP.
        from ..admin.listener import AdminListener
        from .admin_view import AdminView

        view = AdminView(
            self,
            self._plan,
            self._generations,
            self._controller,
            has_started=self._handover is not None,
        )
        self._admin = AdminListener(self._plan.admin, view)
        self._own_problems.add(self._admin.out_of_files.at)
        return self._admin

    def _open_app_metrics(self) -> "AppMetrics":
        # Imported here: without an admin listener nobody asks what apps count.
        from .app_metrics import AppMetrics

        identity = self._generations.current.identity
        self._app_metrics = AppMetrics(
            self._plan.control_socket,
            lambda: [pool.name for pool in self._generations.current.pools],
            knows=self._controller.fleet.processes.__contains__,
            only_own=not self._plan.gateways,
            owner=None if identity is None else identity.uid,
        )
        if self._handover is not None:
            self._app_metrics.restore(self._handover.app_metrics)
        self._metrics.add(self._app_metrics.families)
        ended = self._app_metrics.ended
        self._ends.hear(lambda end: ended(end.child))
        return self._app_metrics

    def _next_tick(self) -> float:
        tick = self._controller.next_tick
        tick = math.inf if tick is None else tick
        return tick if self._exec_by is None else min(tick, trio.current_time() + 0.02)

    def _do(self, event: FleetEvent, nursery: trio.Nursery) -> None:
        try:
            for command in self._controller.tell(event, trio.current_time()):
                self._carry_out(command, nursery)
        except Exception:
            # Whatever fails here, the children need this process.
            logger.exception("a fault of Propylon's supervisor, at %r", event)
        if self._controller.stops:
            # No gateway follows: clients are refused as soon as the last one has closed its socket.
            self._plan.listeners.close()
        self._say_when_serving()

    def _carry_out(self, command: FleetCommand, nursery: trio.Nursery) -> None:
        match command:
            case Spawn():
                self._spawn(command, nursery)
            case DrainProcess(child):
                self._signal(child, signal.SIGTERM)
            case StopNow(child):
                if child in self._processes:
                    self._processes[child].order(ExitNow())
            case ShowStacks(child):
                self._signal(child, signal.SIGQUIT)
            case Kill(child):
                self._signal(child, signal.SIGKILL)
            case Say(level, text, detail):
                self._operations.said(text)
                detail = detail.rstrip()
                whole = f"{text}\n{detail}" if detail else text
                logger.log(LEVELS[level], "%s", whole, extra={"detail": detail})
            case ReloadEnded():
                self._status_builder.reload_ended(command, trio.current_time())
                self._metrics.reload_ended(command, trio.current_time())
                self._deployment.reload_ended(command)
                self._launcher.drain_zygotes(self._controller.generations)
            case Finish(code):
                self._code = code

    def _signal(self, child: int, number: signal.Signals) -> None:
        if child in self._processes:
            self._processes[child].signal(number)
        elif child in self._forking:
            if number != signal.SIGQUIT:
                self._forking[child].cancel()
        elif number == signal.SIGKILL:
            self._tell(Exited(child, "was never started"))  # a fault of ours

    # An upgrade.

    def _save(self) -> Handover:
        return save(
            self._plan,
            self._generations,
            self._controller,
            self._processes,
            self._launcher,
            control=self._control.listener,
            now=trio.current_time(),
            began=self._status_builder.began,
            metrics=self._metrics.save(),
            elsewhere=self._status_builder.save_linked(),
            scalers=self._autoscaling.save(trio.current_time()),
            app_metrics={} if self._app_metrics is None else self._app_metrics.save(),
        )

    async def _exec_if_due(self) -> None:
        if self._upgrade.state != "due":
            return
        if self._exec_by is None:
            self._exec_by = trio.current_time() + ANSWERED_WITHIN
            if self._admin is not None:
                self._admin.pause()
        if not self._all_is_done(self._exec_by):
            return
        with hold_signals() as held:
            for _ in range(HEARD_WITHIN):
                await trio.lowlevel.checkpoint()
            if self._all_is_done(self._exec_by):
                self._exec_by = None
                # Events that came after the answer count too, and changes of the configuration.
                why = self._upgrade.obstacle()
                self._upgrade.failed(why or exec_installed_code(self._save(), held))
                if self._admin is not None:
                    self._admin.resume()

    def _all_is_done(self, by: float) -> bool:
        if self._inbox.statistics().current_buffer_used or not self._operations.idle:
            return False
        if any(process.has_ended for process in self._processes.values()):
            return False  # the fleet is about to hear of its end; there is no channel to hand over
        if self._admin is not None and self._admin.state != "paused":
            return False
        return self._control.idle or trio.current_time() >= by

    def _resume(self, handover: Handover, nursery: trio.Nursery) -> None:
        now = trio.current_time()
        self._launcher.resume(
            handover.starts,
            {c.pid: c.listener_name for c in handover.children if c.listener_name},
            handover.secret,
        )
        for child, process in restore(handover, self._controller, now).items():
            self._processes[child] = process
            nursery.start_soon(
                self._tend, child, self._controller.fleet.processes[child].replica_id, process
            )
        self._autoscaling.restore(handover.scalers, now)
        for links in handover.elsewhere:
            # A gateway reports its workers when that changes, which may be never.
            if gateway := self._controller.fleet.processes.get(links.gateway):
                self._status_builder.linked(gateway, links.pool, links.workers)
        logger.info("Took over from older code, with %d processes", len(self._processes))
        if self._plan.gateways:
            self._tell(self._generations.next_gateways())
        else:
            self._tell(Tick())

    # Children.

    def _spawn(self, order: Spawn, nursery: trio.Nursery) -> None:
        replica_id, config = order.replica_id, self._generations.config(order.generation)
        try:
            if replica_id.kind == "gateway":
                follows = order.replaces or self._controller.phase == "serving"
                process = self._launcher.gateway(config, order, await_workers=follows)
            else:
                pool = self._generations.pool(order.generation, replica_id.pool)
                if pool.preload:
                    self._forking[order.child] = trio.CancelScope()
                    nursery.start_soon(self._fork, order, config, pool, nursery)
                    return
                process = self._launcher.worker(config, pool, order)
        except Exception as error:  # whatever it is, the fleet has to hear that there is no child
            logger.debug("%s was not started", replica_id, exc_info=error)
            self._tell(Exited(order.child, f"could not be started: {_reason(error)}"))
            return
        self._started(order, process, nursery)

    async def _fork(
        self, order: Spawn, config: Config, pool: PoolConfig, nursery: trio.Nursery
    ) -> None:
        how = "was never forked"
        with self._forking[order.child]:
            try:
                process = await self._launcher.forked_worker(config, pool, order)
                self._started(order, process, nursery)
                return
            except PreloadFailed as failure:
                self._tell(NotReady(order.child, failure.error, failure.detail))
            except Exception as error:
                logger.debug("%s was not forked", order.replica_id, exc_info=error)
                how = f"could not be forked: {_reason(error)}"
            finally:
                del self._forking[order.child]
        self._tell(Exited(order.child, how))

    def _started(self, order: Spawn, process: ChannelledProcess, nursery: trio.Nursery) -> None:
        logger.debug("%s started, pid %d", order.replica_id, process.pid)
        self._processes[order.child] = process
        self._tell(Spawned(order.child, process.pid))
        nursery.start_soon(self._tend, order.child, order.replica_id, process)

    async def _tend(self, child: int, replica_id: ReplicaId, process: ChannelledProcess) -> None:
        code = await process.run(partial(self._hear_child, child, replica_id))
        if code == -signal.SIGTERM and self._controller.phase != "stopping":
            # The signal may have been sent to the whole group or unit, as systemd does. Then it
            # reaches the supervisor too, and a child that it ends has not failed to start.
            with trio.move_on_after(COMES_WITHIN):
                await self._stopping.wait()
        del self._processes[child]
        end = ChildEnd(child, replica_id, process.pid, code, trio.current_time())
        self._tell(self._ends.tell(end))

    def _links_ended(self, end: ChildEnd) -> None:
        if end.replica_id.kind == "gateway":
            self._launcher.gateway_ended(end.pid)
            return
        # A worker's may have no end of file, if a child that the app has forked holds them.
        for gateway in self._running("gateway"):
            gateway.order(WorkerEnded(end.child))

    def _knows_all_children(self) -> bool:
        return self._upgrade.state == "none"

    def _running(self, kind: str) -> Iterator[ChannelledProcess]:
        for number, process in self._processes.items():
            child = self._controller.fleet.processes.get(number)
            if child is not None and child.replica_id.kind == kind:
                yield process

    def _hear_child(
        self, child: int, replica_id: ReplicaId, report: Report | NotUnderstood
    ) -> None:
        match report:
            case WorkerReady() if replica_id.kind == "worker":
                self._apps[replica_id.pool] = report
                logger.debug("%s ready", replica_id)
                if child in self._logs_moved:
                    self._logs_moved.discard(child)
                    self._processes[child].order(ReopenLogs())
                    if token := self._reopening.token:
                        self._processes[child].order(ConfirmLogs(token))
                self._tell(Ready(child))
            case Listening() if replica_id.kind == "gateway":
                self._tell(Ready(child))
            case GatewayDraining() if replica_id.kind == "gateway":
                self._tell(Draining(child))
            case LogsReopened(token, problem):
                self._reopening.confirmed(child, token, problem)
            case PoolWorkers():
                self._hear_of_workers(child, report)
            case ProblemsSeen(seen):
                if self._plan.gateways:  # whose children see whether there is a gateway
                    seen = [one for one in seen if one.kind not in ("no gateway", "dead socket")]
                self._problems.heard(child, seen, trio.current_time())
            case StopWaits() if replica_id.kind == "gateway":
                self._status_builder.waits[child] = report
            case GatewayAlive() if replica_id.kind == "gateway":
                self._tell(Alive(child))
            case Vitals():
                self._status_builder.vitals[child] = report
                self._metrics.worker_reported(child, replica_id.pool, report)
                self._tell(Alive(child, report.stuck))
            case GatewayMetrics() if replica_id.kind == "gateway":
                self._metrics.gateway_reported(child, report, trio.current_time())
            case RecycleWish(why, kind):
                self._tell(Recycle(child, why, read_recycle_kind(kind)))
            case WorkerFailed(error, _, detail):
                self._tell(NotReady(child, error, detail))
            case GatewayFailed(error):
                self._tell(NotReady(child, error))
            case _:
                logger.debug("%s says what is not understood: %r", replica_id, report)

    def _hear_of_workers(self, gateway: int, report: PoolWorkers) -> None:
        children = self._controller.fleet.processes
        if gateway in children:
            others = [worker for worker in report.workers if worker.id not in children]
            self._status_builder.linked(children[gateway], report.pool, others)
        usable: set[int] = set()
        for worker in report.workers:
            if not isinstance(worker.id, int):
                continue  # it was started by hand, without a supervisor
            self._tell(Answered(gateway, worker.id, worker.answered, worker.errors))
            if worker.ready:
                usable.add(worker.id)
        self._tell(Linked(gateway, report.pool, frozenset(usable)))

    # What the operator reads.

    def _say_when_serving(self) -> None:
        if self._said_serving or self._controller.phase != "serving" or any(self._missing()):
            return
        self._said_serving = True
        for pool, said in self._apps.items():
            name = f"Pool {pool}: " if len(self._apps) > 1 else ""
            on = f" on {said.loop}" if said.loop else ""
            logger.info("%s%s, %s%s", name, said.app, said.interface, on)
        self._say_serving()

    def _say_serving(self) -> None:
        sentence = serving(self._plan, self._generations.workers)
        logger.info("%s", sentence)
        self._notifier.ready(sentence)

    def _missing(self) -> Iterator[str]:
        """Yields what a start still waits for, as parts of a sentence."""
        fleet = self._controller.fleet
        for replica_id, replica in fleet.replicas.items():
            if not replica.proven:
                yield str(replica_id)
        if links := fleet.missing_links():
            yield f"{links} link{'' if links == 1 else 's'} between gateways and workers"

    async def _say_what_is_missing(self) -> None:
        await trio.sleep(MISSING_AFTER)
        missing = ", ".join(self._missing())
        if not self._said_serving and missing and self._controller.phase in ("starting", "serving"):
            logger.info("Still starting; not there yet: %s", missing)
            self._notifier.status(f"Still starting; not there yet: {missing}")

    async def _say_what_a_stop_waits_for(self) -> None:
        await self._stopping.wait()
        await trio.sleep(STOP_SAYS_AFTER)
        while True:
            until = self._controller.stop_now_at
            left = None if until is None else until - trio.current_time()
            children = self._controller.fleet.processes.values()
            if text := waits_for(
                children, self._status_builder.waits, self._status_builder.vitals, left
            ):
                logger.info("%s", text)
                self._operations.said(text)
            await trio.sleep(STOP_SAYS_EVERY)

    async def _say_it_lives(self, every: float) -> None:
        while True:
            self._notifier.alive()
            await trio.sleep(every)

    @property
    def stops(self) -> bool:
        return self._controller.stops

    async def status(self) -> StatusReport:
        """The status report, with counts of this moment as far as gateways answer."""
        await self._metrics.collect()
        return self._report()

    async def families(self) -> list[ExposedFamily]:
        """All metrics, with counts of this moment as far as gateways answer."""
        return await self._metrics.families(self._report, trio.current_time)

    def usable_pools(self) -> Set[str]:
        """The pools with a worker that can be given requests."""
        return self._status_builder.usable_pools(self._plan, self._controller)

    def _pools_without_workers(self, now: float) -> Iterable[Problem]:
        accepting = any(self._controller.fleet.ready("gateway")) or not self._plan.gateways
        if self._controller.phase != "serving" or not accepting:
            return ()
        present = self.usable_pools() | self._status_builder.leaving_pools()
        pools = {pool.name: pool.name in present for pool in self._generations.current.pools}
        self._no_workers.look(pools, self._status_builder.linked_pools(), now)
        return self._no_workers.at(now)

    def oldest_waiters(self) -> Mapping[str, float]:
        """Pool -> seconds that the oldest request in its queues had waited a moment ago."""
        return self._metrics.oldest_waiters()

    def problems(self) -> tuple[ProblemStatus, ...]:
        """The problems of this moment, the oldest first."""
        return self._problems.status(trio.current_time())

    def _report(self) -> StatusReport:
        report = self._status_builder.report(
            self._plan, self._generations, self._controller, trio.current_time()
        )
        report = replace(report, problems=self.problems(), pools=self._with_scalers(report.pools))
        if not self._plan.gateways:
            return report
        config = self._generations.current
        return self._metrics.filled(report, [pool.name for pool in config.pools], config.tls)

    def _with_scalers(self, pools: tuple[PoolStatus, ...]) -> tuple[PoolStatus, ...]:
        if not self._plan.gateways:  # nobody sees a queue
            return pools
        now = trio.current_time()
        configs = {pool.name: pool for pool in self._generations.current.pools}
        return tuple(
            replace(one, scaler=self._autoscaling.status(configs[one.name], now)) for one in pools
        )

    def reopen_logs(self) -> None:
        """Has every process open its logs again, this one included. A worker that starts gets the
        order when it is ready; before, the only order for it is to end."""
        logger.info("Opening the logs again")
        give_logs(self._generations.current)
        self._logs.reopen()
        for number, process in self._processes.items():
            child = self._controller.fleet.processes.get(number)
            if (
                child is not None
                and child.replica_id.kind == "worker"
                and child.state == "starting"
            ):
                self._logs_moved.add(number)
            else:
                process.order(ReopenLogs())
        for zygote in self._launcher.zygotes().values():
            zygote.order(ReopenLogs())

    async def logs_reopened(self) -> str:
        """As `reopen_logs`, and waits until every process has confirmed it. Returns which of them
        have not, and why; "" if all have."""
        self.reopen_logs()
        zygotes = self._launcher.zygotes()
        names: dict[Process, str] = {name: name for name in zygotes}
        for number, process in self._processes.items():
            known = self._controller.fleet.processes.get(number)
            name = str(number) if known is None else known.replica_id.called(f"pid {process.pid}")
            names[number] = name
        with self._reopening.waiting_for(names) as confirmations:
            order = ConfirmLogs(confirmations.token)
            for number, process in self._processes.items():
                if number not in self._logs_moved:
                    process.order(order)
            for zygote in zygotes.values():
                zygote.order(order)
            problems = [await self._logs.settled(), await confirmations.all_come()]
        why = "; ".join(filter(None, problems))
        if why:
            logger.error("Not all logs were opened again: %s", why)
        return why

    def stop(self, why: str, *, now: bool = False) -> None:
        """Stops the instance. A stop that is under way is changed by `now` only."""
        if not self._controller.stops:
            logger.info("Stopping on %s", why)
            self._notifier.stopping(f"Stopping on {why}")
            self._stopping.set()
        self._tell(StopAll(now))


def _reason(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    if isinstance(error, LookupError | RunDirError):  # its text is a sentence of ours
        return str(error.args[0])
    return f"{type(error).__name__}: {error}"
