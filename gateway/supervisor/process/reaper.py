"""Waits for processes that became our children without our doing.

As PID 1 of a container this process inherits whatever is left behind there: a daemon that an app
has started, a child of a killed worker. So does one that a shell script has exec'ed. Nobody else
can wait for those, and what is not waited for stays as a zombie, until there is no room for more.
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
"""Seconds, while there are children whose pids are not known yet."""


async def reap_strangers(
    ours: Container[int],
    may: Callable[[], bool],
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """For ever. `ours` are pids that somebody else waits for; while `may` is false there are others
    whose pids are not known yet."""
    with trio.open_signal_receiver(signal.SIGCHLD) as signals:
        task_status.started()
        await _reap(ours, may)  # those that were there before us
        async for _ in signals:
            await _reap(ours, may)


async def _reap(ours: Container[int], may: Callable[[], bool]) -> None:
    """Those that have ended by now."""
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
    """Who has ended. Of several it is always the same that one is shown."""
    try:
        # Looked at first: to wait for a child of ours would take its exit code from who needs it.
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
