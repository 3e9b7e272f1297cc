"""Alternates the contestants of a row.

All are up at the same time and only one has load, each in turn, round after round; each round
begins with another. One that has faults gets no more load and has no figure.
"""

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from ..compare.light_client import Wrong
from ..compare.processes import Absent
from ..compare.server import DidNotStart
from .contestants import CONTESTANTS
from .load import Load
from .results import Entry, Result
from .rows import Row
from .servers import Server, cpu_by_role, running

REST = 0.2
"""Seconds before each load, in which the one before comes to its end."""
Servers = dict[str, Server]


@dataclass(frozen=True)
class Effort:
    rounds: int = 5
    seconds: float = 3.0
    warm_up: float = 1.0


@dataclass(frozen=True)
class Turn:
    """Who has load, and which."""

    name: str
    contestant: str
    load: Load


def run(name: str, row: Row, contestants: list[str], effort: Effort) -> Result:
    turns = [
        Turn(f"{contestant} {more}".strip(), contestant, load)
        for contestant in contestants
        for more, load in row.loads.items()
    ]
    result = Result(name, row.title, row.figure, row.unit)
    result.entries = {turn.name: Entry(turn.contestant) for turn in turns}
    with ExitStack() as stack:
        servers: Servers = {} if row.anew else stack.enter_context(started(row, turns, result))
        for number in range(effort.rounds + (not row.anew)):
            shift = number % max(1, len(turns))
            for turn in turns[shift:] + turns[:shift]:
                if row.anew:
                    with started(row, [turn], result) as servers:
                        take(turn, servers, result, effort, warm_up=True)
                        take(turn, servers, result, effort)
                else:
                    take(turn, servers, result, effort, warm_up=number == 0)
    return result


@contextmanager
def started(row: Row, turns: list[Turn], result: Result) -> Iterator[Servers]:
    """Those that start; of the others, the result has the fault."""
    servers: Servers = {}
    with ExitStack() as stack:
        for turn in turns:
            if turn.contestant in servers or result.fault(turn.name):
                continue
            commands = CONTESTANTS[turn.contestant].commands
            try:
                servers[turn.contestant] = stack.enter_context(
                    running(commands, row.app, row.tls, turn.load.ready)
                )
            except Absent as error:
                fault = f"not installed: {error}"
            except DidNotStart as error:
                fault = f"did not start: {error}"
            else:
                continue
            for one in turns:
                if one.contestant == turn.contestant:
                    result.entries[one.name].fault = fault
        yield servers


def take(
    turn: Turn, servers: Servers, result: Result, effort: Effort, warm_up: bool = False
) -> None:
    entry = result.entries[turn.name]
    server = servers.get(turn.contestant)
    if entry.fault or server is None:
        return
    time.sleep(REST)
    try:
        if warm_up:
            turn.load.warm_up(server, effort.warm_up)
            return
        before = server.cpu()
        sample = turn.load.measure(server, effort.seconds)
        used = cpu_by_role(before, server.cpu())
    except (Wrong, OSError) as error:
        entry.fault = f"answers wrongly: {error}\n{server.log_end(3)}".strip()
        return
    sample["resident"] = server.resident()
    if count := sample.get("count"):
        sample["cpu"] = sum(used.values()) / count * 1000
        for role, seconds in used.items():
            entry.cpu[role] = entry.cpu.get(role, 0.0) + seconds
    entry.samples.append(sample)
