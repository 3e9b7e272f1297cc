"""Runs a supervisor from its configuration to its exit code: opens what it needs, and closes it
again.
"""

import gc
import os
import signal
import sys
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import replace
from importlib.metadata import version
from typing import Final, Literal

import trio

from ..config.config import Config
from ..control.pid_file import PidFile, PidFileError
from ..control.run_dir import RunDir, RunDirError, open_run_dir
from ..listen.sockets import EVERYBODY, Access, ListenError, Listeners, open_listeners
from ..observe.configured import end_if_stalled
from ..observe.console_log import flush_log
from ..observe.process_log import begin_log, logger
from .fleet.controller import EXIT_NOT_STARTED
from .generations import Generations, Plan
from .signals import survive
from .supervisor import Supervisor
from .systemd_notify import Notifier
from .upgrade.exec import raise_last_signals
from .upgrade.saved_state import Handover, listeners_of
from .upgrade.saved_state import take as handover_to_us

ADMIN_BACKLOG: Final = 256
"""Connections to the admin listener that the kernel holds: those of a second or two, in which an
upgrade accepts none."""


def run(
    verb: Literal["serve", "worker", "gateway", "check"],
    config: Config,
    read_again: Callable[[], Config],
    notes: Iterable[str] = (),
) -> int:
    """Runs the supervisor, and returns its exit code when everything has ended. `read_again` reads
    the configuration for reloads; it raises ConfigError."""
    try:
        begin_log(config.log, {"process": "supervisor"})
    except OSError as error:
        print(f"propylon: {error}", file=sys.stderr)
        return EXIT_NOT_STARTED
    if config.umask is not None:
        os.umask(config.umask)
    signal.signal(signal.SIGALRM, survive)
    with ExitStack() as stack:
        try:
            handover, only_checked = handover_to_us()
            if only_checked:
                return 0
            plan = (
                _resume(verb, config, handover, stack) if handover else _open(verb, config, stack)
            )
        except (ListenError, RunDirError, PidFileError) as error:
            logger.error("%s", error)
            return EXIT_NOT_STARTED
        what = ", ".join(pool.app for pool in config.pools) if plan.with_workers else "gateway only"
        logger.info("Propylon %s, %s", version("propylon"), what)
        logger.debug("Run directory %s", plan.run_dir)
        for note in notes:
            logger.warning("%s", note)
        generations = Generations(plan, config, read_again)
        notifier = Notifier(os.environ, os.getpid())
        stack.callback(notifier.close)
        gc.freeze()
        code = EXIT_NOT_STARTED
        try:
            code = trio.run(Supervisor(plan, generations, notifier, handover).run)
        except* RunDirError as group:
            logger.error("%s", group.exceptions[0])
        logger.info("Stopped")
        flush_log()
    end_if_stalled(code)
    return code


def _open(verb: str, config: Config, stack: ExitStack) -> Plan:
    gateways = 0 if verb == "worker" else config.gateways
    pools = [pool.name for pool in config.pools]
    run_dir = open_run_dir(
        config.run_dir,
        pools,
        config.gateways,
        with_gateway=gateways > 0,
        shared=verb == "gateway",
        owner=config.identity,
    )
    stack.callback(run_dir.close)
    listeners = Listeners()
    if gateways:
        listeners = open_listeners(
            config.addresses,
            config.backlog,
            gateways,
            access=_access(config),
        )
        stack.callback(listeners.close)
    admin = _open_admin(config, stack)
    if config.pid_file is not None:
        stack.callback(PidFile(config.pid_file).close)
    return Plan(
        run_dir=run_dir.path,
        control_socket=run_dir.control_socket,
        listeners=listeners,
        admin=admin,
        lock=run_dir.lock_fd,
        temporary=run_dir.temporary,
        gateways=gateways,
        with_workers=verb != "gateway",
    )


def _open_admin(config: Config, stack: ExitStack) -> Listeners:
    """Raises ListenError."""
    access = _access(config)
    admin = open_listeners(
        config.admin_addresses, ADMIN_BACKLOG, 1, access=replace(access, mode=access.mode & 0o660)
    )
    stack.callback(admin.close)
    return admin


def _access(config: Config) -> Access:
    """Owner and permissions of Unix sockets, which belong to the user that gateways run as."""
    who = config.identity
    mode = EVERYBODY.mode & ~(config.umask or 0)
    return Access(mode, who.uid, who.gid) if who else Access(mode)


def _resume(verb: str, config: Config, handover: Handover, stack: ExitStack) -> Plan:
    """The plan after an upgrade: what this process has opened before it."""
    if handover.signals is not None:
        raise_last_signals(handover.signals)
    run_dir = RunDir(handover.run_dir, handover.lock, handover.temporary)
    stack.callback(run_dir.close)
    listeners = listeners_of(handover.listeners)
    stack.callback(listeners.close)
    admin = listeners_of(handover.admin)
    stack.callback(admin.close)
    if not admin.items:  # the code before knew of none
        try:
            admin = _open_admin(config, stack)
        except ListenError as error:
            logger.error("%s", error)
    if config.pid_file is not None:
        try:
            stack.callback(PidFile(config.pid_file).close)
        except PidFileError as error:  # the file has our pid already, and clients are served
            logger.warning("%s", error)
    return Plan(
        run_dir=handover.run_dir,
        control_socket=handover.control_socket,
        listeners=listeners,
        admin=admin,
        lock=handover.lock,
        temporary=handover.temporary,
        gateways=0 if verb == "worker" else config.gateways,
        with_workers=verb != "gateway",
    )
