"""Whatever happens in whatever order: every replica is seen to, never by two, and a stop ends."""

from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st
from propylon.gateway.supervisor.fleet.controller import FleetController
from propylon.gateway.supervisor.fleet.events import (
    Alive,
    Answered,
    Draining,
    DrainProcess,
    Exited,
    Finish,
    FleetCommand,
    Kill,
    Linked,
    NotReady,
    Ready,
    Recycle,
    ReplicaId,
    RollOut,
    ScalePool,
    Spawn,
    Spawned,
    Start,
    StopAll,
    StopNow,
    Tick,
)
from propylon.gateway.supervisor.fleet.replica import FleetSettings

PLACES = (ReplicaId("gateway", 1), ReplicaId("worker", 1, "a"), ReplicaId("worker", 2, "a"))
NEVER_KNOWN = 10_000

ACTIONS = st.one_of(
    st.tuples(st.sampled_from(["ready", "not_ready", "crash", "exit"]), st.integers(0, 9)),
    st.tuples(st.just("crash loop"), st.integers(0, 2)),
    st.tuples(st.sampled_from(["stop", "stranger"]), st.just(0)),
    st.tuples(st.sampled_from(["reload", "draining"]), st.integers(0, 9)),
    st.tuples(
        st.sampled_from(["linked", "recycle", "alive", "stuck", "errors"]), st.integers(0, 9)
    ),
    st.tuples(st.just("scale"), st.integers(1, 4)),
    st.tuples(st.just("wait"), st.sampled_from([0, 1, 5, 70])),
)


@dataclass
class World:
    """The processes that there would be."""

    children: FleetController
    with_gateway: bool = True
    now: float = 0.0
    alive: dict[int, ReplicaId] = field(default_factory=dict)
    asked: set[int] = field(default_factory=set)
    finished: bool = False
    generation: int = 1

    def do(self, decisions: list[FleetCommand]) -> None:
        for decision in decisions:
            assert not self.finished
            match decision:
                case Spawn(child, replica_id):
                    assert child not in self.alive
                    self.alive[child] = replica_id
                    self.do(self.children.tell(Spawned(child, child), self.now))
                case DrainProcess(child):
                    assert child in self.alive
                    self.asked.add(child)
                case StopNow(child):
                    assert child in self.asked
                case Kill(child):
                    assert child in self.asked  # nobody is killed unasked
                    del self.alive[child]
                    self.do(self.children.tell(Exited(child, "was killed by SIGKILL"), self.now))
                case Finish():
                    assert not self.alive
                    self.finished = True
                case _:
                    pass

    def tell(self, action: str, number: int) -> None:
        child = sorted(self.alive)[number % len(self.alive)] if self.alive else NEVER_KNOWN
        match action:
            case "ready":
                self.do(self.children.tell(Ready(child), self.now))
            case "not_ready":
                self.do(self.children.tell(NotReady(child, "no"), self.now))
            case "crash" | "exit":
                # Of its own accord, or because it was asked.
                if action == "exit" and child not in self.asked:
                    return
                self.alive.pop(child, None)
                self.do(self.children.tell(Exited(child, "exited with code 1"), self.now))
            case "stranger":
                for message in (Ready(NEVER_KNOWN), Exited(NEVER_KNOWN, "exited")):
                    assert self.children.tell(message, self.now) == []
            case "crash loop":
                replica_id = PLACES[number]
                for step in ("ready", "crash") * 5:
                    held = [child for child, where in self.alive.items() if where == replica_id]
                    if held:
                        self.tell(step, sorted(self.alive).index(max(held)))
            case "linked":
                workers = frozenset(c for c, replica_id in self.alive.items() if replica_id.pool)
                for gateway in [c for c, replica_id in self.alive.items() if not replica_id.pool]:
                    self.do(self.children.tell(Linked(gateway, "a", workers), self.now))
            case "recycle":
                self.do(self.children.tell(Recycle(child, "old"), self.now))
            case "alive" | "stuck":
                self.do(self.children.tell(Alive(child, int(action == "stuck")), self.now))
            case "errors":
                self.do(self.children.tell(Answered(1, child, 9, 9 - number % 2), self.now))
            case "draining":
                self.do(self.children.tell(Draining(child), self.now))
            case "scale":
                self.do(self.children.tell(ScalePool("a", number), self.now))
            case "reload":
                self.generation += 1
                order = RollOut(
                    generation=self.generation,
                    replicas=frozenset(PLACES if self.with_gateway else PLACES[1:])
                    | ({ReplicaId("worker", 1, "b")} if number % 2 else frozenset()),
                    replaced=frozenset(("worker", "gateway") if number % 3 else ("worker",)),
                    at_once=number % 5 == 0,
                    observe=number,
                    reverts=number > 5,
                )
                self.do(self.children.tell(order, self.now))
            case "stop":
                self.do(self.children.tell(StopAll(), self.now))
            case _:
                self.wait(number)

    def wait(self, seconds: float) -> None:
        until = self.now + seconds
        while (tick := self.children.next_tick) is not None and tick <= until:
            assert tick >= self.now
            self.now = tick
            self.do(self.children.tell(Tick(), tick))
            again = self.children.next_tick
            assert again is None or again > tick  # a tick settles what was due
        self.now = until

    def check(self) -> None:
        fleet = self.children.fleet
        assert set(self.alive) == set(fleet.processes)
        if self.children.phase in ("stopping", "ended"):
            return
        for replica_id, replica in fleet.replicas.items():
            held = [child for child in (replica.current, replica.replacement) if child is not None]
            on_duty = [
                child
                for child in fleet.processes.values()
                if child.replica_id == replica_id and child.state != "stopping"
            ]
            assert sorted(child.id for child in on_duty) == sorted(child.id for child in held)
            # Seen to: somebody is there, or is about to be.
            seen_to = held or replica.retry_at is not None or self.waits_for_code(replica.proven)
            assert seen_to or (
                self.children.rollout and replica_id in self.children.rollout.order.replicas
            )
        if self.children.rollout is None:
            assert all(
                replica_id in fleet.replicas
                for replica_id in PLACES
                if replica_id.kind == "gateway"
            ) or (not self.with_gateway)

    def waits_for_code(self, proven: bool) -> bool:
        return not proven and self.children.phase == "starting"


@settings(max_examples=400, deadline=None)
@given(
    st.lists(ACTIONS, max_size=40), st.sampled_from(["exit", "wait"]), st.booleans(), st.booleans()
)
def test_any_sequence(
    actions: list[tuple[str, int]], failed_boot: str, with_gateway: bool, up: bool
) -> None:
    policy = FleetSettings(failed_boot=failed_boot)  # type: ignore[arg-type]
    places = PLACES if with_gateway else PLACES[1:]
    world = World(FleetController(policy, places), with_gateway)
    world.do(world.children.tell(Start(), 0.0))
    for _ in range(up):
        for number in range(len(places)):
            world.tell("ready", number)
    for action, number in actions:
        if world.finished:
            break
        world.tell(action, number)
        world.check()
    # However it stands, and though nobody listens: a stop ends within its deadlines.
    if not world.finished:
        world.tell("stop", 0)
        world.wait(200)
    assert world.finished
    assert world.children.phase == "ended"
