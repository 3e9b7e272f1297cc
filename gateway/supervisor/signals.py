"""What a signal means: TERM, INT and QUIT stop (twice: now), HUP reloads, USR1 opens the logs
again, as HUP does too, TTIN and TTOU are a worker more and one fewer, USR2 upgrades. The words of
gunicorn and nginx.

QUIT is where the two differ: nginx finishes what is under way (and container images stop it so),
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
"""Those that nobody else has a use for, and whose defaults would end or stop a process that gets
them because they went to the whole process group, or came before anybody hears them."""
NOT_FOR_CHILDREN: Final = (signal.SIGINT, *FOR_THE_SUPERVISOR)
"""Signals that reach a whole process group, a Ctrl-C among them, and that children have no use
for. They are started with these blocked, and let them in when they know how not to mind."""
WANTED: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, *FOR_THE_SUPERVISOR)


class SignalHearer(Protocol):
    def on_stop(self, name: str) -> None: ...

    async def on_hang_up(self) -> None: ...

    def on_logs_moved(self) -> None: ...

    def on_scale(self, by: int) -> None: ...

    async def on_upgrade(self) -> None: ...


def survive(number: int, frame: object) -> None:
    """A handler for what means nothing, and would end this process. No child inherits it."""


async def hear_signals(
    hearer: SignalHearer, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
) -> None:
    wanted = [*WANTED]
    if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:  # nohup's wish
        wanted.remove(signal.SIGHUP)
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
    """Whatever is wrong with a reload, those who serve need this process."""
    try:
        await carry_out()
    except Exception:
        logger.exception("a fault of Propylon's supervisor, on a signal")
