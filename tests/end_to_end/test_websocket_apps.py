"""The frameworks' own WebSockets, on every loop that they support, plain and over TLS, asked by
`websockets`, aiohttp and curl, and through nginx and HAProxy."""

import asyncio
import json
import random
import shutil
import ssl
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import aiohttp
import httpx
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.frames import Close
from websockets.sync.client import ClientConnection, connect

from ..cases import some_slow
from ..gateway.tls.issued import Issued, issue, trusting, trusting_in_threads
from .other_proxies import free_port, haproxy, needs_haproxy, needs_nginx, nginx
from .server import DEADLINE, Output, Propylon, wait_for

APPS = {
    "fastapi": "fastapi_app:app",
    "starlette": "starlette_app:app",
    "quart": "quart_app:app",
    "channels": "django_project.asgi_channels:application",
}
LOOPS = {
    # loop: the parser in front, the apps; each is a pool of its own behind one gateway
    "uvloop": ("httptools", ["fastapi", "starlette", "quart", "channels"]),
    "asyncio": ("h11", ["fastapi", "starlette", "quart", "channels"]),
    "trio": ("httptools", ["fastapi", "starlette"]),
}
PATHS = {
    # name: the app, the path below its route
    **{name: (name, "/ws") for name in APPS},
    "channels-thread": ("channels", "/ws-thread"),
}
SITES = [
    pytest.param(f"{name}-{loop}", marks=[pytest.mark.slow] if loop == "asyncio" else [])
    for loop, (_, apps) in LOOPS.items()
    for name, (app, _) in PATHS.items()
    if app in apps
]


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Issued:
    return issue(tmp_path_factory.mktemp("tls"), "localhost", "127.0.0.1")


@pytest.fixture(scope="module")
def servers(
    certificate: Issued, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[str], Propylon]]:
    """One for each loop, over TLS and beside it plain, started when it is first asked for."""
    folder = tmp_path_factory.mktemp("servers")

    def configure(loop: str) -> list[str]:
        parser, apps = LOOPS[loop]
        lines = ['bind = "127.0.0.1:0"', 'insecure-bind = "127.0.0.1:0"', f'http = "{parser}"']
        for app in apps:
            lines += ["[[pools]]", f'name = "{app}"', f'app = "{APPS[app]}"', f'loop = "{loop}"']
            lines += ["[[routes]]", f'prefix = "/{app}"', f'pool = "{app}"']
        file = folder / f"{loop}.toml"
        file.write_text("\n".join(lines))
        return ["-c", str(file), *certificate.flags]

    env = {"DJANGO_DB_DIR": str(folder)}
    with ExitStack() as stack:
        yield cache(lambda loop: stack.enter_context(Propylon(*configure(loop), env=env)))


def plain_url(propylon: Propylon) -> str:
    return propylon.stderr.find(r"Serving on https://\S+ (http://[^\s,]+)")[1]


@dataclass(frozen=True)
class Site:
    """One app on one loop."""

    name: str
    propylon: Propylon

    @property
    def path(self) -> str:
        app, path = PATHS[self.name]
        return f"/{app}{path}"

    def url(self, scheme: str) -> str:
        base = self.propylon.url if scheme == "wss" else plain_url(self.propylon)
        return base.replace("http", "ws", 1) + self.path


@pytest.fixture(params=SITES)
def site(request: pytest.FixtureRequest, servers: Callable[[str], Propylon]) -> Site:
    name, _, loop = request.param.rpartition("-")
    return Site(name, servers(loop))


@pytest.fixture(params=["ws", "wss"])
def url(request: pytest.FixtureRequest, site: Site) -> str:
    return site.url(request.param)


def dial(url: str, **options) -> ClientConnection:
    options = {"proxy": None, "max_size": None, "open_timeout": DEADLINE, **options}
    if url.startswith("wss:"):
        options |= {"ssl": trusting_in_threads()}
    return connect(url, **options)


def say(websocket: ClientConnection, data: str | bytes) -> str | bytes:
    """The answer."""
    websocket.send(data)
    return websocket.recv(DEADLINE)


def end(websocket: ClientConnection, last_words: str) -> Close | None:
    """The server's close frame, which is its answer to these."""
    with pytest.raises(ConnectionClosed) as closed:
        say(websocket, last_words)
    return closed.value.rcvd


def echoes(websocket: ClientConnection, *more: str | bytes) -> None:
    data = random.Random(1).randbytes(300_000)
    for message in ("", "grüße 漢字 🙂", "long " * 100_000, b"\0\xff", data, *more):
        assert say(websocket, message) == message


# -- all of them -----------------------------------------------------------------------------------


def test_echo(site: Site, url: str) -> None:
    with dial(url) as websocket:
        # Quart 0.20 to 0.22 looks for a text in what is empty bytes.
        echoes(websocket, *([] if site.name == "quart" else [b""]))


def test_where_the_app_is(url: str) -> None:
    with dial(url) as websocket:
        told = json.loads(say(websocket, "where"))
    assert told == [httpx.URL(url).scheme, httpx.URL(url).path]


def test_subprotocol(url: str) -> None:
    with dial(url, subprotocols=["chat.v2", "chat.v1"]) as websocket:
        assert websocket.subprotocol == "chat.v2"
        assert say(websocket, "hello") == "hello"
    with dial(url) as websocket:
        assert websocket.subprotocol is None


def test_the_app_closes(url: str) -> None:
    with dial(url) as websocket:
        assert end(websocket, "close") == Close(4000, "as asked")


def test_the_client_closes(site: Site, url: str, tmp_path: Path) -> None:
    file = tmp_path / "left"
    with dial(f"{url}?file={file}") as websocket:
        assert say(websocket, "hello") == "hello"
        websocket.close(4999, "enough")
        wait_for(file.exists, "the app's disconnect")
    assert file.read_text() == ("cancelled" if site.name == "quart" else "4999")


def test_the_app_refuses(site: Site, url: str) -> None:
    """Before it accepts: with a response of its own, where the framework can."""
    with pytest.raises(InvalidStatus) as refused:
        dial(f"{url}?refuse=1")
    channels = site.name.startswith("channels")
    assert refused.value.response.status_code == (403 if channels else 401)


def test_a_crash_closes_its_own_websocket_only(site: Site, url: str) -> None:
    with dial(url) as other, dial(url) as websocket:
        close = end(websocket, "crash")
        assert close is not None
        assert close.code == (1000 if site.name == "quart" else 1011)  # Quart says so itself
        assert say(other, "still here") == "still here"


def test_aiohttp(site: Site) -> None:
    async def talk() -> None:
        async with (
            aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=trusting())) as session,
            session.ws_connect(site.url("wss"), protocols=["one"], compress=15) as websocket,
        ):
            sock = websocket.get_extra_info("socket")
            assert websocket.protocol == "one"
            for text in ("hello", "long " * 50_000):
                await websocket.send_str(text)
                assert await websocket.receive_str() == text
            await websocket.send_bytes(b"\0\xff")
            assert await websocket.receive_bytes() == b"\0\xff"
            await websocket.ping(b"there?")
            await websocket.send_str("close")
            last = await websocket.receive()
            assert (last.type, last.data, last.extra) == (aiohttp.WSMsgType.CLOSE, 4000, "as asked")
        # aiohttp does not wait for the end of TLS, and tells nobody of it.
        while sock.fileno() != -1:  # noqa: ASYNC110
            await asyncio.sleep(0)

    asyncio.run(asyncio.wait_for(talk(), DEADLINE))


# -- Channels' own ---------------------------------------------------------------------------------


@pytest.mark.parametrize("loop", ["uvloop", "asyncio"])
def test_a_group_of_channels(servers: Callable[[str], Propylon], loop: str) -> None:
    url = Site("channels", servers(loop)).url("wss")
    with ExitStack() as stack:
        room = [stack.enter_context(dial(url)) for _ in range(5)]
        for websocket in room:  # who is answered is in the group
            assert say(websocket, "hello") == "hello"
        room[0].send("all: news")
        assert [websocket.recv(DEADLINE) for websocket in room] == ["all: news"] * 5


def test_http_beside_channels(servers: Callable[[str], Propylon]) -> None:
    with servers("uvloop").client(verify=trusting()) as client:
        assert client.get("/channels/json").json() == {"hello": "world"}


# -- curl and other proxies ------------------------------------------------------------------------


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
@pytest.mark.parametrize("scheme", ["ws", "wss"])
def test_curl_shows_the_handshake(servers: Callable[[str], Propylon], scheme: str) -> None:
    """As people look at it with -v: the fields of RFC 6455's example, given by hand."""
    url = Site("starlette", servers("uvloop")).url(scheme).replace("ws", "http", 1)
    command = ["curl", "-sSvk", "--http1.1", "-H", "Connection: Upgrade"]
    command += ["-H", "Upgrade: websocket", "-H", "Sec-WebSocket-Version: 13"]
    command += ["-H", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", url]
    curl = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        output = Output(curl.stdout)
        output.find(r"^< HTTP/1\.1 101 Switching Protocols$", curl)
        output.find(r"(?i)^< upgrade: websocket$", curl)
        output.find(r"(?i)^< sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK\+xOo=$", curl)
    finally:
        curl.terminate()
        curl.wait()
    output.finish()


def passes(url: str, said: list[str]) -> None:
    """All that a proxy in front must let through, either way."""
    with dial(url, subprotocols=["chat"]) as websocket:
        assert websocket.subprotocol == "chat"
        assert websocket.response is not None
        assert "permessage-deflate" in websocket.response.headers["sec-websocket-extensions"]
        echoes(websocket)
        assert websocket.ping().wait(DEADLINE)
        assert json.loads(say(websocket, "where")) == said
        assert end(websocket, "close") == Close(4000, "as asked")
    with pytest.raises(InvalidStatus) as refused:
        dial(f"{url}?refuse=1")
    assert refused.value.response.status_code == 401


UPGRADE = """
    proxy_http_version 1.1;
    proxy_set_header Upgrade $http_upgrade;
    proxy_set_header Connection "upgrade";
    proxy_set_header Host $http_host;
    proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
    proxy_set_header X-Forwarded-Proto $scheme;
"""
"""As nginx's documentation has it."""


@needs_nginx
@pytest.mark.parametrize("app", some_slow(1, ["fastapi", "quart"]))
def test_nginx_in_front(
    servers: Callable[[str], Propylon], certificate: Issued, tmp_path: Path, app: str
) -> None:
    """It ends TLS and says so; behind it all is plain. Without TLS beside."""
    site = Site(app, servers("uvloop"))
    tls = free_port()
    server = f"listen 127.0.0.1:{tls} ssl; "
    server += "ssl_certificate {}; ssl_certificate_key {};".format(*certificate.paths)
    front = nginx(tmp_path / "nginx", plain_url(site.propylon), server=server, location=UPGRADE)
    with front as port:
        passes(f"wss://127.0.0.1:{tls}{site.path}", ["wss", site.path])
        passes(f"ws://127.0.0.1:{port}{site.path}", ["ws", site.path])


@needs_haproxy
@pytest.mark.parametrize("app", some_slow(1, ["fastapi", "quart"]))
def test_haproxy_in_front(servers: Callable[[str], Propylon], tmp_path: Path, app: str) -> None:
    """In HTTP mode; to us it speaks plain, or TLS."""
    site = Site(app, servers("asyncio"))
    for scheme, options in (("ws", ""), ("wss", "ssl verify none alpn http/1.1")):
        behind = httpx.URL(site.url(scheme))
        server = f"127.0.0.1:{behind.port} {options}"
        with haproxy(tmp_path / scheme, server, mode="http") as port:
            passes(f"ws://127.0.0.1:{port}{site.path}", [scheme, site.path])


@pytest.mark.slow
def test_the_client_s_certificate_store_is_asked(servers: Callable[[str], Propylon]) -> None:
    """So that the tests above speak of TLS that was verified."""
    with pytest.raises(ssl.SSLCertVerificationError):
        connect(Site("fastapi", servers("uvloop")).url("wss"), proxy=None)
