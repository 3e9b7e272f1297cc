"""How long a gateway that follows another waits for workers; which clients may have files."""

from collections.abc import Sequence
from dataclasses import replace

import pytest
import trio
import trio.testing
from propylon.gateway.assemble import OTHERS_COME, WORKERS_COME, FilesOfClients, PoolsOwner
from propylon.gateway.buffering.store import BufferStore
from propylon.gateway.files.disk_threads import DiskThreads
from propylon.gateway.pool.pool import Pool
from propylon.gateway.settings import BufferSettings, GatewaySettings, PoolSettings


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


def test_clients_may_have_a_file_when_an_app_names_them_or_has_passed_one() -> None:
    pool_settings = PoolSettings(buffer_requests="off", buffer_responses="off")
    named = replace(pool_settings, internal_files=("/=/srv",))
    store = BufferStore(BufferSettings())
    pool = Pool(pool_settings, 60.0, PoolsOwner(lambda _: None, {}))
    pool.send_files(DiskThreads(lambda call: call()))

    def used(settings: PoolSettings) -> bool:
        all_settings = GatewaySettings(run_dir="", listeners=(), pools=(settings,))
        return FilesOfClients(all_settings, store, {"": pool}).used

    assert used(named)
    assert not used(pool_settings)
    assert pool.deliver_file() is not None
    assert used(pool_settings)
