import json
import logging
import os
import socket
import stat
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from time import monotonic

import pytest
import trio
import trio.testing
from propylon.gateway.supervisor.app_metrics import KNOWN_WITHIN, NEW_WITHIN, AppMetrics
from propylon.protocol.app_metrics import (
    LONGEST_FRAME,
    Frames,
    Introduction,
    answer,
    frame,
    hello,
    read_ask,
)

from ..metrics.app_processes import Family, counter, gauge, payload

WITHIN = 10.0


class Fleet:
    """A supervisor's metrics of one pool, and the children that it knows."""

    def __init__(
        self,
        run_dir: Path,
        *,
        only_own: bool = False,
        within: tuple[float, float] = (WITHIN, 2 * WITHIN),
    ) -> None:
        (run_dir / "default").mkdir(exist_ok=True)
        self.path = run_dir / "default/0.metrics"
        self.children: set[int] = set()
        self.pools = ["default"]
        self.metrics = AppMetrics(
            str(run_dir / "control.sock"),
            lambda: self.pools,
            knows=self.children.__contains__,
            only_own=only_own,
            within=within,
        )

    async def shown(self) -> dict[str, float]:
        """What the apps count: name and labels -> value."""
        return {
            f"{sample.name} {' '.join(sample.labels[n] for n in sorted(sample.labels))}": (
                sample.value
            )
            for family in await self.metrics.families()
            if not family.name.startswith("propylon_")
            for sample in family.samples
        }

    def dropped(self) -> dict[str, float]:
        """Reason -> how many families were left out so far."""
        return {
            sample.labels["reason"]: sample.value
            for family in self.metrics._merge.families(0.0)
            if family.name == "propylon_app_metrics_dropped"
            for sample in family.samples
        }

    async def comes(self, number: int, *, child: int = 0, process: str = "") -> "Worker":
        sock = trio.socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        await until(self.path.exists)
        await sock.connect(str(self.path))
        process = process or f"process {number}"
        who = Introduction(pool="default", worker=number, id=child, process=process)
        return Worker(sock, who)


class Worker:
    """A worker, as a supervisor hears it."""

    def __init__(self, sock: trio.socket.SocketType, who: Introduction) -> None:
        self.sock = sock
        self.who = who
        self._frames = Frames()

    async def greets(self) -> None:
        await self.sends(hello(self.who))

    async def sends(self, data: bytes) -> None:
        await trio.SocketStream(self.sock).send_all(data)

    async def is_asked(self) -> int:
        with trio.fail_after(WITHIN):
            while True:
                data = await self.sock.recv(100)
                assert data, "the supervisor has gone"
                for _, number in self._frames.feed(data):
                    return read_ask(number)

    async def says(self, number: int, *families: Family) -> None:
        values = [value for family in families for value in family[3].values()]
        said = frame(b"F", payload(*families)) + answer(number, values, {})
        await self.sends(said)

    async def is_cut(self) -> None:
        with trio.fail_after(WITHIN):
            while await self.sock.recv(100):
                pass

    def goes(self) -> None:
        self.sock.close()


async def until(condition: Callable[[], object]) -> None:
    with trio.fail_after(WITHIN):
        while not condition():  # noqa: ASYNC110
            await trio.sleep(0.005)


@asynccontextmanager
async def fleet(
    run_dir: Path, *, only_own: bool = False, within: tuple[float, float] = (WITHIN, 2 * WITHIN)
) -> AsyncIterator[Fleet]:
    async with trio.open_nursery() as nursery:
        one = Fleet(run_dir, only_own=only_own, within=within)
        nursery.start_soon(one.metrics.run)
        await until(one.path.exists)
        yield one
        nursery.cancel_scope.cancel()


async def asked(one: Fleet, *saying: tuple[Worker, Family]) -> dict[str, float]:
    """What is shown when these workers answer that."""
    async with trio.open_nursery() as nursery:

        async def answers(worker: Worker, family: Family) -> None:
            await worker.says(await worker.is_asked(), family)

        for worker, family in saying:
            nursery.start_soon(answers, worker, family)
        with trio.fail_after(WITHIN):
            return await one.shown()


async def there(one: Fleet, count: int) -> None:
    """Waits until so many workers have introduced themselves."""
    pool = one.metrics._merge.pool("default")
    await until(lambda: len(pool.numbered()) == count)


async def test_workers_are_asked_and_the_socket_is_the_pool_s(tmp_path: Path) -> None:
    async with fleet(tmp_path) as one:
        assert stat.S_IMODE(one.path.stat().st_mode) == 0o660
        a, b = await one.comes(1), await one.comes(2)
        for worker in (a, b):
            await worker.greets()
        await there(one, 2)
        assert await asked(one, (a, counter("x", 2)), (b, counter("x", 3))) == {
            "x_total default": 5
        }
        a.goes()
        await there(one, 1)
        assert await asked(one, (b, counter("x", 4))) == {"x_total default": 6}
        b.goes()
    assert not one.path.exists()


async def test_series_are_remembered_while_a_worker_has_them(tmp_path: Path) -> None:
    async with fleet(tmp_path) as one:
        a, b = await one.comes(1), await one.comes(2)
        await a.greets()
        await b.greets()
        await there(one, 2)
        for number in range(20):  # an app that has other series each time
            family = counter(f"x{number}", 1)
            await asked(one, (a, family), (b, family))
        assert len(one.metrics._shapes) == 1
        a.goes()
        b.goes()


async def test_nobody_waits_for_long_for_a_worker(tmp_path: Path) -> None:
    async with fleet(tmp_path, within=(KNOWN_WITHIN, NEW_WITHIN)) as one:
        a, b = await one.comes(1), await one.comes(2)
        await a.greets()
        await b.greets()
        await there(one, 2)
        began = monotonic()
        assert await one.shown() == {}  # nobody has answered
        assert NEW_WITHIN <= monotonic() - began < WITHIN
        assert await a.is_asked() == await b.is_asked() == 1
        began = monotonic()
        assert await one.shown() == {}  # they owe an answer, and are not waited for
        assert monotonic() - began < NEW_WITHIN
        await a.says(1, counter("x", 1))
        await b.says(1, counter("x", 1))
        with trio.fail_after(WITHIN):
            while await one.shown() != {"x_total default": 2}:
                pass
        a.goes()
        b.goes()


async def test_the_answer_before_counts_if_a_worker_is_slow(tmp_path: Path) -> None:
    async with fleet(tmp_path, within=(KNOWN_WITHIN, NEW_WITHIN)) as one:
        worker = await one.comes(1)
        await worker.greets()
        await there(one, 1)
        assert await asked(one, (worker, gauge("g", 1))) == {"g default 1": 1}
        began = monotonic()
        assert await one.shown() == {"g default 1": 1}
        assert KNOWN_WITHIN <= monotonic() - began < WITHIN
        worker.goes()


async def test_two_scrapes_at_once(tmp_path: Path) -> None:
    async with fleet(tmp_path) as one:
        worker = await one.comes(1)
        await worker.greets()
        await there(one, 1)
        found: list[dict[str, float]] = []

        async def scrape() -> None:
            found.append(await one.shown())

        with trio.fail_after(WITHIN):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(scrape)
                nursery.start_soon(scrape)
                await worker.says(await worker.is_asked(), counter("x", 1))
        assert {"x_total default": 1} in found
        worker.goes()


@pytest.mark.parametrize("ended_first", [True, False])
async def test_last_words_are_read_when_the_process_has_ended(
    tmp_path: Path, ended_first: bool
) -> None:
    """Although a child that it has forked holds the connection."""
    async with fleet(tmp_path) as one:
        one.children.add(7)
        worker = await one.comes(1, child=7)
        held = os.dup(worker.sock.fileno())
        await worker.greets()
        await there(one, 1)
        await worker.says(0, counter("x", 9))
        worker.goes()
        if not ended_first:
            await trio.testing.wait_all_tasks_blocked()
        one.children.discard(7)
        one.metrics.ended(7)
        await there(one, 0)
        assert await one.shown() == {"x_total default": 9}
        assert not one.metrics._merge.pool("default").children(7)
        os.close(held)


async def test_a_worker_that_was_away_and_has_ended(tmp_path: Path) -> None:
    async with fleet(tmp_path) as one:
        worker = await one.comes(1, child=7)
        await worker.greets()
        await there(one, 1)
        await asked(one, (worker, counter("x", 9)))
        worker.goes()
        await there(one, 0)
        one.metrics.ended(7)
        assert not one.metrics._merge.pool("default").children(7)
        assert await one.shown() == {"x_total default": 9}


async def test_after_an_upgrade_each_process_counts_once(tmp_path: Path) -> None:
    async with fleet(tmp_path) as one:
        worker = await one.comes(1, child=7)
        await worker.greets()
        await there(one, 1)
        await asked(one, (worker, counter("x", 9)))
        saved = json.loads(json.dumps(one.metrics.save()))
        worker.goes()
    async with trio.open_nursery() as nursery:
        two = Fleet(tmp_path)
        two.metrics.restore(saved)
        nursery.start_soon(two.metrics.run)
        assert await two.shown() == {"x_total default": 9}
        again = await two.comes(1, child=7)
        await again.greets()
        await there(two, 1)
        assert await asked(two, (again, counter("x", 10))) == {"x_total default": 10}
        again.goes()
        nursery.cancel_scope.cancel()


async def test_workers_alone_show_their_own(tmp_path: Path) -> None:
    async with fleet(tmp_path, only_own=True) as one:
        one.children.add(7)
        mine, other = await one.comes(1, child=7), await one.comes(1, child=8, process="p" * 9)
        for worker in (other, mine):
            await worker.greets()
        await there(one, 1)
        await other.says(0, counter("x", 100))
        assert await asked(one, (mine, counter("x", 1))) == {"x_total default": 1}
        mine.goes()
        other.goes()


HELLO = hello(Introduction(pool="default", process="process"))
NONE = frame(b"F", b"[]")
LAST = answer(0, [], {})
HOSTILE = {
    "no frame": b"\xff" * 8,
    "a frame without end": (LONGEST_FRAME + 1).to_bytes(4, "big"),
    "an unknown frame": frame(b"Z", b""),
    "no JSON": frame(b"H", b"{"),
    "nobody": frame(b"H", b"{}"),
    "another pool": hello(Introduction(pool="other", process="process 1")),
    "hello twice": HELLO * 2,
    "an answer before families": HELLO + LAST,
    "families that are none": HELLO + frame(b"F", b"7"),
    "deep families": HELLO + frame(b"F", b"[" * 100_000),
    "an answer of another length": HELLO + frame(b"F", payload(counter("x", 1))) + LAST,
    "an answer to nothing": HELLO + NONE + answer(9, [], {}),
    "last words twice": HELLO + NONE + LAST * 2,
    "families behind last words": HELLO + NONE + LAST + NONE,
}


@pytest.mark.parametrize("sent", HOSTILE.values(), ids=HOSTILE.keys())
async def test_a_hostile_worker_is_cut_and_the_others_are_shown(
    tmp_path: Path, sent: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    async with fleet(tmp_path) as one:
        bad, good = await one.comes(1), await one.comes(2)
        await bad.sends(sent)
        await bad.is_cut()
        await good.greets()
        await until(lambda: "2" in one.metrics._merge.pool("default").numbered().values())
        assert (await asked(one, (good, counter("x", 1))))["x_total default"] == 1
        assert [record.levelno for record in caplog.records] == [logging.WARNING]
        bad.goes()
        good.goes()


async def test_whoever_only_looks_whether_it_lives_is_no_fault(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with fleet(tmp_path) as one:
        (await one.comes(1)).goes()
        worker = await one.comes(2)
        await worker.greets()
        await there(one, 1)
        assert not caplog.records
        worker.goes()


async def test_what_is_left_out_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with fleet(tmp_path) as one:
        worker = await one.comes(1)
        await worker.greets()
        await there(one, 1)
        for _ in range(2):
            await asked(one, (worker, counter("propylon_mine", 1)))
        assert one.dropped() == {"own_name": 2}
        (record,) = caplog.records
        assert record.getMessage() == (
            "Pool default: metrics of the app are left out (own_name): 'propylon_mine'"
        )
        worker.goes()


@pytest.mark.slow
async def test_the_socket_is_made_anew_and_follows_the_pools(tmp_path: Path) -> None:
    async with fleet(tmp_path) as one:
        one.path.unlink()
        await until(one.path.exists)
        worker = await one.comes(1)
        await worker.greets()
        await there(one, 1)
        worker.goes()
        (tmp_path / "other").mkdir()
        dead = tmp_path / "other/1a2b.metrics"
        with socket.socket(socket.AF_UNIX) as killed:
            killed.bind(str(dead))
        one.pools[:] = ["other"]
        await until((tmp_path / "other/0.metrics").exists)
        assert not one.path.exists()
        assert not dead.exists()


async def test_a_pool_s_directory_that_cannot_be_used(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with fleet(tmp_path) as one:
        (tmp_path / "file").touch()
        one.pools.append("file")
        await until(lambda: caplog.records)
        assert "No metrics of apps: " in caplog.text
        assert await one.shown() == {}
