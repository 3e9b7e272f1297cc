"""A smaller version of `python -m tests.nothing_dropped`: ours alone, seconds instead of minutes.

The harness runs in a process of its own, because it adopts whatever a server leaves behind.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from .server import environment

ROOT = Path(__file__).parent.parent.parent
SHORT, LONG = 5.0, 12.0
"""Seconds of a trial; beginning and end come on top of it."""
OVERHEAD = 120.0
"""Seconds after which even a trial that goes all wrong has ended."""

BRIEF = [("propylon", "reload")]
SLOW = [
    ("propylon", variant)
    for variant in (
        "reload", "import", "startup", "hang", "dies", "500s", "killed", "stopped", "gateway",
        "overload", "stop", "orphaned", "upgrade", "forks",
    )
] + [("propylon wsgi", variant) for variant in ("reload", "hang", "killed", "stopped")]  # fmt: skip


def trial(
    folder: Path, contestant: str, variant: str, seconds: float, *flags: str
) -> dict[str, Any]:
    """What the harness wrote of it, and what it printed under `text`."""
    result = folder / "result.json"
    done = subprocess.run(
        [
            sys.executable, "-m", "tests.nothing_dropped", "--seconds", str(seconds),
            "--contestants", contestant, "--variants", variant, "--json", str(result), *flags,
        ],
        cwd=ROOT, env=environment(), capture_output=True, text=True,
        timeout=3 * seconds + OVERHEAD, check=False,
    )  # fmt: skip
    assert result.exists(), done.stdout + done.stderr
    (told,) = json.loads(result.read_text())["trials"]
    assert done.returncode == int(told["total"] > 0), done.stdout + done.stderr
    return {**told, "text": done.stdout + told["log"]}


def assert_nothing_dropped(told: dict[str, Any]) -> None:
    if told["state"] == "n/a":
        pytest.skip("not applicable")
    assert told["state"] == "ran", told["why"]
    assert told["total"] == 0, told["text"]
    kinds = {"new connection", "keep-alive", "pipelining", "post"}
    assert kinds <= told["answers"].keys(), told["text"]


@pytest.mark.slow
@pytest.mark.parametrize(("contestant", "variant"), BRIEF)
def test_nothing_is_dropped(tmp_path: Path, contestant: str, variant: str) -> None:
    assert_nothing_dropped(trial(tmp_path, contestant, variant, SHORT))


@pytest.mark.slow
@pytest.mark.parametrize(("contestant", "variant"), SLOW)
def test_nothing_is_dropped_for_longer(tmp_path: Path, contestant: str, variant: str) -> None:
    assert_nothing_dropped(trial(tmp_path, contestant, variant, LONG))


@pytest.mark.slow
def test_a_killed_worker_is_seen(tmp_path: Path) -> None:
    """Without allowances, what a dead worker had begun is counted."""
    told = trial(tmp_path, "propylon", "killed", SHORT, "--strict")
    assert told["failures"]["websocket"].keys() == {"close code 1011"}, told["text"]
    assert told["failures"]["events"].keys() == {"truncated"}, told["text"]
    assert told["notes"]["workers killed"], told["text"]
