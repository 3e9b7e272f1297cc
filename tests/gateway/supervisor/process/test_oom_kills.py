"""Which ends by SIGKILL are the kernel's, told the kernel's count."""

import logging
import signal

import pytest
import trio
from propylon.gateway.supervisor.process.oom_kills import CLAIMED_WITHIN, LOOKS_EVERY, OomKills
from trio.testing import MockClock

MB = 2**20


class Kernel:
    """What the kernel says of a group."""

    def __init__(self, count: int | None = 5, limit: int | None = 512 * MB) -> None:
        self.count, self.limit = count, limit

    def kills(self) -> OomKills:
        return OomKills(lambda: self.count, lambda: self.limit)


def test_each_kill_is_claimed_once() -> None:
    kernel = Kernel()
    kills = kernel.kills()
    kernel.count = 6
    oom = kills.exit_of(-signal.SIGKILL, 480 * MB, 1.0, killed=False)
    facts = "the limit is 512 MB, it had 480 MB when it reported last"
    assert oom == ("was killed by the kernel for memory (OOM)", facts, "oom")
    again = kills.exit_of(-signal.SIGKILL, 0, 1.1, killed=False)
    assert again == ("was killed by SIGKILL", "out of memory?", "killed")


@pytest.mark.parametrize(
    ("code", "killed", "kind"),
    [(-signal.SIGKILL, True, "killed"), (3, False, "crash"), (-signal.SIGSEGV, False, "crash")],
)
def test_other_ends_claim_nothing(code: int, *, killed: bool, kind: str) -> None:
    kernel = Kernel()
    kills = kernel.kills()
    kernel.count = 6
    assert kills.exit_of(code, 0, 1.0, killed=killed)[2] == kind
    assert kills.exit_of(-signal.SIGKILL, 0, 1.0, killed=False)[2] == "oom"


def test_an_older_kill_is_another_process_s() -> None:
    kernel = Kernel()
    kills = kernel.kills()
    kernel.count = 7
    assert kills.look(1.0) == 0
    assert kills.look(1.0 + CLAIMED_WITHIN) == 2
    assert kills.exit_of(-signal.SIGKILL, 0, 30.0, killed=False)[2] == "killed"


@pytest.mark.parametrize("count", [None, 4])
def test_a_count_that_is_missing_or_falls(count: int | None) -> None:
    """The supervisor may have been moved into another group."""
    kernel = Kernel()
    kills = kernel.kills()
    kernel.count = count
    assert kills.exit_of(-signal.SIGKILL, 0, 1.0, killed=False)[2] == "killed"


def test_a_count_that_cannot_be_read_once_goes_on_where_it_was() -> None:
    kernel = Kernel()
    kills = kernel.kills()
    kernel.count = None
    assert kills.look(1.0) == 0
    kernel.count = 6
    assert kills.exit_of(-signal.SIGKILL, 0, 2.0, killed=False)[2] == "oom"


def test_without_any_count_nothing_runs() -> None:
    trio.run(Kernel(count=None).kills().run, lambda: 0.0)


def test_another_process_s_kill_is_said(caplog: pytest.LogCaptureFixture) -> None:
    kernel = Kernel(limit=None)

    async def main() -> None:
        kills = kernel.kills()
        kernel.count = 6
        with trio.move_on_after(CLAIMED_WITHIN + 3 * LOOKS_EVERY):
            await kills.run(trio.current_time)

    with caplog.at_level(logging.WARNING, "propylon"):
        trio.run(main, clock=MockClock(autojump_threshold=0))
    said = [record.getMessage() for record in caplog.records]
    assert said == [
        "The kernel has killed a process beside Propylon's own for memory (OOM): perhaps one that "
        "the app had started"
    ]
