"""`propylon reload` with new code, good and bad, under clients that must not notice."""

import re
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from .operating import (
    CHANGING,
    Traffic,
    ask,
    begin,
    deploy,
    done,
    finish,
    settled,
    status,
    traffic,
    watch,
)
from .server import Propylon

FLAGS = (*CHANGING, "0.2")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Propylon]:
    deploy(tmp_path, "old")
    with Propylon(*FLAGS, cwd=tmp_path) as server:
        yield server


@pytest.fixture
def clients(server: Propylon) -> Iterator[Traffic]:
    with traffic(server) as clients:
        yield clients


def reload_state(report: dict) -> str:
    return report["reload"]["state"] if report["reload"] else ""


def test_workers_are_replaced_one_by_one(
    server: Propylon, clients: Traffic, tmp_path: Path
) -> None:
    before = settled(server, 2)
    deploy(tmp_path, "new")
    said = done(server, "reload")
    assert re.search(r"1 of 2 replaced\n.*2 of 2 replaced\n.*generation 2 serves", said, re.DOTALL)
    clients.answers.clear()
    clients.more(50)
    assert set(clients.answers) == {"new"}
    after = settled(server, 2)
    assert set(after.values()) == {2}
    assert not before.keys() & after.keys()
    assert "Reload to generation 2 was committed" in done(server, "status")


BAD = {
    "fails at import": (
        {"at_import": "raise KeyError('DATABASE_URL')"},
        r"KeyError: 'DATABASE_URL'[^ ]*\n(.*\n)*.*changing\.py\", line 4",
    ),
    "fails in lifespan": (
        {"in_startup": "raise OSError('no database at db:5432')"},
        r"changing\.py(.*\n)*.*no database at db:5432",
    ),
    "exits at import": ({"at_import": "os._exit(9)"}, "exited with code 9 before it was ready"),
    "dies after ready": (
        {"when_ready": "asyncio.get_running_loop().call_later(0.02, os._exit, 9)"},
        "exited with code 9 after",
    ),
}


EVERYDAY = ("dies after ready",)


@pytest.mark.parametrize(
    ("code", "why"),
    [
        pytest.param(*bad, id=name, marks=[] if name in EVERYDAY else [pytest.mark.slow])
        for name, bad in BAD.items()
    ],
)
@pytest.mark.slow
def test_code_that_cannot_serve_does_not_get_in(
    server: Propylon, clients: Traffic, tmp_path: Path, code: dict[str, str], why: str
) -> None:
    before = settled(server, 2)
    deploy(tmp_path, "bad", **code)
    said = ask(server, "reload")
    assert said.code == 1, said
    assert re.search(why, said.error), said.error
    assert said.error.startswith("propylon: not reloaded, the old serve on: ")
    assert settled(server, 2) == before
    report = status(server)["reload"]
    assert (report["state"], report["generation"], report["done"]) == ("aborted", 2, 0)
    shown = done(server, "status")
    assert "Reload to generation 2 was ABORTED" in shown
    assert re.search(r"Ended lately:(.*\n)+.*worker 1 ", shown), shown
    clients.more()

    deploy(tmp_path, "repaired")
    done(server, "reload")
    clients.version("repaired")


@pytest.mark.slow
@pytest.mark.parametrize(
    "code", [{"at_import": "time.sleep(3600)"}, {"in_startup": "await asyncio.sleep(3600)"}]
)
def test_code_that_hangs_at_its_start(tmp_path: Path, code: dict[str, str]) -> None:
    deploy(tmp_path, "old")
    flags = (*FLAGS, "--startup-timeout", "4")
    with Propylon(*flags, cwd=tmp_path) as server, traffic(server):
        before = settled(server, 2)
        deploy(tmp_path, "bad", **code)
        said = ask(server, "reload")
        assert said.code == 1
        assert "within 4 s" in said.error
        assert settled(server, 2) == before


@pytest.mark.slow
def test_code_that_dies_when_it_has_taken_over(
    server: Propylon, clients: Traffic, tmp_path: Path
) -> None:
    """The first new worker holds its place by then, while the second starts."""
    settled(server, 2)
    hold = "while os.path.exists('hold'): await asyncio.sleep(0.01)"
    watches = "await watch(receive)"
    deploy(
        tmp_path,
        "new",
        at_import="from dying import watch",
        in_startup=hold,
        when_ready=watches,
    )
    (tmp_path / "dying.py").write_text(
        "import asyncio, os\n"
        "async def watch(receive):\n"
        "    def look():\n"
        "        if os.path.exists('die'): os._exit(9)\n"
        "        asyncio.get_running_loop().call_later(0.01, look)\n"
        "    look()\n"
    )
    reloading = begin(server, "reload")
    watch(server, lambda report: reload_state(report) == "observing", "the canary")
    (tmp_path / "hold").touch()
    watch(server, lambda report: reload_state(report) == "rolling", "the second")
    (tmp_path / "die").touch()
    said = finish(reloading)
    (tmp_path / "die").unlink()
    (tmp_path / "hold").unlink()
    assert said.code == 1
    assert "worker 1 " in said.error
    assert "exited with code 9 after" in said.error
    assert status(server)["reload"]["done"] == 1
    settled(server, 2)
    done(server, "reload")


@pytest.mark.slow
def test_code_that_answers_only_errors_is_found_out(tmp_path: Path) -> None:
    """Without a warm-up it takes some clients to see that."""
    deploy(tmp_path, "old")
    flags = (*FLAGS, "--reload-observe", "30")
    with Propylon(*flags, cwd=tmp_path) as server:
        before = settled(server, 2)
        deploy(tmp_path, "bad", status=500)
        with server.client() as client:
            reloading = begin(server, "reload")
            errors = 0
            while reloading.poll() is None and errors < 50:
                errors += client.get("/").status_code == 500
            said = finish(reloading)
            assert said.code == 1
            assert re.search(r"all \d+ answers of worker 1 .* were errors \(5xx\)", said.error)
            assert settled(server, 2) == before
            assert {client.get("/").status_code for _ in range(20)} == {200}


@pytest.mark.slow
def test_a_warm_up_keeps_errors_from_everybody(tmp_path: Path) -> None:
    deploy(tmp_path, "old")
    with Propylon(*FLAGS, "--warm-up", "/", cwd=tmp_path) as server, traffic(server):
        before = settled(server, 2)
        deploy(tmp_path, "bad", status=500)
        said = ask(server, "reload")
        assert said.code == 1
        assert "GET / at the warm-up with 500" in said.error
        assert settled(server, 2) == before


@pytest.mark.slow
def test_status_during_a_roll(server: Propylon, clients: Traffic, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    wait = "while not os.path.exists('gate'): await asyncio.sleep(0.01)"
    deploy(tmp_path, "new", in_startup=wait)
    assert done(server, "reload", "--no-wait") == "Reloading: generation 2\n"
    assert status(server)["reload"]["state"] == "canary"
    assert "Reload to generation 2 under way for" in done(server, "status")
    assert "canary, 0 of 2 replaced" in done(server, "status")
    states = {w["state"] for w in status(server)["pools"][0]["workers"]}
    assert states == {"ready", "starting"}
    gate.touch()
    watch(server, lambda report: reload_state(report) == "rolling", "the roll")
    watch(server, lambda report: reload_state(report) == "committed", "the commit")
    clients.version("new")


@pytest.mark.slow
def test_the_latest_of_two_reloads_wins(server: Propylon, clients: Traffic, tmp_path: Path) -> None:
    deploy(tmp_path, "first", in_startup="await asyncio.sleep(3600)")
    first = begin(server, "reload")
    watch(server, lambda report: reload_state(report) == "canary", "the first reload")
    deploy(tmp_path, "second")
    assert "generation 3 serves" in done(server, "reload")
    said = finish(first)
    assert said.code == 1
    assert said.error == "propylon: not reloaded: overtaken by another reload\n"
    clients.answers.clear()
    clients.more()
    assert set(clients.answers) == {"second"}


def test_a_stop_during_a_reload(server: Propylon, tmp_path: Path) -> None:
    deploy(tmp_path, "new", in_startup="await asyncio.sleep(3600)")
    reloading = begin(server, "reload")
    watch(server, lambda report: reload_state(report) == "canary", "the reload")
    assert "Stopped" in done(server, "stop")
    said = finish(reloading)
    assert said.code == 1
    assert said.error == "propylon: not reloaded: Propylon stops\n"
    assert server.stop() == 0


@pytest.mark.slow
def test_reload_by_signal(server: Propylon, clients: Traffic, tmp_path: Path) -> None:
    deploy(tmp_path, "new")
    server.process.send_signal(signal.SIGHUP)
    server.stderr.find("Reloading on SIGHUP")
    server.stderr.find("Reloaded: generation 2 serves")
    clients.version("new")


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
@pytest.mark.slow
def test_who_has_asked_for_a_reload_may_go(
    server: Propylon, clients: Traffic, tmp_path: Path, number: signal.Signals
) -> None:
    wait = "while not os.path.exists('gate'): await asyncio.sleep(0.01)"
    deploy(tmp_path, "new", in_startup=wait)
    reloading = begin(server, "reload")
    watch(server, lambda report: reload_state(report) == "canary", "the reload")
    reloading.send_signal(number)
    said = finish(reloading)
    if number == signal.SIGINT:
        assert said.code == 130
        assert "the reload goes on" in said.error
    (tmp_path / "gate").touch()
    server.stderr.find("Reloaded: generation 2 serves")
    clients.version("new")


@pytest.mark.slow
def test_capacity_never_falls(server: Propylon, clients: Traffic, tmp_path: Path) -> None:
    """At every moment of a roll, as many workers are ready as are wanted."""
    least: list[int] = []

    def look(report: dict) -> bool:
        ready = [w for w in report["pools"][0]["workers"] if w["state"] == "ready"]
        least.append(len(ready))
        return reload_state(report) == "committed"

    deploy(tmp_path, "new")
    done(server, "reload", "--no-wait")
    watch(server, look, "the commit")
    assert min(least) >= 2
    assert max(least) == 3
