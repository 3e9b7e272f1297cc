"""Libraries that look at what other apps never do: Socket.IO, NiceGUI, a reverse proxy, and the
WSGI frameworks that ask for a body's length. Each with its own client, or a real one."""

import asyncio
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest
from socketio import AsyncClient

from ..cases import some_slow
from .facts import connect, exchange
from .server import DEADLINE, Propylon

TRANSPORTS = {"direct": ["websocket"], "polling": ["polling"], "upgraded": None}


@asynccontextmanager
async def socket_io(url: str, transports: list[str] | None) -> AsyncIterator[AsyncClient]:
    client = AsyncClient(reconnection=False)
    await client.connect(url, transports=transports, wait_timeout=int(DEADLINE))
    try:
        yield client
    finally:
        # The server hangs up, and nobody waits for the client's last poll: python-engineio lets
        # it hang for 20 s, on any server.
        await client.call("leave", timeout=int(DEADLINE))
        await client.eio.disconnect(abort=True)


# -- Socket.IO ---------------------------------------------------------------------------------


@pytest.fixture(scope="module", params=["uvloop", pytest.param("asyncio", marks=pytest.mark.slow)])
def asgi_socket_io(request: pytest.FixtureRequest) -> Iterator[Propylon]:
    with Propylon("socketio_app:asgi", "--loop", request.param) as propylon:
        yield propylon


@pytest.mark.parametrize("way", TRANSPORTS)
def test_socket_io(asgi_socket_io: Propylon, way: str) -> None:
    async def talk() -> str:
        async with socket_io(asgi_socket_io.url, TRANSPORTS[way]) as client:
            client.on("question", lambda data: data + 1)
            assert client.transport() == ("polling" if way == "polling" else "websocket")
            for data in (0, {"a": [1, None]}, b"\0\xff" * 50_000):
                assert await client.call("echo", data, timeout=int(DEADLINE)) == data
            assert await client.call("ask back", 41, timeout=int(DEADLINE)) == 42
            return client.get_sid()

    asgi_socket_io.stdout.find(f"disconnected {asyncio.run(talk())}")


# -- NiceGUI -----------------------------------------------------------------------------------


@pytest.mark.slow
def test_nicegui(tmp_path) -> None:
    pytest.importorskip("nicegui", reason="NiceGUI is not installed (the extra `apps` has it)")
    with Propylon("nicegui_app:app", env={"HOME": str(tmp_path)}) as propylon:
        with propylon.client() as client:
            html = client.get("/").text
        found = re.search(r"""["']client_id["']: *["']([^"']+)""", html.replace("&quot;", '"'))
        assert found is not None, html
        query = f"client_id={found[1]}&document_id=d&tab_id=t&old_tab_id=&next_message_id=0"

        async def browse() -> None:
            browser, shown = AsyncClient(reconnection=False), asyncio.Event()
            browser.on("update", lambda data: "has connected" in str(data) and shown.set())
            await browser.connect(
                f"{propylon.url}/?{query}&implicit_handshake=true",
                transports=["websocket"],
                socketio_path="_nicegui_ws/socket.io",
                wait_timeout=int(DEADLINE),
            )
            await asyncio.wait_for(shown.wait(), DEADLINE)
            await browser.disconnect()

        asyncio.run(browse())


# -- a reverse proxy ---------------------------------------------------------------------------


def test_a_reverse_proxy_of_httpx() -> None:
    """Fields pass through two of us and an app, hop-by-hop ones too: no body is lost or doubled."""
    with (
        Propylon("asgi_raw:app") as backend,
        Propylon("reverse_proxy_app:app", env={"BACKEND": backend.url}) as front,
        front.client() as client,
    ):
        body = bytes(range(256)) * 2_000
        pieces = (body[start : start + 10_007] for start in range(0, len(body), 10_007))
        assert client.post("/echo", content=pieces).content == body
        assert client.post("/echo", content=body).content == body
        assert client.get("/stream?n=300000").content == bytes(300_000)
        fields = {"TE": "trailers", "Connection": "keep-alive, TE", "X-Own": "1"}
        facts = client.get("/facts?a=b", headers=fields).text.splitlines()
        assert {"header te=trailers", "header x-own=1", "query_string=b'a=b'"} <= set(facts)


# -- a body's length ---------------------------------------------------------------------------

FILE = (
    b"--B\r\nContent-Disposition: form-data; name=f; filename=a.txt\r\n\r\nin a file\r\n--B--\r\n"
)
BODIES = {
    "form": (b"application/x-www-form-urlencoded", b"a=1&b=2", {"form": {"a": "1", "b": "2"}}),
    "file": (b"multipart/form-data; boundary=B", FILE, {"files": {"f": "in a file"}}),
    "raw": (b"text/plain", b"x" * 2_000_000, {"size": 2_000_000}),
}


SLOWER = [pytest.param(name, marks=pytest.mark.slow) for name in ("bottle", "flask")]


@pytest.fixture(scope="module", params=["django", *SLOWER])
def framework(request: pytest.FixtureRequest) -> Iterator[Propylon]:
    with Propylon(f"chunked_bodies:{request.param}_app") as propylon:
        yield propylon


@pytest.mark.parametrize("kind", BODIES)
def test_a_body_in_chunks_reaches_the_framework(framework: Propylon, kind: str) -> None:
    content_type, body, expected = BODIES[kind]
    step = max(7, len(body) // 50)
    pieces = (body[start : start + step] for start in range(0, len(body), step))
    with framework.client() as client:
        answer = client.post("/", content=pieces, headers={"Content-Type": content_type.decode()})
    assert (answer.status_code, answer.json()) == (200, expected)


def test_a_body_in_chunks_has_a_limit() -> None:
    with (
        Propylon("chunked_bodies:flask_app", "--max-request-body-size", "100000") as propylon,
        propylon.client() as client,
    ):
        head = b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
        answer = exchange(propylon.address, head, b"10000\r\n" + b"x" * 65_536 + b"\r\n" * 2)
        assert answer.startswith(b"HTTP/1.1 400")
        answer = exchange(propylon.address, head, *[b"8000\r\n" + b"x" * 32_768 + b"\r\n"] * 4)
        assert answer.startswith(b"HTTP/1.1 413")
        assert b"--max-request-body-size" in answer
        assert client.post("/", content=iter([b"x" * 99_999])).json() == {"size": 99_999}


# -- what a response says of itself ------------------------------------------------------------


@pytest.mark.parametrize("app", some_slow(1, ["asgi", "wsgi"]))
def test_an_app_closes_its_connection(app: str) -> None:
    with Propylon(f"heads:{app}") as propylon, connect(propylon.address) as sock:
        sock.sendall(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n" * 2)
        answer = b"".join(iter(lambda: sock.recv(65_536), b""))
    assert answer.count(b"HTTP/1.1 ") == 1
    assert b"\r\nconnection: close\r\n" in answer


@pytest.mark.slow
def test_a_wsgi_head_as_the_app_wrote_it() -> None:
    with Propylon("heads:wsgi") as propylon:
        head = exchange(propylon.address, b"GET / HTTP/1.1\r\nHost: h\r\n\r\n").split(b"\r\n")
    assert head[0] == b"HTTP/1.1 422 Out Of Cheese"
    assert b"X-Answer: 42" in head
    assert b"ETag: 'x'" in head
    assert b"Content-Length: 4" in head
