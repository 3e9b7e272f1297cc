"""A floor under the speed: beside bare uvicorn in the same run, so that the machine cancels out.

Two ratios are held. How much it does depends on whether the second core is free for it; what CPU a
request takes does not. Both expectations are generous, and only a big loss, seen twice, fails.
"""

from dataclasses import dataclass
from importlib.util import find_spec

import pytest

from . import report
from .load import Load
from .pings import Pings
from .results import Ratio, Result
from .rounds import Effort, run
from .rows import ITEM, Row
from .websockets import Echoes

LOSS = 0.7
"""Of what is expected, what is too little."""
EFFORT = Effort(rounds=5, seconds=1.0)
PAIR = ("propylon", "uvicorn")


@dataclass(frozen=True)
class Floor:
    app: str
    load: Load
    does: float
    """Requests or echoes a second, by uvicorn's."""
    takes: float
    """CPU for each, by uvicorn's. Ours has two processes of which one parses, checks, balances and
    can be replaced: it may take more."""

    def loss(self, result: Result) -> str:
        """What is lost; "": not much."""
        does, takes = result.ratio(*PAIR), result.ratio(*PAIR, "cpu")
        if does is None or takes is None:
            return f"no figures:\n{report.text(result)}"
        words: list[str] = []
        if does.median < LOSS * self.does:
            words.append(f"does {does} of what uvicorn does, expected are {self.does}")
        if takes.median > self.takes / LOSS:
            words.append(f"takes {takes} of uvicorn's CPU, expected are {self.takes}")
        return "; ".join(words)


FLOORS = {
    "hello": Floor("hello:app", Pings("/", b"Hello, world!"), does=0.8, takes=1.6),
    "fastapi": Floor("fast:app", Pings("/items/5?q=x", ITEM), does=1.0, takes=1.2),
    "websocket": Floor("hello:app", Echoes(128), does=0.7, takes=1.7),
}


@pytest.mark.slow
@pytest.mark.skipif(find_spec("uvicorn") is None, reason="uvicorn is not installed")
@pytest.mark.parametrize("name", FLOORS)
def test_no_big_loss_beside_uvicorn(name: str) -> None:
    floor = FLOORS[name]
    row = Row(name, floor.app, {"": floor.load}, PAIR)
    loss = ""
    for _ in range(2):
        result = run(f"{name}, floor", row, list(PAIR), EFFORT)
        print(report.text(result))
        print(f"  CPU by uvicorn's: {result.ratio(*PAIR, 'cpu')}")
        loss = floor.loss(result)
        if not loss:
            return
        print(f"  {loss}")
    pytest.fail(loss)


# -- the floor itself ------------------------------------------------------------------------


def result_of(rate: float, cpu: float) -> Result:
    """Uvicorn's are 100 and 1, but for a round that is disturbed."""
    result = Result("hello", "", "rate", "requests/s")
    rounds = [(1.0, 1.0), (0.3, 1.1), (1.1, 1.0)]
    for name, figures in {"propylon": (rate, cpu), "uvicorn": (100.0, 1.0)}.items():
        entry = report.Entry(name)
        for much, more in rounds if name == "propylon" else [(1.0, 1.0)] * 3:
            entry.samples.append({"rate": figures[0] * much, "cpu": figures[1] * more})
        result.entries[name] = entry
    return result


@pytest.mark.parametrize(
    ("rate", "cpu", "word"),
    [(80, 1.6, ""), (60, 2.2, ""), (50, 1.6, "does"), (80, 2.4, "takes"), (50, 2.4, "; takes")],
)
def test_a_loss_is_seen_and_noise_is_not(rate: float, cpu: float, word: str) -> None:
    loss = FLOORS["hello"].loss(result_of(rate, cpu))
    assert bool(loss) == bool(word)
    assert word in loss


def test_what_fails_has_no_ratio() -> None:
    result = result_of(100, 1.0)
    result.entries["propylon"].fault = "answers wrongly: no response"
    assert result.ratio(*PAIR) is None
    assert "answers wrongly" in FLOORS["hello"].loss(result)


def test_a_ratio_is_of_rounds() -> None:
    assert result_of(80, 1.0).ratio(*PAIR) == Ratio(0.8, pytest.approx(0.24), pytest.approx(0.88))
