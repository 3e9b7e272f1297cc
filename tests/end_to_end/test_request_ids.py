"""Request ids: one name for a request, for the client, the app and every log."""

import json
import re
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest
from websockets.sync.client import connect as dial

from .facts import connect, received
from .server import DEADLINE, Propylon

APP = """
import asyncio, json, os

async def app(scope, receive, send):
    if scope["type"] == "websocket":
        await receive()
        if scope["path"] == "/no":
            return await send({"type": "websocket.close"})
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.send", "text": facts(scope)})
        return
    assert scope["type"] == "http"
    if scope["path"] == "/raises":
        raise ValueError("an app's own")
    if scope["path"] == "/dies" and not os.path.exists("died"):
        open("died", "w").close()
        os._exit(1)
    if scope["path"] == "/bad":
        return await send({"type": "http.response.start", "status": 99, "headers": []})
    headers = [(b"x-request-id", b"mine")] if scope["path"] == "/own" else []
    body = facts(scope).encode()
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})

def facts(scope):
    names = [name.decode() for name, _ in scope["headers"]]
    told = [v.decode() for n, v in scope["headers"] if n.replace(b"_", b"-") == b"x-request-id"]
    return json.dumps([told, scope.get("propylon.request_id"), names[-1]])
"""
WSGI = """
import json

def app(environ, start):
    if environ["PATH_INFO"] == "/raises":
        raise ValueError("an app's own")
    start("200 OK", [])
    return [json.dumps(
        [[environ.get("HTTP_X_REQUEST_ID")], environ.get("propylon.request_id"), "x-request-id"]
    ).encode()]
"""
FORMAT = "%(r)s|%(s)s|%(request_id)s|%(end)s"
SERVERS = {
    "httptools": ["main:app", "--http", "httptools", "-w2"],
    "h11": ["main:app", "--http", "h11", "--request-id-response"],
    "wsgi": ["wsgi:app", "--request-id-response"],
}


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Propylon]]:
    folder: Path = tmp_path_factory.mktemp("ids")
    (folder / "main.py").write_text(APP)
    (folder / "wsgi.py").write_text(WSGI)
    with ExitStack() as stack:
        yield {
            name: stack.enter_context(
                Propylon(*options, "--lifespan=off", "--access-logformat", FORMAT, cwd=folder)
                if "wsgi:app" not in options
                else Propylon(*options, "--access-logformat", FORMAT, cwd=folder)
            )
            for name, options in SERVERS.items()
        }


def ask(
    propylon: Propylon, path: str, *fields: str, source: str = "", version: str = "1.1"
) -> tuple[str, str]:
    """The head and the body of the response."""
    lines = [f"GET {path} HTTP/{version}", "Host: h", "Connection: close", *fields]
    with connect(propylon.address, source) as sock:
        sock.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())
        head, _, body = b"".join(received(sock)).decode().partition("\r\n\r\n")
    return head, re.sub(r"(?:^|\r\n)[0-9a-f]+\r\n", "", body) if "chunked" in head else body


def id_of(propylon: Propylon, path: str, body: str) -> str:
    """The one id that the app has got in all places; it is in the access log too."""
    (told,), scope, last = json.loads(body)
    assert told == scope
    assert last == "x-request-id"
    propylon.stdout.find(rf"^GET {re.escape(path)} HTTP/1\..\|200\|{re.escape(told)}\|ok$")
    return told


@pytest.mark.parametrize("name", SERVERS)
def test_a_request_has_one_id_everywhere(servers: dict[str, Propylon], name: str) -> None:
    propylon = servers[name]
    returns = name != "httptools"
    for path, fields, told in (
        ("/made", (), ""),
        ("/given", ("X-Request-ID: abc-1",), "abc-1"),
        ("/twice", ("X-Request-ID: abc-1", "x-request-id: abc-2"), ""),
        ("/malformed", ("X-Request-ID: a b",), ""),
        ("/underscore", ("X_Request_ID: evil",), ""),
    ):
        head, body = ask(propylon, path, *fields)
        request_id = id_of(propylon, path, body)
        assert request_id == told or (not told and uuid.UUID(request_id).version == 7)
        assert (f"\r\nx-request-id: {request_id}" in head) == returns
    head, body = ask(propylon, "/stranger", "X-Request-ID: abc-1", source="127.0.0.9")
    assert uuid.UUID(id_of(propylon, "/stranger", body)).version == 7
    head, body = ask(propylon, "/old", version="1.0")
    assert id_of(propylon, "/old", body)


def test_requests_on_one_connection_have_ids_of_their_own(servers: dict[str, Propylon]) -> None:
    """Pipelined, with heads that are alike, so that the gateway reads them from its cache."""
    propylon = servers["httptools"]
    one = b"GET /pipe HTTP/1.1\r\nHost: h\r\n\r\n"
    with connect(propylon.address) as sock:
        sock.sendall(one * 4 + one.replace(b"Host: h", b"Host: h\r\nConnection: close"))
        answer = b"".join(received(sock)).decode()
    ids = re.findall(r'\[\["([^"]+)"\], "([^"]+)"', answer)
    assert len(ids) == 5
    assert all(told == scope for told, scope in ids)
    assert [told for told, _ in ids] == sorted({told for told, _ in ids})


def test_an_app_that_sets_the_field_itself_knows_better(servers: dict[str, Propylon]) -> None:
    head, _ = ask(servers["h11"], "/own")
    assert re.findall(r"x-request-id: .*", head) == ["x-request-id: mine\r"]


@pytest.mark.parametrize("name", ["httptools", "wsgi"])
def test_a_fault_of_the_app_is_logged_with_it(servers: dict[str, Propylon], name: str) -> None:
    propylon = servers[name]
    _, page = ask(propylon, "/raises", "X-Request-ID: broken-7")
    assert page.endswith("\n\nRequest id: broken-7\n")
    propylon.stderr.find(r"GET /raises: the app raised ValueError \[request broken-7\]$")
    propylon.stdout.find(r"^GET /raises HTTP/1.1\|500\|broken-7\|app_failed$")


def test_a_refused_request_has_one(servers: dict[str, Propylon]) -> None:
    propylon = servers["h11"]
    with closing(connect(propylon.address)) as sock:
        sock.sendall(b"GET /refused HTTP/1.1\r\nBad Name: x\r\n\r\n")
        head, _, page = b"".join(received(sock)).decode().partition("\r\n\r\n")
    found = re.search(r"\n\nRequest id: (\S+)\n$", page)
    assert found
    assert uuid.UUID(found[1]).version == 7
    assert f"x-request-id: {found[1]}" in head
    propylon.stdout.find(rf"^GET /refused HTTP/1.1\|400\|{found[1]}\|client_malformed$")


def test_a_second_worker_gets_the_same(servers: dict[str, Propylon]) -> None:
    _, body = ask(servers["httptools"], "/dies", "X-Request-ID: again-2")
    assert id_of(servers["httptools"], "/dies", body) == "again-2"


def test_a_websocket_has_one(servers: dict[str, Propylon]) -> None:
    propylon = servers["h11"]
    url = propylon.url.replace("http", "ws", 1) + "/socket"
    with dial(url, proxy=None, open_timeout=DEADLINE) as websocket:
        (told,), scope, last = json.loads(websocket.recv(DEADLINE))
        assert websocket.response is not None
        assert websocket.response.headers["x-request-id"] == told == scope
        assert last == "x-request-id"
    propylon.stdout.find(rf"^GET /socket HTTP/1.1\|101\|{told}\|app_closed_websocket$")


@pytest.mark.slow
def test_without_ids_everything_passes(tmp_path: Path) -> None:
    (tmp_path / "main.py").write_text(APP)
    options = ("main:app", "--lifespan=off", "--no-request-ids", "--access-logformat", FORMAT)
    with Propylon(*options, cwd=tmp_path) as propylon:
        _, body = ask(propylon, "/a", "X-Request-ID: a b", "X-Request-ID: c")
        assert json.loads(body) == [["a b", "c"], None, "x-request-id"]
        _, page = ask(propylon, "/raises")
        assert "Request id" not in page
        propylon.stdout.find(r"^GET /raises HTTP/1.1\|500\|-\|app_failed$")


@pytest.mark.slow
def test_another_field(tmp_path: Path) -> None:
    (tmp_path / "main.py").write_text(APP)
    options = ("main:app", "--lifespan=off", "--request-id-header=X-Correlation-ID")
    options += ("--request-id-response",)
    with Propylon(*options, cwd=tmp_path) as propylon:
        head, body = ask(propylon, "/a", "X-Request-ID: app's own", "X-Correlation-Id: c-1")
        assert json.loads(body) == [["app's own"], "c-1", "x-correlation-id"]
        assert "\r\nx-correlation-id: c-1" in head
