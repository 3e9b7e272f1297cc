"""Turns in proportion to weights."""

from hypothesis import given
from hypothesis import strategies as st
from propylon.gateway.pool.turns import REBASE_AT, Turns


def turns_of(turns: Turns[str], weights: dict[str, float], count: int) -> str:
    names = ""
    for _ in range(count):
        one = min(weights, key=turns.due)
        turns.take(one, weights[one])
        names += one
    return names


def test_equal_weights_take_turns() -> None:
    turns: Turns[str] = Turns()
    turns.keep("abc")
    assert turns_of(turns, dict.fromkeys("abc", 1.0), 7) == "abcabca"


@given(st.lists(st.integers(1, 100), min_size=1, max_size=6))
def test_a_weight_is_a_share(weights: list[int]) -> None:
    turns: Turns[str] = Turns()
    of = {str(number): float(weight) for number, weight in enumerate(weights)}
    turns.keep(of)
    counts = dict.fromkeys(of, 0)
    for _ in range(10):
        for name in turns_of(turns, of, sum(weights)):
            counts[name] += 1
    assert all(abs(counts[name] - 10 * of[name]) <= 2 for name in of)


def test_one_that_comes_or_was_passed_over_makes_up_for_nothing() -> None:
    turns: Turns[str] = Turns()
    weights = {"a": 1.0, "b": 1.0}
    turns.keep(weights)
    for _ in range(50):
        turns.take("a", 1.0)  # b has no slot
    assert turns_of(turns, weights, 6) in ("bababa", "bbabab"), "one turn at once, and not fifty"
    turns.keep("abc")
    weights["c"] = 1.0
    later = turns_of(turns, weights, 9)
    assert 2 <= later.count("c") <= 4


def test_passes_do_not_grow_for_ever() -> None:
    turns: Turns[str] = Turns()
    weights = {"a": 1e-8, "b": 1e-8}
    turns.keep(weights)
    assert turns_of(turns, weights, 100) == "ab" * 50
    assert turns.due("a") <= REBASE_AT + 2e8
