"""When memory is short, by given readings."""

from dataclasses import dataclass

import pytest
from propylon.gateway.serve.memory_watch import MemoryWatch, give_memory_back

MB = 2**20


@dataclass
class Use:
    used: int
    limit: int


@dataclass
class Holding:
    held: int


class Machine:
    """Readings, as a test wants them."""

    def __init__(self, limit: int = 0) -> None:
        self.resident = 0
        self.use: Use | None = None
        self.watch = MemoryWatch(
            limit,
            resident=lambda: self.resident,
            group=lambda: self.use,
        )

    def look(self, *held: int) -> str:
        """What is short."""
        short = self.watch.look([Holding(each) for each in held])
        return "" if short is None else f"{short.by}: {short.what}"


def test_what_is_held_for_clients_is_added_up() -> None:
    machine = Machine(limit=100 * MB)
    machine.resident = 150 * MB
    assert machine.look(60 * MB, 20 * MB, 19 * MB) == ""
    found = machine.look(60 * MB, 20 * MB, 20 * MB)
    assert found.startswith("buffers: a gateway process holds 100 MB for its clients, and may hold")
    found = machine.look(60 * MB, 20 * MB, 11 * MB)
    assert found.startswith("buffers"), "it has not gone far enough down"
    assert machine.look(60 * MB, 20 * MB, 9 * MB) == ""
    assert machine.look(60 * MB, 20 * MB, 19 * MB) == ""


def test_it_is_not_added_up_while_the_process_is_smaller_than_the_limit() -> None:
    class Never:
        def __iter__(self) -> None:
            raise AssertionError

    machine = Machine(limit=100 * MB)
    machine.resident = 99 * MB
    assert machine.watch.look(Never()) is None  # type: ignore[arg-type]


def test_without_a_limit_nothing_is_too_much() -> None:
    machine = Machine()
    machine.resident = 2**40
    assert machine.look(2**40) == ""


@pytest.mark.parametrize(
    ("used", "short"), [((94, 95, 93, 92, 94), (0, 1, 1, 0, 0)), ((99, 0, 95), (1, 0, 1))]
)
def test_a_full_container(used: tuple[int, ...], short: tuple[int, ...]) -> None:
    machine = Machine()
    found: list[int] = []
    for percent in used:
        machine.use = Use(percent * MB, 100 * MB)
        said = machine.look()
        assert said in ("", f"group: {percent} of 100 MB of memory are in use")
        found.append(bool(said))
    assert tuple(found) == short


def test_a_container_without_a_limit() -> None:
    assert Machine().look(1) == ""


def test_memory_can_be_given_back_anywhere() -> None:
    give_memory_back()
