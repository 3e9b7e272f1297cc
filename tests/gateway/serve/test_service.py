"""The sweep of a gateway process."""

from types import SimpleNamespace
from typing import Any

import pytest
import trio
from propylon.gateway.serve.service import Service


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
