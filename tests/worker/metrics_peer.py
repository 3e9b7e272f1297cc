"""A supervisor of a test's own that asks workers for the app's metrics, with blocking reads."""

import json
import socket
import time
from pathlib import Path
from typing import Any

from propylon.protocol.app_metrics import Frames, Introduction, ask, read_hello

from .gateway_peer import TIMEOUT


class MetricsListener:
    """The listening socket of one supervisor in a pool's directory."""

    def __init__(self, run_dir: Path, name: str = "0", pool: str = "default") -> None:
        directory = run_dir / pool
        directory.mkdir(parents=True, exist_ok=True)
        self.path = directory / f"{name}.metrics"
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.bind(str(self.path))
        self.sock.listen(16)
        self._peers: list[MetricsPeer] = []

    def __enter__(self) -> "MetricsListener":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def accept(self, timeout: float = TIMEOUT) -> "MetricsPeer":
        self.sock.settimeout(timeout)
        peer = MetricsPeer(self.sock.accept()[0])
        self._peers.append(peer)
        return peer

    def close(self) -> None:
        """Closes the connections too."""
        self.sock.close()
        for peer in self._peers:
            peer.sock.close()
        self.path.unlink(missing_ok=True)


class MetricsPeer:
    """The connection of one worker."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self._frames = Frames()
        self._heard: list[tuple[bytes, bytes]] = []
        self._series: list[tuple[str, ...]] = []
        self.number = 0
        self.left_out: dict[str, int] = {}
        self.who: Introduction = read_hello(self._frame(b"H"))

    def _next(self) -> tuple[bytes, bytes]:
        until = time.monotonic() + TIMEOUT
        while not self._heard:
            self.sock.settimeout(max(0.001, until - time.monotonic()))
            data = self.sock.recv(65_536)
            assert data, "the worker has gone"
            self._heard += self._frames.feed(data)
        return self._heard.pop(0)

    def _frame(self, kind: bytes) -> bytes:
        found, payload = self._next()
        assert found == kind
        return payload

    def ask(self) -> dict[tuple[str, ...], float]:
        """What the registry has: (name, label, value, ...) -> value."""
        self.number += 1
        self.sock.sendall(ask(self.number))
        number, values = self.hear()
        assert number == self.number
        return values

    def hear(self) -> tuple[int, dict[tuple[str, ...], float]]:
        """The next answer: its number, and the values."""
        kind, payload = self._next()
        if kind == b"F":
            self._series = [
                (name + suffix, *labels)
                for name, _, _, _, series in json.loads(payload)
                for suffix, *labels in series
            ]
            kind, payload = self._next()
        assert kind == b"A"
        said: Any = json.loads(payload)
        self.left_out = said[2]
        return said[0], dict(zip(self._series, said[1], strict=True))
