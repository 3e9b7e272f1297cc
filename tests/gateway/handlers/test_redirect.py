"""Plain HTTP gets 308, what came by https goes on."""

import pytest
from propylon.gateway.exchange.endpoint import Endpoint
from propylon.gateway.exchange.exchange import Exchange, Request
from propylon.gateway.handlers.redirect import HttpsRedirect
from propylon.protocol.messages import Address

from ...fakes.exchange_sides import FakeClient


def ask(
    path: bytes,
    query: bytes = b"",
    host: str = "example.com",
    scheme: str = "http",
    server: Address = ("10.0.0.1", 80),
    port: int = 443,
) -> str:
    """Where it leads to, the status of a refusal, or "passed on"."""
    client = FakeClient()
    request = Request("POST", b"-", "1.1")
    request.path, request.query, request.host = path, query, host
    exchange = Exchange(request, client, Endpoint(("10.0.0.2", 5), server))
    exchange.scheme = scheme
    passed: list[Exchange] = []
    HttpsRedirect(passed.append, port).answer(exchange)
    if passed:
        return "passed on"
    return dict(client.fields)[b"location"].decode() if client.status == 308 else str(client.status)


@pytest.mark.parametrize(
    ("options", "answer"),
    [
        ({"path": b"/"}, "https://example.com/"),
        ({"path": b"/a%20b//c", "query": b"x=1&y=%2F?"}, "https://example.com/a%20b//c?x=1&y=%2F?"),
        ({"path": b"/", "port": 8443}, "https://example.com:8443/"),
        ({"path": b"/", "host": "[::1]", "port": 8443}, "https://[::1]:8443/"),
        ({"path": b"*"}, "https://example.com"),
        ({"path": b"/", "host": ""}, "400"),
        ({"path": b"/", "scheme": "https"}, "passed on"),
        ({"path": b"/", "server": ("/run/app.sock", None)}, "passed on"),
    ],
)
def test_redirect(options: dict[str, object], answer: str) -> None:
    assert ask(**options) == answer  # pyright: ignore
