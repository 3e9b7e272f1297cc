"""What several children see together, when it is logged, and what status shows."""

from propylon.gateway.control.status import ProblemStatus
from propylon.gateway.supervisor.problems import LINGERS, MOST, Problems
from propylon.protocol.supervision.messages import Problem

DENIED = Problem("permissions", "/run/1.sock", "no link: denied", "run as one user")


class Seen:
    def __init__(self) -> None:
        self.log: list[str] = []
        self.problems = Problems(
            lambda text: self.log.append(f"came {text}"), lambda text: self.log.append(text)
        )

    def kinds(self, now: float = 0.0) -> list[str]:
        return [one.kind for one in self.problems.status(now)]


def test_two_children_that_see_the_same_make_one_entry() -> None:
    seen = Seen()
    for now in (1.0, 2.0):
        seen.problems.heard(1, [DENIED], now)
        seen.problems.heard(2, [DENIED], now)
    assert seen.log == ["came no link: denied; run as one user"]
    assert seen.problems.status(4.0) == (
        ProblemStatus(
            kind="permissions", what="no link: denied", remedy="run as one user", ago=3.0
        ),
    )
    seen.problems.heard(1, [], 5.0)
    assert seen.kinds() == ["permissions"], "the other child still sees it"
    seen.problems.heard(2, [], 5.0)
    assert seen.kinds() == []
    assert seen.log[1:] == ["No longer: no link: denied"]


def test_it_is_logged_again_when_its_first_reporter_says_something_else() -> None:
    seen = Seen()
    other = Problem("permissions", "/run/1.sock", "no link: read-only", "")
    seen.problems.heard(1, [DENIED], 1.0)
    seen.problems.heard(2, [other], 1.0)
    assert len(seen.log) == 1, "two that differ do not take turns"
    seen.problems.heard(1, [other], 2.0)
    assert seen.log[1:] == ["came no link: read-only"]


def test_the_successor_of_a_child_that_ended_says_nothing_new() -> None:
    seen = Seen()
    seen.problems.heard(1, [DENIED], 1.0)
    seen.problems.ended(1, 2.0)
    assert seen.kinds(3.0) == ["permissions"]
    seen.problems.heard(2, [DENIED], 4.0)
    seen.problems.ended(2, 5.0)
    assert seen.kinds(5.1 + LINGERS) == []
    assert len(seen.log) == 1


def test_one_that_comes_back_long_after_its_child_has_ended_is_a_new_one() -> None:
    seen = Seen()  # nobody asks for the status meanwhile
    seen.problems.heard(1, [DENIED], 1.0)
    seen.problems.ended(1, 2.0)
    seen.problems.heard(2, [DENIED], 3_600.0)
    assert len(seen.log) == 2
    assert [one.ago for one in seen.problems.status(3_601.0)] == [1.0]


def test_children_that_have_ended_leave_room_for_others() -> None:
    seen = Seen()
    seen.problems.heard(1, [Problem("permissions", f"{number}") for number in range(MOST)], 1.0)
    seen.problems.ended(1, 2.0)
    seen.problems.heard(2, [DENIED], 3.0 + LINGERS)
    assert seen.log[-1] == "came no link: denied; run as one user"


def test_what_the_child_logs_itself_is_not_logged_here() -> None:
    seen = Seen()
    seen.problems.heard(1, [Problem("certificate", "a.pem", "expired", "", True)], 1.0)
    assert seen.kinds() == ["certificate"]
    seen.problems.heard(1, [], 1.0)
    assert seen.log == []


def test_a_hostile_child_fills_neither_the_memory_nor_the_log_s_lines() -> None:
    seen = Seen()
    many = [Problem("log", f"{number}", "a\nb" + "x" * 10_000) for number in range(1_000)]
    seen.problems.heard(1, many, 1.0)
    assert len(seen.kinds()) == MOST
    assert all("\n" not in line and len(line) < 1_000 for line in seen.log)
