"""Imports the apps as workers would: `propylon check` finds out what only a start would show.

Each app is loaded in a process like a worker's, which ends as soon as it has it: its module is
imported, its factory called. It is never run; its lifespan is not begun.
"""

import os
import select
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from time import monotonic
from typing import Final, Literal

from ....protocol.supervision.channel import Channel
from ....protocol.supervision.codec import read_report
from ....protocol.supervision.messages import AppLoaded, WorkerFailed
from ...config.build import WorkerId, worker_settings
from ...config.config import Config, PoolConfig
from ...control.durations import duration
from .child import launch
from .exit_reason import exit_words
from .launcher import worker_launch

ENDS_WITHIN: Final = 5.0
"""Seconds that it has to end by itself when it has said how it went."""
NO_GATEWAYS: Final = os.devnull
"""Its run directory: it is nobody's worker."""


@dataclass(frozen=True, slots=True)
class Checked:
    """One pool's app."""

    pool: str
    app: str
    """As it was loaded: module:attribute."""
    interface: str = ""
    fault: str = ""
    """A sentence; "" where it could be loaded."""
    detail: str = ""
    """The app's traceback, or ""."""


def import_apps(config: Config) -> Iterator[Checked]:
    """One pool after the other, as each is done."""
    for pool in config.pools:
        yield _import(config, pool)


def _import(config: Config, pool: PoolConfig) -> Checked:
    who = WorkerId(number=1, child=0, generation=1)
    settings = worker_settings(config, pool, who, NO_GATEWAYS, zygote=True)
    it = worker_launch(config, pool, who, settings)
    try:
        launched = launch(it)
    except OSError as exc:
        return Checked(pool.name, pool.app, fault=f"it could not be started: {exc.strerror}")
    with suppress(BrokenPipeError), open(launched.settings, "wb") as pipe:
        pipe.write(it.settings)
    with launched.channel:
        outcome = _outcome(launched.channel, monotonic() + config.startup_timeout)
    code = _end(launched.process, at_once=outcome == "late")
    match outcome:
        case AppLoaded(_, app, interface):
            return Checked(pool.name, app, interface)
        case WorkerFailed(error, _, detail):
            return Checked(pool.name, pool.app, fault=error, detail=detail)
        case "late":
            limit = duration(config.startup_timeout)
            why = f"importing it takes longer than {limit} (--startup-timeout)"
            return Checked(pool.name, pool.app, fault=why)
        case "ended":
            why = f"the process that imports it {exit_words(code)}"
            return Checked(pool.name, pool.app, fault=why)


def _outcome(sock: socket.socket, by: float) -> AppLoaded | WorkerFailed | Literal["late", "ended"]:
    """What the process says of the import; "ended" if it goes without a word."""
    channel = Channel(sock, read_report)
    poll = select.poll()
    poll.register(sock, select.POLLIN)
    while (left := by - monotonic()) > 0 and not channel.ended:
        poll.poll(left * 1_000)
        for said in channel.hear():
            if isinstance(said, AppLoaded | WorkerFailed):
                return said
    return "ended" if channel.ended else "late"


def _end(process: "subprocess.Popen[bytes]", *, at_once: bool) -> int:
    """With its channel closed it ends by itself, unless the app keeps it."""
    try:
        return process.wait(0 if at_once else ENDS_WITHIN)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGKILL)
        return process.wait()
