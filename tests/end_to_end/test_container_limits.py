"""What `propylon check` says in a real control group: `-w auto` and `--workers-max-rss auto`."""

import os
import re
import subprocess
from pathlib import Path

import pytest

from . import control_groups
from .operating import deploy
from .server import DEADLINE, command, environment

MB = 2**20


def checked(within: list[str], folder: Path, *flags: str) -> tuple[int, str]:
    words = [*within, *command("check", "changing:app", *flags)]
    done = subprocess.run(
        words, cwd=folder, env=environment(), capture_output=True, text=True, timeout=DEADLINE
    )
    return done.returncode, done.stdout + done.stderr


@pytest.mark.slow
def test_memory(tmp_path: Path) -> None:
    if why := control_groups.why_no("memory"):
        pytest.skip(why)
    deploy(tmp_path, "one")
    with control_groups.group("memory", 512 * MB) as within:
        _, said = checked(within, tmp_path, "-w", "2", "--workers-max-rss", "auto")
        found = re.search(r"2 workers, .* each replaced at (\d+) MB", said)
        assert found, said
        assert 32 <= int(found[1]) < 512 / 3

        code, said = checked(within, tmp_path, "-w", "2", "--workers-max-rss", "300M")
        assert code == 0, said
        assert "the container's limit is 512 MB: the kernel would kill" in said

        code, said = checked(within, tmp_path, "-w", "40", "--workers-max-rss", "50%")
        assert code != 0, said
        assert "of a limit of 512 MB that leaves" in said


@pytest.mark.slow
def test_cpus(tmp_path: Path) -> None:
    if why := control_groups.why_no("cpu"):
        pytest.skip(why)
    deploy(tmp_path, "one")
    for quota in (50_000, 150_000):
        with control_groups.group("cpu", quota) as within:
            cpus = min(len(os.sched_getaffinity(0)), -(-quota // 100_000))
            code, said = checked(within, tmp_path, "-w", "auto")
            assert code == 0, said
            assert f"changing:app, {cpus} worker" in said
