"""The ASGI HTTP scope of a call."""

from ..protocol.messages import Scope
from .request_scope import UnknownCallType, below_root, path_bytes


def http_scope(scope: Scope, state: dict[str, object]) -> dict[str, object]:
    """Spec 2.4 of HTTP: `send` raises OSError after a disconnect, and there is `state`.

    `path` holds the whole path, mount point included, as `raw_path` does; a mount point that a
    proxy in front has cut off is put back. What is not UTF-8 becomes U+FFFD.
    """
    kind, version, method, scheme, raw_path, query, root, headers, client, server, more = scope
    if kind != "http":
        raise UnknownCallType(f"a worker of this release serves no {kind!r} calls")
    path = path_bytes(raw_path).decode("utf-8", "replace")
    if root and below_root(path, root) is None:
        path = root + path
        raw_path = root.encode() + raw_path
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": version,
        "method": method,
        "scheme": scheme,
        "path": path,
        "raw_path": raw_path,
        "query_string": query,
        "root_path": root,
        # A list, because middleware adds to it; its pairs stay tuples.
        "headers": list(headers),
        "client": client,
        "server": server,
        "state": state.copy(),
        "extensions": more or {},
    }
