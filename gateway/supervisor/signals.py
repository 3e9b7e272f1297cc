"""What a signal means: TERM and INT stop (twice: now), HUP reloads, TTIN and TTOU are a worker
more and one fewer, USR2 upgrades. The words of gunicorn and nginx."""

import signal
from collections.abc import Awaitable, Callable
from typing import Final, Protocol

import trio

from .console import logger

WANTED: Final = (
    signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGTTIN, signal.SIGTTOU, signal.SIGUSR2,
)  # fmt: skip


class SignalHearer(Protocol):
    def on_stop(self, name: str) -> None: ...

    async def on_hang_up(self) -> None: ...

    def on_scale(self, by: int) -> None: ...

    async def on_upgrade(self) -> None: ...


async def hear_signals(
    hearer: SignalHearer, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
) -> None:
    wanted = [*WANTED]
    if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:  # nohup's wish
        wanted.remove(signal.SIGHUP)
    with trio.open_signal_receiver(*wanted) as signals:
        async with trio.open_nursery() as nursery:
            # Those that came while newer code took over (`upgrade.take_over`) come now.
            signal.pthread_sigmask(signal.SIG_UNBLOCK, WANTED)
            task_status.started()
            async for number in signals:
                match number:
                    case signal.SIGHUP:
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
