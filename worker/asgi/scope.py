"""The ASGI scopes of calls: HTTP and WebSocket."""

from typing import Final
from urllib.parse import quote

from ...protocol.messages import Scope
from ..app.request_scope import below_root, path_bytes

_HTTP: Final = {"version": "3.0", "spec_version": "2.3"}
"""With version 2.3 `send` does nothing after a disconnect. With 2.4 it would have to raise, and
frameworks that see 2.4 stop listening for `http.disconnect`: Starlette's streams then run on for as
long as they are silent, and its background tasks are skipped when a client leaves. `state` exists
since 2.0."""
_WEBSOCKET: Final = {"version": "3.0", "spec_version": "2.5"}
"""`send` raises an OSError after a disconnect (2.4), which frameworks turn into errors of their
own, and the disconnect has a reason (2.5)."""


_IN_PATHS: Final = "/:@!$&'()*+,;=~"
"""What stands in a raw path as it is, besides letters, digits and `-._` (RFC 3986 section 3.3)."""


def http_scope(
    scope: Scope, state: dict[str, object], extensions: dict[str, object]
) -> dict[str, object]:
    """The scope of an HTTP call. It holds plain values, which can be copied, pickled and, except
    for bytes, written as JSON.

    `path` holds the whole path with the mount point, as `raw_path` does; a mount point that a proxy
    in front has taken off is put back. Bytes that are not UTF-8 become U+FFFD. `extensions` are the
    worker's own; the gateway's are added.
    """
    _, version, method, scheme, raw_path, query, root, headers, client, server, more = scope
    path, raw_path = _paths(raw_path, root)
    return {
        "type": "http",
        "asgi": _HTTP.copy(),
        "http_version": version,
        "method": method,
        "scheme": scheme,
        "path": path,
        "raw_path": raw_path,
        "query_string": query,
        "root_path": root,
        # It is a list, because middleware adds to it; its pairs are tuples.
        "headers": list(headers),
        "client": client,
        "server": server,
        "state": state.copy(),
        # Middleware may add to it, so each scope has its own.
        "extensions": {**extensions, **more} if more else extensions.copy(),
    }


def websocket_scope(
    scope: Scope, state: dict[str, object], extensions: dict[str, object]
) -> dict[str, object]:
    """The scope of a WebSocket. It is like `http_scope`, with the subprotocols that the client
    offers, and with ws and wss as schemes."""
    _, version, _, scheme, raw_path, query, root, headers, client, server, more = scope
    path, raw_path = _paths(raw_path, root)
    return {
        "type": "websocket",
        "asgi": _WEBSOCKET.copy(),
        "http_version": version,
        "scheme": "wss" if scheme == "https" else "ws",
        "path": path,
        "raw_path": raw_path,
        "query_string": query,
        "root_path": root,
        "headers": list(headers),
        "client": client,
        "server": server,
        "subprotocols": [
            # These bytes come from a client and need not be ASCII.
            name.strip(b" \t").decode("latin-1")
            for field, value in headers
            if field == b"sec-websocket-protocol"
            for name in value.split(b",")
            if name.strip(b" \t")
        ],
        "state": state.copy(),
        "extensions": {"websocket.http.response": {}, **extensions, **(more or {})},
    }


def _paths(raw_path: bytes, root: str) -> tuple[str, bytes]:
    """The decoded and the raw path, both with the mount point in front."""
    path = path_bytes(raw_path).decode("utf-8", "replace")
    if root and below_root(path, root) is None:
        return root + path, quote(root, safe=_IN_PATHS).encode() + raw_path
    return path, raw_path
