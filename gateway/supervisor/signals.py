"""Handles the supervisor's signals. They mean what they mean to gunicorn and nginx: TERM, INT and
QUIT stop (the second one at once), HUP reloads and opens the logs again, USR1 opens the logs again,
TTIN and TTOU start one worker more and one fewer, USR2 upgrades.

The two differ about QUIT: nginx finishes what is under way (and container images stop it so),
gunicorn does not. Here the first signal finishes it, whichever it is, and the second does not wait.
"""

import signal
from collections.abc import Awaitable, Callable
from typing import Final, Protocol

import trio

from ..observe.process_log import logger

FOR_THE_SUPERVISOR: Final = (
    signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2, signal.SIGTTIN, signal.SIGTTOU,
)  # fmt: skip
"""Signals that only the supervisor handles. By default they would end or stop a process: a child
that gets them because they were sent to the whole process group, or a supervisor that has no
handlers yet."""
NOT_FOR_CHILDREN: Final = (signal.SIGINT, *FOR_THE_SUPERVISOR)
"""Signals that reach a whole process group, such as Ctrl-C, and that children do not handle.
Children start with these blocked, and unblock them when they ignore them."""
WANTED: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, *FOR_THE_SUPERVISOR)


class SignalHearer(Protocol):
    def on_stop(self, name: str) -> None: ...

    async def on_hang_up(self) -> None: ...

    def on_logs_moved(self) -> None: ...

    def on_scale(self, by: int) -> None: ...

    async def on_upgrade(self) -> None: ...


def survive(number: int, frame: object) -> None:
    """Ignores a signal that would end this process. Children do not inherit a handler."""


async def hear_signals(
    hearer: SignalHearer, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
) -> None:
    wanted = [*WANTED]
    if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:  # set by nohup
        wanted.remove(signal.SIGHUP)
    # What comes between here and the receiver waits until it is there. To ignore a signal would
    # drop one that has come already (sigaction(2)).
    signal.pthread_sigmask(signal.SIG_BLOCK, WANTED)
    for number in wanted:
        signal.signal(number, survive)
    try:
        await _hear(hearer, wanted, task_status)
    finally:
        # Every child has ended. A second SIGTERM must not make a good end look like a bad one in
        # its last milliseconds, when the interpreter has handlers no more.
        for number in wanted:
            signal.signal(number, signal.SIG_IGN)


async def _hear(
    hearer: SignalHearer, wanted: list[signal.Signals], task_status: trio.TaskStatus[None]
) -> None:
    with trio.open_signal_receiver(*wanted) as signals:
        async with trio.open_nursery() as nursery:
            # Those that came while newer code took over (`upgrade.exec`) come now.
            signal.pthread_sigmask(signal.SIG_UNBLOCK, WANTED)
            task_status.started()
            async for number in signals:
                match number:
                    case signal.SIGUSR1:
                        hearer.on_logs_moved()
                    case signal.SIGHUP:
                        hearer.on_logs_moved()
                        nursery.start_soon(_guarded, hearer.on_hang_up)
                    case signal.SIGUSR2:
                        nursery.start_soon(_guarded, hearer.on_upgrade)
                    case signal.SIGTTIN:
                        hearer.on_scale(+1)
                    case signal.SIGTTOU:
                        hearer.on_scale(-1)
                    case _:
                        hearer.on_stop(signal.Signals(number).name)


async def _guarded(carry_out: Callable[[], Awaitable[None]]) -> None:
    """Carries out an operation and logs any exception: whatever fails, the children need this
    process."""
    try:
        await carry_out()
    except Exception:
        logger.exception("a fault of Propylon's supervisor, on a signal")
