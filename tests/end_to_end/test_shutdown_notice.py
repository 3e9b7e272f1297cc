"""A stream without end, and a stop or a reload: it ends by itself at once, or is cut visibly."""

import time
from pathlib import Path

import httpx
import pytest

from .operating import begin, finish
from .server import Propylon

HEARS = """
from propylon.worker import shutdown_event

async def app(scope, receive, send):
    if scope["type"] != "http":
        raise NotImplementedError
    leaving = shutdown_event()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"data: hello\\n\\n", "more_body": True})
    await leaving.wait()
    await send({"type": "http.response.body", "body": b"event: goodbye\\ndata:\\n\\n"})
"""
DEAF = HEARS.replace("await leaving.wait()", "import asyncio; await asyncio.sleep(3600)")


@pytest.mark.parametrize("verb", ["stop", "reload"])
@pytest.mark.slow
def test_who_hears_ends_at_once(tmp_path: Path, verb: str) -> None:
    (tmp_path / "stream.py").write_text(HEARS)
    with Propylon("stream:app", "--reload-observe", "0", cwd=tmp_path) as server:
        with server.client() as client, client.stream("GET", "/") as response:
            pieces = response.iter_text()
            assert next(pieces) == "data: hello\n\n"
            began = time.monotonic()
            asked = begin(server, verb)
            assert "".join(pieces) == "event: goodbye\ndata:\n\n"
            assert time.monotonic() - began < 5  # of 30
        assert finish(asked).code == 0


@pytest.mark.slow
@pytest.mark.parametrize("verb", ["stop", "reload"])
def test_who_does_not_is_cut_visibly(tmp_path: Path, verb: str) -> None:
    (tmp_path / "stream.py").write_text(DEAF)
    flags = ("--reload-observe", "0", "--timeout-graceful-shutdown", "0.7")
    with Propylon("stream:app", *flags, cwd=tmp_path) as server:
        with server.client() as client, client.stream("GET", "/") as response:
            pieces = response.iter_text()
            assert next(pieces) == "data: hello\n\n"
            asked = begin(server, verb)
            with pytest.raises(httpx.RemoteProtocolError, match="incomplete chunked read"):
                list(pieces)
        assert finish(asked).code == 0
