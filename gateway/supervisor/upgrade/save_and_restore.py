"""What a supervisor knows, as a Handover, and back: the older code's last act and the newer's
first."""

from collections.abc import Mapping
from typing import Literal

from ..fleet.controller import FleetController
from ..fleet.events import ReplicaId
from ..fleet.replica import Process
from ..generations import Generations, Plan
from ..process.child import ChannelledProcess, ChildProcess
from ..process.launcher import Launcher
from .saved_state import Handover, SavedChild, save_listeners


def save(
    plan: Plan,
    generations: Generations,
    controller: FleetController,
    processes: Mapping[int, ChannelledProcess],
    launcher: Launcher,
    *,
    control: int | None,
    now: float,
    began: float,
) -> Handover:
    fleet = controller.fleet
    return Handover(
        generation=fleet.generation,
        last_generation=generations.last,
        workers=generations.workers,
        next_id=fleet.next_id,
        starts=launcher.starts,
        run_dir=plan.run_dir,
        control_socket=plan.control_socket,
        control=control,
        lock=plan.lock,
        temporary=plan.temporary,
        listeners=save_listeners(plan.listeners),
        uptime=now - began,
        children=[
            SavedChild(
                id=child.id,
                kind=child.replica_id.kind,
                number=child.replica_id.number,
                pool=child.replica_id.pool,
                generation=child.generation,
                pid=child.pid,
                channel=processes[child.id].channel,
                unread=processes[child.id].unread,
                state=child.state,
                age=now - child.since,
                time_left=None if child.deadline is None else child.deadline - now,
                seat=_seat(controller, child),
                why=child.why,
                wish=child.wish,
                door=launcher.door(child.pid),
                links=fleet.links.of_gateway(child.id),
            )
            for child in fleet.processes.values()
            if child.id in processes
        ],
    )


def _seat(controller: FleetController, child: Process) -> Literal["holder", "successor", "none"]:
    replica = controller.fleet.replicas.get(child.replica_id)
    if replica is not None and replica.current is child:
        return "holder"
    return "successor" if replica is not None and replica.replacement is child else "none"


def restore(
    handover: Handover, controller: FleetController, now: float
) -> dict[int, ChannelledProcess]:
    """The children's processes, which the controller knows again."""
    fleet = controller.fleet
    fleet.generation = handover.generation
    processes: dict[int, ChannelledProcess] = {}
    for saved in handover.children:
        child = Process(
            saved.id,
            ReplicaId(saved.kind, saved.number, saved.pool),
            saved.generation,
            now - saved.age,
            None if saved.time_left is None else now + saved.time_left,
            state=saved.state,
            pid=saved.pid,
            why=saved.why,
            wish=saved.wish,
        )
        fleet.restore(child, saved.seat, now)
        for pool, workers in saved.links.items():
            fleet.links.told(child.id, pool, frozenset(workers))
        processes[child.id] = ChildProcess.inherited(saved.pid, saved.channel, saved.unread)
    controller.phase = "serving"
    return processes
