"""Requests by wrk over a fixed number of connections, each with one under way: how much can it do?

In the first load wrk compares every response's status and body with what is expected. In those that
are timed it counts every status but 200, every connection that failed, and the bytes, which must be
those of so many right responses: comparing each would take wrk the CPU that is measured.
"""

import json
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from ..compare.light_client import Wrong, exchange, request
from .load import Sample
from .servers import Server

SCRIPT = Path(__file__).with_name("load.lua")
TIMEOUT = 15
"""Seconds for one response."""
HELLO = b"Hello, world!"


def wrk(*arguments: str) -> dict[str, float]:
    tool = shutil.which("wrk")
    if tool is None:
        raise SystemExit("wrk is not installed (Debian: apt-get install wrk)")
    done = subprocess.run([tool, "-t1", *arguments], capture_output=True, text=True)
    last = done.stdout.strip().splitlines()[-1:]
    if done.returncode or not last or not last[0].startswith("{"):
        raise Wrong(f"wrk: {(done.stderr or done.stdout).strip()}")
    return json.loads(last[0])


@dataclass(frozen=True, kw_only=True)
class Requests:
    path: str = "/"
    check_path: str = ""
    """Another in the first load, where the app checks too."""
    expected: bytes = HELLO
    check_expected: bytes = b""
    connections: int = 64
    body: bytes = b""
    media_type: str = ""
    keep_alive: bool = True
    paths: tuple[str, ...] = ()
    """To ask for in turn, instead of one."""
    each: int = 1
    """What a response counts for, in the unit."""
    unit: str = "requests/s"
    chunked: bool = False
    """The response's length on the wire is the server's choice."""
    figure: str = "rate"

    @property
    def ready(self) -> tuple[str, ...]:
        return self.paths or ("/" if self.body else self.path,)

    @property
    def method(self) -> str:
        return "POST" if self.body else "GET"

    def warm_up(self, server: Server, seconds: float) -> None:
        self._wrk(server, seconds, "compare")

    def measure(self, server: Server, seconds: float) -> Sample:
        size = 0 if self.chunked or self.paths else len(self._one_response(server))
        found = self._wrk(server, seconds, "compare" if self.chunked else "count")
        # What was under way at the end has brought bytes, but is no response.
        most = (found["requests"] + self.connections) * size
        if size and not found["requests"] * size <= found["bytes"] <= most:
            raise Wrong(f"{found['bytes']:.0f} bytes of {found['requests']:.0f} responses")
        count = found["requests"] * self.each
        return {
            "rate": count / found["seconds"],
            "count": count,
            **{name: found[name] for name in ("p50", "p99", "p99.9")},
        }

    def _wrk(self, server: Server, seconds: float, how: str) -> dict[str, float]:
        compare = how == "compare"
        path = (compare and self.check_path) or self.path
        expected = (compare and self.check_expected) or self.expected
        with tempfile.TemporaryDirectory() as folder:
            body, answer = Path(folder) / "body", Path(folder) / "answer"
            body.write_bytes(self.body)
            answer.write_bytes(expected)
            # Opening many connections takes part of wrk's time.
            longer = max(1, round(seconds)) + self.connections // 1_000
            close = [] if self.keep_alive else ["-H", "Connection: close"]
            found = wrk(
                f"-c{self.connections}", f"-d{longer}s", f"--timeout={TIMEOUT}s",
                *close, "-s", str(SCRIPT), server.url + path, "--", how, self.method,
                str(body) if self.body else "", str(answer), self.media_type, " ".join(self.paths),
            )  # fmt: skip
        faults = ("wrong", "status", "connect", "read", "write", "timeout")
        if trouble := [f"{found[name]:.0f} {name}" for name in faults if found[name]]:
            raise Wrong(f"of {found['requests']:.0f} responses: {', '.join(trouble)}")
        if not found["requests"]:
            raise Wrong("no response")
        return found

    def _one_response(self, server: Server) -> bytes:
        """Also asks whether a timed response is the expected one."""
        text = request(server.ground.bind, self.path, self.method, self.body, self.media_type)
        if not self.keep_alive:
            text = text.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n", 1)
        response = exchange(server.ground, text)
        if not response.endswith(b"\r\n\r\n" + self.expected):
            raise Wrong(f"answers {response[:200]!r}")
        return response
