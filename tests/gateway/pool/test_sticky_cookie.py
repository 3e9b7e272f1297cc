"""The cookie that says where a client is at home."""

import pytest
from propylon.gateway.exchange.exchange import Exchange, Request
from propylon.gateway.pool.sticky_cookie import StickyCookies, cookie_name, cookie_value

from ...fakes.exchange_sides import FakeClient
from .test_sticky import Worker

REPLICAS = {name: Worker(name) for name in ("0123456789abcdef", "fedcba9876543210")}
FIRST, SECOND = REPLICAS


def cookies(pool: str = "default") -> StickyCookies:
    made = StickyCookies(pool)
    made.rank(REPLICAS)
    return made


def with_cookie(*fields: bytes, scheme: str = "http") -> Exchange:
    request = Request("GET", b"/", "1.1")
    request.headers = tuple((b"cookie", field) for field in fields)
    exchange = Exchange(request, FakeClient())
    exchange.came_from(None, scheme, None)
    return exchange


def given(to: Exchange) -> bytes:
    """The pair that a browser would send back."""
    return to.cookie.partition(b";")[0]


def test_a_client_gets_a_cookie_and_comes_home_with_it() -> None:
    first = with_cookie()
    assert cookies().home(first) is None
    cookies().settle(first, SECOND)
    name, _, rest = first.cookie.partition(b"=")
    assert name == b"propylon_sticky"
    assert rest.endswith(b"; Path=/; HttpOnly; SameSite=Lax")
    again = with_cookie(b"a=1; " + given(first) + b" ;b=2")
    assert cookies().home(again) == SECOND, "in another gateway too"
    cookies().settle(again, SECOND)
    assert not again.cookie, "it has the right one"
    assert cookies().home(with_cookie(b"a=1", given(first))) == SECOND, "a second field"


@pytest.mark.parametrize("scheme", ["https", "wss"])
def test_over_https_it_is_secure(scheme: str) -> None:
    exchange = with_cookie(scheme=scheme)
    cookies().settle(exchange, FIRST)
    assert exchange.cookie.endswith(b"; Secure")


def test_it_tells_nothing() -> None:
    exchange = with_cookie()
    cookies("secret-pool").settle(exchange, FIRST)
    for told in (FIRST.encode(), b"secret-pool", b"secret"):
        assert told not in exchange.cookie


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"propylon_sticky=",
        b"propylon_sticky",
        b"propylon_sticky=" + FIRST.encode(),
        b"xpropylon_sticky=" + cookie_value(FIRST, "default"),
        b"propylon_sticky=" + cookie_value(FIRST, "default") + b"x",
        b"propylon_sticky=" + cookie_value(FIRST, "default")[:-1],
        b"propylon_sticky=" + cookie_value(FIRST, "default").swapcase(),
        b"propylon_sticky=" + cookie_value(FIRST, "another"),
        b"propylon_sticky=" + cookie_value("a worker that is gone", "default"),
        b"propylon_sticky=\xff\x00;;=;",
    ],
)
def test_a_forged_or_stale_one_is_as_none(value: bytes) -> None:
    exchange = with_cookie(value)
    assert cookies().home(exchange) is None
    cookies().settle(exchange, FIRST)
    assert given(exchange) == b"propylon_sticky=" + cookie_value(FIRST, "default")


def test_pools_on_one_host_have_their_own() -> None:
    assert len({cookie_name(pool) for pool in ("default", "api", "web")}) == 3
    assert cookie_value(FIRST, "api") != cookie_value(FIRST, "web")


def test_at_a_retry_the_last_worker_counts() -> None:
    exchange = with_cookie()
    cookies().settle(exchange, FIRST)
    cookies().settle(exchange, SECOND)
    assert given(exchange).endswith(cookie_value(SECOND, "default"))
    cookies().settle(exchange, "")
    assert not exchange.cookie, "a worker without a name is nobody's home"
