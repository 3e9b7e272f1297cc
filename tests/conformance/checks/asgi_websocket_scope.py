"""www.rst, "Websocket Connection Scope"."""

from .scopes import QUERY, WebSocketScope, common, offered, scope_check

scope_check(
    WebSocketScope, "type", "must", '``type`` (*Unicode string*) -- ``"websocket"``.',
    lambda seen: seen.scope["type"] == "websocket",
    {"type": "http"},
)  # fmt: skip
scope_check(
    WebSocketScope, "version", "must",
    '``asgi["version"]`` (*Unicode string*) -- The version of the ASGI spec.',
    lambda seen: seen.scope["asgi"]["version"] == "3.0", {"asgi": {}},
)  # fmt: skip
scope_check(
    WebSocketScope, "http-version", "must",
    '``http_version`` (*Unicode string*) -- One of ``"1.1"`` or ``"2"``. Optional; if missing '
    'default is ``"1.1"``.',
    lambda seen: seen.scope.get("http_version", "1.1") == "1.1", {"http_version": "1.0"},
)  # fmt: skip
scope_check(
    WebSocketScope, "query-string", "must",
    "``query_string`` (*byte string*) -- URL portion after the ``?``.",
    lambda seen: seen.scope.get("query_string") == QUERY, {"query_string": QUERY.decode()},
)  # fmt: skip
scope_check(
    WebSocketScope, "subprotocols", "must",
    "``subprotocols`` (*Iterable[Unicode string]*) -- Subprotocols the client advertised. "
    "Optional; if missing defaults to empty list.",
    lambda seen: list(offered(seen.scope, "subprotocols")) == ["first", "second"],
    {"subprotocols": ["first, second"]},
)  # fmt: skip
common(WebSocketScope, "ws")
