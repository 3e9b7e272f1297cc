"""What containers are asked on their admin listeners, as a kubelet or an operator asks."""

import asyncio
import json
import time
import urllib.error
import urllib.request
from collections.abc import Awaitable, Callable
from typing import Any

from ..end_to_end.server import DEADLINE


def readiness(port: int) -> int:
    """The status of /readyz; 0 if nobody answers."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=3) as response:
            return int(response.status)
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return 0


def status(port: int) -> dict[str, Any]:
    """What the admin listener on that port says, as in docs/status.schema.json."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/status", timeout=3) as response:
        return json.load(response)


def linked_workers(port: int) -> int:
    """How many workers are linked to the gateway of that admin listener."""
    return len(status(port)["linked"])


async def until(admin_port: int, status: int, logs: Callable[[], Awaitable[str]]) -> None:
    """Waits for a status of /readyz; 0: nobody listens."""
    end = time.monotonic() + DEADLINE
    while (said := await asyncio.to_thread(readiness, admin_port)) != status:
        if time.monotonic() > end:
            raise RuntimeError(f"/readyz on {admin_port} says {said}\n{await logs()}")
        await asyncio.sleep(0.02)


async def until_linked(admin_port: int, workers: int) -> None:
    """Until so many workers are linked to the gateway of that admin listener."""
    end = time.monotonic() + DEADLINE
    while (linked := await asyncio.to_thread(linked_workers, admin_port)) != workers:
        if time.monotonic() > end:
            raise RuntimeError(f"{linked} workers are linked, not {workers}")
        await asyncio.sleep(0.02)
