"""Waits for processes that became our children although we did not start them.

As PID 1 of a container the supervisor inherits processes without a parent: a daemon that an app has
started, a child of a killed worker. A supervisor that a shell script has exec'ed inherits the
script's children. No other process can wait for them, and a process that is not waited for stays as
a zombie, until there is no room for more.
"""

import os
import signal
from collections.abc import Callable, Container
from typing import Final, Literal

import trio

from ...observe.process_log import logger

MOST_LOOKS: Final = 100
"""At a child of ours that has ended, in a row: whoever waits for it hears of the end as we do."""
REAP_EVERY: Final = 0.01
PAUSE: Final = 0.2
"""Seconds between two looks while the pid of some child is not known yet."""


async def reap_strangers(
    ours: Container[int],
    may: Callable[[], bool],
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Reaps strangers for ever. `ours` are pids of children that have waiters of their own; while
    `may` is false, there are such children with pids that are not known yet."""
    with trio.open_signal_receiver(signal.SIGCHLD) as signals:
        task_status.started()
        await _reap(ours, may)  # strangers that were there before
        async for _ in signals:
            await _reap(ours, may)


async def _reap(ours: Container[int], may: Callable[[], bool]) -> None:
    """Reaps all strangers that have ended by now."""
    looks = 0
    while looks < MOST_LOOKS:
        if not may():
            await trio.sleep(PAUSE)
            continue
        found = _reap_one(ours)
        if found == "nobody":
            return
        looks = looks + 1 if found == "ours" else 0
        await trio.sleep(REAP_EVERY if found == "ours" else 0)


def _reap_one(ours: Container[int]) -> Literal["nobody", "ours", "a stranger"]:
    """Reaps a stranger, if one has ended, and returns who has ended. Of several ended children the
    kernel shows always the same."""
    try:
        # Looks without waiting first: to wait for a child of ours would take its exit code away.
        ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return "nobody"
    if ended is None:
        return "nobody"
    if ended.si_pid in ours:
        return "ours"
    os.waitpid(ended.si_pid, os.WNOHANG)
    logger.debug("Process %d, no child of ours, has ended", ended.si_pid)
    return "a stranger"
