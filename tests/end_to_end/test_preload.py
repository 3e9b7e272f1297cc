"""`--preload`: one import for all workers, that stays in memory."""

import os
import re
import signal
from pathlib import Path

import pytest

from .operating import APP, WSGI_APP, ask, deploy, done, settled, traffic, watch
from .server import Propylon, descendants, start_time, stat, wait_for

HOSTS = {
    "asyncio": (APP, ("--loop", "asyncio")),
    "trio": (APP, ("--loop", "trio")),
    "threads": (WSGI_APP, ()),
}


def flags(*more: str) -> tuple[str, ...]:
    return ("changing:app", "--preload", "--reload-observe", "0.1", "--no-access-log", *more)


def parent(pid: int) -> int:
    return int(stat(pid)[1])


@pytest.mark.parametrize(
    ("app", "loop"),
    [
        pytest.param(*host, id=name, marks=[pytest.mark.slow] if name != "asyncio" else [])
        for name, host in HOSTS.items()
    ],
)
def test_workers_are_forked_and_reload_brings_new_code(
    tmp_path: Path, app: str, loop: tuple[str, ...]
) -> None:
    mark = "open('imports', 'a').write('x')"
    deploy(tmp_path, "old", app=app, at_import=mark)
    with Propylon(*flags("-w", "3", *loop), cwd=tmp_path) as server, traffic(server) as clients:
        (zygote,) = {parent(pid) for pid in settled(server, 3)}
        assert parent(zygote) == server.process.pid
        assert (tmp_path / "imports").read_text() == "x"

        deploy(tmp_path, "new", app=app)
        done(server, "reload")
        clients.answers.clear()
        clients.more()
        assert set(clients.answers) == {"new"}
        assert {parent(pid) for pid in settled(server, 3)} != {zygote}
        wait_for(lambda: start_time(zygote) is None, "the end of the old code's process")


@pytest.mark.slow
def test_code_that_is_broken_on_disk_is_whole_in_memory(tmp_path: Path) -> None:
    deploy(tmp_path, "old")
    with Propylon(*flags("-w", "2"), cwd=tmp_path) as server:
        deploy(tmp_path, "bad", at_import="raise KeyError('DATABASE_URL')")
        with traffic(server) as clients:
            said = ask(server, "reload")
            assert said.code == 1
            assert re.search(r"KeyError: 'DATABASE_URL'(.*\n)*.*changing\.py", said.error)
        before = settled(server, 2)
        os.kill(min(before), signal.SIGKILL)
        watch(
            server,
            lambda r: (
                {w["pid"] for w in r["pools"][0]["workers"] if w["state"] == "ready"}
                - before.keys()
            ),
            "another worker",
        )
        done(server, "scale", "3")
        settled(server, 3)
        with traffic(server) as clients:
            pass
        assert set(clients.answers) == {"old"}


def proportional(pid: int) -> int:
    """Bytes of memory, those that are shared by n processes counted as an nth."""
    text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    match = re.search(r"^Pss:\s+(\d+) kB", text, re.M)
    assert match
    return int(match[1]) * 1024


@pytest.mark.slow
def test_memory_is_shared(tmp_path: Path) -> None:
    used: dict[bool, int] = {}
    for preload in (False, True):
        deploy(tmp_path, "old", at_import="DATA = [str(n) for n in range(500_000)]")
        arguments = flags("-w", "3") if preload else ("changing:app", "-w", "3")
        with Propylon(*arguments, cwd=tmp_path) as server:
            with traffic(server):
                pids = settled(server, 3)
            used[preload] = sum(map(proportional, {*pids, *server.pids("worker")}))
    assert used[True] < used[False] * 0.6


@pytest.mark.slow
def test_a_killed_supervisor_leaves_nobody(tmp_path: Path) -> None:
    deploy(tmp_path, "old")
    with Propylon(*flags("-w", "2"), cwd=tmp_path) as server:
        family = descendants(server.process.pid)
        assert len(family) == 4
        server.process.kill()
        server.process.wait()
        wait_for(lambda: not any(map(start_time, family)), "the end of all")
        server.stop = lambda number=0: 0  # pyright: ignore: it has ended already


@pytest.mark.slow
def test_a_killed_zygote_costs_nothing(tmp_path: Path) -> None:
    """Its workers serve on; who is needed next is made of what is on disk."""
    deploy(tmp_path, "old")
    with Propylon(*flags("-w", "2"), cwd=tmp_path) as server, traffic(server) as clients:
        before = settled(server, 2)
        (zygote,) = {parent(pid) for pid in before}
        os.kill(zygote, signal.SIGKILL)
        wait_for(lambda: start_time(zygote) is None, "its end")
        clients.more()
        assert settled(server, 2) == before
        done(server, "scale", "3")
        after = settled(server, 3)
        assert before.keys() < after.keys()
        done(server, "reload")
        assert not before.keys() & settled(server, 3).keys()
        wait_for(lambda: not any(map(start_time, before)), "the end of the orphans")
