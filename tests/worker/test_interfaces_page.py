"""docs/ASGI-WSGI.md names what a scope and an environ have; its tables and the code agree."""

import asyncio
import re
from pathlib import Path

import pytest
from propylon.protocol.messages import TAKES_HINTS, TAKES_TRAILERS, Scope
from propylon.worker.app.request_scope import REQUEST_ID
from propylon.worker.asgi.call import AppContext
from propylon.worker.asgi.hints_and_trailers import HintsAndTrailers
from propylon.worker.asgi.loop_kind import LoopKind
from propylon.worker.asgi.scope import http_scope, websocket_scope
from propylon.worker.wsgi.environ import wsgi_environ

PAGE = (Path(__file__).parents[2] / "docs" / "ASGI-WSGI.md").read_text("utf-8")
CERTIFICATES = ("the client's", "its issuer's")
TLS = {
    "server_cert": "ours", "client_cert_chain": CERTIFICATES, "client_cert_name": "CN=x",
    "client_cert_error": None, "tls_version": 0x0304, "cipher_suite": 0x1301,
}  # fmt: skip
HEADERS = ((b"host", b"h"), (b"content-type", b"a/b"), (b"content-length", b"1"))


def about(kind: str) -> Scope:
    client, server = ("192.0.2.1", 40_000), ("192.0.2.2", 443)
    return (kind, "1.1", "GET", "https", b"/", b"", "", HEADERS, client, server, {"tls": TLS})


def rows(section: str) -> dict[str, str]:
    """The names in the first column of a section's tables, and the rest of their rows."""
    part = re.search(rf"^## {section}\n(.*?)(?=^## |\Z)", PAGE, re.S | re.M)
    assert part is not None
    found: dict[str, str] = {}
    for line in part[1].splitlines():
        if line.startswith("| `"):
            first, _, rest = line[2:].partition("|")
            found |= dict.fromkeys(re.findall(r"`([^`]+)`", first), rest)
    return found


def offered(loop: LoopKind) -> set[str]:
    context = AppContext.of(loop, development=True)
    around = HintsAndTrailers(TAKES_HINTS | TAKES_TRAILERS)
    http = http_scope(about("http"), {}, context.with_files | around.extensions)["extensions"]
    websocket = websocket_scope(about("websocket"), {}, context.extensions)["extensions"]
    assert isinstance(http, dict)
    assert isinstance(websocket, dict)
    return {*http, *websocket}


LOOP = LoopKind(
    lambda: pytest.fail("no event is made"), (), lambda _: pytest.fail("no sleep"), asyncio.Lock
)


def test_its_extensions_are_those_that_scopes_offer() -> None:
    scopes = {"http", "websocket", "lifespan"}
    named = {name: row for name, row in rows("ASGI").items() if name not in scopes}
    never = {name for name, row in named.items() if row.strip().startswith("never")}
    assert offered(LOOP) == set(named) - never
    assert never == {"http.response.push"}


def test_its_versions_are_those_that_scopes_state() -> None:
    told = {name: rows("ASGI")[name].split("`")[1] for name in ("http", "websocket")}
    stated = {
        "http": http_scope(about("http"), {}, {})["asgi"],
        "websocket": websocket_scope(about("websocket"), {}, {})["asgi"],
    }
    assert stated == {
        name: {"version": "3.0", "spec_version": version} for name, version in told.items()
    }


def test_its_keys_are_those_of_an_environ() -> None:
    listed = {*rows("The environ"), *rows("TLS in the environ")}
    added = {"wsgi.input", "wsgi.early_hints", "propylon.shutdown", REQUEST_ID}
    made = set(wsgi_environ(about("http")))
    assert {key for key in made if not key.startswith("HTTP_")} | added == listed - {"HTTP_*"}
