"""What crosses the exec(2) of an upgrade is read as the version before has written it."""

import json
from pathlib import Path

import pytest
from propylon.gateway import json_texts
from propylon.gateway.supervisor.fleet.controller import FleetController
from propylon.gateway.supervisor.fleet.events import (
    DrainProcess,
    Exited,
    Linked,
    Ready,
    ReplicaId,
    Say,
    Spawn,
    Tick,
)
from propylon.gateway.supervisor.fleet.replica import FleetSettings
from propylon.gateway.supervisor.upgrade.save_and_restore import restore_fleet, saved_child
from propylon.gateway.supervisor.upgrade.saved_state import Handover

SAVED = (Path(__file__).parent / "saved_by_bf5b85c.json").read_bytes()
"""By a supervisor of commit bf5b85c: worker 1 is being recycled, its replacement still starts;
worker 2 has asked for the same; worker 3 was scaled away and finishes what it has."""

NOW = 1000.0


def saved() -> Handover:
    return json_texts.decode(SAVED, Handover)


def test_it_is_written_with_the_names_that_it_is_read_by() -> None:
    """The next version reads what this one writes, and the one before did."""
    written, before = json.loads(json_texts.encode(saved())), json.loads(SAVED)
    children = zip(written["children"], before["children"], strict=True)
    written["children"] = [{name: new[name] for name in old} for new, old in children]
    assert {name: written[name] for name in before} == before  # it only grows


def restored() -> FleetController:
    handover = saved()
    names = [ReplicaId("gateway", 1)]
    names += [
        ReplicaId("worker", number + 1, pool)
        for pool, count in handover.workers.items()
        for number in range(count)
    ]
    fleet = FleetController(FleetSettings(), names, first_id=handover.next_id)
    restore_fleet(handover, fleet, NOW)
    return fleet


def test_the_fleet_is_as_it_was() -> None:
    fleet = restored()
    first = saved().children[0].id
    stages = {process.id - first: process.stage for process in fleet.fleet.processes.values()}
    assert stages == {0: "serving", 1: "serving", 2: "serving", 3: "draining", 4: "joining"}
    assert fleet.phase == "serving"
    assert {name: replica.wants for name, replica in fleet.fleet.replicas.items()} == {
        ReplicaId("gateway", 1): "nothing",
        ReplicaId("worker", 1, "default"): "recycling",
        ReplicaId("worker", 2, "default"): "recycling",
    }
    assert fleet.fleet.processes[first + 3].why == "one worker fewer is asked for"
    assert fleet.tell(Tick(), NOW) == []


def test_it_goes_on_from_there() -> None:
    """The replacement is ready and takes over; who was recycled leaves."""
    fleet = restored()
    gateway, one, two, three, replacement = (child.id for child in saved().children)
    fleet.tell(Ready(replacement), NOW + 1)
    usable = frozenset({one, two, three, replacement})
    assert fleet.tell(Linked(gateway, "default", usable), NOW + 1) == [DrainProcess(one)]
    assert fleet.tell(Exited(three, "exited with code 0"), NOW + 2) == []
    (say, spawn) = fleet.tell(Exited(one, "exited with code 0"), NOW + 3)
    assert say == Say("info", f"{fleet.fleet.processes[two]} is replaced: served 12 requests")
    assert spawn == Spawn(
        saved().next_id, ReplicaId("worker", 2, "default"), saved().generation, replaces=True
    )


def test_what_is_saved_again_says_the_same() -> None:
    fleet = restored()
    known = {child.id: child for child in saved().children}
    for process in fleet.fleet.processes.values():
        before, after = (
            known[process.id],
            saved_child(process, NOW, channel=-1, links=fleet.fleet.links.of_gateway(process.id)),
        )
        assert json.loads(json_texts.encode(after)) == {
            **json.loads(json_texts.encode(before)),
            # What a process of the supervisor's knows, and not the fleet.
            "leash": -1,
            "door": "",
            "age": pytest.approx(before.age),
            "time_left": before.time_left and pytest.approx(before.time_left),
        }
