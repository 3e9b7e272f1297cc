"""A proxy that plays a Service: HAProxy at the level of connections, as kube-proxy works.

It balances new connections over the pods that are ready, never asks again elsewhere, and lets the
connections of a pod that is no longer ready be. That it looks at /readyz a few times a second
stands for the time that endpoint lists need.
"""

import asyncio
import csv
import socket
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

from ...compare.processes import die_with_parent, program
from ...end_to_end.server import DEADLINE

LOOKS_EVERY = 0.2
"""Seconds; a pod that is not ready is left out after two looks."""


class Service:
    def __init__(self, folder: Path, port: int, pods: Sequence[tuple[int, int]]) -> None:
        """`pods`: (http port, admin port) of each that may come to be."""
        servers = "\n".join(
            f"    server pod{i} 127.0.0.1:{http} check port {admin}"
            f" inter {int(1000 * LOOKS_EVERY)} fall 2 rise 1"
            for i, (http, admin) in enumerate(pods)
        )
        self.control = folder / "haproxy.sock"
        self.file = folder / "haproxy.cfg"
        self.file.write_text(f"""
global
    nbthread 1
    maxconn 4000
    stats socket {self.control} mode 600
defaults
    mode tcp
    retries 0
    timeout connect 5s
    timeout client 1h
    timeout server 1h
    timeout check 1s
frontend clients
    bind 127.0.0.1:{port} backlog 2048
    default_backend pods
backend pods
    balance roundrobin
    option httpchk GET /readyz
{servers}
""")
        self.log = folder / "haproxy.log"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [program("haproxy"), "-f", str(self.file), "-db"],
                stdout=log, stderr=log, preexec_fn=die_with_parent,
            )  # fmt: skip

    def up(self) -> set[int]:
        """Numbers of the pods that new connections go to."""
        return {pod for pod, row in self._rows().items() if row["status"].startswith("UP")}

    def times_down(self, pod: int) -> int:
        """How often it has been found not to be ready, having been."""
        return int(self._rows()[pod]["chkdown"])

    def _rows(self) -> dict[int, dict[str, str]]:
        """Number of a pod -> HAProxy's statistics of it (its manual, "9.1. CSV format")."""
        with socket.socket(socket.AF_UNIX) as control:
            control.settimeout(DEADLINE)
            control.connect(str(self.control))
            control.sendall(b"show stat\n")
            text = b"".join(iter(lambda: control.recv(65_536), b"")).decode()
        return {
            int(row["svname"].removeprefix("pod")): row
            for row in csv.DictReader(text.removeprefix("# ").splitlines())
            if row["svname"].startswith("pod")
        }

    async def until_up(self, pods: set[int]) -> None:
        """Waits until new connections go to these pods and no others."""
        end = time.monotonic() + DEADLINE
        while not self.control.exists() or self.up() != pods:
            if time.monotonic() > end:
                raise RuntimeError(f"{self.up()} are up instead of {pods}")
            await asyncio.sleep(0.02)

    def end(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait(10)
