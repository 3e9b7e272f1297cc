"""`propylon top` in a terminal of its own: what is seen, its keys, and the terminal afterwards."""

import re
import shlex
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from .operating import CHANGING, begin, deploy, finish
from .server import DEADLINE, Propylon, command, environment, stat, wait_for
from .terminals import Screen

ENTERED, LEFT = b"\x1b[?1049h", b"\x1b[?1049l"
COLOUR = re.compile(rb"\x1b\[[\d;]*m")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Propylon]:
    folder = tmp_path_factory.mktemp("site")
    deploy(folder, "one")
    with Propylon(*CHANGING, "0.2", cwd=folder) as running:
        running.folder = folder  # type: ignore[attr-defined]
        yield running


def of(server: Propylon) -> tuple[str, ...]:
    return ("top", "--pid", str(server.process.pid), "--interval", "0.1")


def ready(screen: Screen) -> str:
    return screen.see(lambda text: text.count(" ready ") >= 3, "a gateway and two workers")


def restored(screen: Screen) -> None:
    assert screen.attributes() == screen.before
    wait_for(lambda: screen.raw.endswith((LEFT, LEFT + b"^C")), "the screen is given back")
    assert screen.raw.count(b"\x1b[?25h") == screen.raw.count(b"\x1b[?25l")


def test_in_a_terminal(server: Propylon) -> None:
    with Screen(*of(server), COLUMNS="77") as screen:  # the shell's, from before a resize
        text = ready(screen)
        assert text.startswith(f"Serving {server.url}")
        assert f"pid {server.process.pid}" in text
        assert text.splitlines()[-1].startswith("q quit")
        assert screen.cell("Serving").fg == "green"
        screen.type("m")
        screen.see(lambda text: "workers by memory" in text, "sorted by memory")
        screen.type("m")
        screen.see(lambda text: "workers by memory, turned round" in text, "the other way round")
        screen.type("?")
        screen.see(lambda text: "Ctrl-C" in text and "REQ/S" not in text, "the help")
        screen.type("\x1b")
        screen.see(lambda text: "REQ/S" in text, "no help")
        screen.resize(60, 10)
        screen.see(lambda text: "q quit" in text.split("\n")[9] and "REQ/S" in text, "it is small")
        screen.resize(120, 30)
        screen.see(lambda text: text.split("\n")[29].startswith("q quit"), "it is large")
        with server.client() as client:
            for _ in range(5):
                client.get("/")
        screen.type("p")
        paused = screen.see(lambda text: "PAUSED" in text, "it is paused")
        screen.type("p")
        clock = paused.splitlines()[0][-8:]
        screen.see(lambda text: text.splitlines()[0][-8:] != clock, "it goes on")
        screen.type("q")
        assert (screen.ends(), screen.error()) == (0, "")
        restored(screen)


def test_into_a_pipe(server: Propylon) -> None:
    asked = subprocess.run(
        command(*of(server), "-n", "2"),
        capture_output=True,
        env=environment(COLUMNS="90"),
        timeout=DEADLINE,
        check=True,
    )
    assert asked.stderr == b""
    assert b"\x1b" not in asked.stdout
    looks = asked.stdout.decode().split("\nServing ")
    assert len(looks) == 2
    for look in looks:
        assert look.count(" ready ") == 3
        assert max(map(len, look.splitlines())) <= 90


@pytest.mark.slow
@pytest.mark.parametrize("way", ["q", "\x03", "\x04"])
def test_keys_that_quit(server: Propylon, way: str) -> None:
    with Screen(*of(server)) as screen:
        ready(screen)
        screen.type(way)
        assert (screen.ends(), screen.error()) == (0, "")
        restored(screen)


@pytest.mark.slow
def test_a_signal_that_was_ignored_before_does_not_end_it(server: Propylon) -> None:
    """As nohup does it."""
    with Screen(*of(server), ignored=signal.SIGHUP) as screen:
        ready(screen)
        screen.process.send_signal(signal.SIGHUP)
        screen.type("h")
        screen.see(lambda text: "quit" in text, "it goes on")
        screen.type("q")
        assert (screen.ends(), screen.error()) == (0, "")
        restored(screen)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT])
def test_a_signal_ends_it(server: Propylon, number: signal.Signals) -> None:
    with Screen(*of(server)) as screen:
        ready(screen)
        screen.process.send_signal(number)
        assert screen.ends() == -number
        restored(screen)


@pytest.mark.slow
def test_ctrl_z_and_fg(server: Propylon) -> None:
    shell = f"{shlex.join(command(*of(server)))}; read line; fg; echo code $?; read line"
    with Screen(program=("/bin/sh", "-mc", shell)) as screen:
        ready(screen)
        (pid,) = children(screen.process.pid)
        screen.type("\x1a")
        wait_for(lambda: stat(pid)[0] == "T", "it is stopped")
        wait_for(lambda: screen.raw.count(LEFT), "what it wrote last is read")
        assert screen.attributes() == screen.before
        assert screen.raw.count(LEFT) == screen.raw.count(ENTERED) == 1
        screen.type("\n")
        wait_for(lambda: screen.raw.count(ENTERED) > 1, "it has the terminal again")
        ready(screen)
        screen.type("m")
        screen.see(lambda text: "workers by memory" in text, "a key")
        screen.type("q")
        screen.see(lambda text: "code 0" in text, "it ended")
        assert screen.attributes() == screen.before


def children(pid: int) -> list[int]:
    text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    return [int(word) for word in text.split()]


@pytest.mark.slow
def test_the_terminal_goes_away(server: Propylon) -> None:
    with Screen(*of(server)) as screen:
        ready(screen)
        screen.hang_up()
        assert screen.ends() == -signal.SIGHUP


@pytest.mark.slow
def test_without_colours(server: Propylon, tmp_path: Path) -> None:
    with Screen(*of(server), NO_COLOR="1") as screen:
        ready(screen)
        screen.type("q")
        screen.ends()
        colours = {word for code in COLOUR.findall(screen.raw) for word in code[2:-1].split(b";")}
        assert not colours & {b"%d" % number for number in (*range(30, 50), *range(90, 108))}
    (tmp_path / "rich.py").write_text("raise ImportError('not installed')")
    with Screen(*of(server), PYTHONPATH=str(tmp_path)) as screen:
        ready(screen)
        screen.type("q")
        assert screen.ends() == 0
        assert not COLOUR.search(screen.raw)


@pytest.mark.slow
def test_it_goes_on_during_a_reload_and_an_upgrade(server: Propylon) -> None:
    with Screen(*of(server)) as screen:
        ready(screen)
        assert finish(begin(server, "reload")).code == 0
        screen.see(lambda text: "Reload to generation 2 was committed" in text, "the reload")
        assert finish(begin(server, "upgrade")).code == 0
        screen.see(lambda text: "Reload to generation 3 was committed" in text, "the upgrade")
        ready(screen)
        screen.type("q")
        assert screen.ends() == 0


@pytest.mark.slow
def test_a_stopped_instance_and_one_that_ends(tmp_path: Path) -> None:
    deploy(tmp_path, "one")
    with Propylon(*CHANGING, "0.2", cwd=tmp_path) as server, Screen(*of(server)) as screen:
        ready(screen)
        server.process.send_signal(signal.SIGSTOP)
        screen.see(lambda text: "No answer; the data are " in text, "it does not answer")
        server.process.send_signal(signal.SIGCONT)
        screen.see(lambda text: "No answer" not in text, "it answers again")
        server.stop()
        assert screen.ends() == 1
        assert screen.error() == f"propylon: pid {server.process.pid} has ended\n"
        restored(screen)
