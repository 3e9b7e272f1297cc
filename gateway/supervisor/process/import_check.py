"""Imports the apps as workers would, so that `propylon check` finds what only a start would show.

Each app is loaded in a process like a worker's, which ends as soon as it has loaded it: the module
is imported and the factory called. The app is never run, and its lifespan does not begin.
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
"""Seconds that the process has to end by itself after its report."""
NO_GATEWAYS: Final = os.devnull
"""The run directory of these processes, in which there are no gateways."""


@dataclass(frozen=True, slots=True)
class Checked:
    """The result for one pool's app."""

    pool: str
    app: str
    """`module:attribute`, as the app was loaded."""
    interface: str = ""
    fault: str = ""
    """A sentence; "" if the app could be loaded."""
    detail: str = ""
    """The app's traceback, or ""."""


def import_apps(config: Config) -> Iterator[Checked]:
    """Yields the result for each pool, as soon as it is there."""
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
    """The process's report of the import; "ended" if it ends without one, "late" if none comes in
    time."""
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
    """Ends the process and returns its code. With its channel closed it ends by itself, unless the
    app prevents that."""
    try:
        return process.wait(0 if at_once else ENDS_WITHIN)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGKILL)
        return process.wait()
