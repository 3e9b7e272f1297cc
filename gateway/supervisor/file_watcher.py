"""--reload, for development: watches files, and asks for new workers when one changes."""

import os
from collections.abc import Callable, Iterable
from fnmatch import fnmatch
from typing import Final

import trio
import watchfiles

from ..config.config import ReloadConfig

INCLUDED: Final = ("*.py",)
DEBOUNCE: Final = 300
"""Milliseconds without a change after which files are reported. An editor writes several files at
one save, and a checkout many."""
STEP: Final = 50


class ChangeFilter(watchfiles.DefaultFilter):
    """The filter of watchfiles (no .git, __pycache__, .venv, node_modules) with the operator's
    patterns."""

    def __init__(self, config: ReloadConfig) -> None:
        super().__init__()
        self._include = (*INCLUDED, *config.include)
        self._exclude = config.exclude
        self._excluded_dirs = tuple(
            os.path.join(os.path.abspath(path), "")
            for path in config.exclude
            if os.path.isdir(path)
        )

    def __call__(self, change: watchfiles.Change, path: str) -> bool:
        name = os.path.basename(path)
        return (
            super().__call__(change, path)
            and _matches(name, path, self._include)
            and not _matches(name, path, self._exclude)
            and not path.startswith(self._excluded_dirs)
        )


def _matches(name: str, path: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatch(name, pattern) or fnmatch(path, pattern) for pattern in patterns)


async def watch(
    config: ReloadConfig,
    changed: Callable[[str], None],
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Calls `changed` with the name of a changed file, for as long as it is not cancelled."""
    stop = trio.Event()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_set_when_cancelled, stop)
        task_status.started()
        async for changes in watchfiles.awatch(
            *_absolute(config.dirs),
            watch_filter=ChangeFilter(config),
            debounce=DEBOUNCE,
            step=STEP,
            stop_event=stop,
        ):
            changed(_named(sorted(path for _, path in changes)))


def _absolute(paths: Iterable[str]) -> list[str]:
    return [os.path.abspath(path) for path in paths]


async def _set_when_cancelled(stop: trio.Event) -> None:
    """Sets the event when it is cancelled: awatch waits in a thread, which a cancellation does not
    reach."""
    try:
        await trio.sleep_forever()
    finally:
        stop.set()


def _named(paths: list[str]) -> str:
    more = f" and {len(paths) - 1} more" if len(paths) > 1 else ""
    return os.path.relpath(paths[0]) + more
