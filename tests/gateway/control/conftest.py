"""Real instances, and the command as it is typed to them."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from ..running import COMMAND, PATIENCE

ROOT = Path(__file__).parents[3]


@dataclass
class Running:
    process: "subprocess.Popen[str]"
    run_dir: str

    @property
    def pid(self) -> int:
        return self.process.pid

    def ended(self) -> int:
        return self.process.wait(PATIENCE)


@dataclass
class Said:
    code: int
    out: str
    err: str


@pytest.fixture
def env() -> Iterator[dict[str, str]]:
    kept = {name: text for name, text in os.environ.items() if "PROPYLON" not in name}
    with TemporaryDirectory(prefix="p") as folder:  # a socket's path is to be short
        yield kept | {"XDG_RUNTIME_DIR": folder, "TMPDIR": folder}


Start = Callable[..., Running]


@pytest.fixture
def start(env: dict[str, str]) -> Iterator[Start]:
    """Starts an instance; what still runs at the end is killed."""
    running: list[Running] = []

    def start(*arguments: str | Path, **more: str) -> Running:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.gateway.control.instance", *map(str, arguments)],
            cwd=ROOT,
            env=env | more,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert process.stdout is not None
        word, _, path = process.stdout.readline().strip().partition(" ")
        running.append(Running(process, path))
        assert word == "ready", process.communicate()[1]
        return running[-1]

    yield start
    for one in running:
        one.process.kill()
        one.process.communicate()


Type = Callable[..., Said]


@pytest.fixture
def propylon(env: dict[str, str], tmp_path: Path) -> Type:
    def type_it(*arguments: str | Path, **more: str) -> Said:
        ended = subprocess.run(
            [*COMMAND, *map(str, arguments)],
            cwd=tmp_path,
            env=env | more,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
        )
        return Said(ended.returncode, ended.stdout, ended.stderr)

    return type_it


@pytest.fixture
def waiting(
    env: dict[str, str], tmp_path: Path
) -> Iterator[Callable[..., "subprocess.Popen[str]"]]:
    """A command whose end is not waited for."""
    typed: list[subprocess.Popen[str]] = []

    def type_it(*arguments: str) -> "subprocess.Popen[str]":
        process = subprocess.Popen(
            [*COMMAND, *arguments],
            cwd=tmp_path,
            env=env,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        typed.append(process)
        return process

    yield type_it
    for process in typed:
        process.kill()
        process.communicate()
