"""deploy/README.md: the runbook has every alert, and the numbers of its queues are right."""

import re
from math import log

import pytest

from ..house.source import ROOT

FOLDER = ROOT / "deploy"
RUNBOOK = (FOLDER / "README.md").read_text("utf-8")


def section(title: str) -> str:
    return RUNBOOK.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


def waits(slots: int, load: float) -> tuple[float, float]:
    """Of an M/M/c queue with `slots` servers that are busy to the part `load`: the part of the
    requests that wait (Erlang's C formula), and how long 99 % wait at most, in service times."""
    offered = slots * load
    blocked = 1.0  # Erlang's B formula, by its recursion over the servers
    for servers in range(1, slots + 1):
        blocked = offered * blocked / (servers + offered * blocked)
    waiting = blocked / (1 - load * (1 - blocked))
    return waiting, max(0.0, log(100 * waiting) / (slots * (1 - load)))


def test_erlangs_formula() -> None:
    """With one server the part that waits is the load; two and 0.5: a third (textbooks)."""
    assert waits(1, 0.7)[0] == pytest.approx(0.7)
    assert waits(2, 0.5)[0] == pytest.approx(1 / 3)


def test_every_alert_is_explained_with_what_to_do() -> None:
    rules = (FOLDER / "prometheus/propylon.rules.yml").read_text("utf-8")
    alerts = dict(re.findall(r"alert: (\w+).*?severity: (\w+)", rules, re.S))
    rows = dict(re.findall(r"^\| (Propylon\w+) \| (\w+) \|", section("Alerts"), re.M))
    assert rows == alerts


def test_the_queue_s_numbers() -> None:
    rows = re.findall(r"^\| (\d+) \| (.+) \|$", section("The mathematics of the queue"), re.M)
    assert [int(slots) for slots, _ in rows] == [1, 4, 8, 16, 64]
    for slots, cells in rows:
        for load, cell in zip((0.5, 0.7, 0.8, 0.9, 0.95), cells.split(" | "), strict=True):
            waiting, longest = waits(int(slots), load)
            assert cell == f"{waiting:.0%}, {longest:.2f}".replace("%", " %")


def test_what_is_in_the_folder() -> None:
    table = section("What is in this folder")
    named = set(re.findall(r"^\| \[`(\w+)/", table, re.M))
    assert named == {path.name for path in FOLDER.iterdir() if path.is_dir()}
