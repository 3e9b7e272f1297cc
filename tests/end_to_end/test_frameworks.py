"""The field's five frameworks, on every loop that they support, asked by httpx and curl."""

import hashlib
import os
import random
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from ..cases import some_slow
from .server import APPS, Propylon, wait_for

SERVERS = {
    # name: the app, its flags, what its client page calls the interface
    "fastapi-uvloop": ("fastapi_app:app", ["--loop", "uvloop"], "uvloop"),
    "fastapi-asyncio-h11": ("fastapi_app:app", ["--loop", "asyncio", "--http", "h11"], "asyncio"),
    "fastapi-trio": ("fastapi_app:app", ["--loop", "trio"], "trio"),
    "starlette-uvloop": ("starlette_app:app", ["--http", "httptools"], "uvloop"),
    "starlette-asyncio": ("starlette_app:app", ["--loop", "asyncio"], "asyncio"),
    "starlette-trio-h11": ("starlette_app:app", ["--loop", "trio", "--http", "h11"], "trio"),
    "quart-uvloop": ("quart_app:app", ["--loop", "uvloop"], "uvloop"),
    "quart-asyncio": ("quart_app:app", ["--loop", "asyncio"], "asyncio"),
    "django-asgi-uvloop": ("django_project.asgi:application", ["--loop", "uvloop"], "uvloop"),
    "django-asgi-asyncio": ("django_project.asgi:application", ["--loop", "asyncio"], "asyncio"),
    "django-wsgi": ("django_project.wsgi:application", [], "wsgi"),
    "flask": ("flask_app:app", [], "wsgi"),
}


EVERYDAY = {
    "fastapi-uvloop", "starlette-trio-h11", "quart-asyncio", "django-asgi-uvloop", "django-wsgi",
    "flask",
}  # fmt: skip
"""Each framework, each loop and both parsers once; the others are slow tests."""
KINDS = [
    name if name in EVERYDAY else pytest.param(name, marks=pytest.mark.slow) for name in SERVERS
]


@pytest.fixture(scope="session")
def database(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment of a Django project with its tables made."""
    folder = tmp_path_factory.mktemp("django")
    env = {"DJANGO_DB_DIR": str(folder), "DJANGO_SETTINGS_MODULE": "django_project.settings"}
    migrate = [sys.executable, "-m", "django", "migrate", "-v", "0"]
    subprocess.run(migrate, cwd=APPS, env={**os.environ, **env, "PYTHONPATH": "."}, check=True)
    return env


@pytest.fixture(scope="module", params=KINDS)
def server(
    request: pytest.FixtureRequest, database: dict[str, str]
) -> Iterator[tuple[Propylon, str]]:
    app, flags, interface = SERVERS[request.param]
    env = database if "django" in app else {}
    with Propylon(app, *flags, "--no-access-log", env=env) as propylon:
        yield propylon, interface


@pytest.fixture
def client(server: tuple[Propylon, str]) -> Iterator[httpx.Client]:
    with server[0].client() as client:
        yield client


def test_json(client: httpx.Client) -> None:
    response = client.get("/json")
    assert (response.status_code, response.json()) == (200, {"hello": "world"})


@pytest.mark.parametrize("name", ["plain", "a b&c=d", "grüße 漢字", "%2f", "+"])
def test_query(client: httpx.Client, name: str) -> None:
    assert client.get("/query", params={"name": name}).text == name


def test_form(client: httpx.Client) -> None:
    fields = {"name": "Zoë & co", "colour": "sea green"}
    assert client.post("/form", data=fields).json() == fields


@pytest.mark.parametrize("size", [0, 1, 3_000_000])
def test_upload(client: httpx.Client, size: int) -> None:
    data = random.Random(size).randbytes(size)
    response = client.post("/upload", files={"file": ("a.bin", data)})
    assert response.json() == {
        "name": "a.bin",
        "size": size,
        "sha256": hashlib.sha256(data).hexdigest(),
    }


@pytest.mark.parametrize("n", [0, 1, 25_000, 1_000_000])
def test_streamed_response(client: httpx.Client, n: int) -> None:
    with client.stream("GET", "/stream", params={"n": n}) as response:
        assert response.status_code == 200
        assert sum(map(len, response.iter_bytes())) == n


def test_server_sent_events(client: httpx.Client) -> None:
    with client.stream("GET", "/events") as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        lines = [line for line in response.iter_lines() if line]
    assert lines == ["data: 0", "data: 1", "data: 2"]


def test_background_task(client: httpx.Client, tmp_path: Path) -> None:
    file = tmp_path / "done"
    assert client.post("/background", params={"file": str(file)}).status_code == 202
    wait_for(lambda: file.exists() and file.read_text() == "done", "the background task")


def test_cookies(client: httpx.Client) -> None:
    first = client.get("/cookies")
    assert first.json() == {}
    assert len(first.headers.get_list("set-cookie")) == 2
    assert client.get("/cookies").json() == {"seen": "yes", "second": "too"}


def test_redirect(client: httpx.Client) -> None:
    response = client.get("/redirect")
    assert (response.status_code, response.headers["location"]) == (302, "/json")
    assert client.get("/redirect", follow_redirects=True).json() == {"hello": "world"}


def test_exception(client: httpx.Client) -> None:
    assert client.get("/boom").status_code == 500
    assert client.get("/json").status_code == 200


def test_unknown_path(client: httpx.Client) -> None:
    assert client.get("/no/such/page").status_code == 404


def test_head(client: httpx.Client) -> None:
    response = client.head("/redirect")
    assert response.content == b""
    assert client.get("/json").json() == {"hello": "world"}


def test_client_and_scheme(server: tuple[Propylon, str], client: httpx.Client) -> None:
    assert client.get("/client").json() == {
        "scheme": "http",
        "client": "127.0.0.1",
        "method": "GET",
        "path": "/client",
        "root_path": "",
        "interface": server[1],
    }


def test_curl(server: tuple[Propylon, str], tmp_path: Path) -> None:
    file = tmp_path / "file.bin"
    file.write_bytes(b"x" * 500_000)
    curl = shutil.which("curl")
    assert curl
    done = subprocess.run(
        [curl, "-sS", "--fail", "-F", f"file=@{file}", f"{server[0].url}/upload"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert re.search(r'"size":\s*500000', done.stdout)


# -- Django's own ------------------------------------------------------------------------------


@pytest.fixture(scope="module", params=some_slow(1, ["asgi", "wsgi"]))
def django(request: pytest.FixtureRequest, database: dict[str, str]) -> Iterator[Propylon]:
    with Propylon(f"django_project.{request.param}:application", env=database) as propylon:
        yield propylon


def test_django_admin_login(django: Propylon) -> None:
    with django.client(follow_redirects=True) as client:
        page = client.get("/admin/")
        assert page.status_code == 200
        assert "Django administration" in page.text
        token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', page.text)
        assert token
        wrong = {"username": "a", "password": "b", "csrfmiddlewaretoken": token[1]}
        answer = client.post("/admin/login/?next=/admin/", data=wrong)
        assert (answer.status_code, "Please enter the correct" in answer.text) == (200, True)
        without_token = {"username": "a", "password": "b"}
        assert client.post("/admin/login/", data=without_token).status_code == 403


def test_django_static_files(django: Propylon) -> None:
    import django as package

    folder = Path(package.__file__).parent / "contrib/admin/static"
    with django.client() as client:
        for name in ("css/base.css", "js/vendor/jquery/jquery.js", "img/icon-clock.svg"):
            response = client.get(f"/static/admin/{name}")
            assert response.status_code == 200
            assert response.content == (folder / "admin" / name).read_bytes()
        assert client.get("/static/admin/none.css").status_code == 404


# -- the tutorials' --------------------------------------------------------------------------------


@pytest.mark.parametrize("loop", some_slow(1, ["trio", "uvloop"]))
def test_the_asgi_tutorial_s_echo(loop: str) -> None:
    with (
        Propylon("tutorial_asgi_echo:app", "--loop", loop) as propylon,
        propylon.client() as client,
    ):
        for body in (b"", b"echo", bytes(300_000)):
            response = client.post("/", content=body)
            assert response.content == body
            assert response.headers["content-type"] == "text/plain"


@pytest.mark.parametrize("app", some_slow(1, ["simple_app", "AppClass", "demo_app"]))
def test_the_wsgi_tutorials_apps(app: str) -> None:
    flags = ["--interface", "wsgi"]
    with Propylon(f"tutorial_wsgi_echo:{app}", *flags) as propylon, propylon.client() as client:
        response = client.get("/a%20path?x=1", headers={"X-Mine": "yes"})
        assert response.text.startswith("Hello world!\n")
        if app == "demo_app":
            assert "PATH_INFO = '/a path'" in response.text
            assert "HTTP_X_MINE = 'yes'" in response.text
