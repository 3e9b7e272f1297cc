"""Which code this is: a file, read when the app is imported, stands for a deployment.

The file is JSON, `{"version": 3, "fault": "import"}`. Whoever reloads after it was rewritten has
new code, and that may be broken in one of the ways of FAULTS.
"""

import json
import os
import threading
import time

FAULTS = ("import", "startup", "hang", "exit", "500", "forks")
"""Raises at import; raises in lifespan's startup; hangs at import; ends its process a moment after
it was ready; answers everything with 500. Forks a process that outlives its worker: no fault."""
CHILD_LIVES = 2.5
"""Seconds; a client would wait so long for a worker whose child held the connection. Less than the
harness waits for the last process to be gone (`servers.LEFT`)."""
READY_FOR = 0.4
"""Seconds between `ready` and the end of a process with the fault `exit`."""

with open(os.environ["NOTHING_DROPPED_CODE"], encoding="utf-8") as _file:
    _code = json.load(_file)
VERSION: int = _code["version"]
FAULT: str | None = _code["fault"]
RECORD = os.open(
    os.environ["NOTHING_DROPPED_RECORD"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666
)

if FAULT == "import":
    raise RuntimeError("this code is broken: it fails at import")
while FAULT == "hang":
    time.sleep(3_600)


def headers() -> list[tuple[str, str]]:
    """Who answers."""
    return [("x-pid", str(os.getpid())), ("x-version", str(VERSION))]


def record(identity: str) -> None:
    """One write to a file in append mode: whole, whoever else writes."""
    os.write(RECORD, f"{identity}\n".encode())


def started(delay: float = READY_FOR) -> None:
    """To be called when the app is ready (or as near to it as its interface allows)."""
    if FAULT == "forks" and os.fork() == 0:
        os.closerange(0, 3)  # who reads the log need not wait for it
        time.sleep(CHILD_LIVES)
        os._exit(0)
    if FAULT == "exit":
        timer = threading.Timer(delay, os._exit, (1,))
        timer.daemon = True
        timer.start()
