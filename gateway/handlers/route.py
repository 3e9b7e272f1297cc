"""Routes: the host and a prefix of the path decide which pool answers ([[routes]]).

The most exact host wins, then the longest prefix; the order of the routes does not matter. Prefixes
are compared with a normalised copy of the path, and the app gets the path as it came.
"""

import posixpath
from collections.abc import Callable, Iterable
from typing import Final
from urllib.parse import quote, unquote_to_bytes

from ..exchange import end_codes
from ..exchange.exchange import Exchange
from ..settings import RouteSettings

Answer = Callable[[Exchange], None]
"""Takes an exchange and sees to it that it is answered."""
Route = tuple[bytes, str, Answer, str]
"""A prefix as bytes, the part of it that is the app's `root_path`, what answers below it, and the
route's name."""


class Prefixes:
    """The routes of one host. To find one takes a step for each *length* that prefixes have, and
    not for each route."""

    def __init__(self) -> None:
        self._routes: dict[bytes, Route] = {}
        self._lengths: list[int] = []
        """The lengths of all prefixes, the longest first."""

    def __len__(self) -> int:
        return len(self._routes)

    def add(self, route: Route) -> None:
        """Adds a route. Of two with the same prefix the first one counts."""
        self._routes.setdefault(route[0], route)
        self._lengths = sorted({len(prefix) for prefix in self._routes}, reverse=True)

    def find(self, path: bytes) -> Route | None:
        """Returns the route with the longest prefix that the path lies below. A prefix ends where
        a segment ends: /apiary is not below /api."""
        for length in self._lengths:
            if not length or path[length : length + 1] in (b"/", b""):
                route = self._routes.get(path[:length])
                if route is not None:
                    return route
        return None


_IN_PATHS: Final = "/:@!$&'()*+,;=~"
"""What stands in a raw path as it is, besides letters, digits and `-._` (RFC 3986 section 3.3)."""


class Router:
    def __init__(self, routes: Iterable[tuple[RouteSettings, Answer]], root_path: str) -> None:
        """Each route comes with what answers it. `root_path` is a prefix that a proxy in front has
        taken off. It is put back in front of each path for the app."""
        self._root_path = root_path
        self._root = quote(root_path, safe=_IN_PATHS).encode()
        self._hosts: dict[str, Prefixes] = {}
        for route, answer in routes:
            prefix = route.prefix.rstrip("/")
            prefixes = self._hosts.setdefault(route.host, Prefixes())
            mounted = prefix if route.root_path is None else route.root_path
            prefixes.add((prefix.encode(), mounted, answer, name_of(route)))
        everywhere = self._hosts.get("", Prefixes())
        only = everywhere.find(b"") if len(self._hosts) == len(everywhere) == 1 else None
        self._only = only if only is not None and not root_path else None

    def answer(self, exchange: Exchange) -> None:
        """Hands the exchange to its pool, or answers 404."""
        if self._only is not None:
            exchange.take_route(self._only[3])
            self._only[2](exchange)
            return
        path = exchange.request.path
        plain = _normalised(path)
        found = self._find(exchange.request.host, plain)
        if found is None:
            exchange.give_end(end_codes.GATEWAY_NO_ROUTE)
            exchange.sink.fail(exchange, 404, "Nothing is served at this address.")
            return
        prefix, root_path, answer, name = found
        exchange.take_route(name)
        if plain is not path and not _is_below(prefix, unquote_to_bytes(path)):
            # It matches only after `..` or `//` were resolved, and the app may resolve them in
            # another way.
            exchange.give_end(end_codes.CLIENT_MALFORMED)
            exchange.sink.fail(exchange, 400, "The path is ambiguous.")
            return
        if exchange.root_path:
            # A trusted proxy has named the prefix of this request (X-Forwarded-Prefix).
            exchange.mount(exchange.root_path + root_path, exchange.path)
        else:
            exchange.mount(self._root_path + root_path, self._root + exchange.path)
        answer(exchange)

    def _find(self, host: str, path: bytes) -> Route | None:
        for candidate in _host_patterns(host):
            prefixes = self._hosts.get(candidate)
            if prefixes is not None and (route := prefixes.find(path)) is not None:
                return route
        return None


def name_of(route: RouteSettings) -> str:
    """A route's name in logs and metrics: its host, if it has one, and its prefix."""
    return f"{route.host}{route.prefix.rstrip('/')}/"


def _is_below(prefix: bytes, path: bytes) -> bool:
    """Whether a path lies below a prefix, which ends where a segment ends."""
    return not prefix or path == prefix or path.startswith(prefix + b"/")


def _host_patterns(host: str) -> Iterable[str]:
    """Yields the host itself, then wildcards from the nearest domain up, then "" for any host."""
    yield host
    labels = host.split(".")
    for start in range(1, len(labels)):
        yield "*." + ".".join(labels[start:])
    if host:
        yield ""


def _normalised(path: bytes) -> bytes:
    """The path decoded once, with dots resolved and repeated slashes folded; for comparisons
    only."""
    if b"%" in path:
        path = unquote_to_bytes(path)
    if b"//" in path or b"/." in path:
        ends = b"/" if path.endswith((b"/", b"/.", b"/..")) else b""
        path = posixpath.normpath(b"/" + path.lstrip(b"/"))
        path = path if path == b"/" else path + ends
    return path
