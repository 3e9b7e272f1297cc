"""Who gets the next call, as tables."""

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st
from propylon.gateway.pool.balance import Balance, Rule, handicap_of
from propylon.gateway.pool.health import Grade


@dataclass(eq=False)
class Worker:
    name: str
    running: int = 0
    slots: int = 2
    grade: Grade = "punctual"
    leaves: bool = False
    ready: bool = True
    weight: float = 1.0
    shares_slots: bool = False

    @property
    def hung(self) -> bool:
        return self.grade == "hung"

    @property
    def handicap(self) -> int:
        return handicap_of(self.grade, leaves=self.leaves)


def balance(*workers: Worker, rule: Rule = "least-loaded") -> Balance[Worker]:
    made: Balance[Worker] = Balance(rule)
    made.rank(workers)
    return made


def chosen(of: Balance[Worker], times: int) -> str:
    """Who gets so many calls, none of which ends; "-": nobody."""
    names = ""
    for _ in range(times):
        worker = of.choose()
        names += worker.name if worker is not None else "-"
        if worker is not None:
            worker.running += 1
    return names


@pytest.mark.parametrize(
    ("workers", "expected"),
    [
        ([], "--"),
        # One alone
        ([Worker("a")], "aa-"),
        ([Worker("a", slots=0)], "-"),
        ([Worker("a", grade="hung")], "aa-"),
        ([Worker("a", leaves=True)], "aa-"),
        # The least loaded, and of equals in turn
        ([Worker("a"), Worker("b")], "abab-"),
        ([Worker("a", running=1), Worker("b")], "bab-"),
        ([Worker("a", running=5, slots=9), Worker("b", running=3, slots=3)], "aaaa-"),
        ([Worker("a", slots=1), Worker("b", slots=3)], "abbb-"),
        # Late, or about to leave: behind all others, and better than nobody
        ([Worker("a", grade="late"), Worker("b")], "bbaa-"),
        ([Worker("a", leaves=True), Worker("b")], "bbaa-"),
        ([Worker("a", grade="late"), Worker("b", leaves=True)], "abab-"),
        ([Worker("a", grade="late"), Worker("b", running=7, slots=8)], "baa-"),
        # Hung: nothing while another is ready
        ([Worker("a", grade="hung"), Worker("b")], "bb-"),
        ([Worker("a", grade="hung"), Worker("b", grade="late")], "bb-"),
        ([Worker("a", grade="hung"), Worker("b", slots=0)], "-"),
        ([Worker("a", grade="hung"), Worker("b", slots=0, ready=False)], "aa-"),
        ([Worker("a", grade="hung"), Worker("b", grade="hung")], "abab-"),
    ],
)
def test_who_is_chosen(workers: list[Worker], expected: str) -> None:
    copies = [Worker(**vars(worker)) for worker in workers]
    assert chosen(balance(*copies), len(expected)) == expected


@pytest.mark.parametrize(
    ("workers", "expected"),
    [
        ([Worker("a"), Worker("b", running=1)], "aba-"),
        ([Worker("a", slots=9, running=5), Worker("b", slots=9)], "ababababbbbbb-"),
        ([Worker("a", slots=9, grade="late"), Worker("b")], "bbaaa"),
        ([Worker("a", slots=9, leaves=True), Worker("b")], "bbaaa"),
        ([Worker("a", grade="hung"), Worker("b")], "bb-"),
        ([Worker("a", grade="hung")], "aa-"),
        ([Worker("a", slots=9, weight=3), Worker("b", slots=9)], "abaaabaa"),
    ],
)
def test_who_is_chosen_by_turns(workers: list[Worker], expected: str) -> None:
    copies = [Worker(**vars(worker)) for worker in workers]
    assert chosen(balance(*copies, rule="round-robin"), len(expected)) == expected


@pytest.mark.parametrize(
    ("workers", "expected"),
    [
        ([Worker("a", slots=9, weight=3), Worker("b", slots=9)], "abaaabaa"),
        ([Worker("a", slots=9, weight=3), Worker("b", slots=9, running=1)], "aaabaa"),
        ([Worker("a", slots=2, weight=100), Worker("b")], "abab-"),
        ([Worker("a", slots=9, weight=9, grade="late"), Worker("b")], "bbaaa"),
        ([Worker("a", weight=9, grade="hung"), Worker("b")], "bb-"),
        ([Worker("a", slots=9, weight=0.1), Worker("b", slots=20, running=5)], "abbbbbb"),
    ],
)
def test_weights_are_shares_of_the_calls_that_run(workers: list[Worker], expected: str) -> None:
    copies = [Worker(**vars(worker)) for worker in workers]
    assert chosen(balance(*copies), len(expected)) == expected


@pytest.mark.parametrize("rule", ["least-loaded", "round-robin"])
def test_weights_are_shares_where_nothing_runs_at_once(rule: Rule) -> None:
    workers = [Worker("a", weight=5), Worker("b", weight=3), Worker("c", weight=2)]
    of = balance(*workers, rule=rule)
    names = "".join(one.name for one in (of.choose() for _ in range(1_000)) if one is not None)
    assert [names.count(name) for name in "abc"] == [500, 300, 200]
    assert "aaa" not in names, "the turns are mixed"


def test_weights_come_and_go() -> None:
    a, b = Worker("a"), Worker("b")
    of = balance(a, b)
    b.weight = 2.0
    of.rank([a, b])
    assert chosen(of, 3) == "abb"
    a.running = b.running = 0
    b.weight = 1.0
    of.rank([a, b])
    assert chosen(of, 4) in ("abab", "baba")


def test_who_was_chosen_longest_ago() -> None:
    a, b, c = workers = [Worker("a"), Worker("b"), Worker("c")]
    of = balance(*workers)
    names = ""
    for _ in range(7):
        one = of.choose()
        assert one is not None
        names += one.name  # its call has ended before the next comes
    assert names == "abcabca"
    a.running = 1
    assert chosen(of, 2) == "bc"
    assert [each.running for each in (a, b, c)] == [1, 1, 1]


def test_turns_outlast_a_new_look() -> None:
    a, b, c = Worker("a"), Worker("b"), Worker("c")
    of = balance(a, b)
    assert of.choose() is a
    of.rank([a, b, c])
    assert [of.choose(), of.choose(), of.choose()] == [b, a, c], "a new one is behind the others"
    of.rank([c, a])
    assert [of.choose(), of.choose()] == [a, c], "b has left"


def test_one_that_heals_is_behind_those_that_were_well() -> None:
    a, b = Worker("a", grade="hung"), Worker("b")
    of = balance(a, b)
    assert of.choose() is b
    a.grade = "punctual"
    of.rank([a, b])
    assert [of.choose(), of.choose()] == [b, a]


def test_slots_are_those_of_who_may_get_calls() -> None:
    a, b = Worker("a", slots=3, grade="hung"), Worker("b", slots=2, grade="late")
    assert balance(a, b).slots() == 2
    assert balance(a).slots() == 3


def test_slots_that_gateways_share_count_for_all_of_them() -> None:
    made: Balance[Worker] = Balance("least-loaded", 4)
    made.rank([Worker("a", slots=8, shares_slots=True), Worker("b", slots=10)])
    assert made.slots() == 4 * 8 + 10
    assert balance().slots() == 0


GRADES = st.sampled_from(["punctual", "late", "hung"])


@given(
    st.lists(
        st.tuples(st.integers(0, 3), st.integers(0, 3), GRADES, st.booleans(), st.booleans()),
        max_size=5,
    )
)
def test_the_choice_against_its_definition(rows: list[tuple[int, int, Grade, bool, bool]]) -> None:
    workers = [
        Worker(str(number), running, slots, grade, leaves, ready)
        for number, (running, slots, grade, leaves, ready) in enumerate(rows)
    ]
    best = balance(*workers).choose()
    others = any(each.ready and not each.hung for each in workers)
    free = [each for each in workers if each.running < each.slots and not (others and each.hung)]
    if best is None:
        assert not free
        return
    assert best is min(
        free, key=lambda each: (each.leaves or each.grade != "punctual", each.running)
    )
