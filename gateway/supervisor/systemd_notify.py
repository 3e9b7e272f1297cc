"""Notifies systemd: READY, STATUS, RELOADING, STOPPING and the watchdog (sd_notify(3))."""

import re
import socket
import time
from collections.abc import Mapping
from typing import Final

from ..observe.process_log import logger

VARIABLES: Final = ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID")
"""Variables that are meant for this process only. Its children must not notify on its behalf."""

PATIENCE: Final = 1.0
"""Seconds for which the supervisor waits for a busy service manager to take a message that is sent
only once: without READY the manager would take the start for failed. Clients are served
meanwhile."""


class Notifier:
    """Sends messages to the service manager, if there is one. A message that cannot be sent is
    dropped."""

    def __init__(self, environ: Mapping[str, str], pid: int) -> None:
        self._socket: socket.socket | None = None
        self.watchdog_every: float | None = None
        """Seconds between two signs of life; None if no watchdog waits for them."""
        where = environ.get("NOTIFY_SOCKET", "")
        if not where:
            return
        if where[0] not in "/@":
            logger.warning("NOTIFY_SOCKET=%s is neither a path nor abstract; not used", where)
            return
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._where = f"\0{where[1:]}" if where[0] == "@" else where
        interval = environ.get("WATCHDOG_USEC", "")
        owner = environ.get("WATCHDOG_PID", "") or str(pid)
        if re.fullmatch(r"[0-9]{1,18}", interval) and int(interval) and owner == str(pid):
            # Half of the time-out, as sd_watchdog_enabled(3) recommends.
            self.watchdog_every = int(interval) / 2_000_000

    def ready(self, status: str) -> None:
        self._send("READY=1", f"STATUS={status}", patience=PATIENCE)

    def status(self, status: str) -> None:
        self._send(f"STATUS={status}")

    def reloading(self) -> None:
        """Says RELOADING, with the time that Type=notify-reload needs (sd_notify(3))."""
        now = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1_000
        self._send("RELOADING=1", f"MONOTONIC_USEC={now}", patience=PATIENCE)

    def reloaded(self, status: str) -> None:
        self._send("READY=1", f"STATUS={status}", patience=PATIENCE)

    def stopping(self, status: str) -> None:
        self._send("STOPPING=1", f"STATUS={status}", patience=PATIENCE)

    def alive(self) -> None:
        self._send("WATCHDOG=1")

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _send(self, *lines: str, patience: float = 0.0) -> None:
        if self._socket is None:
            return
        self._socket.settimeout(patience)
        message = "\n".join(line.replace("\n", " ") for line in lines)
        try:
            self._socket.sendto(message.encode(errors="backslashreplace"), self._where)
        except OSError as error:
            logger.debug("systemd was not told %s: %s", lines[0], error)
