"""The access log as a whole: what it keeps, when it is written, and what blocks nobody."""

import json
import os
import re
import signal
import sys
import time
from datetime import datetime
from pathlib import Path

import pytest
import trio
from propylon.gateway.exchange.exchange import Exchange, Request
from propylon.gateway.observe.access_log import AccessLog

from ...fakes.exchange_sides import FakeClient
from ..running import PATIENCE, get, propylon

APP = """
async def app(scope, receive, send):
    assert scope["type"] == "http"
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"there"})
"""


def ended(path: bytes = b"/", seconds_ago: float = 0.0, took: float = 0.0) -> Exchange:
    client, now = FakeClient(), time.monotonic()
    exchange = Exchange(Request("POST", path, "1.1"), client, opened=now - seconds_ago)
    exchange.begin_body(bytes(60_000), False)
    exchange.complete(200, (), 0, now - seconds_ago + took)
    return exchange


async def test_exchanges_are_not_kept_and_batches_do_not_wait(tmp_path: Path) -> None:
    path = tmp_path / "log"
    access_log = AccessLog(str(path), "%(t)s %(U)s")
    before = time.time()
    exchanges = [ended(b"/%d" % number) for number in range(512)]
    known = [sys.getrefcount(exchange) for exchange in exchanges]
    async with trio.open_nursery() as nursery:
        nursery.start_soon(access_log.run)
        for exchange in exchanges:
            access_log.ended(exchange)
        del exchange
        after = time.time()
        assert [sys.getrefcount(exchange) for exchange in exchanges] == known
        with trio.fail_after(PATIENCE):
            while path.read_bytes().count(b"\n") < 512:  # noqa: ASYNC110
                await trio.sleep(0.01)
        nursery.cancel_scope.cancel()
    access_log.ended(ended(b"/last"))
    access_log.close()
    lines = path.read_text().splitlines()
    assert [line.split()[-1] for line in lines] == [*(f"/{n}" for n in range(512)), "/last"]
    for line in lines[:512]:
        at = datetime.strptime(line[: line.index("]") + 1], "[%d/%b/%Y:%H:%M:%S %z]").timestamp()
        assert int(before) <= at <= after


async def test_the_time_is_not_that_of_the_writing(tmp_path: Path) -> None:
    access_log = AccessLog(str(tmp_path / "log"), "%(t)s")
    access_log.ended(ended(seconds_ago=7_200.0, took=3_600.0))
    access_log.close()
    text = (tmp_path / "log").read_text()
    at = datetime.strptime(text.strip(), "[%d/%b/%Y:%H:%M:%S %z]").timestamp()
    assert at == pytest.approx(time.time() - 3_600, abs=60)


@pytest.mark.parametrize("path", ["no/such/directory/log", "."])
def test_a_file_that_cannot_be_opened(path: str) -> None:
    with pytest.raises(OSError, match=rf"^access-logfile {path} cannot be written: \w"):
        AccessLog(path, "json")


@pytest.mark.slow
async def test_a_pipe_that_nobody_reads_does_not_hold_up_the_end(tmp_path: Path) -> None:
    (tmp_path / "main.py").write_text(APP)
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)  # opened only, so that opening returns
    try:
        logs = (f"--access-logfile={fifo}", "--access-logformat=" + 4_000 * "x")
        graceful = "--timeout-graceful-shutdown=5"
        async with propylon(
            "serve", "main:app", "--port=0", "--lifespan=off", graceful, *logs, cwd=tmp_path
        ) as running:
            port = await running.port()
            for _ in range(30):  # a pipe holds sixteen such lines
                assert "there" in await get(port)
            running.signal(signal.SIGTERM)
            assert await running.ended() == 0
            await running.said(r"\(end of log\)")
        assert "killing" not in running.log
        assert re.search(r"error +the access log takes nothing: at least \d+ lines", running.log)
    finally:
        os.close(reader)


def test_a_record_for_log_config_has_the_request_s_id(tmp_path: Path) -> None:
    path = tmp_path / "configured"
    config = {
        "version": 1,
        "formatters": {"own": {"format": "%(request_id)s %(args)s %(message)s"}},
        "handlers": {
            "own": {"class": "logging.FileHandler", "filename": str(path), "formatter": "own"}
        },
        "loggers": {"propylon.access": {"handlers": ["own"]}},
    }
    access_log = AccessLog("-", "%(U)s", json.dumps(config))
    named = ended(b"/a")
    named.identify("r-1")
    access_log.ended(named)
    access_log.ended(ended(b"/b"))
    access_log.close()
    assert path.read_text().splitlines() == [
        "r-1 ('-', 'POST', '/a', '1.1', 200) /a",
        "- ('-', 'POST', '/b', '1.1', 200) /b",
    ]
