"""How long a gateway that follows another waits for workers."""

from collections.abc import Sequence

import pytest
import trio
import trio.testing
from propylon.gateway.assemble import OTHERS_COME, WORKERS_COME, PoolsOwner
from propylon.gateway.pool.pool import Pool
from propylon.gateway.settings import PoolSettings


@pytest.mark.parametrize(
    ("come", "waits"),
    [
        ([], WORKERS_COME),
        ([("api", 0.5), ("site", 1.25)], 1.25),
        ([("site", 0.5)], 0.5 + OTHERS_COME),
        ([("api", WORKERS_COME - 0.25)], WORKERS_COME),
    ],
)
async def test_the_wait_for_workers(
    come: Sequence[tuple[str, float]], waits: float, autojump_clock: trio.testing.MockClock
) -> None:
    pools: dict[str, Pool] = {}
    owner = PoolsOwner(lambda _: None, pools)
    for name in ("api", "site"):
        pools[name] = Pool(PoolSettings(name=name), 60.0, owner)
    began = trio.current_time()

    async def comes(pool: str, after: float) -> None:
        await trio.sleep(after)
        owner.ready_changed(pool, 1)

    async with trio.open_nursery() as nursery:
        for pool, after in come:
            nursery.start_soon(comes, pool, after)
        await owner.await_workers()
        assert trio.current_time() - began == pytest.approx(waits)


def test_clients_count_as_told_when_the_last_pool_has_begun_to_leave(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = 10.0
    monkeypatch.setattr("propylon.gateway.assemble.monotonic", lambda: now)
    pools: dict[str, Pool] = {}
    owner = PoolsOwner(lambda _: None, pools)
    for name in ("api", "site"):
        pools[name] = Pool(PoolSettings(name=name), 60.0, owner)
    owner.leaving_changed("api", True)
    now = 13.0
    assert owner.left_for() == 0.0
    owner.leaving_changed("site", True)
    now = 15.0
    assert owner.left_for() == 2.0
    owner.leaving_changed("api", False)
    assert owner.left_for() == 0.0
