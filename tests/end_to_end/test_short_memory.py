"""A real instance whose clients hold more memory than they may: it says so, and recovers."""

import json
import socket
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from .operating import done
from .server import DEADLINE, Propylon, wait_for
from .test_metrics import Page

APP = """
async def app(scope, receive, send):
    if scope["type"] != "http":
        raise RuntimeError
    size = 20_000_000 if scope["path"] == "/large" else 5
    fields = [(b"content-length", b"%d" % size)]
    await send({"type": "http.response.start", "status": 200, "headers": fields})
    await send({"type": "http.response.body", "body": bytes(size)})
"""
GET = b"GET %b HTTP/1.1\r\nHost: h\r\n\r\n"
LIMIT = 2_000_000


@pytest.mark.slow
def test_clients_that_take_nothing_fill_the_memory(tmp_path: Path) -> None:
    (tmp_path / "large.py").write_text(APP)
    flags = ("large:app", "--no-access-log", "--admin-bind", "127.0.0.1:0")
    flags += ("--limit-buffered-bytes", str(LIMIT))
    with Propylon(*flags, cwd=tmp_path) as server, ExitStack() as stack:
        page = Page(server.stderr)
        stack.callback(page.close)
        where = urlsplit(server.url)

        def connect(path: bytes) -> socket.socket:
            client = socket.create_connection((where.hostname, where.port), DEADLINE)
            stack.enter_context(client)
            client.sendall(GET % path)
            return client

        def held() -> float:
            return page.sum("propylon_gateway_held_bytes", 'protocol="http/1.1"')

        idle = [connect(b"/") for _ in range(20)]
        assert all(one.recv(1_000).startswith(b"HTTP/1.1 200") for one in idle)
        assert held() == 0
        full = [connect(b"/large") for _ in range(30)]
        wait_for(lambda: held() > LIMIT, "they hold enough")
        server.stderr.find(r"a gateway process holds \d+ MB for its clients, .*2 MB \(--limit-buf")
        wait_for(
            lambda: page.sum("propylon_connections_evicted_total", 'reason="pressure"') == 20,
            "the idle ones are gone",
        )
        assert all(one.recv(1_000) == b"" for one in idle)
        status = json.loads(done(server, "status", "--json"))
        assert status["gateways"][0]["buffered"] > LIMIT
        assert status["gateways"][0]["rss"] > LIMIT
        text = done(server, "status")
        assert "in memory for clients" in text
        waiting = connect(b"/")
        waiting.settimeout(1.5)
        with pytest.raises(TimeoutError):
            waiting.recv(1)
        assert page.sum("propylon_accept_pauses_total", 'reason="pressure"') >= 1
        for one in full:
            one.close()
        waiting.settimeout(DEADLINE)
        assert waiting.recv(1_000).startswith(b"HTTP/1.1 200")
        wait_for(lambda: held() == 0, "nothing is held")
        assert connect(b"/").recv(1_000).startswith(b"HTTP/1.1 200")
        assert server.stderr.text.count("for its clients, and may hold") == 1
