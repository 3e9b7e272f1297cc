"""Which pool answers, and what the app is told of its place."""

import pytest
from propylon.gateway.exchange.exchange import Exchange, Request
from propylon.gateway.handlers.route import Router
from propylon.gateway.settings import RouteSettings

from ...fakes.exchange_sides import FakeClient

ROUTES = (
    RouteSettings(pool="site"),
    RouteSettings(pool="api", prefix="/api"),
    RouteSettings(pool="v2", prefix="/api/v2/"),
    RouteSettings(pool="admin", host="admin.example.com"),
    RouteSettings(pool="tenant", host="*.example.com"),
    RouteSettings(pool="deep", host="*.a.example.com", prefix="/x"),
)


def route(
    path: bytes, host: str = "h", routes: tuple[RouteSettings, ...] = ROUTES, root_path: str = ""
) -> tuple[str | int, Exchange]:
    """(pool, or the status of the gateway's own answer; the exchange)."""
    chosen: list[str | int] = []
    client = FakeClient()
    pools = {r.pool: lambda _, name=r.pool: chosen.append(name) for r in routes}
    request = Request("GET", path, "1.1")
    request.host = host
    exchange = Exchange(request, client)
    Router([(route, pools[route.pool]) for route in routes], root_path).answer(exchange)
    (answer,) = [*chosen, *(client.failed or ())[:1]]
    return answer, exchange


@pytest.mark.parametrize(
    ("path", "host", "pool", "root_path"),
    [
        (b"/", "h", "site", ""),
        (b"*", "h", "site", ""),
        (b"/api", "h", "api", "/api"),
        (b"/api/", "h", "api", "/api"),
        (b"/api/x", "h", "api", "/api"),
        (b"/apiary", "h", "site", ""),
        (b"/api/v2/x", "h", "v2", "/api/v2"),
        (b"/api/v2", "h", "v2", "/api/v2"),
        (b"/%61pi/x", "h", "api", "/api"),
        (b"/other/../api/x", "h", 400, ""),
        (b"//api/x", "h", 400, ""),
        (b"/apiary/../api/facts", "h", 400, ""),
        (b"/apiary/%2e%2e/api", "h", 400, ""),
        (b"/api/v2x/../v2/y", "h", 400, ""),
        (b"/api/./x", "h", "api", "/api"),
        (b"/api/../x", "h", "site", ""),
        (b"/api/x", "admin.example.com", "admin", ""),
        (b"/", "b.example.com", "tenant", ""),
        (b"/", "example.com", "site", ""),
        (b"/x/y", "b.a.example.com", "deep", "/x"),
        (b"/y", "b.a.example.com", "tenant", ""),
    ],
)
def test_the_most_exact_route_wins(path: bytes, host: str, pool: str | int, root_path: str) -> None:
    answer, exchange = route(path, host)
    assert (answer, exchange.root_path) == (pool, root_path)
    assert exchange.path == path


@pytest.mark.parametrize("path", [b"/caf%C3%A9/x", b"/caf%c3%a9/x", "/caf\u00e9/x".encode()])
def test_a_prefix_of_other_letters(path: bytes) -> None:
    routes = (RouteSettings(pool="site"), RouteSettings(pool="other", prefix="/caf\u00e9"))
    answer, exchange = route(path, routes=routes)
    assert (answer, exchange.root_path, exchange.path) == ("other", "/caf\u00e9", path)
    assert route(b"/cafe/x", routes=routes)[0] == "site"


def test_without_a_route_it_is_404() -> None:
    assert route(b"/x", routes=(RouteSettings(prefix="/api"),))[0] == 404


def test_a_proxys_prefix_is_put_back() -> None:
    answer, exchange = route(b"/api/x", root_path="/site")
    assert (answer, exchange.root_path, exchange.path) == ("api", "/site/api", b"/site/api/x")
    assert exchange.request.path == b"/api/x"
    _, exchange = route(b"/x", routes=(RouteSettings(),), root_path="/caf\u00e9/a b")
    assert (exchange.root_path, exchange.path) == ("/caf\u00e9/a b", b"/caf%C3%A9/a%20b/x")
    _, exchange = route(b"/x", routes=(RouteSettings(),), root_path="/site")
    assert (exchange.root_path, exchange.path) == ("/site", b"/site/x")


def test_a_route_of_the_same_app_need_not_mount_it() -> None:
    routes = (
        RouteSettings(pool="a"),
        RouteSettings(pool="a", prefix="/up", root_path=""),
        RouteSettings(pool="a", prefix="/api/slow", root_path="/api"),
    )
    for path, root_path, name in (
        (b"/up", "", "/up/"),
        (b"/api/slow/x", "/api", "/api/slow/"),
        (b"/x", "", "/"),
    ):
        _, exchange = route(path, routes=routes)
        assert (exchange.path, exchange.root_path, exchange.route) == (path, root_path, name)
    _, exchange = route(b"/up", routes=routes, root_path="/site")
    assert (exchange.path, exchange.root_path) == (b"/site/up", "/site")
