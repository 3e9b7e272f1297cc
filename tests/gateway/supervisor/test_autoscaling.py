import logging
import os
from dataclasses import replace
from typing import Any

import pytest
import trio
import trio.testing
from propylon.gateway.config.cpus import CpuUse, cpu_limit
from propylon.gateway.config.load import load
from propylon.gateway.config.memory import MemoryUse
from propylon.gateway.listen.sockets import Listeners
from propylon.gateway.supervisor.autoscaling import Autoscaling, CpuRoom
from propylon.gateway.supervisor.fleet.controller import FleetController
from propylon.gateway.supervisor.fleet.events import (
    Exited,
    FleetEvent,
    FleetSettings,
    Linked,
    Ready,
    ReplicaId,
    RollOut,
    Spawn,
    Start,
)
from propylon.gateway.supervisor.generations import Deployment, Generations, Plan
from propylon.gateway.supervisor.instance_metrics import InstanceMetrics
from propylon.gateway.supervisor.status_builder import StatusBuilder
from propylon.gateway.supervisor.systemd_notify import Notifier
from propylon.protocol.supervision.messages import GatewayMetrics, LinkedWorker, Vitals

MEGABYTE = 2**20


class Instance:
    """The parts of a supervisor that autoscaling needs, without processes. A worker that is ordered
    is ready at once unless it is `slow`."""

    def __init__(self, toml: str = "", *, workers: str = "2..8") -> None:
        flags: dict[str, Any] = {"app": "main:app", "workers": workers} if not toml else {}
        if toml:
            with open("propylon.toml", "w", encoding="utf-8") as file:
                file.write(toml)
        config = load("serve", flags, {}).config
        plan = Plan(run_dir="", control_socket="", listeners=Listeners(), gateways=1)
        self.generations = Generations(plan, config, lambda: config)
        ids = sorted(self.generations.replicas())
        self.controller = FleetController(FleetSettings(heartbeat_timeout=0.0), ids)
        notifier = Notifier({}, os.getpid())
        self.deployment = Deployment(self.generations, self.controller, notifier, self.tell)
        self.metrics = InstanceMetrics(self.controller, {})
        self.builder = StatusBuilder(0.0)
        self.memory: MemoryUse | None = None
        self.groups: dict[str, CpuUse] = {}
        self.scaling = Autoscaling(
            self.generations,
            self.controller,
            self.deployment,
            self.metrics,
            self.builder,
            lambda: self.memory,
            CpuRoom(lambda: self.groups),
        )
        self.more: dict[str, Any] = {}
        """What the gateway says besides."""
        self.now, self.slow = 0.0, False
        self.tell(Start())

    def tell(self, event: FleetEvent) -> None:
        for command in self.controller.tell(event, self.now):
            if isinstance(command, Spawn) and not self.slow:
                self.tell(Ready(command.child))

    @property
    def gateway(self) -> int:
        (process,) = self.controller.fleet.ready("gateway")
        return process.id

    def link_all(self) -> None:
        """The gateway is linked to every worker."""
        ids = [
            process.id
            for process in self.controller.fleet.processes.values()
            if process.replica_id.kind == "worker"
        ]
        self.tell(Linked(self.gateway, "default", frozenset(ids)))

    def look(self, pool: str = "default", **load: float) -> None:
        """A second later the gateway says how a pool is, and the autoscaler looks."""
        self.now += 1
        gauges = {"slots": 8, "running": 0, "queue_length": 0, "queue_oldest_seconds": 0} | load
        snapshot = {f"propylon_pool_{name}": [[[pool], value]] for name, value in gauges.items()}
        snapshot |= self.more
        self.metrics.gateway_reported(self.gateway, GatewayMetrics(0, snapshot), self.now)
        self.scaling.look(self.scaling.pools(self.now), self.now)

    def wait(self, looks: int = 2, pool: str = "default") -> None:
        for _ in range(looks):
            self.look(pool, running=8, queue_length=20, queue_oldest_seconds=0.5)

    def workers(self, pool: str = "default") -> int:
        numbers = [one for one in self.controller.fleet.replicas if one.pool == pool]
        assert self.generations.workers[pool] == len(numbers)
        return len(numbers)


@pytest.fixture
def instance(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> Instance:
    monkeypatch.chdir(tmp_path)
    return Instance()


def status(of: Instance) -> Any:
    return of.scaling.status(of.generations.current.pools[0], of.now)


def test_a_pool_grows_and_says_why(instance: Instance, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="propylon")
    instance.wait()
    assert instance.workers() == 4
    assert "Pool default: 4 workers wanted, 2 before: requests have waited 500 ms" in caplog.text
    found = status(instance)
    assert (found.least, found.most, found.state) == (2, 8, "starting")
    assert (found.move.before, found.move.workers, found.move.ago) == (2, 4, 0)
    assert ReplicaId("worker", 4, "default") in instance.controller.fleet.replicas


def test_it_waits_for_the_workers_that_it_has_ordered(instance: Instance) -> None:
    instance.slow = True
    instance.wait(20)
    assert instance.workers() == 4


def test_an_idle_pool_shrinks_again(instance: Instance) -> None:
    instance.wait()
    for _ in range(130):
        instance.look(slots=16)
    assert instance.workers() == 2


def test_an_operator_s_number_stays_until_it_is_taken_back(instance: Instance) -> None:
    assert instance.deployment.scale("", 6, relative=False).ok
    for _ in range(200):
        instance.look()
    instance.wait(5)
    assert instance.workers() == 6
    assert status(instance).state == "scaled"
    result = instance.deployment.unscale("")
    assert result.message.endswith("6 workers wanted, 6 before: configured are 2 to 8 workers")
    for _ in range(100):
        instance.look()
    assert instance.workers() < 6
    assert status(instance).state == "steady"


def test_what_is_taken_back_comes_into_the_range(instance: Instance) -> None:
    instance.deployment.scale("", 1, relative=False)
    instance.deployment.unscale("")
    assert instance.workers() == 2
    instance.deployment.scale("", 20, relative=False)
    instance.deployment.unscale("")
    assert instance.workers() == 8


def test_an_operator_s_move_is_the_last_one(instance: Instance) -> None:
    instance.wait()
    instance.deployment.scale("", 5, relative=False)
    instance.look()
    found = status(instance)
    assert (found.move.before, found.move.workers) == (4, 5)
    assert found.move.why == "an operator or a reload has set it"


def test_pools_are_looked_at_apart(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    pools = Instance("""
        [[pools]]
        name = "web"
        app = "main:app"
        workers = "1..4"
        [[pools]]
        name = "jobs"
        app = "main:app"
        workers = 2
        [[routes]]
        pool = "web"
        [[routes]]
        prefix = "/jobs"
        pool = "jobs"
    """)
    pools.wait(2, "web")
    pools.wait(4, "jobs")
    assert (pools.workers("web"), pools.workers("jobs")) == (2, 2)
    assert pools.scaling.status(pools.generations.current.pools[1], pools.now) is None


def test_pools_share_the_memory(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """There is room for one worker more, and for a canary; both pools would have it."""
    monkeypatch.chdir(tmp_path)
    pools = Instance("""
        workers = "1..4"
        [[pools]]
        name = "a"
        app = "main:app"
        [[pools]]
        name = "b"
        app = "main:app"
        [[routes]]
        pool = "a"
        [[routes]]
        prefix = "/b"
        pool = "b"
    """)
    pools.memory = MemoryUse(690 * MEGABYTE, 1000 * MEGABYTE)
    for process in pools.controller.fleet.ready("worker"):
        pools.builder.vitals[process.id] = Vitals(rss=100 * MEGABYTE)
    for _ in range(2):
        pools.now += 1
        full = {"slots": 4, "running": 4, "queue_length": 9, "queue_oldest_seconds": 0.5}
        snapshot = {
            f"propylon_pool_{name}": [[["a"], value], [["b"], value]]
            for name, value in full.items()
        }
        pools.metrics.gateway_reported(pools.gateway, GatewayMetrics(0, snapshot), pools.now)
        pools.scaling.look(pools.scaling.pools(pools.now), pools.now)
    assert (pools.workers("a"), pools.workers("b")) == (2, 1)
    held = pools.scaling.status(pools.generations.current.pools[1], pools.now)
    assert held is not None
    assert held.why.endswith("there is no memory for one worker more")


TWO_POOLS = """
workers = "1..4"
[[pools]]
name = "a"
app = "main:app"
[[pools]]
name = "b"
app = "main:app"
workers = 2
[[routes]]
pool = "a"
[[routes]]
prefix = "/b"
pool = "b"
"""


def held_by(instance: Instance) -> str:
    """Why the first pool, whose requests wait, does not grow; "" if it does."""
    before = instance.workers("a")
    instance.wait(4, "a")
    found = instance.scaling.status(instance.generations.current.pools[0], instance.now)
    assert found is not None
    assert (instance.workers("a") > before) == (not found.why)
    return found.why


def test_the_cpus_that_a_fixed_pool_uses_are_not_free(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    pools = Instance(TWO_POOLS)
    worker = next(iter(pools.controller.fleet.ready("worker"))).id
    used = 0.0
    for _ in range(8):
        used += cpu_limit()
        pools.metrics.worker_reported(worker, "b", Vitals(cpu=used))
        pools.wait(1, "a")
    found = pools.scaling.status(pools.generations.current.pools[0], pools.now)
    assert found is not None
    assert found.why == "requests wait 500 ms, and all CPUs are busy"
    assert pools.workers("a") == 1
    assert held_by(pools) == "", "it is idle again"


def test_what_else_runs_in_the_container_uses_its_cpus(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    pools = Instance(TWO_POOLS)
    for second in range(8):
        pools.groups = {"/group": CpuUse(second * 1.4, 1.5)}
        pools.wait(1, "a")
    assert pools.workers("a") == 1
    for second in range(8):
        pools.groups = {"/group": CpuUse(11.2 + second * 0.7, 1.5)}
        pools.wait(1, "a")
    assert pools.workers("a") > 1


def test_workers_of_a_fixed_pool_that_start_will_need_memory(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Room for one worker more of 100 MB and a canary, if the other pool's two were not to come."""
    monkeypatch.chdir(tmp_path)
    pools = Instance(TWO_POOLS)
    pools.memory = MemoryUse(690 * MEGABYTE, 1000 * MEGABYTE)
    for process in pools.controller.fleet.ready("worker"):
        pools.builder.vitals[process.id] = Vitals(rss=100 * MEGABYTE)
    pools.slow = True
    process = next(p for p in pools.controller.fleet.ready("worker") if p.replica_id.pool == "b")
    pools.tell(Exited(process.id, "was killed"))
    assert "memory" in held_by(pools)
    for process in pools.controller.fleet.processes.values():
        if process.stage == "starting":
            pools.tell(Ready(process.id))
    assert held_by(pools) == ""


def test_what_waits_for_its_route_s_share_lets_no_pool_grow(instance: Instance) -> None:
    def waits(at: int, route: str) -> list[Any]:
        histogram = [9.0 * at, *[0] * 15, 3 * at]
        return [["default", route], histogram]

    for at in range(1, 8):
        instance.more = {
            "propylon_route_queue_length": [[["default", "/slow"], 40]],
            "propylon_request_queue_seconds": [waits(at, "/slow")],
        }
        instance.look(running=8, queue_length=40)
    assert instance.workers() == 2
    assert status(instance).state == "steady"
    for at in range(8, 10):
        instance.more["propylon_request_queue_seconds"] = [waits(8, "/slow"), waits(at, "/")]
        instance.look(running=8, queue_length=40)
    assert instance.workers() > 2, "others wait for a worker"


def test_calls_that_wait_inside_of_workers_wait(instance: Instance) -> None:
    """Two gateway processes are offered the same eight threads, and have given them 14 calls."""
    first, second = [process.id for process in instance.controller.fleet.ready("worker")]
    for queued in (0, 3):
        for child in (first, second):
            instance.builder.vitals[child] = Vitals(calls=4, queued=queued)
        for _ in range(2):
            instance.look(running=8 + 2 * queued)
        assert instance.workers() == (4 if queued else 2)
    assert "requests have waited" in status(instance).move.why


def test_a_reload_that_changes_the_number_is_waited_for(instance: Instance) -> None:
    """From two workers to six, which serve already; the books have two until the commit."""
    wanted = {ReplicaId("worker", number, "default") for number in range(1, 7)}
    gateways = {one for one in instance.controller.fleet.replicas if one.kind == "gateway"}
    instance.tell(RollOut(generation=2, replicas=frozenset(wanted | gateways)))
    instance.link_all()
    rollout = instance.controller.rollout
    assert rollout is not None
    assert (rollout.state, rollout.wanted("default")) == ("rolling", 6)
    instance.wait(3)
    assert len(wanted & instance.controller.fleet.replicas.keys()) == 6
    assert instance.generations.workers["default"] == 2


async def test_a_pool_may_go_while_figures_are_collected(
    instance: Instance, autojump_clock: trio.testing.MockClock
) -> None:
    class Figures(InstanceMetrics):
        async def collect(self) -> None:
            """As at the end of a reload without the pool."""
            instance.scaling.pools(instance.now)
            del instance.generations.workers["default"]
            generations = instance.generations
            generations.current = replace(generations.current, pools=())
            collected.set()

    collected = trio.Event()
    scaling = Autoscaling(
        instance.generations,
        instance.controller,
        instance.deployment,
        Figures(instance.controller, {}),
        instance.builder,
    )
    async with trio.open_nursery() as nursery:
        nursery.start_soon(scaling.run, trio.current_time)
        await collected.wait()
        await trio.sleep(2)
        nursery.cancel_scope.cancel()


def test_late_loops_count_by_the_least_late(instance: Instance) -> None:
    first, second = [process.id for process in instance.controller.fleet.ready("worker")]
    instance.builder.vitals[first] = Vitals(lag=2.0)
    instance.builder.vitals[second] = Vitals(lag=0.0)
    for _ in range(3):
        instance.look(slots=20_000)
    assert instance.workers() == 2
    instance.builder.vitals[second] = Vitals(lag=0.3)
    for _ in range(2):
        instance.look(slots=20_000)
    assert instance.workers() == 3


def test_workers_from_elsewhere_are_counted(instance: Instance) -> None:
    gateway = instance.controller.fleet.processes[instance.gateway]
    instance.builder.linked(gateway, "default", [LinkedWorker(worker=9, ready=True)])
    assert instance.builder.elsewhere("default") == 1
    assert instance.builder.elsewhere("other") == 0


def test_a_worker_from_elsewhere_that_is_about_to_leave_is_there(instance: Instance) -> None:
    """At the end of a pod all are: the pool is no longer usable, but nothing is wrong with it."""
    gateway = instance.controller.fleet.processes[instance.gateway]
    instance.builder.linked(gateway, "a", [LinkedWorker(worker=9, ready=True, leaving=True)])
    instance.builder.linked(gateway, "b", [LinkedWorker(worker=8, ready=True)])
    late = LinkedWorker(worker=7, ready=True, leaving=True, late=True)
    instance.builder.linked(gateway, "c", [late])
    assert instance.builder.leaving_pools() == {"a"}


def test_moves_are_counted_by_their_direction(instance: Instance) -> None:
    instance.wait()
    found = instance.metrics.save().own["propylon_worker_scalings_total"]
    assert found == [(("default", "up"), 1.0)]


def test_an_upgrade_hands_over_the_last_move(instance: Instance) -> None:
    instance.wait()
    saved = instance.scaling.save(instance.now + 5)
    newer = Instance()
    newer.now = 100.0
    newer.scaling.restore(saved, newer.now)
    move = status(newer).move
    assert (move.before, move.workers, move.ago) == (2, 4, 5)
    newer.look()
    assert status(newer).move.workers == 4


@pytest.mark.parametrize("saved", [{}, None, [], {"default": 3}, {"default": {"why": 1}}])
def test_what_another_version_hands_over_does_no_harm(instance: Instance, saved: object) -> None:
    instance.scaling.restore(saved, 0.0)
    assert status(instance).move is None


def test_a_number_out_of_the_range_was_set_by_an_operator(instance: Instance) -> None:
    """Code before there were ranges hands over numbers only."""
    for workers, scaled in ((1, True), (2, False), (8, False), (9, True)):
        instance.generations.resume(1, 1, {"default": workers}, ())
        assert ("default" in instance.generations.scaled) == scaled
