"""What a route with `static` answers: to which path, method and condition, with which fields."""

import os
from pathlib import Path

import pytest
from propylon.gateway.exchange.end_codes import GATEWAY_NO_ROOM
from propylon.gateway.exchange.errors import RequestError
from propylon.gateway.exchange.exchange import Exchange, Request
from propylon.gateway.files import disk_threads, hot_files
from propylon.gateway.files.disk_file import DiskFile
from propylon.gateway.files.disk_threads import DiskThreads
from propylon.gateway.files.folder import Folder
from propylon.gateway.files.hot_files import HotFiles
from propylon.gateway.handlers.static.static_files import StaticFiles, has_hash
from propylon.gateway.settings import StaticSettings

from ....fakes.exchange_sides import FakeClient, FakeSource
from .files import Site

YEAR = "public, max-age=31536000, immutable"


@pytest.fixture
def site(tmp_path: Path) -> Site:
    for name, text in {
        "index.html": "<h1>home</h1>",
        "404.html": "<h1>lost</h1>",
        "app.3f2b1a9c04.js": "go()",
        "sub/index.html": "<h1>sub</h1>",
        "empty/x": "",
        "nothing": "",
        "style.css": "a{}",
        "style.css.br": "br",
        "style.css.gz": "gz",
        "photo.png": "png",
        "photo.png.gz": "never",
        ".env": "secret",
    }.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    return Site(tmp_path)


def test_a_file(site: Site) -> None:
    answer = site.ask(site.handler(), "/s/app.3f2b1a9c04.js")
    assert answer is not None
    assert (answer.status, answer.body, answer.end_code) == (200, b"go()", "gateway_file")
    etag, modified = answer.fields.pop("etag"), answer.fields.pop("last-modified")
    assert answer.fields == {
        "content-type": "text/javascript; charset=utf-8",
        "vary": "accept-encoding",
        "cache-control": YEAR,
        "accept-ranges": "bytes",
        "content-length": "4",
    }
    for condition in ({"if_none_match": etag}, {"if_modified_since": modified}):
        again = site.ask(site.handler(), "/s/app.3f2b1a9c04.js", **condition)
        assert again is not None
        assert (again.status, again.body) == (304, b"")
        assert (again.fields["etag"], again.fields["cache-control"]) == (etag, YEAR)
        assert "content-length" not in again.fields
    failed = site.ask(site.handler(), "/s/app.3f2b1a9c04.js", if_match='"other"')
    assert failed is not None
    assert failed.status == 412


@pytest.mark.parametrize(
    ("path", "status", "body"),
    [
        ("/s/", 200, b"<h1>home</h1>"),
        ("/s/sub/", 200, b"<h1>sub</h1>"),
        ("/s/sub?a=1", 308, None),
        ("/s", 308, None),
        ("/s/nothing", 200, b""),
        ("/s/empty/", 404, None),
        ("/s/empty", 404, None),
        ("/s/index.html/", 404, None),
        ("/s/missing", 404, None),
        ("/s/.env", 404, None),
        ("/s/../secret", 404, None),
    ],
)
def test_paths(site: Site, path: str, status: int, body: bytes | None) -> None:
    answer = site.ask(site.handler(), path)
    assert answer is not None
    assert answer.status == status
    if status == 308:
        assert answer.fields["location"] == path.partition("?")[0] + "/" + ("?a=1" * ("?" in path))
    assert body is None or answer.body == body


def test_the_client_s_coding(site: Site) -> None:
    handler = site.handler()

    def sent(path: str, accepts: str) -> tuple[bytes, str | None, str | None, str]:
        answer = site.ask(handler, path, accept_encoding=accepts)
        assert answer is not None
        fields = answer.fields
        return answer.body, fields.get("content-encoding"), fields.get("vary"), fields["etag"]

    assert sent("/s/style.css", "gzip, br")[:3] == (b"br", "br", "accept-encoding")
    assert sent("/s/style.css", "gzip")[:3] == (b"gz", "gzip", "accept-encoding")
    assert sent("/s/style.css", "zstd")[:3] == (b"a{}", None, "accept-encoding")
    assert sent("/s/photo.png", "gzip")[:3] == (b"png", None, None)
    assert len({sent("/s/style.css", each)[3] for each in ("gzip", "br", "")}) == 3
    # One that was made of the file as it was before.
    os.utime(site.folder / "style.css.br", (1, 1))
    assert sent("/s/style.css", "gzip, br")[0] == b"gz"
    plain = site.ask(site.handler(precompressed=False), "/s/style.css", accept_encoding="br")
    assert plain is not None
    assert plain.body == b"a{}"
    assert "vary" not in plain.fields


def test_a_head_has_the_fields_and_no_body(site: Site) -> None:
    get = site.ask(site.handler(), "/s/style.css")
    head = site.ask(site.handler(), "/s/style.css", "HEAD", range="bytes=0-0")
    assert get is not None
    assert head is not None
    assert (head.status, head.fields, head.body) == (200, get.fields, b"")


def test_parts(site: Site) -> None:
    handler = site.handler()

    def part(wanted: str, **more: str) -> tuple[int, bytes, str | None]:
        answer = site.ask(handler, "/s/index.html", range=wanted, **more)
        assert answer is not None
        return answer.status, answer.body, answer.fields.get("content-range")

    assert part("bytes=1-2") == (206, b"h1", "bytes 1-2/13")
    assert part("bytes=-1") == (206, b">", "bytes 12-12/13")
    status, _, where = part("bytes=99-")
    assert (status, where) == (416, "bytes */13")
    assert part("bytes=9-1")[0] == 200
    assert part("bytes=1-2", if_range='"old"')[0] == 200
    etag = site.ask(handler, "/s/index.html")
    assert etag is not None
    assert part("bytes=1-2", if_range=etag.fields["etag"])[0] == 206


def test_several_parts_are_one_body(site: Site) -> None:
    (site.folder / "long.txt").write_bytes(bytes(range(256)) * 4)
    answer = site.ask(site.handler(), "/s/long.txt", range="bytes=0-1,500-501")
    assert answer is not None
    kind, boundary = answer.fields["content-type"].split("; boundary=")
    assert (answer.status, kind) == (206, "multipart/byteranges")
    assert int(answer.fields["content-length"]) == len(answer.body)
    _, one, other, end = answer.body.split(b"--" + boundary.encode())
    assert one.endswith(b"Content-Range: bytes 0-1/1024\r\n\r\n\x00\x01\r\n")
    assert other.endswith(b"Content-Range: bytes 500-501/1024\r\n\r\n\xf4\xf5\r\n")
    assert end == b"--\r\n"


def test_who_answers_what_no_file_is_there_for(site: Site) -> None:
    handler = site.handler(app=True)
    assert site.ask(handler, "/s/missing") is None
    assert site.ask(handler, "/s/style.css", "POST") is None
    answer = site.ask(handler, "/s/style.css")
    assert answer is not None
    assert answer.status == 200
    refused = site.ask(site.handler(), "/s/style.css", "POST")
    assert refused is not None
    assert (refused.status, refused.fields["allow"]) == (405, "GET, HEAD")


def test_pages_for_what_is_missing(site: Site) -> None:
    handler = site.handler(fallback="index.html", not_found="404.html")

    def seen(path: str, **fields: str) -> tuple[int, bytes, str]:
        answer = site.ask(handler, path, **fields)
        assert answer is not None
        return answer.status, answer.body, answer.fields["cache-control"]

    assert seen("/s/users/7") == (200, b"<h1>home</h1>", "no-cache")
    assert seen("/s/v1.2", accept="text/html,*/*") == (200, b"<h1>home</h1>", "no-cache")
    # A script that is missing must not become a page.
    assert seen("/s/old.js") == (404, b"<h1>lost</h1>", "no-cache")


def test_what_the_operator_says(site: Site) -> None:
    handler = site.handler(
        cache_control="public, max-age=60", immutable=False, hidden=True, index=""
    )
    answer = site.ask(handler, "/s/app.3f2b1a9c04.js")
    assert answer is not None
    assert answer.fields["cache-control"] == "public, max-age=60"
    for path, status in (("/s/.env", 200), ("/s/", 404), ("/s/sub", 404)):
        answer = site.ask(handler, path)
        assert answer is not None
        assert answer.status == status, path


def test_a_folder_that_is_gone_is_said_once(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    handler = site.handler()
    moved = site.folder.rename(site.folder.with_name("moved"))
    for _ in range(3):
        answer = site.ask(handler, "/s/index.html")
        assert answer is not None
        assert (answer.status, answer.end_code) == (500, "gateway_file_broke")
    moved.rename(site.folder)
    answer = site.ask(handler, "/s/index.html")
    assert answer is not None
    assert answer.status == 200
    (line,) = caplog.messages
    assert "No such file or directory" in line


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read(site: Site) -> None:
    (site.folder / "style.css").chmod(0)
    answer = site.ask(site.handler(), "/s/style.css")
    assert answer is not None
    assert answer.status == 403


@pytest.mark.parametrize(
    ("name", "it_has"),
    [
        ("base.27e20196a850.css", True),  # Django
        ("main.3f2b1a9c.chunk.js", True),  # webpack
        ("index-BkJz3F2a.js", True),  # Vite
        ("index-BkJz3F2a.js.map", True),
        ("jquery-3.7.1.min.js", False),
        ("report-20261129.pdf", False),
        ("my-database.js", False),
        ("x-deadbeef.js", False),
        ("bootstrap.bundle.min.js", False),
        ("UPPERCASE-NAMESARE.js", False),
        ("my-Release1.css", False),
        ("jquery-Migrate3.js", False),
        ("report-20240101a.pdf", False),
    ],
)
def test_which_names_hold_a_hash(name: str, it_has: bool) -> None:
    assert has_hash(name.encode()) is it_has


def test_a_date_that_there_is_not_leaves_nothing_open(site: Site) -> None:
    handler, before = site.handler(), set(os.listdir("/proc/self/fd"))
    for date in ("Sun Nov  6 08:49:37 99999999999999999999", "Sun, 06 Nov 1994 08:49:37 +9999999"):
        for name in ("if_modified_since", "if_unmodified_since", "if_range"):
            answer = site.ask(handler, "/s/style.css", range="bytes=0-0", **{name: date})
            assert answer is not None
            assert answer.status in (200, 206)
    assert not set(os.listdir("/proc/self/fd")) - before


def test_a_compressed_form_that_cannot_be_opened_is_not_needed(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    handler, before = site.handler(), set(os.listdir("/proc/self/fd"))
    opens = Folder.open

    def fails(folder: Folder, wanted: bytes) -> DiskFile | None:
        if wanted.endswith((b".br", b".gz")):
            raise PermissionError(13, "Permission denied")
        return opens(folder, wanted)

    monkeypatch.setattr(Folder, "open", fails)
    answer = site.ask(handler, "/s/style.css", accept_encoding="br, gzip")
    assert answer is not None
    assert (answer.status, answer.body) == (200, b"a{}")
    assert not set(os.listdir("/proc/self/fd")) - before


def test_no_descriptor_is_left(site: Site) -> None:
    handler, before = site.handler(), set(os.listdir("/proc/self/fd"))
    for path in ("index.html", "sub", "sub/", "missing", "empty/", "style.css", "photo.png"):
        for fields in ({}, {"range": "bytes=0-0"}, {"range": "bytes=99-"}, {"if_match": '"x"'}):
            for method in ("GET", "HEAD", "PUT"):
                site.ask(handler, f"/s/{path}", method, accept_encoding="br", **fields)
    assert not set(os.listdir("/proc/self/fd")) - before


# -- what is asked for again -------------------------------------------------------------------


@pytest.fixture
def hot(monkeypatch: pytest.MonkeyPatch, site: Site) -> StaticFiles:
    """A handler that keeps what it was asked for, and has been asked for all of it."""
    monkeypatch.setattr(hot_files, "SETTLED", -1_000_000_000)
    (site.folder / "large.bin").write_bytes(bytes(200_000))
    handler = site.handler()
    for path in ("/s/", "/s/style.css", "/s/large.bin"):
        for coding in ("", "gzip"):
            assert site.ask(handler, path, accept_encoding=coding) is not None
    return handler


@pytest.mark.parametrize("path", ["/s/", "/s/style.css", "/s/large.bin"])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize(
    "asked",
    [
        {},
        {"range": "bytes=1-2"},
        {"if_none_match": "*"},
        {"if_match": '"x"'},
        {"range": "bytes=7-"},
    ],
    ids=str,
)
@pytest.mark.parametrize("coding", ["", "gzip"])
def test_what_is_kept_is_answered_as_what_is_not(
    site: Site, hot: StaticFiles, path: str, method: str, asked: dict[str, str], coding: str
) -> None:
    fresh = site.ask(site.handler(), path, method, **asked, accept_encoding=coding)
    assert site.ask(hot, path, method, **asked, accept_encoding=coding) == fresh


def test_what_is_kept_is_not_looked_for_again(
    site: Site, hot: StaticFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(folder: Folder, wanted: bytes) -> None:
        raise AssertionError("it is opened again")

    monkeypatch.setattr(Folder, "open_at_once", fails)
    for path in ("/s/", "/s/style.css", "/s/large.bin"):
        answer = site.ask(hot, path, accept_encoding="gzip")
        assert answer is not None
        assert answer.status == 200


def test_a_compressed_form_is_not_kept_when_its_file_has_changed(
    site: Site, hot: StaticFiles
) -> None:
    (site.folder / "style.css").write_text("changed{}")
    os.utime(site.folder / "style.css", (2e9, 2e9))
    answer = site.ask(hot, "/s/style.css", accept_encoding="gzip")
    assert answer is not None
    assert (answer.body, "content-encoding" in answer.fields) == (b"changed{}", False)


def test_a_client_that_leaves_while_a_thread_looks(site: Site) -> None:
    handler, client = site.handler(app=True), FakeClient()
    exchange = Exchange(Request("GET", b"/s/missing", "1.1"), client, opened=1.0)
    handler.answer(exchange)
    client.leave(exchange)
    site.hear()
    assert not site.to_app
    assert client.status == 0


def test_more_than_may_wait_for_the_disk(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(disk_threads, "MOST_JOBS", 0)
    client, exchange = site.begin(site.handler(), "/s/style.css")
    assert client.failed is not None
    assert (client.failed[0], exchange.end_code) == (503, "gateway_file_broke")


def test_a_page_for_what_is_missing_is_not_kept(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who asks otherwise gets another answer, and what is missing may come."""
    monkeypatch.setattr(hot_files, "SETTLED", -1_000_000_000)
    handler = site.handler(fallback="index.html")
    for _ in range(2):
        page = site.ask(handler, "/s/new.js", accept="text/html")
        assert page is not None
        assert page.body == b"<h1>home</h1>"
    script = site.ask(handler, "/s/new.js", accept="*/*")
    assert script is not None
    assert script.status == 404
    (site.folder / "new.js").write_text("new()")
    page = site.ask(handler, "/s/new.js", accept="text/html")
    assert page is not None
    assert page.body == b"new()"


def test_what_is_asked_for_at_great_length_is_not_kept(
    site: Site, hot: StaticFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A client could fill the memory with a thousand fields of 60 KB."""
    opened: list[bytes] = []
    opens = Folder.open_at_once

    def noted(folder: Folder, wanted: bytes) -> DiskFile | None:
        opened.append(wanted)
        return opens(folder, wanted)

    monkeypatch.setattr(Folder, "open_at_once", noted)
    for _ in range(2):
        opened.clear()
        assert site.ask(hot, "/s/style.css", accept_encoding="gzip" + "," * 1_000) is not None
        assert opened, "it is looked for each time"


@pytest.mark.parametrize(
    ("fault", "failed", "end_code"),
    [
        (
            RequestError(507, "There is no room.", end_code=GATEWAY_NO_ROOM),
            (507, "There is no room."),
            "gateway_no_room",
        ),
        (ValueError("x"), (500, "The gateway could not answer this request."), "gateway_failed"),
    ],
    ids=["refused", "failed"],
)
def test_what_goes_wrong_behind_a_thread_is_answered(
    site: Site, fault: Exception, failed: tuple[int, str], end_code: str
) -> None:
    """It is the next who is asked that fails, as where no request's body can be kept any more."""
    asked: list[Exchange] = []

    def fails(exchange: Exchange) -> None:
        exchange.connect(source, exchange.opened)
        asked.append(exchange)
        raise fault

    source, settings = FakeSource(), StaticSettings(folder=str(site.folder))
    handler = StaticFiles(settings, "/s", DiskThreads(site.calls.append), HotFiles(), fails)
    client, exchange = site.begin(handler, "/s/missing")
    assert asked == [exchange]
    assert (client.failed, exchange.end_code) == (failed, end_code)
    assert source.given_up == 1
