"""Static files with what people use them with: a browser that seeks, wget, Django with its admin,
WhiteNoise; and files that change, and clients that leave, while the kernel sends."""

import math
import os
import shutil
import socket
import struct
import subprocess
import sys
import wave
from collections.abc import Iterator
from pathlib import Path

import pytest

from .devtools import CHROMIUM, Browser
from .server import Propylon, wait_for

pytestmark = pytest.mark.slow
SIZE = 12_000_000
ABORTED = 10_000


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    site = tmp_path_factory.mktemp("site")
    (site / "big.bin").write_bytes(os.urandom(SIZE))
    return site


@pytest.fixture(scope="module")
def propylon(site: Path) -> Iterator[Propylon]:
    with Propylon("asgi_raw:app", "--static", f"/s={site}") as propylon:
        yield propylon


# -- who reads them ----------------------------------------------------------------------------


@pytest.mark.skipif(shutil.which("wget") is None, reason="apt-get install wget")
def test_wget_goes_on_where_it_was(propylon: Propylon, site: Path, tmp_path: Path) -> None:
    half = tmp_path / "big.bin"
    half.write_bytes((site / "big.bin").read_bytes()[: SIZE // 3])
    command = ["wget", "-c", "--no-proxy", "-P", str(tmp_path), f"{propylon.url}/s/big.bin"]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    assert "206 Partial Content" in done.stderr
    assert half.read_bytes() == (site / "big.bin").read_bytes()


@pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")
def test_chromium_plays_and_seeks(site: Path, tmp_path: Path) -> None:
    seconds = 120
    with wave.open(str(site / "tone.wav"), "wb") as tone:
        tone.setparams((2, 2, 44_100, 0, "NONE", ""))
        period = [int(9_000 * math.sin(2 * math.pi * step / 100)) for step in range(100)]
        tone.writeframes(
            b"".join(struct.pack("<hh", each, each) for each in period) * (seconds * 441)
        )
    (site / "player.html").write_text("<audio id=a muted preload=auto src=tone.wav></audio>")
    log = tmp_path / "access.log"
    flags = ["--static", f"/s={site}", "--access-logfile", str(log), "--access-logformat", "json"]
    with Propylon("asgi_raw:app", *flags) as propylon, Browser(tmp_path / "chromium") as browser:
        browser.open(f"{propylon.url}/s/player.html")
        ready = "(document.getElementById('a') ?? {}).readyState >= 2"
        wait_for(lambda: browser.value(ready), "the tone's beginning")
        assert browser.value("Math.round(a.duration)") == seconds
        for moment in (100, 20, 110):
            browser.value(f"a.currentTime = {moment}; 0")
            done = f"!a.seeking && a.readyState >= 2 && Math.round(a.currentTime) == {moment}"
            wait_for(lambda done=done: browser.value(done), f"second {moment}")
        assert browser.value("a.error") is None
    parts = [line for line in log.read_text().splitlines() if "tone.wav" in line]
    assert len([line for line in parts if '"status":206' in line.replace(" ", "")]) >= 2, parts


# -- with frameworks -----------------------------------------------------------------------------


DJANGO = """
import os
from pathlib import Path
import django
from django.conf import settings
from django.core.wsgi import get_wsgi_application
settings.configure(
    SECRET_KEY="x" * 50, ALLOWED_HOSTS=["*"], ROOT_URLCONF="site_urls", STATIC_URL="/static/",
    STATIC_ROOT=os.environ["STATIC_ROOT"],
    INSTALLED_APPS=["django.contrib.admin", "django.contrib.auth", "django.contrib.contenttypes",
                    "django.contrib.sessions", "django.contrib.messages",
                    "django.contrib.staticfiles"],
    MIDDLEWARE=[*filter(None, [os.environ.get("STATIC_MIDDLEWARE")]),
                "django.contrib.sessions.middleware.SessionMiddleware",
                "django.contrib.auth.middleware.AuthenticationMiddleware",
                "django.contrib.messages.middleware.MessageMiddleware"],
    STORAGES={"staticfiles": {"BACKEND":
        "django.contrib.staticfiles.storage.ManifestStaticFilesStorage"}},
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
    TEMPLATES=[{"BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True,
                "OPTIONS": {"context_processors": [
                    "django.template.context_processors.request",
                    "django.contrib.auth.context_processors.auth",
                    "django.contrib.messages.context_processors.messages"]}}],
)
django.setup()
app = get_wsgi_application()
if __name__ == "__main__":
    from django.core.management import call_command
    call_command("collectstatic", interactive=False, verbosity=0)
"""
URLS = """
from django.contrib import admin
from django.urls import path
urlpatterns = [path("admin/", admin.site.urls)]
"""


@pytest.fixture(scope="module")
def collected(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Django project whose files have been collected beside it."""
    pytest.importorskip("django")
    folder = tmp_path_factory.mktemp("django")
    (folder / "mysite.py").write_text(DJANGO)
    (folder / "site_urls.py").write_text(URLS)
    env = {**os.environ, "STATIC_ROOT": str(folder / "static")}
    subprocess.run([sys.executable, "mysite.py"], cwd=folder, env=env, check=True)
    return folder


@pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")
def test_djangos_admin_with_its_collected_files(collected: Path, tmp_path: Path) -> None:
    env = {"STATIC_ROOT": str(collected / "static")}
    with (
        Propylon("mysite:app", "--static", "/static=static", env=env, cwd=collected) as propylon,
        Browser(tmp_path / "chromium") as browser,
    ):
        browser.open(f"{propylon.url}/admin/login/")
        browser.see("body", lambda text: "Django administration" in text, "the admin's login")
        wait_for(lambda: browser.value("document.readyState == 'complete'"), "all of its files")
        # The style sheets were applied, hashed names and all.
        assert browser.value("getComputedStyle(document.getElementById('header')).display") != ""
        sheets = browser.value("[...document.styleSheets].map(s => s.cssRules.length > 0)")
        assert sheets
        assert all(sheets)
        assert not browser.complaints
        with propylon.client() as http:
            page = http.get("/admin/login/").text
            sheet = page.split('href="/static/admin/css/base.')[1].split('"')[0]
            answer = http.get(f"/static/admin/css/base.{sheet}")
            assert "immutable" in answer.headers["cache-control"]
            plain = http.get("/static/admin/css/base.css")
            assert (plain.status_code, plain.headers["cache-control"]) == (200, "no-cache")


@pytest.mark.parametrize(
    ("package", "middleware"),
    [
        ("whitenoise", "whitenoise.middleware.WhiteNoiseMiddleware"),
        ("servestatic", "servestatic.middleware.ServeStaticMiddleware"),
    ],
)
def test_apps_that_send_their_files_themselves(
    collected: Path, package: str, middleware: str
) -> None:
    pytest.importorskip(package)
    env = {"STATIC_ROOT": str(collected / "static"), "STATIC_MIDDLEWARE": middleware}
    with (
        Propylon("mysite:app", env=env, cwd=collected) as propylon,
        propylon.client() as http,
    ):
        content = (collected / "static/admin/css/base.css").read_bytes()
        whole = http.get("/static/admin/css/base.css")
        assert (whole.status_code, whole.content) == (200, content)
        part = http.get("/static/admin/css/base.css", headers={"range": "bytes=10-19"})
        assert (part.status_code, part.content) == (206, content[10:20])
        known = {"if-modified-since": whole.headers["last-modified"]}
        assert http.get("/static/admin/css/base.css", headers=known).status_code == 304


# -- what happens meanwhile ----------------------------------------------------------------------


def ask(propylon: Propylon, path: str, receive: int = 4_096) -> socket.socket:
    """A client with little room that has asked, and has the beginning of its answer."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive)
    sock.settimeout(20)
    sock.connect(propylon.address)
    sock.sendall(b"GET %b HTTP/1.1\r\nhost: a\r\n\r\n" % path.encode())
    assert sock.recv(9) == b"HTTP/1.1 "
    return sock


def rest_of(sock: socket.socket) -> bytes:
    """What comes further, up to the end or a reset."""
    data = bytearray()
    with sock:
        try:
            while piece := sock.recv(1 << 20):
                data += piece
        except ConnectionResetError:
            pass
    return bytes(data)


def test_a_file_that_becomes_shorter_is_cut_and_logged(propylon: Propylon, site: Path) -> None:
    (site / "shrinks.bin").write_bytes(bytes(SIZE))
    with ask(propylon, "/s/shrinks.bin") as sock:
        os.truncate(site / "shrinks.bin", 10)
        assert len(rest_of(sock)) < SIZE
    wait_for(lambda: "shrinks.bin became shorter" in propylon.stderr.text, "the log's line")


@pytest.mark.parametrize("how", ["grows", "is replaced", "is deleted", "loses its folder"])
def test_a_file_that_changes_otherwise_is_sent_as_it_was(
    propylon: Propylon, site: Path, how: str
) -> None:
    folder = site / how.replace(" ", "-")
    folder.mkdir()
    content = os.urandom(SIZE)
    (folder / "it.bin").write_bytes(content)
    sock = ask(propylon, f"/s/{folder.name}/it.bin")
    if how == "grows":
        with (folder / "it.bin").open("ab") as file:
            file.write(bytes(1_000))
    elif how == "is replaced":
        (site / "new").write_bytes(b"new")
        (site / "new").replace(folder / "it.bin")
    elif how == "is deleted":
        (folder / "it.bin").unlink()
    else:
        shutil.rmtree(folder)
    sock.sendall(b"GET /s/missing HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n")
    head, _, body = rest_of(sock).partition(b"\r\n\r\n")
    assert b"content-length: %d" % SIZE in head
    assert body[:SIZE] == content
    assert body[SIZE:].startswith(b"HTTP/1.1 404 ")
    if how == "is replaced":
        with propylon.client() as http:
            assert http.get(f"/s/{folder.name}/it.bin").content == b"new"


def test_aborted_downloads_leave_nothing_open(propylon: Propylon) -> None:
    (gateway,) = propylon.pids("gateway")
    folder = Path(f"/proc/{gateway}/fd")

    def open_files() -> int:
        return sum(1 for each in folder.iterdir() if "big.bin" in os.path.realpath(each))

    with propylon.client() as http:
        assert http.get("/s/big.bin").status_code == 200
    for number in range(ABORTED):
        sock = ask(propylon, "/s/big.bin")
        if number % 2:  # a reset, and not an end
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        sock.close()
    wait_for(lambda: open_files() <= 1, "the file to be closed, but for the one that is kept")
    wait_for(lambda: not open_files(), "that one too")


def test_very_many_ranges(propylon: Propylon, site: Path) -> None:
    content = (site / "big.bin").read_bytes()
    with propylon.client() as http:
        many = ",".join(f"{start}-{start}" for start in range(0, 400_000, 1_000))
        whole = http.get("/s/big.bin", headers={"range": f"bytes={many}"})
        assert (whole.status_code, len(whole.content)) == (200, SIZE)
        overlapping = ",".join(f"0-{stop}" for stop in range(400, 800))
        one = http.get("/s/big.bin", headers={"range": f"bytes={overlapping}"})
        assert (one.status_code, one.content) == (206, content[:800])
        far = ",".join(f"{start}-{start + 99_999}" for start in range(0, SIZE, 1_000_000))
        parts = http.get("/s/big.bin", headers={"range": f"bytes={far}"})
        assert parts.status_code == 206
        assert len(parts.content) == int(parts.headers["content-length"])
        assert all(content[at : at + 100_000] in parts.content for at in (0, 5_000_000))
