"""Percentages of the container's limit become bytes for each worker."""

from dataclasses import replace

import pytest
from propylon.gateway.config.config import PoolConfig, pool_options
from propylon.gateway.config.faults import Fault
from propylon.gateway.config.memory_share import LEAST, OWN, notes_on_memory, share_memory

MB = 2**20


def pool(
    workers: int, rss: int | str, *, preload: bool = False, name: str = "default"
) -> PoolConfig:
    told = pool_options("workers", workers_max_rss=rss)
    return PoolConfig(name=name, workers=workers, preload=preload, for_workers=told)


def shared(limit: int | None, own: int, *pools: PoolConfig) -> tuple[list[int], list[Fault]]:
    faults: list[Fault] = []
    found = share_memory(pools, own, limit, faults)
    return [one.for_workers["workers_max_rss"] for one in found], faults


@pytest.mark.parametrize(
    ("rss", "workers", "own", "limit", "size"),
    [
        ("80%", 3, 2, 1000 * MB, (800 * MB - 2 * OWN) // 4),
        ("auto", 3, 2, 1000 * MB, (900 * MB - 2 * OWN) // 4),
        ("100%", 1, 1, 512 * MB, (512 * MB - OWN) // 2),
        (200 * MB, 3, 2, 1000 * MB, 200 * MB),
        (0, 3, 2, None, 0),
    ],
)
def test_a_worker_s_share(
    rss: int | str, workers: int, own: int, limit: int | None, size: int
) -> None:
    assert shared(limit, own, pool(workers, rss)) == ([size], [])


def test_all_together_stay_below_the_limit_while_each_pool_has_a_replacement() -> None:
    limit, pools = 2000 * MB, (pool(4, "auto"), pool(2, "auto", preload=True, name="b"))
    (one, other), faults = shared(limit, 3, *pools)
    assert not faults
    assert one == other
    assert 3 * OWN + (4 + 1) * one + (2 + 1 + 1) * other <= 0.9 * limit


def test_what_a_pool_was_given_in_bytes_is_not_shared_among_the_others() -> None:
    pools = pool(4, 200 * MB), pool(2, "auto", name="b")
    (given, shares), faults = shared(2000 * MB, 2, *pools)
    assert (given, shares) == (200 * MB, (1800 * MB - 2 * OWN - 5 * 200 * MB) // 3)
    assert not faults
    assert not notes_on_memory([pool(4, given), pool(2, shares, name="b")], 2, 2000 * MB)
    _, (fault,) = shared(1000 * MB, 2, *pools)
    assert "leaves 0 MB for each of 3 processes" in str(fault)


def test_a_range_is_shared_among_the_most() -> None:
    ranged = replace(pool(2, "auto"), workers_max=8)
    assert shared(1000 * MB, 2, ranged) == ([(900 * MB - 2 * OWN) // 9], [])


def test_a_share_that_no_worker_fits_in() -> None:
    _, (fault,) = shared(256 * MB, 2, pool(8, "auto"))
    assert "of a limit of 256 MB that leaves 15 MB for each of 9 processes" in str(fault)
    _, (fault,) = shared(None, 2, pool(8, "50%"))
    assert "say it in bytes" in str(fault)


def test_notes_on_what_cannot_fit() -> None:
    (note,) = notes_on_memory([pool(8, 0)], 2, 256 * MB)
    assert "8 workers and 2 processes" in note
    assert "the container's limit is 256 MB" in note
    (note,) = notes_on_memory([pool(2, 400 * MB)], 2, 512 * MB)
    assert "have 896 MB together" in note
    (note,) = notes_on_memory([pool(2, 400 * MB), pool(1, 0, name="b")], 2, 512 * MB)
    assert "3 workers and 2 processes of Propylon's have 928 MB together" in note
    assert notes_on_memory([pool(2, 200 * MB)], 2, 512 * MB) == []
    assert notes_on_memory([pool(2, 0)], 2, 2 * OWN + 2 * LEAST) == []
