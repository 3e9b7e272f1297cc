"""The part of an event loop that calls need: asyncio's (and uvloop's) or trio's."""

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import NamedTuple, Protocol


class LoopEvent(Protocol):
    def set(self) -> None: ...
    async def wait(self) -> object: ...


class LoopKind(NamedTuple):
    new_event: Callable[[], LoopEvent]
    passing: tuple[type[BaseException], ...]
    """Exceptions that a call must pass on: a cancellation, Ctrl-C."""
    sleep: Callable[[float], Awaitable[object]]
    """Sleeps for some seconds. 0 lets other calls run."""
    new_lock: Callable[[], AbstractAsyncContextManager[None]]
    """Makes a lock that tasks get in the order in which they ask for it."""
