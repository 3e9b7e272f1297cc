"""What an operator does to an instance that runs, and the clients that must not notice."""

import http.client
import json
import os
import re
import subprocess
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .server import DEADLINE, Propylon, command, environment, wait_for

APP = """
import asyncio, os, time, traceback

{at_import}

async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        await receive()
        try:
            {in_startup}
        except Exception:  # as frameworks do it
            await send({{"type": "lifespan.startup.failed", "message": traceback.format_exc()}})
            raise
        await send({{"type": "lifespan.startup.complete"}})
        {when_ready}
        await receive()
        await send({{"type": "lifespan.shutdown.complete"}})
        return
    assert scope["type"] == "http"
    {in_call}
    status, body = {status}, f"{version} {{os.getpid()}}".encode()
    length = (b"content-length", b"%d" % len(body))
    await send({{"type": "http.response.start", "status": status, "headers": [length]}})
    await send({{"type": "http.response.body", "body": body}})
"""
CHANGING = ("changing:app", "-w", "2", "--no-access-log", "--reload-observe")
"""Serves what `deploy` has put there; behind it come the seconds."""
WSGI_APP = """
import os, time

{at_import}

def app(environ, start_response):
    {in_call}
    body = f"{version} {{os.getpid()}}".encode()
    start_response("{status} X", [("Content-Length", str(len(body)))])
    return [body]
"""


def deploy(folder: Path, version: str, *, app: str = APP, status: int = 200, **code: str) -> None:
    """The app's code, which answers "VERSION PID". `at_import`, `in_startup`, `when_ready`,
    `in_call`: one statement each."""
    lines = dict.fromkeys(("at_import", "in_startup", "when_ready", "in_call"), "pass")
    text = app.format(version=version, status=status, **(lines | code))
    (folder / "site.new").write_text(text)
    os.replace(folder / "site.new", folder / "changing.py")


def begin(
    server: Propylon, verb: str, *more: str, env: dict[str, str] | None = None
) -> subprocess.Popen[str]:
    """`propylon VERB` about this instance, under way."""
    return subprocess.Popen(
        command(verb, "--pid", str(server.process.pid), *more),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(**(env or {})),
        cwd="/",
    )


@dataclass
class Said:
    code: int
    out: str
    error: str


def finish(process: subprocess.Popen[str]) -> Said:
    try:
        out, error = process.communicate(timeout=2 * DEADLINE)
    except subprocess.TimeoutExpired:
        process.kill()
        out, error = process.communicate()
        raise AssertionError(f"{process.args} does not end:\n{out}{error}") from None
    assert "Traceback (most recent call last)" not in error.splitlines()[:1], error
    return Said(process.returncode, out, error)


def ask(server: Propylon, verb: str, *more: str) -> Said:
    return finish(begin(server, verb, *more))


def done(server: Propylon, verb: str, *more: str) -> str:
    """What a command that succeeds has printed."""
    said = ask(server, verb, *more)
    assert said.code == 0, said
    return said.out


def status(server: Propylon) -> dict[str, Any]:
    return json.loads(ask(server, "status", "--json").out)


def workers(server: Propylon, state: str = "ready") -> dict[int, int]:
    """Pid of each worker in this state, of all pools -> generation."""
    found = [worker for pool in status(server)["pools"] for worker in pool["workers"]]
    return {worker["pid"]: worker["generation"] for worker in found if worker["state"] == state}


def settled(server: Propylon, count: int, what: str = "") -> dict[int, int]:
    """Waits until so many workers are there, all of them ready."""

    def look() -> dict[int, int] | None:
        everybody = [worker for pool in status(server)["pools"] for worker in pool["workers"]]
        ready = [one for one in everybody if one["state"] == "ready"]
        if len(everybody) == len(ready) == count:
            return {one["pid"]: one["generation"] for one in ready}
        return None

    return wait_for(look, what or f"{count} workers, all ready")


@dataclass
class Traffic:
    """Clients that ask as fast as they are answered."""

    answers: Counter[str] = field(default_factory=Counter[str])
    """First word of the body -> how many."""
    pids: Counter[int] = field(default_factory=Counter[int])
    failures: list[str] = field(default_factory=list[str])
    ending: threading.Event = field(default_factory=threading.Event)

    def heard(self, code: int, body: str) -> None:
        if code != 200:
            self.failures.append(f"{code} {body[:200]}")
            return
        word, _, pid = body.partition(" ")
        self.answers[word] += 1
        self.pids[int(pid)] += 1

    def version(self, word: str) -> None:
        """Waits for a new answer of this version."""
        before = self.answers[word]
        wait_for(lambda: self.answers[word] > before, f"an answer of {word}; {self}")

    def more(self, count: int = 20) -> None:
        """Waits for so many more answers."""
        enough = self.answers.total() + count
        wait_for(lambda: self.answers.total() > enough, f"{count} more answers; {self}")


def _ask_on(traffic: Traffic, address: tuple[str, int], *, keep: bool, pause: float) -> None:
    connection = http.client.HTTPConnection(*address, timeout=DEADLINE)
    while not traffic.ending.wait(pause):
        try:
            connection.request("GET", "/", headers={} if keep else {"Connection": "close"})
            response = connection.getresponse()
            traffic.heard(response.status, response.read().decode())
        except (OSError, http.client.HTTPException) as error:
            traffic.failures.append(repr(error))
            connection.close()
    connection.close()


@contextmanager
def traffic(
    server: Propylon, *, keeping: int = 2, new: int = 2, pause: float = 0.02
) -> Iterator[Traffic]:
    """Steady clients; not one of their requests may fail."""
    clients = Traffic()
    threads = [
        threading.Thread(
            target=_ask_on,
            args=(clients, server.address),
            kwargs={"keep": number < keeping, "pause": pause},
        )
        for number in range(keeping + new)
    ]
    for thread in threads:
        thread.start()
    try:
        clients.more()
        yield clients
        clients.more()
    finally:
        clients.ending.set()
        for thread in threads:
            thread.join()
    assert not clients.failures, clients.failures[:5]


def watch(server: Propylon, look: Callable[[dict[str, Any]], bool], what: str) -> dict[str, Any]:
    """Asks for the status again and again, on the socket itself; the first that is so."""
    from propylon.gateway.control.client import ask as ask_socket
    from propylon.gateway.control.commands import Status
    from propylon.gateway.control.instances import find

    instance = find(None, server.process.pid)

    def asked() -> dict[str, Any] | None:
        report: Any = ask_socket(instance, Status()).data
        return report if look(report) else None

    return wait_for(asked, what)


def log_count(server: Propylon, pattern: str) -> int:
    return len(re.findall(pattern, server.stderr.text, re.MULTILINE))
