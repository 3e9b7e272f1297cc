"""Autobahn's fuzzing client, some five hundred cases of RFC 6455 and RFC 7692.

It runs on Python 2.7 only, so it is not in the `test` extra: make an environment with a virtualenv
that still knows 2.7 (`pip install 'virtualenv<20.22'`, `virtualenv -p python2.7 DIR`), in it
`DIR/bin/pip install autobahntestsuite`, and say where it is:

    WSTEST=DIR/bin/wstest python -m pytest -m slow tests/end_to_end/test_autobahn.py

The cases of compression take minutes, most of which is the client's own; they run where AUTOBAHN
is `all`.
"""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from .server import Propylon

WSTEST = os.environ.get("WSTEST") or shutil.which("wstest")
GOOD = {"OK", "INFORMATIONAL"}
"""The latter where RFC 6455 leaves it open; NON-STRICT is not among them."""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(WSTEST is None, reason="Autobahn's wstest is not installed"),
]


def fuzz(folder: Path, *arguments: str, cases: list[str]) -> dict[str, dict[str, str]]:
    """The client's report of its cases, by their numbers."""
    with Propylon(
        "websocket_raw:app", "--no-access-log", "--ws-max-size", "33554432", *arguments
    ) as propylon:
        server = {"agent": "propylon", "url": propylon.url.replace("http", "ws", 1) + "/echo"}
        spec = {
            "outdir": str(folder / "report"),
            "servers": [server],
            "cases": cases,
            "exclude-cases": [],
            "exclude-agent-cases": {},
        }
        (folder / "spec.json").write_text(json.dumps(spec))
        with (folder / "log").open("wb") as log:
            command = [WSTEST or "", "-m", "fuzzingclient", "-s", str(folder / "spec.json")]
            code = subprocess.call(command, stdout=log, stderr=log, cwd=folder)
    assert code == 0, (folder / "log").read_text()[-4_000:]
    return json.loads((folder / "report" / "index.json").read_text())["propylon"]


def bad(report: dict[str, dict[str, str]]) -> dict[str, tuple[str, str]]:
    ends = {case: (row["behavior"], row["behaviorClose"]) for case, row in report.items()}
    return {case: end for case, end in ends.items() if not set(end) <= GOOD}


@pytest.mark.parametrize("loop", ["uvloop", "trio"])
def test_framing_and_limits(tmp_path: Path, loop: str) -> None:
    cases = [f"{group}.*" for group in (1, 2, 3, 4, 5, 6, 7, 9, 10)]
    report = fuzz(tmp_path, "--loop", loop, cases=cases)
    assert len(report) > 290
    assert bad(report) == {}


@pytest.mark.parametrize("group", [12, 13])
@pytest.mark.skipif(os.environ.get("AUTOBAHN") != "all", reason="AUTOBAHN is not `all`")
def test_compression(tmp_path: Path, group: int) -> None:
    report = fuzz(tmp_path, cases=[f"{group}.*"])
    assert len(report) >= 90
    assert bad(report) == {}


def test_compression_in_short(tmp_path: Path) -> None:
    """A case of each kind of messages and of parameters."""
    kinds = [f"12.{kind}.3" for kind in range(1, 6)] + [f"13.{kind}.3" for kind in range(1, 8)]
    report = fuzz(tmp_path, cases=kinds)
    assert len(report) == len(kinds)
    assert bad(report) == {}
