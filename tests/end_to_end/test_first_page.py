"""The app of the README's first command does what its page says, with FastAPI alone."""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from websockets.sync.client import connect

from .server import APPS, DEADLINE, Propylon, command, environment, wait_for

README = Path(__file__).parent.parent.parent / "README.md"


@pytest.fixture(scope="module")
def server() -> Iterator[Propylon]:
    with Propylon("first_page:app", "-w", "2", "--reload-observe", "0") as propylon:
        yield propylon


def test_the_readme_starts_it() -> None:
    commands = re.findall(r"^    (python3 -m venv .*)$", README.read_text("utf-8"), re.M)
    assert len(commands) == 2
    assert "propylon serve first_page:app --app-dir tests/apps" in commands[0]
    installed = re.search(r"pip install \. (.*?) &&", commands[0])
    assert installed
    code = (APPS / "first_page.py").read_text("utf-8")
    outside = set(re.findall(r"^(?:from|import) (\w+)", code, re.M))
    assert outside & {"starlette", "fastapi", "jinja2", "multipart"} == set(installed[1].split())


def test_the_page_and_its_facts(server: Propylon) -> None:
    with server.client() as client:
        page = client.get("/")
        assert page.headers["content-type"] == "text/html; charset=utf-8"
        for path in re.findall(r'(?:fetch\(|EventSource\(|href=)"(\w+)"', page.text):
            assert client.head("/" + path).status_code in (200, 405), path
        facts = client.get("/facts").json()
        assert facts["Connection"] == "http, HTTP/1.1, {}:{}".format(*server.address)
        assert facts["You"] == "127.0.0.1"
        assert "Propylon" in client.get("/readme").text


def test_stream_and_websocket(server: Propylon) -> None:
    with server.client() as client, client.stream("GET", "/events") as events:
        lines = events.iter_lines()
        assert "worker" in next(lines)
    with connect(server.url.replace("http", "ws") + "/ws", proxy=None) as socket:
        socket.send("hello")
        assert socket.recv(DEADLINE) == "hello"


def test_nothing_fails_while_workers_end_and_are_reloaded(server: Propylon) -> None:
    """What the page's dots show."""
    with server.client() as client:

        def who() -> int:
            response = client.get("/who")
            assert response.status_code == 200
            return response.json()["worker"]

        ended = client.post("/end").json()["worker"]
        wait_for(lambda: who() and ended not in server.pids("worker"), "the worker's end")
        wait_for(lambda: who() and len(server.pids("worker")) == 2, "its replacement")
        before = set(server.pids("worker"))
        reload = subprocess.Popen(
            command("reload", "--pid", str(server.process.pid)), env=environment()
        )
        wait_for(lambda: who() and reload.poll() is not None, "the reload")
        assert reload.returncode == 0
        wait_for(lambda: who() not in before, "an answer of a new worker")
