"""Which pool answers: host and path prefix (`[[routes]]`).

The most exact host wins, then the longest prefix, whatever the order of the routes. Prefixes are
compared with a normalised copy of the path; the app gets the path as it came.
"""

import posixpath
from collections.abc import Callable, Iterable
from urllib.parse import unquote_to_bytes

from ..exchange import Exchange
from ..settings import RouteSettings

Answer = Callable[[Exchange], None]
"""Has an exchange answered."""


class Router:
    def __init__(self, routes: Iterable[RouteSettings], pools: dict[str, Answer], root_path: str):
        """`root_path`: a prefix that a proxy in front took off; put back for the app."""
        self._root_path = root_path
        self._root = root_path.encode()
        self._hosts: dict[str, list[tuple[bytes, str, Answer]]] = {}
        for route in sorted(routes, key=lambda route: len(route.prefix), reverse=True):
            self._hosts.setdefault(route.host, []).append(
                (route.prefix.rstrip("/").encode(), route.prefix.rstrip("/"), pools[route.pool])
            )
        every = self._hosts.get("", [])
        catches_all = len(self._hosts) == 1 and len(every) == 1 and not every[0][0]
        self._only: Answer | None = every[0][2] if catches_all and not root_path else None

    def answer(self, exchange: Exchange) -> None:
        """Hands the exchange to its pool, or answers 404."""
        if self._only is not None:
            self._only(exchange)
            return
        found = self._find(exchange.request.host, _normalised(exchange.request.path))
        if found is None:
            exchange.sink.fail(exchange, 404, "Nothing is served at this address.")
            return
        prefix, root_path, answer = found
        if not _is_below(prefix, unquote_to_bytes(exchange.request.path)):
            # Matched only after `..` or `//` were resolved: the app would take it for another.
            exchange.sink.fail(exchange, 400, "The path is ambiguous.")
            return
        if exchange.root_path:
            # What the proxy says of this request stands for what was configured for all.
            exchange.root_path += root_path
        else:
            exchange.root_path = self._root_path + root_path
            if self._root:
                exchange.path = self._root + exchange.path
        answer(exchange)

    def _find(self, host: str, path: bytes) -> tuple[bytes, str, Answer] | None:
        for candidate in _host_patterns(host):
            for route in self._hosts.get(candidate, ()):
                if _is_below(route[0], path):
                    return route
        return None


def _is_below(prefix: bytes, path: bytes) -> bool:
    """A prefix ends where a segment does: /apiary is not below /api."""
    return not prefix or path == prefix or path.startswith(prefix + b"/")


def _host_patterns(host: str) -> Iterable[str]:
    """The host itself, then wildcards from the nearest domain up, then any."""
    yield host
    labels = host.split(".")
    for start in range(1, len(labels)):
        yield "*." + ".".join(labels[start:])
    if host:
        yield ""


def _normalised(path: bytes) -> bytes:
    """Decoded once, dots resolved, repeated slashes folded: for comparing only."""
    if b"%" in path:
        path = unquote_to_bytes(path)
    if b"//" in path or b"/." in path:
        ends = b"/" if path.endswith((b"/", b"/.", b"/..")) else b""
        path = posixpath.normpath(b"/" + path.lstrip(b"/"))
        path = path if path == b"/" else path + ends
    return path
