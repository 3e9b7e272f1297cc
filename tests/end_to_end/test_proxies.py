"""Behind real proxies: what the app and the access log are told, and what strangers can't say."""

import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from websockets.sync.client import connect as open_websocket

from .facts import APPS, SPOOFED, ask, exchange, request, status
from .other_proxies import free_port, haproxy, needs_haproxy, needs_nginx, nginx
from .server import Propylon

EVERY_FIELD = ["--forwarded-fields", "for,proto,host,port,prefix,forwarded"]


@pytest.fixture(scope="module", params=sorted(APPS))
def believing(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Propylon]:
    """Believes 127.0.0.1 and its Unix socket, and 127.0.0.5 where it is told of, every field."""
    sock = tmp_path_factory.mktemp("believing") / "app.sock"
    flags = ["--forwarded-allow-ips", "127.0.0.1,127.0.0.5,unix", *EVERY_FIELD]
    with Propylon(APPS[request.param], *flags, "-b", "127.0.0.1:0", "-b", f"unix:{sock}") as it:
        yield it


def unix_path(propylon: Propylon) -> str:
    return propylon.stderr.find(r"unix:(\S+\.sock)")[1]


# -- spoken by hand ------------------------------------------------------------------------------


def test_all_fields(believing: Propylon) -> None:
    facts = ask(
        believing.address,
        "X-Forwarded-For: 6.6.6.6, 203.0.113.7, 127.0.0.5",
        "X-Forwarded-Proto: https",
        "X-Forwarded-Host: shop.example",
        "X-Forwarded-Port: 8443",
        "X-Forwarded-Prefix: /shop",
    )
    assert (facts["client"], facts["client_port"]) == ("203.0.113.7", "0")
    assert (facts["scheme"], facts["host"]) == ("https", "shop.example:8443")
    assert (facts["server_name"], facts["server_port"]) == ("shop.example", "8443")
    assert (facts["root_path"], facts["path"]) == ("/shop", "/shop/facts")
    assert facts.field("x-forwarded-proto") == "https"
    assert facts.field("x-forwarded-for") == "6.6.6.6, 203.0.113.7, 127.0.0.5"


def test_forwarded(believing: Propylon) -> None:
    facts = ask(
        believing.address,
        'Forwarded: for=6.6.6.6;proto=http, for="[2001:db8::1]:47";proto=https;host=a.example',
    )
    assert (facts["client"], facts["client_port"]) == ("2001:db8::1", "47")
    assert (facts["scheme"], facts["host"]) == ("https", "a.example")


def test_the_access_log_has_the_client(believing: Propylon) -> None:
    ask(believing.address, "X-Forwarded-For: 203.0.113.77")
    believing.stdout.find(r'^203\.0\.113\.77 - - .*"GET /facts')


@pytest.mark.parametrize(
    "field",
    [
        "X-Forwarded-For: localhost",
        "X-Forwarded-Proto: gopher",
        "X-Forwarded-Host: a/b",
        "X-Forwarded-Port: x",
        "X-Forwarded-Prefix: //evil.example",
        'Forwarded: for="',
        "Connection: X-Forwarded-For",
    ],
)
def test_what_is_malformed_is_400(believing: Propylon, field: str) -> None:
    assert status(believing.address, field) == 400
    assert status(believing.address) == 200


def test_a_request_with_a_body_and_a_malformed_field(believing: Propylon) -> None:
    head = request("/facts", "X-Forwarded-For: localhost", "Content-Length: 100000")
    answer = exchange(believing.address, head, b"x" * 1000)
    assert answer.startswith(b"HTTP/1.1 400 ")


def test_keep_alive_and_many_requests(believing: Propylon) -> None:
    """Each request is believed for itself."""
    with httpx.Client(base_url=believing.url, trust_env=False) as client:
        for number in range(3):
            fields = {"X-Forwarded-For": f"203.0.113.{number}", "X-Forwarded-Prefix": "/shop"}
            assert f"203.0.113.{number}" in client.get("/facts", headers=fields).text
        assert "203.0.113" not in client.get("/facts").text


def test_a_stranger_is_not_heard(believing: Propylon) -> None:
    facts = ask(believing.address, *SPOOFED, source="127.0.0.6")
    assert (facts["client"], facts["scheme"]) == ("127.0.0.6", "http")
    assert facts["client_port"] not in ("", "0")
    assert (facts["host"], facts["root_path"]) == ("app.test", "")
    for name in ("for", "proto", "host", "port", "prefix"):
        assert facts.field(f"x-forwarded-{name}") is None
    assert facts.field("forwarded") is None
    assert facts.field("x-real-ip") is None
    believing.stdout.find(r'^127\.0\.0\.6 - - .*"GET /facts')


@pytest.mark.parametrize("app", sorted(APPS))
def test_a_named_proxy_is_believed_the_usual_two(app: str) -> None:
    """It may be an nginx that sets these, and passes on what its client says in the others."""
    with Propylon(APPS[app], "--forwarded-allow-ips", "127.0.0.1") as propylon:
        facts = ask(propylon.address, *SPOOFED)
        assert (facts["client"], facts["scheme"]) == ("6.6.6.6", "https")
        assert (facts["host"], facts["root_path"]) == ("app.test", "")
        for name in ("x-forwarded-host", "x-forwarded-port", "x-forwarded-prefix", "forwarded"):
            assert facts.field(name) is None
        assert facts.field("x-real-ip") is None
        assert facts.field("x-forwarded-proto") == "https"
        propylon.stderr.find("sends x-forwarded-host, .* add host to --forwarded-fields")


@pytest.mark.slow
def test_by_default_loopback_is_believed_the_usual_two(tmp_path: Path) -> None:
    """And what a proxy says goes before a configured prefix, a route's behind either."""
    config = tmp_path / "propylon.toml"
    config.write_text(
        'bind = "127.0.0.1:0"\nroot-path = "/static"\n'
        '[[pools]]\nname = "a"\napp = "asgi_raw:app"\n[[routes]]\nprefix = "/api"\npool = "a"\n'
        '[[routes]]\npool = "a"\n'
    )
    with Propylon("-c", str(config)) as propylon:
        facts = ask(propylon.address, *SPOOFED[:5])
        assert (facts["client"], facts["scheme"]) == ("6.6.6.6", "https")
        assert (facts["host"], facts["root_path"]) == ("app.test", "/static")
        assert facts.field("x-forwarded-host") is None
    config.write_text('forwarded-fields = "prefix"\n' + config.read_text())
    with Propylon("-c", str(config)) as propylon:
        answer = exchange(propylon.address, request("/api/facts", "X-Forwarded-Prefix: /shop/"))
        assert b"\nroot_path='/shop/api'\n" in answer
        assert b"path='/shop/api/facts'" in answer
        answer = exchange(propylon.address, request("/api/facts"))
        assert b"\nroot_path='/static/api'\n" in answer


def test_django_knows_that_it_is_secure(tmp_path: Path) -> None:
    """SECURE_PROXY_SSL_HEADER reads the field itself, and it comes through."""
    (tmp_path / "secure.py").write_text(
        "from django.conf import settings\n"
        "settings.configure(ALLOWED_HOSTS=['*'], ROOT_URLCONF='secure', USE_X_FORWARDED_HOST=True,"
        " SECURE_PROXY_SSL_HEADER=('HTTP_X_FORWARDED_PROTO', 'https'))\n"
        "from django.core.wsgi import get_wsgi_application\n"
        "from django.http import HttpResponse\n"
        "from django.urls import path\n"
        "urlpatterns = [path('', lambda r: HttpResponse(r.build_absolute_uri()))]\n"
        "app = get_wsgi_application()\n"
    )
    sock = tmp_path / "app.sock"
    flags = ["--forwarded-allow-ips", "127.0.0.1", "--forwarded-fields", "proto,host"]
    flags += ["-b", "127.0.0.1:0", "-b", f"unix:{sock}"]
    fields = ["X-Forwarded-Proto: https", "X-Forwarded-Host: shop.example"]
    with Propylon("secure:app", *flags, cwd=tmp_path) as propylon:
        asked = request("/", *fields, host="a.test")
        assert b"\r\nhttps://shop.example/\r\n" in exchange(propylon.address, asked)
        assert b"\r\nhttp://a.test/\r\n" in exchange(str(sock), asked)


# -- nginx ---------------------------------------------------------------------------------------

USUAL = """
    proxy_set_header Host $http_host;
    proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
    proxy_set_header X-Forwarded-Proto $scheme;
    proxy_set_header X-Forwarded-Host $http_host;
    proxy_set_header X-Forwarded-Port $server_port;
    proxy_set_header X-Forwarded-Prefix /shop;
    proxy_set_header Forwarded "";
"""
"""As everybody writes it, and the rest of the fields set or removed."""


@needs_nginx
def test_nginx_in_front(believing: Propylon, tmp_path: Path) -> None:
    unix = f"http://unix:{unix_path(believing)}:"
    with (
        nginx(tmp_path / "tcp", believing.url, location=USUAL) as by_tcp,
        nginx(tmp_path / "unix", unix, location=USUAL) as by_unix,
    ):
        for port in (by_tcp, by_unix):
            for spoofed in ((), SPOOFED):
                facts = ask(("127.0.0.1", port), *spoofed, source="127.0.0.7")
                assert (facts["client"], facts["scheme"]) == ("127.0.0.7", "http")
                assert (facts["host"], facts["root_path"]) == (f"app.test:{port}", "/shop")
                assert facts["path"] == "/shop/facts"
                assert (facts["server_name"], facts["server_port"]) == ("app.test", str(port))


@needs_nginx
def test_two_nginxes_in_front(believing: Propylon, tmp_path: Path) -> None:
    """The inner one is believed by address; it met the outer one at an address that is believed."""
    outer = USUAL + "proxy_bind 127.0.0.5;"
    with (
        nginx(tmp_path / "inner", believing.url, location=USUAL) as inner,
        nginx(tmp_path / "outer", f"http://127.0.0.1:{inner}", location=outer) as port,
    ):
        facts = ask(("127.0.0.1", port), *SPOOFED, source="127.0.0.7")
        assert facts["client"] == "127.0.0.7"
        assert facts.field("x-forwarded-for") == "6.6.6.6, 127.0.0.7, 127.0.0.5"


@needs_nginx
def test_an_nginx_that_is_not_named(believing: Propylon, tmp_path: Path) -> None:
    location = USUAL + "proxy_bind 127.0.0.6;"
    with nginx(tmp_path / "nginx", believing.url, location=location) as port:
        facts = ask(("127.0.0.1", port), source="127.0.0.7")
        assert (facts["client"], facts["root_path"]) == ("127.0.0.6", "")


@needs_haproxy
def test_haproxy_in_http_mode(believing: Propylon, tmp_path: Path) -> None:
    more = "option forwardfor\n    http-request set-header X-Forwarded-Proto https"
    host, port = believing.address
    with haproxy(tmp_path / "haproxy", f"{host}:{port}", mode="http", more=more) as front:
        facts = ask(("127.0.0.1", front), SPOOFED[0], source="127.0.0.7")
        assert (facts["client"], facts["scheme"]) == ("127.0.0.7", "https")


@needs_nginx
@needs_haproxy
def test_haproxy_nginx_propylon(believing: Propylon, tmp_path: Path) -> None:
    """HAProxy passes bytes to nginx with a header; nginx writes the client down."""
    inner = free_port()
    server = (
        f"listen 127.0.0.1:{inner} proxy_protocol; "
        "set_real_ip_from 127.0.0.1; real_ip_header proxy_protocol;"
    )
    with (
        nginx(tmp_path / "nginx", believing.url, server=server, location=USUAL),
        haproxy(tmp_path / "haproxy", f"127.0.0.1:{inner} send-proxy") as front,
    ):
        assert ask(("127.0.0.1", front), source="127.0.0.7")["client"] == "127.0.0.7"


# -- WebSockets ----------------------------------------------------------------------------------

TELLS = """
import json

async def app(scope, receive, send):
    assert scope["type"] == "websocket"
    await receive()
    await send({"type": "websocket.accept"})
    said = {name: scope[name] for name in ("client", "server", "scheme", "root_path", "path")}
    said["fields"] = [name.decode() for name, _ in scope["headers"] if b"forwarded" in name]
    await send({"type": "websocket.send", "text": json.dumps(said)})
    await send({"type": "websocket.close"})
"""


@needs_nginx
def test_websockets(tmp_path: Path) -> None:
    """By hand, by nginx, and from an address that is not believed."""
    (tmp_path / "tells.py").write_text(TELLS)
    upgrade = (
        "proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade; "
        "proxy_set_header Connection upgrade;"
    )
    location = USUAL.replace("$scheme", "https") + upgrade
    flags = ["--forwarded-allow-ips", "127.0.0.1", *EVERY_FIELD]
    with (
        Propylon("tells:app", *flags, cwd=tmp_path) as propylon,
        nginx(tmp_path / "nginx", propylon.url, location=location) as port,
    ):

        def told(url: str, source: str = "127.0.0.1", **fields: str) -> dict[str, object]:
            with open_websocket(
                url,
                source_address=(source, 0),
                additional_headers={name.replace("_", "-"): text for name, text in fields.items()},
            ) as client:
                return json.loads(client.recv())

        url = propylon.url.replace("http", "ws") + "/live"
        said = told(url, X_Forwarded_For="203.0.113.7", X_Forwarded_Proto="wss")
        assert (said["client"], said["scheme"]) == (["203.0.113.7", 0], "wss")
        said = told(f"ws://127.0.0.1:{port}/live", "127.0.0.7")
        assert (said["client"], said["scheme"]) == (["127.0.0.7", 0], "wss")
        assert said["server"] == ["127.0.0.1", port]
        assert (said["root_path"], said["path"]) == ("/shop", "/shop/live")
        said = told(url, "127.0.0.7", X_Forwarded_For="6.6.6.6", Forwarded="proto=https")
        assert (said["client"][0], said["scheme"]) == ("127.0.0.7", "ws")
        assert said["fields"] == []
