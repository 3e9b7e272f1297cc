"""The sizes of requests' bodies, route by route."""

import pytest
from propylon.gateway.exchange.body_limit import BodyLimit
from propylon.gateway.exchange.errors import RequestError
from propylon.gateway.exchange.exchange import Exchange, Request
from propylon.gateway.handlers.limited_bodies import largest, limited
from propylon.gateway.settings import RouteSettings

from ...fakes.exchange_sides import FakeClient

PLAIN = RouteSettings()


def route(size: int) -> RouteSettings:
    return RouteSettings(prefix=f"/{size}", max_request_body_size=size)


def asked(of: RouteSettings, size: int | None, *others: RouteSettings) -> FakeClient:
    """The client's side, when a request with such a body has come to the route of some. The limit
    of all is 10 bytes."""
    request, client, answered = Request("POST", b"/", "1.1"), FakeClient(), [0]
    request.content_length = size
    exchange = Exchange(request, client)
    limited(lambda _: answered.append(1), of, 10, largest(10, (of, *others)))(exchange)
    assert answered[1:], "the request went on"
    return client


@pytest.mark.parametrize(
    ("sizes", "most"), [((), 10), ((5,), 10), ((5, 20), 20), ((0, 20), 0), ((0,), 0)]
)
def test_what_no_route_allows_is_refused_before_the_route_is_known(
    sizes: tuple[int, ...], most: int
) -> None:
    assert largest(10, (PLAIN, *map(route, sizes))) == most


def test_without_a_plain_route_the_general_limit_bounds_nothing() -> None:
    assert largest(10, [route(5)]) == 5
    assert largest(10, [route(20)]) == 20


def test_a_size_that_is_told_is_refused_at_once() -> None:
    asked(route(5), 5, PLAIN)
    with pytest.raises(RequestError) as refused:
        asked(route(5), 6, PLAIN)
    assert (refused.value.status, refused.value.end_code) == (413, "client_too_large")
    assert "this route's limit of 5 bytes" in refused.value.sentence
    assert not refused.value.option, "the option of that name has another value"


def test_the_general_limit_holds_beside_a_route_with_a_larger_one() -> None:
    asked(PLAIN, 10, route(20))
    with pytest.raises(RequestError) as refused:
        asked(PLAIN, 11, route(20))
    assert (refused.value.status, refused.value.option) == (413, "max-request-body-size")
    asked(route(20), 11, PLAIN)
    asked(route(0), 2**40, PLAIN)


def test_a_body_whose_size_is_not_told_is_counted() -> None:
    assert asked(route(5), None, PLAIN).limit == BodyLimit(5, of_route=True)
    assert asked(PLAIN, None, route(0)).limit == BodyLimit(10)
    assert asked(route(0), None, PLAIN).limit is None
    assert asked(route(5), 0, PLAIN).limit is None


def test_a_route_with_the_largest_limit_has_nothing_to_look_at() -> None:
    def answer(_: Exchange) -> None: ...

    assert limited(answer, PLAIN, 10, 10) is answer
    assert limited(answer, route(10), 10, 10) is answer
    assert limited(answer, route(5), 10, 10) is not answer
