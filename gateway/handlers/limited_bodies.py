"""How large requests' bodies may be, route by route (`[[routes]] max_request_body_size`).

The HTTP version refuses what is too large for every route before it is known where a request goes:
the largest of all limits is its own (`largest`). What is left is decided here, when the route is
known. A size that the client has told is refused at once, before a byte of the body is asked for; a
body whose size is not told is counted as it comes, and refused with the byte that is too much
(`Uploader.limit_body`). Routes whose limit is the largest one have nothing to ask here.
"""

from collections.abc import Iterable

from ..exchange.body_limit import BodyLimit
from ..exchange.exchange import Exchange
from ..settings import RouteSettings
from .route import Answer


class LimitedBodies:
    """Stands before what answers the exchanges of one route."""

    def __init__(self, answer: Answer, limit: BodyLimit) -> None:
        self._answer = answer
        self._limit = limit

    def answer(self, exchange: Exchange) -> None:
        """Hands the exchange on. Raises RequestError if its body is too large."""
        size = exchange.request.content_length
        if size is None:
            exchange.uploader.limit_body(exchange, self._limit)
        elif size:
            self._limit.check(size)
        self._answer(exchange)


def largest(default: int, routes: Iterable[RouteSettings]) -> int:
    """The bytes that a body may have on some route; 0 if one has no limit."""
    sizes = [_size(route, default) for route in routes]
    return 0 if 0 in sizes else max(sizes, default=default)


def limited(answer: Answer, route: RouteSettings, default: int, most: int) -> Answer:
    """What answers the route's exchanges, with what its limit needs before it. `most` is the
    largest of all routes."""
    size = _size(route, default)
    if size == most:
        return answer
    limit = BodyLimit(size, of_route=route.max_request_body_size is not None)
    return LimitedBodies(answer, limit).answer


def _size(route: RouteSettings, default: int) -> int:
    own = route.max_request_body_size
    return default if own is None else own
