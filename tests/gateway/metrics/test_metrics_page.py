"""docs/METRICS.md says what is counted: its tables are the table of families."""

import re
from pathlib import Path

from propylon.gateway.metrics.families import BY_GATEWAYS, BY_SUPERVISOR, Family
from propylon.gateway.supervisor.fleet.turnover import RECYCLE_REASONS, RESTART_REASONS
from propylon.gateway.supervisor.own_metrics import RELOAD_RESULTS

PAGE = (Path(__file__).parents[3] / "docs/METRICS.md").read_text()
NAME = re.compile(r"propylon_\w+")


def section(heading: str) -> str:
    return PAGE.partition(f"### {heading}\n")[2].partition("\n#")[0]


def rows(text: str) -> list[list[str]]:
    lines = [line for line in text.splitlines() if line.startswith("| `")]
    return [
        [cell.strip().replace("`", "") for cell in line.strip("|").split("|")] for line in lines
    ]


def row(family: Family) -> list[str]:
    return [family.name, family.kind, ", ".join(family.labels), family.help]


def test_every_family_is_on_the_page_as_the_table_has_it() -> None:
    assert rows(section("Gateways")) == [row(family) for family in BY_GATEWAYS]
    assert rows(section("The supervisor")) == [row(family) for family in BY_SUPERVISOR]


def test_queries_ask_for_families_that_there_are() -> None:
    known = {family.name for family in (*BY_GATEWAYS, *BY_SUPERVISOR)}
    asked = set(NAME.findall(PAGE.partition("## Queries")[2]))
    assert {name.removesuffix("_bucket") for name in asked} <= known
    assert len(asked) > 5


def test_every_reason_and_result_is_explained() -> None:
    meaning = {cells[0]: cells[1] for cells in rows(PAGE.partition("## Labels")[2])}
    for label, words in (
        ("reason of a restart", RESTART_REASONS),
        ("reason of a recycling", RECYCLE_REASONS),
        ("result", RELOAD_RESULTS),
    ):
        assert [word for word in words if not re.search(rf"\b{word}\b", meaning[label])] == []
