"""How large requests' bodies may be, route by route, with real workers."""

import re
import socket
from pathlib import Path

import pytest

from .server import APPS, DEADLINE, Propylon

CONFIG = """
max-request-body-size = 1000
gateways = {gateways}
http = "{parser}"
app-dir = "{apps}"
[[pools]]
name = "streams"
app = "asgi_raw:app"
[[pools]]
name = "keeps"
app = "wsgi_raw:app"
"""
ROUTE = """
[[routes]]
prefix = "/{prefix}"
pool = "{pool}"
{size}
"""
LARGE = 3_000_000


def configured(folder: Path, gateways: int, parser: str) -> Path:
    text = CONFIG.format(gateways=gateways, parser=parser, apps=APPS)
    for pool in ("streams", "keeps"):
        for name, size in (("small", 100), ("large", LARGE), ("none", 0), ("plain", None)):
            line = "" if size is None else f"max_request_body_size = {size}"
            text += ROUTE.format(prefix=f"{pool}/{name}", pool=pool, size=line)
    (folder / "propylon.toml").write_text(text)
    return folder / "propylon.toml"


def status(server: Propylon, path: str, size: int, *, chunked: bool) -> int:
    """The status of the answer to a body of so many bytes."""
    framing = "Transfer-Encoding: chunked" if chunked else f"Content-Length: {size}"
    head = f"POST {path} HTTP/1.1\r\nHost: h\r\n{framing}\r\nConnection: close\r\n\r\n"
    with socket.create_connection(server.address, DEADLINE) as sock:
        sock.sendall(head.encode())
        try:
            for at in range(0, size, 50_000):
                piece = bytes(min(50_000, size - at))
                sock.sendall(b"%x\r\n%b\r\n" % (len(piece), piece) if chunked else piece)
            sock.sendall(b"0\r\n\r\n" if chunked else b"")
        except OSError:
            pass  # it may close while we send
        answer = b""
        while b"\r\n" not in answer and (got := sock.recv(1_000)):
            answer += got
    found = re.match(rb"HTTP/1\.1 (\d{3}) ", answer)
    return int(found[1]) if found else 0


@pytest.mark.slow
@pytest.mark.parametrize(("gateways", "parser"), [(1, "h11"), (2, "httptools")])
def test_each_route_has_its_own_limit(tmp_path: Path, gateways: int, parser: str) -> None:
    with Propylon("-c", str(configured(tmp_path, gateways, parser)), cwd=tmp_path) as server:
        for pool in ("streams", "keeps"):
            for chunked in (False, True):
                for name, fits in (("small", 100), ("plain", 1_000), ("large", LARGE)):
                    path = f"/{pool}/{name}/swallow"
                    assert status(server, path, fits, chunked=chunked) == 200, path
                    assert status(server, path, fits + 1, chunked=chunked) == 413, path
                assert status(server, f"/{pool}/none/swallow", LARGE + 1, chunked=chunked) == 200
        server.stdout.find(r'" 413 .*reason="The request body is over this route.s limit of 100 ')


@pytest.mark.slow
def test_what_is_too_much_is_refused_before_it_is_asked_for(tmp_path: Path) -> None:
    with (
        Propylon("-c", str(configured(tmp_path, 1, "auto")), cwd=tmp_path) as server,
        socket.create_connection(server.address, DEADLINE) as sock,
    ):
        path = "/keeps/small/swallow"
        head = f"POST {path} HTTP/1.1\r\nHost: h\r\nContent-Length: 101\r\nExpect: 100-continue\r\n"
        sock.sendall(head.encode() + b"\r\n")
        answer = b""
        while got := sock.recv(65_536):
            answer += got
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b"this route's limit of 100 bytes" in answer
