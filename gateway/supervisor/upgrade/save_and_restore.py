"""What a supervisor knows, as a Handover, and back: the older code's last act and the newer's
first."""

from collections.abc import Mapping
from typing import Literal

from ..fleet.events import Place
from ..fleet.replica import Child
from ..fleet.table import ChildTable
from ..generations import Generations, Plan
from ..process.child import ChannelledProcess, ChildProcess
from ..process.launcher import Launcher
from .saved_state import Handover, SavedChild, save_listeners


def save(
    plan: Plan,
    generations: Generations,
    table: ChildTable,
    processes: Mapping[int, ChannelledProcess],
    launcher: Launcher,
    *,
    control: int | None,
    now: float,
    began: float,
) -> Handover:
    crew = table.crew
    return Handover(
        generation=crew.generation,
        last_generation=generations.last,
        workers=generations.workers,
        next_id=crew.next_id,
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
                kind=child.place.kind,
                number=child.place.number,
                pool=child.place.pool,
                generation=child.generation,
                pid=child.pid,
                channel=processes[child.id].channel,
                unread=processes[child.id].unread,
                state=child.state,
                age=now - child.since,
                time_left=None if child.deadline is None else child.deadline - now,
                seat=_seat(table, child),
                why=child.why,
                wish=child.wish,
                door=launcher.door(child.pid),
                links=crew.links.of_gateway(child.id),
            )
            for child in crew.children.values()
            if child.id in processes
        ],
    )


def _seat(table: ChildTable, child: Child) -> Literal["holder", "successor", "none"]:
    seat = table.crew.seats.get(child.place)
    if seat is not None and seat.holder is child:
        return "holder"
    return "successor" if seat is not None and seat.successor is child else "none"


def restore(handover: Handover, table: ChildTable, now: float) -> dict[int, ChannelledProcess]:
    """The children's processes, which the table knows again."""
    crew = table.crew
    crew.generation = handover.generation
    processes: dict[int, ChannelledProcess] = {}
    for saved in handover.children:
        child = Child(
            saved.id,
            Place(saved.kind, saved.number, saved.pool),
            saved.generation,
            now - saved.age,
            None if saved.time_left is None else now + saved.time_left,
            state=saved.state,
            pid=saved.pid,
            why=saved.why,
            wish=saved.wish,
        )
        crew.restore(child, saved.seat, now)
        for pool, workers in saved.links.items():
            crew.links.told(child.id, pool, frozenset(workers))
        processes[child.id] = ChildProcess.inherited(saved.pid, saved.channel, saved.unread)
    table.phase = "serving"
    return processes
