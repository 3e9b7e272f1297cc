"""A worker's link that fails inside the gateway ends, and the worker leaves the pool."""

import socket

import pytest
from propylon.gateway.poller import Poller
from propylon.gateway.pool.member import Member

from .linked import pool


def test_a_link_that_cannot_be_written_ends(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    p, poller = pool(), Poller()
    ours, worker = socket.socketpair()
    ours.setblocking(False)
    worker.settimeout(20)

    def fails() -> bytes:
        raise RuntimeError("a fault of ours")

    with worker:
        member = Member(p, ours, 1, poller)
        assert worker.recv(65_536), "it is greeted"
        monkeypatch.setattr(member.machine, "take_output", fails)
        member._ring()  # as the machine does when it has something to send
        assert "a fault of ours" in caplog.text
        assert p.members == []
        assert worker.recv(65_536) == b"", "the worker sees the end"
