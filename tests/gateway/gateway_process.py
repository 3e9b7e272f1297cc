"""A gateway process without its supervisor: the test has the other end of its channel."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
from propylon.gateway.settings import GatewaySettings


class GatewayProcess:
    """A real gateway process, and the supervisor's end of its channel."""

    def __init__(
        self,
        told: GatewaySettings,
        log: Path,
        fds: Sequence[int],
        code: Sequence[str] = ("-m", "propylon.gateway.process"),
    ) -> None:
        self.log = log
        self._lines = b""
        read, write = os.pipe()
        self.channel, theirs = socket.socketpair()
        self.channel.settimeout(20)
        with theirs, log.open("wb") as stderr:
            self.process = subprocess.Popen(
                [
                    sys.executable, *code,
                    f"--settings-fd={read}", f"--channel-fd={theirs.fileno()}",
                ],
                pass_fds=(read, theirs.fileno(), *fds),
                stderr=stderr,
            )  # fmt: skip
        os.close(read)
        os.write(write, msgspec.json.encode(told))
        os.close(write)

    def event(self, kind: str) -> dict[str, Any]:
        """The next of that kind."""
        while True:
            while b"\n" not in self._lines:
                data = self.channel.recv(65_536)
                assert data, self.log.read_text()
                self._lines += data
            line, _, self._lines = self._lines.partition(b"\n")
            event = json.loads(line)
            if event["event"] == kind:
                return event
