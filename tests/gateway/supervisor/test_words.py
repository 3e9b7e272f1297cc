"""How processes ended and how long things took, as people say it."""

import pytest
from propylon.gateway.control.durations import duration
from propylon.gateway.supervisor.fleet.events import ReplicaId
from propylon.gateway.supervisor.process.exit_reason import exit_hint, exit_words


@pytest.mark.parametrize(
    ("returncode", "words", "hint"),
    [
        (0, "exited with code 0", ""),
        (3, "exited with code 3", ""),
        (-9, "was killed by SIGKILL", "out of memory?"),
        (-11, "was killed by SIGSEGV", "a fault in native code"),
        (-15, "was killed by SIGTERM", ""),
        (-40, "was killed by signal 40", ""),
    ],
)
def test_how_it_ended(returncode: int, words: str, hint: str) -> None:
    assert (exit_words(returncode), exit_hint(returncode)) == (words, hint)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "0 s"),
        (0.5, "0.5 s"),
        (2, "2 s"),
        (9.94, "9.9 s"),
        (9.96, "10 s"),
        (119, "119 s"),
        (120, "2 min"),
        (7200, "2 h"),
        (200_000, "2 days"),
    ],
)
def test_durations(seconds: float, words: str) -> None:
    assert duration(seconds) == words


def test_places() -> None:
    assert str(ReplicaId("gateway", 2)) == "gateway 2"
    assert ReplicaId("worker", 1, "web").called("pid 7") == "worker 1 (pid 7) of pool web"
