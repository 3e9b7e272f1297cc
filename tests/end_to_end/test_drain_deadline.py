"""The end of a drain's time: whoever still waits is told so, where that is possible."""

import signal
import socket
from pathlib import Path

import pytest

from .server import DEADLINE, Propylon, wait_for


@pytest.mark.slow
def test_who_waits_at_the_end_of_a_drain_is_told(tmp_path: Path) -> None:
    """One thread, so that the second request waits for it in the gateway's queue."""
    begun = tmp_path / "begun"
    flags = ("--threads=1", "--timeout-graceful-shutdown=1")
    with (
        Propylon("wsgi_raw:app", *flags) as propylon,
        socket.create_connection(propylon.address, DEADLINE) as runs,
        socket.create_connection(propylon.address, DEADLINE) as waits,
    ):
        runs.sendall(f"GET /slow?s=6&file={begun} HTTP/1.1\r\nHost: h\r\n\r\n".encode())
        wait_for(begun.exists, "the call")
        waits.sendall(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
        propylon.process.send_signal(signal.SIGTERM)
        assert runs.recv(65_536).startswith(b"HTTP/1.1 504 ")
        assert waits.recv(65_536).startswith(b"HTTP/1.1 503 ")
