"""The command line of a worker process, which its supervisor alone writes; people use
`propylon worker`.

It has two numbers: of the pipe with the worker's settings, and of the channel to the supervisor.
Whatever else stands there is for those who read a list of processes.

The code on disk may be replaced while a supervisor of the version before still runs. It then starts
a worker of this version with that one's flags: the settings one by one, and the channel's number as
`--leash-fd`. Such a worker cannot know what it is to do, but it can say why on the channel.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
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


def parse(words: Sequence[str]) -> WorkerArguments:
    """`words`: without the program's name. What is not understood is not looked at: argparse would
    cost each worker its import."""
    numbers: dict[str, int] = {}
    for word in words:
        name, _, number = word.partition("=")
        if number.isascii() and number.isdigit():
            numbers[name] = int(number)
    channel = numbers.get("--channel-fd", numbers.get("--leash-fd"))
    return WorkerArguments(numbers.get("--settings-fd"), channel)


def read_settings(arguments: WorkerArguments) -> WorkerSettings:
    """Reads the settings from the pipe, to its end, and closes it. Raises SettingsError."""
    supervised = arguments.channel_fd is not None
    if arguments.settings_fd is None:
        raise SettingsError(NEWER_CODE if supervised else BY_HAND)
    try:
        with os.fdopen(arguments.settings_fd, "rb") as pipe:
            data = pipe.read()
    except OSError as error:
        raise SettingsError(f"a worker's settings cannot be read: {error.strerror}") from None
    settings = decode_settings(data)
    if settings.zygote and not supervised:
        raise SettingsError("without a supervisor nobody would ask a zygote for workers")
    return settings
