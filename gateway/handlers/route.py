"""Which pool answers: host and path prefix (`[[routes]]`).

The most exact host wins, then the longest prefix, whatever the order of the routes. Prefixes are
compared with a normalised copy of the path; the app gets the path as it came.
"""

import posixpath
from collections.abc import Callable, Iterable
from urllib.parse import unquote_to_bytes

from ..exchange.exchange import Exchange
from ..settings import RouteSettings

Answer = Callable[[Exchange], None]
"""Has an exchange answered."""
Route = tuple[bytes, str, Answer]
"""Prefix, the same as a `root_path`, and who answers below it."""


class Prefixes:
    """The routes of one host. Looking one up takes a step for each *length* that prefixes have,
    however many routes there are."""

    def __init__(self) -> None:
        self._routes: dict[bytes, Route] = {}
        self._lengths: list[int] = []
        """Longest first."""

    def __len__(self) -> int:
        return len(self._routes)

    def add(self, route: Route) -> None:
        """Of two with the same prefix the first one counts."""
        self._routes.setdefault(route[0], route)
        self._lengths = sorted({len(prefix) for prefix in self._routes}, reverse=True)

    def find(self, path: bytes) -> Route | None:
        """The one with the longest prefix that the path lies below: a prefix ends where a segment
        does, /apiary is not below /api."""
        for length in self._lengths:
            if not length or path[length : length + 1] in (b"/", b""):
                route = self._routes.get(path[:length])
                if route is not None:
                    return route
        return None


class Router:
    def __init__(self, routes: Iterable[RouteSettings], pools: dict[str, Answer], root_path: str):
        """`root_path`: a prefix that a proxy in front took off; put back for the app."""
        self._root_path = root_path
        self._root = root_path.encode()
        self._hosts: dict[str, Prefixes] = {}
        for route in routes:
            prefix = route.prefix.rstrip("/")
            prefixes = self._hosts.setdefault(route.host, Prefixes())
            prefixes.add((prefix.encode(), prefix, pools[route.pool]))
        everywhere = self._hosts.get("", Prefixes())
        only = everywhere.find(b"") if len(self._hosts) == len(everywhere) == 1 else None
        self._only: Answer | None = only[2] if only is not None and not root_path else None

    def answer(self, exchange: Exchange) -> None:
        """Hands the exchange to its pool, or answers 404."""
        if self._only is not None:
            self._only(exchange)
            return
        path = exchange.request.path
        plain = _normalised(path)
        found = self._find(exchange.request.host, plain)
        if found is None:
            exchange.sink.fail(exchange, 404, "Nothing is served at this address.")
            return
        prefix, root_path, answer = found
        if plain is not path and not _is_below(prefix, unquote_to_bytes(path)):
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

    def _find(self, host: str, path: bytes) -> Route | None:
        for candidate in _host_patterns(host):
            prefixes = self._hosts.get(candidate)
            if prefixes is not None and (route := prefixes.find(path)) is not None:
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
