"""Every answer of the gateway's own says why: on the page, in the access log, in the log."""

import json
import re
import socket
from pathlib import Path

import pytest

from .server import DEADLINE, Propylon

APP = """
import asyncio, os

async def app(scope, receive, send):
    assert scope["type"] == "http"
    if scope["path"] == "/dies":
        os._exit(1)
    if scope["path"] == "/sleeps":
        await asyncio.sleep(60)
    if scope["path"] == "/cut":
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"x", "more_body": True})
        await asyncio.sleep(0.1)
        os._exit(1)
    while scope["path"] == "/late" and (await receive()).get("more_body"):
        pass
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"ok"})
"""
GET = "GET {} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"
ASKED = r"pool=default worker=\d queued=0\.\d+ attempts=1"
ANSWERS = {
    # what is sent, the status, the option on the page, the line that is logged
    "body": (
        "POST /up?x=1 HTTP/1.1\r\nHost: h\r\nContent-Length: 20\r\n\r\n", 413,
        "max-request-body-size",
        r'"POST /up\?x=1 HTTP/1.1" 413 .* reason="The request body is over the limit of 10 bytes\.',
    ),
    "chunks": (
        "POST /up HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n14\r\n", 413,
        "max-request-body-size",
        r'"POST /up HTTP/1.1" 413 .* reason="The request body is .*--max-request-body-size"',
    ),
    "line": (
        f"GET /{300 * 'x'} HTTP/1.1\r\n\r\n", 414, "limit-request-line",
        r'"GET /x{300} HTTP/1.1" 414 .* reason="The request line is over 200 bytes\. --limit-req',
    ),
    "field": (
        f"GET /f HTTP/1.1\r\nHost: h\r\nX: {300 * 'x'}\r\n\r\n", 431, "limit-request-field-size",
        r'"GET /f HTTP/1.1" 431 .* reason="A header field is over 200 bytes\. --limit-request-f',
    ),
    "fields": (
        "GET /f HTTP/1.1\r\nHost: h\r\n" + 20 * "X: x\r\n" + "\r\n", 431, "limit-request-fields",
        r'"GET /f HTTP/1.1" 431 .* reason="More than 10 header fields\. --limit-request-fields"',
    ),
    "no Host": (
        "GET /f HTTP/1.1\r\n\r\n", 400, "", r'"GET /f HTTP/1.1" 400 .* reason="HTTP/1.1 needs a',
    ),
    "no HTTP": ("hello\r\n\r\n", 400, "", r'"hello" 400 .* reason="The request line is malformed'),
    "late head": (
        "GET /late HTTP/1.1\r\nHo", 408, "header-timeout",
        r'"GET /late HTTP/1.1" 408 .* reason="The request\'s head did not arrive in time\. --head',
    ),
    "late body": (
        "POST /late HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\nx", 408, "body-timeout",
        rf'"POST /late HTTP/1.1" 408 .* reason="The request\'s body did not .*" {ASKED}',
    ),
    "slow": (
        GET.format("/sleeps"), 504, "request-timeout",
        rf'"GET /sleeps HTTP/1.1" 504 .* reason="The app did not answer in time\. --re.*" {ASKED}',
    ),
    "died": (
        GET.replace("GET", "POST").format("/dies"), 502, "",
        rf'"POST /dies HTTP/1.1" 502 .* reason="worker \d \(pid \d+\) closed its link" {ASKED}',
    ),
    "died later": (
        GET.format("/cut"), 200, "",
        rf'"GET /cut HTTP/1.1" 200 1 .* reason="[^"]+" {ASKED}',
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory):  # type: ignore[no-untyped-def]
    folder: Path = tmp_path_factory.mktemp("answers")
    (folder / "main.py").write_text(APP)
    with Propylon(
        "main:app", "--lifespan=off", "--request-timeout=0.3", "--header-timeout=0.3",
        "--body-timeout=0.3", "--max-request-body-size=10", "--limit-request-line=200",
        "--limit-request-field-size=200", "--limit-request-fields=10", "-w2", cwd=folder,
    ) as one:  # fmt: skip
        yield one


@pytest.mark.parametrize(("sent", "status", "option", "logged"), ANSWERS.values(), ids=ANSWERS)
def test_an_answer(server: Propylon, sent: str, status: int, option: str, logged: str) -> None:
    with socket.create_connection(server.address, DEADLINE) as client:
        client.sendall(sent.encode())
        answer = b""
        while data := client.recv(65_536):
            answer += data
    head, _, page = answer.decode().partition("\r\n\r\n")
    assert head.startswith(f"HTTP/1.1 {status} ")
    assert (f"--{option} sets the limit" in page) if option else "--" not in page
    line = server.stdout.find(logged)
    assert line[0].count("reason=") == 1


def test_what_was_not_answered_is_warned_of_once(server: Propylon) -> None:
    """In its own words, with the path; what came before in this module counts."""
    for path in ("/sleeps", "/sleeps?again"):
        with socket.create_connection(server.address, DEADLINE) as client:
            client.sendall(GET.format(path).encode())
            while client.recv(65_536):
                pass
    pattern = (
        r"warning GET /sleeps was answered with 504: The app did not answer in time\. "
        r"--request-timeout \(pool default, worker \d, 0\.\d+ s in the queue, attempts: 1\)"
    )
    server.stderr.find(pattern)
    assert len(re.findall("answered with 504", server.stderr.text)) == 1


def test_nobody_to_ask(tmp_path: Path) -> None:
    """JSON, and of an outage both ends are logged."""
    (tmp_path / "main.py").write_text(
        "import os, time\n"
        "if os.path.exists('down'):\n"
        "    while os.path.exists('down'):\n"
        "        time.sleep(0.01)\n" + APP
    )
    with Propylon(
        "main:app", "--lifespan=off", "--queue-timeout=0.2", "--access-logformat=json",
        cwd=tmp_path,
    ) as server:  # fmt: skip
        (tmp_path / "down").touch()
        with server.client(timeout=DEADLINE) as client:
            assert client.post("/dies").status_code == 502
            late = client.get("/waits")
            assert late.status_code == 503
            assert "--" not in late.text
            server.stderr.find(r"error +pool default has no worker that is ready")
            (tmp_path / "down").unlink()
            server.stderr.find(r"warning pool default has a worker again")
        found = server.stdout.find(r".*/waits.*")
        record = json.loads(found[0])
        assert record["reason"] == "No worker of this app is ready."
        assert (record["pool"], record["worker"], record["attempts"]) == ("default", None, 0)
        assert 0.2 <= record["queued"] < DEADLINE
