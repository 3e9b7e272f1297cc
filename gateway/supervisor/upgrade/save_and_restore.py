"""Turns the supervisor's state into a Handover, and back: the last act of the old code and the
first act of the new code.
"""

from collections.abc import Mapping
from typing import Any, Final, Literal

from ..fleet.controller import FleetController
from ..fleet.events import ProcessRecord, ReplicaId, read_recycle_kind
from ..fleet.replica import Process
from ..generations import Generations, Plan
from ..process.child import ChannelledProcess, ChildProcess
from ..process.launcher import Launcher
from .saved_state import Handover, SavedChild, SavedLinks, SavedMetrics, save_listeners

Role = Literal["current", "replacement", "leaving"]
SavedRole = Literal["holder", "successor", "none"]

SAVED: Final[dict[Role, SavedRole]] = {
    "current": "holder",
    "replacement": "successor",
    "leaving": "none",
}
"""Role -> the word for it that travels, which is that of the first version that could be
upgraded."""
RESTORED: Final[dict[SavedRole, Role]] = {saved: role for role, saved in SAVED.items()}


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
    metrics: SavedMetrics,
    elsewhere: list[SavedLinks],
    app_metrics: dict[str, Any],
    scalers: dict[str, Any],
) -> Handover:
    fleet = controller.fleet
    return Handover(
        generation=fleet.generation,
        last_generation=generations.last,
        workers=generations.workers,
        next_id=fleet.context.next_id,
        starts=launcher.starts,
        secret=launcher.secret,
        run_dir=plan.run_dir,
        control_socket=plan.control_socket,
        control=control,
        lock=plan.lock,
        temporary=plan.temporary,
        listeners=save_listeners(plan.listeners),
        admin=save_listeners(plan.admin),
        uptime=now - began,
        metrics=metrics,
        elsewhere=elsewhere,
        app_metrics=app_metrics,
        scaled=sorted(generations.scaled),
        scalers=scalers,
        children=[
            saved_child(
                process,
                now,
                channel=processes[process.id].channel,
                unread=processes[process.id].unread,
                listener_name=launcher.listener_name(process.pid),
                links=fleet.links.of_gateway(process.id),
            )
            for process in fleet.processes.values()
            if process.id in processes
        ],
    )


def saved_child(
    process: Process,
    now: float,
    *,
    channel: int,
    unread: bytes = b"",
    listener_name: str = "",
    links: dict[str, list[int]],
) -> SavedChild:
    return SavedChild(
        id=process.id,
        kind=process.replica_id.kind,
        number=process.replica_id.number,
        pool=process.replica_id.pool,
        generation=process.generation,
        pid=process.pid,
        channel=channel,
        unread=unread,
        state=process.state,
        age=now - process.since,
        time_left=None if process.deadline is None else process.deadline - now,
        role=SAVED[process.replica.role(process)],
        why=process.why,
        recycle_why=process.recycle_why,
        recycle_kind=process.recycle_kind,
        listener_name=listener_name,
        links=links,
    )


def restore(
    handover: Handover, controller: FleetController, now: float
) -> dict[int, ChannelledProcess]:
    """Gives the fleet its state back. Returns the children's processes."""
    restore_fleet(handover, controller, now)
    return {
        child.id: ChildProcess.inherited(child.pid, child.channel, child.unread)
        for child in handover.children
    }


def restore_fleet(handover: Handover, controller: FleetController, now: float) -> None:
    records = [_record(child, now) for child in handover.children]
    links = {child.id: child.links for child in handover.children}
    controller.restore(handover.generation, records, links, now)


def _record(child: SavedChild, now: float) -> ProcessRecord:
    return ProcessRecord(
        id=child.id,
        replica_id=ReplicaId(child.kind, child.number, child.pool),
        generation=child.generation,
        state=child.state,
        role=RESTORED[child.role],
        since=now - child.age,
        deadline=None if child.time_left is None else now + child.time_left,
        pid=child.pid,
        why=child.why,
        recycle_why=child.recycle_why,
        recycle_kind=read_recycle_kind(child.recycle_kind),
    )
