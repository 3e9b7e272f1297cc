"""--log-format json: every line of every process is one event, whatever happens."""

import json
import os
import signal
from pathlib import Path

import pytest

from .server import Propylon, wait_for

APP = """
import warnings

async def app(scope, receive, send):
    assert scope["type"] == "http"
    if scope["path"] == "/raises":
        raise RuntimeError("no such\\norder \\udcff")
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"ok"})
"""
THREAD = """
import threading, time
threading.Thread(target=time.sleep, args=(1.0,), daemon=True).start()
"""


def lines(text: str) -> list[dict]:
    """All lines so far; a raw one is a failure."""
    return [json.loads(line) for line in text.splitlines() if line]


@pytest.mark.parametrize("preload", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_every_line_is_an_event(tmp_path: Path, preload: bool) -> None:
    app = tmp_path / "main.py"
    app.write_text(APP + THREAD * preload)  # of which the zygote warns
    options = ["--log-format=json", "--log-level=debug", "--reload-observe=0", "--workers=2"]
    options += ["--preload"] * preload
    with Propylon("main:app", *options, cwd=tmp_path) as propylon, propylon.client() as client:
        assert client.get("/raises?secret").status_code == 500
        assert client.get("/").status_code == 200
        os.kill(propylon.pids("worker")[-1], signal.SIGKILL)
        propylon.stderr.find("killed|was ended")
        app.write_text("raise ImportError('no\\nlibrary')")
        propylon.process.send_signal(signal.SIGHUP)
        propylon.stderr.find("[Nn]ot reloaded")
        wait_for(lambda: propylon.stdout.text.count("\n") == 2, "two lines of the access log")
        kinds = {
            (one["process"], one.get("pool"), "worker" in one, "gateway" in one)
            for one in lines(propylon.stderr.text)
        }
        assert kinds >= {
            ("supervisor", None, False, False), ("worker", "default", True, False),
            ("gateway", None, False, True),
        }  # fmt: skip
        assert (("zygote", "default", False, False) in kinds) == preload
    every = lines(propylon.stderr.text)
    raised = next(one for one in every if "the app raised" in one["message"])
    assert raised["level"] == "error"
    assert raised["exception"]["type"] == "RuntimeError"
    assert raised["exception"]["message"] == "no such\norder \\udcff"
    assert "main.py" in raised["exception"]["traceback"]
    aborted = next(one for one in every if "ot reloaded" in one["message"])
    assert aborted["process"] == "supervisor"
    assert "ImportError" in aborted["exception"]["traceback"]
    assert [one["status"] for one in lines(propylon.stdout.text)] == [500, 200]
    assert "secret" not in propylon.stderr.text


def test_a_format_that_is_given_stays(tmp_path: Path) -> None:
    (tmp_path / "main.py").write_text(APP)
    options = ("--log-format=json", "--access-logformat=<%(U)s>")
    with Propylon("main:app", *options, cwd=tmp_path) as propylon, propylon.client() as client:
        client.get("/a")
    assert propylon.stdout.text == "</a>\n"


def test_lines_of_text_name_the_worker(tmp_path: Path) -> None:
    (tmp_path / "main.py").write_text(APP)
    with Propylon("main:app", "--workers=2", cwd=tmp_path) as propylon, propylon.client() as client:
        client.get("/raises", headers={"x-request-id": "pay-7"})
        propylon.stderr.find(
            r"^[-\d]+ [:\d]+ error   worker [12]: GET /raises: the app raised RuntimeError "
            r"\[request pay-7\]$"
        )
