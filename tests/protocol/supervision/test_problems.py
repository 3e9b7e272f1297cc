"""When a child reports what is wrong around it."""

from pathlib import Path

from propylon.protocol.supervision.messages import Problem, ProblemsSeen
from propylon.protocol.supervision.problems import REMEDIES, ProblemReporter, Recurring, problem


def test_all_are_reported_while_there_are_any_and_once_that_there_are_none() -> None:
    said: list[ProblemsSeen] = []
    disk = problem("dead socket", "/run/p", "nobody listens")
    now: list[Problem] = []
    reporter = ProblemReporter(said.append, [lambda at: now, lambda at: ()])
    reporter.sweep(0.0)
    assert said == []
    now.append(disk)
    reporter.sweep(0.9)
    assert said == [], "once a second"
    reporter.sweep(1.0)
    reporter.sweep(2.0)
    assert said == [ProblemsSeen((disk,))] * 2, "so that one that is lost does no harm"
    now.clear()
    reporter.sweep(3.0)
    reporter.sweep(4.0)
    assert said[2:] == [ProblemsSeen()]


def test_a_remedy_is_its_kind_s_unless_the_caller_knows_better() -> None:
    assert problem("dead socket", "", "left").remedy == REMEDIES["dead socket"]
    assert problem("dead socket", "", "left", "wait").remedy == "wait"


def test_one_that_recurs_is_over_when_it_was_not_met_for_a_while() -> None:
    files = Recurring("open files", "clients", 5.0)
    assert list(files.at(0.0)) == []
    files.met("no client can be accepted", 1.0)
    files.met("no other client can be accepted", 4.0)
    (one,) = files.at(8.9)
    assert (one.kind, one.what) == ("open files", "no client can be accepted")
    assert one.remedy == REMEDIES["open files"]
    assert list(files.at(9.0)) == []
    files.met("none again", 10.0, "wait")
    assert [(one.what, one.remedy) for one in files.at(10.0)] == [("none again", "wait")]


def test_the_page_has_every_kind_with_its_remedy() -> None:
    page = (Path(__file__).parents[3] / "docs/PROBLEMS.md").read_text("utf-8")
    rows = [line.strip("| ").split(" | ") for line in page.splitlines() if line.startswith("| `")]
    assert {row[0].strip("`"): row[-1] for row in rows} == REMEDIES
