"""Whoever keeps something of a child hears of its end, and the fleet hears of it whatever fails."""

import signal

import pytest
from propylon.gateway.supervisor.child_ends import ChildEnd, ChildEnds
from propylon.gateway.supervisor.fleet.controller import FleetController
from propylon.gateway.supervisor.fleet.events import Exited, FleetSettings, ReplicaId, Start
from propylon.gateway.supervisor.fleet.replica import Process
from propylon.gateway.supervisor.process.oom_kills import OomKills
from propylon.gateway.supervisor.status_builder import StatusBuilder
from propylon.protocol.supervision.messages import Vitals

WORKER = ReplicaId("worker", 1, "default")


class Children:
    """A fleet of one worker, and what is known of it."""

    def __init__(self) -> None:
        self.controller = FleetController(FleetSettings(), [WORKER])
        self.controller.tell(Start(), 0.0)
        self.status = StatusBuilder(0.0)
        oom_kills = OomKills(lambda: None, lambda: None)
        self.ends = ChildEnds(self.controller.fleet.processes, oom_kills, self.status)

    @property
    def worker(self) -> int:
        (number,) = self.controller.fleet.processes
        return number

    def end(self, code: int = 1) -> Exited:
        return self.ends.tell(ChildEnd(self.worker, WORKER, 17, code, 5.0))


def test_all_hear_of_it_one_after_the_other() -> None:
    children, heard = Children(), list[tuple[str, int, int]]()
    children.ends.hear(lambda end: heard.append(("first", end.child, end.pid)))
    children.ends.hear(lambda end: heard.append(("second", end.code, end.pid)))
    exited = children.end(code=3)
    assert heard == [("first", children.worker, 17), ("second", 3, 17)]
    assert (exited.child, exited.how, exited.clean) == (
        children.worker, "exited with code 3", False,
    )  # fmt: skip
    assert children.end(code=0).clean


def test_a_fault_of_one_is_that_one_s_only(caplog: pytest.LogCaptureFixture) -> None:
    children, heard = Children(), list[int]()

    def fails(end: ChildEnd) -> None:
        raise KeyError(end.pid)

    children.ends.hear(fails)
    children.ends.hear(lambda end: heard.append(end.child))
    assert children.end().child == children.worker
    assert heard == [children.worker]
    assert "a fault of Propylon's supervisor, at the end of ChildEnd(" in caplog.text


def test_the_fleet_hears_of_it_though_nobody_knows_why(caplog: pytest.LogCaptureFixture) -> None:
    class Broken(StatusBuilder):
        def ended(self, child: Process, how: str, now: float) -> None:
            raise KeyError(child.id)

    children, counts = Children(), [0]
    oom_kills = OomKills(counts.pop, lambda: None)  # it is asked once more than it can answer
    ends = ChildEnds(children.controller.fleet.processes, oom_kills, Broken(0.0))
    exited = ends.tell(ChildEnd(children.worker, WORKER, 17, -signal.SIGKILL, 5.0))
    assert (exited.child, exited.how, exited.hint, exited.kind, exited.clean) == (
        children.worker, "was killed by SIGKILL", "out of memory?", "killed", False,
    )  # fmt: skip
    assert caplog.text.count("a fault of Propylon's supervisor, at the end of ChildEnd(") == 2


def test_the_status_hears_how_it_ended_and_forgets_what_it_knew() -> None:
    children = Children()
    children.status.vitals[children.worker] = Vitals(rss=2**20)
    assert children.end(-signal.SIGSEGV).how == "was killed by SIGSEGV"
    assert children.status.rss(children.worker) == 0


def test_one_that_the_fleet_does_not_know_has_ended_too() -> None:
    children = Children()
    exited = children.ends.tell(ChildEnd(99, WORKER, 18, 0, 5.0))
    assert (exited.child, exited.clean) == (99, True)
