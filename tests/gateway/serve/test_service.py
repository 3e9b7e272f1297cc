"""The sweep of a gateway process."""

from types import SimpleNamespace
from typing import Any

import pytest
import trio
from propylon.gateway.serve.service import SWEPT_IN_TURN, Service


async def test_a_sweep_that_fails_does_not_end_the_others(
    caplog: pytest.LogCaptureFixture,
) -> None:
    swept = trio.Event()

    def broken(now: float) -> None:
        raise ValueError("broken")

    state: Any = SimpleNamespace(
        clock=lambda: 0.0,
        restarts=SimpleNamespace(sweep=lambda now: None),
        connections=[],
        draining=False,
    )
    service = Service(state, [broken, lambda now: swept.set()], state)
    with trio.fail_after(10):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(service.sweep)
            await swept.wait()
            nursery.cancel_scope.cancel()
    assert "a sweep failed" in caplog.text


async def test_many_connections_are_swept_in_turns() -> None:
    """Others have theirs between, and who has left meanwhile is left alone."""
    swept = list[int]()
    turns = list[int]()

    class One:
        def __init__(self, number: int) -> None:
            self.number = number

        def sweep(self, now: float) -> None:
            swept.append(self.number)

    many = {One(number) for number in range(10 * SWEPT_IN_TURN)}
    state: Any = SimpleNamespace(
        clock=lambda: 0.0,
        restarts=SimpleNamespace(sweep=lambda now: None),
        connections=many,
        draining=False,
        http=SimpleNamespace(heads=SimpleNamespace(tick=lambda now: None)),
        http2=None,
    )
    service = Service(state, [], state)
    with trio.fail_after(10):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(service.sweep)
            while len(swept) < SWEPT_IN_TURN:
                await trio.lowlevel.checkpoint()
            gone = {one for one in many if one.number not in swept and one.number % 2}
            assert gone
            many -= gone
            while len(swept) < len(many):
                turns.append(len(swept))
                await trio.lowlevel.checkpoint()
            nursery.cancel_scope.cancel()
    assert not {one.number for one in gone} & set(swept)
    assert len(set(turns)) > 2
