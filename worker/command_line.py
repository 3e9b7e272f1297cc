"""The command line of a worker process, which its supervisor alone writes; people use
`propylon worker`.

It has two numbers: of the pipe with the worker's settings, and of the channel to the supervisor.
Whatever else stands there is for those who read a list of processes.

The code on disk may be replaced while a supervisor of the version before still runs. Until
`propylon upgrade`, it starts workers of this version with that one's flags: the app, then the
settings one by one as `--name=value`, and the channel's number as `--leash-fd`. A worker that
crashes in that time has to be replaced too, so these flags are read as settings. With --preload
they are not, because that supervisor's orders to fork hold flags as well; the worker says why on
the channel.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from .settings import SettingsError, WorkerSettings, decode_settings

NEWER_CODE: Final = (
    "the code on disk is newer than the supervisor that runs: `propylon upgrade` or a restart is "
    "needed"
)
BY_HAND: Final = "a worker is started by its supervisor, with --settings-fd; use `propylon worker`"


@dataclass(frozen=True, slots=True)
class WorkerArguments:
    settings_fd: int | None
    channel_fd: int | None
    """None if no supervisor has started this worker."""
    words: Sequence[str] = field(default=(), compare=False)
    """The whole command line, without the program's name."""


def parse(words: Sequence[str]) -> WorkerArguments:
    """`words`: without the program's name. What is not understood is not looked at: argparse would
    cost each worker its import."""
    numbers: dict[str, int] = {}
    for word in words:
        name, _, number = word.partition("=")
        if number.isascii() and number.isdigit():
            numbers[name] = int(number)
    channel = numbers.get("--channel-fd", numbers.get("--leash-fd"))
    return WorkerArguments(numbers.get("--settings-fd"), channel, words)


def read_settings(arguments: WorkerArguments) -> WorkerSettings:
    """Reads the settings from the pipe, to its end, and closes it. Raises SettingsError."""
    supervised = arguments.channel_fd is not None
    if arguments.settings_fd is None:
        if not supervised:
            raise SettingsError(BY_HAND)
        if not arguments.words or "--preload" in arguments.words:
            raise SettingsError(NEWER_CODE)
        from .older_flags import read_flags  # imported here, as hardly any worker needs it

        return read_flags(arguments.words)
    try:
        with os.fdopen(arguments.settings_fd, "rb") as pipe:
            data = pipe.read()
    except OSError as error:
        raise SettingsError(f"a worker's settings cannot be read: {error.strerror}") from None
    settings = decode_settings(data)
    if settings.zygote and not supervised:
        raise SettingsError("without a supervisor nobody would ask a zygote for workers")
    return settings
