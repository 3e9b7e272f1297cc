"""The order in a line, and who is passed over."""

from dataclasses import dataclass

import pytest
from propylon.gateway.pool.line import Line


@dataclass(eq=False)
class Waiter:
    name: str
    awaited: bool = True


def test_first_come_first_served_and_who_left_is_passed_over() -> None:
    line: Line[Waiter] = Line()
    a, b, c = Waiter("a"), Waiter("b"), Waiter("c")
    for number, waiter in enumerate((a, b, c)):
        line.put(waiter, 10.0 + number)
    assert line.since() == 10.0
    a.awaited = False
    assert len(line) == 3
    assert line.waiting() == 2
    assert len(line) == 2, "who counts the others drops them"
    assert line.since() == 11.0
    assert line.take() is b
    c.awaited = False
    assert line.since() is None
    assert len(line) == 0
    with pytest.raises(IndexError):
        line.take()
