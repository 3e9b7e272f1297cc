"""A folder without an index is listed where that is wanted, and nothing that would not be sent."""

import html.parser
import json
import os
from pathlib import Path

import pytest
from propylon.gateway.files.folder import Folder, WouldWaitError
from propylon.gateway.handlers.static import lookup
from propylon.gateway.handlers.static.listing import Listing
from propylon.gateway.handlers.static.lookup import Asked, Lookup
from propylon.gateway.settings import StaticSettings

from .files import Site

EVIL = "<img src=x onerror=alert(1)>\"&'.txt"
NEVER_SENT = ("back\\slash", "two\nlines", "delete\x7f")


@pytest.fixture
def site(tmp_path: Path) -> Site:
    folder = tmp_path / "site"
    (folder / "sub/deeper").mkdir(parents=True)
    (folder / "with index").mkdir()
    (folder / "with index/index.html").write_text("the index")
    names = ("b.txt", "A.txt", EVIL, "javascript:alert(1)", ".hidden", "ä?#.txt")
    for name in (*names, *NEVER_SENT):
        (folder / "sub" / name).write_text(name)
    (tmp_path / "secret").write_text("outside")
    (folder / "sub/inner").symlink_to("b.txt")
    (folder / "sub/out").symlink_to("../../secret")
    os.mkfifo(folder / "sub/fifo")
    (folder / "sub" / os.fsdecode(b"not utf-8 \xff")).write_text("")
    os.utime(folder / "sub/b.txt", (1_000_000_000, 1_000_000_000))
    return Site(folder)


class Links(html.parser.HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self.tags: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.found += [value or "" for name, value in attrs if name == "href"]


def test_it_is_off_unless_asked_for(site: Site) -> None:
    answer = site.ask(site.handler(), "/s/sub/")
    assert answer is not None
    assert answer.status == 404


def test_a_page(site: Site) -> None:
    handler = site.handler(listing=True)
    answer = site.ask(handler, "/s/sub/")
    assert answer is not None
    assert (answer.status, answer.end_code) == (200, "gateway_file")
    assert answer.fields["content-type"] == "text/html; charset=utf-8"
    assert "default-src 'none'" in answer.fields["content-security-policy"]
    links = Links()
    links.feed(answer.body.decode())
    assert links.found == [
        "../", "deeper/", "%3Cimg%20src%3Dx%20onerror%3Dalert%281%29%3E%22%26%27.txt", "A.txt",
        "b.txt", "inner", "javascript%3Aalert%281%29", "not%20utf-8%20%FF", "%C3%A4%3F%23.txt",
    ]  # fmt: skip
    assert not links.tags & {"img", "script"}
    for link in links.found[2:]:
        again = site.ask(handler, f"/s/sub/{link}")
        assert again is not None
        assert again.status == 200, link


def test_json_for_who_likes_it_better(site: Site) -> None:
    handler = site.handler(listing=True)
    answer = site.ask(handler, "/s/sub/", accept="application/json, text/html;q=0.5")
    assert answer is not None
    assert answer.fields["content-type"] == "application/json"
    rows = json.loads(answer.body)
    assert rows[0].items() >= {("name", "deeper"), ("type", "directory")}
    assert "size" not in rows[0]
    assert {
        "name": "b.txt", "type": "file", "size": 5, "mtime": "Sun, 09 Sep 2001 01:46:40 GMT",
    } in rows  # fmt: skip
    html = site.ask(handler, "/s/sub/", accept="text/html,application/json;q=0.9")
    assert html is not None
    assert "html" in html.fields["content-type"]


def test_a_folder_is_named_with_a_slash_and_an_index_is_sent(site: Site) -> None:
    handler = site.handler(listing=True)
    answer = site.ask(handler, "/s/sub")
    assert answer is not None
    assert (answer.status, answer.fields["location"]) == (308, "/s/sub/")
    index = site.ask(handler, "/s/with%20index/")
    assert index is not None
    assert index.body == b"the index"
    top = site.ask(handler, "/s/")
    assert top is not None
    assert b"../" not in top.body


def test_links_and_hidden_names_as_the_settings_have_it(site: Site) -> None:
    answer = site.ask(site.handler(listing=True, hidden=True, symlinks="refuse"), "/s/sub/")
    assert answer is not None
    assert b'".hidden"' in answer.body
    assert b'"inner"' not in answer.body


def test_a_folder_of_very_many(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lookup, "ENTRIES_LISTED", 3)
    answer = site.ask(site.handler(listing=True), "/s/sub/")
    assert answer is not None
    assert b"More than 3 entries" in answer.body


def test_the_thread_that_reads_the_folder_makes_the_page(site: Site) -> None:
    folder = Folder(str(site.folder))
    looks = Lookup(StaticSettings(folder=str(site.folder), listing=True), folder, is_last=True)
    asked = Asked(b"sub/deeper/", b"/s/sub/deeper/", (), navigates=True, siblings=[])
    found = looks.slowly(asked)
    assert isinstance(found, Listing)
    assert b"Index of /s/sub/deeper/" in found.body
    with pytest.raises(WouldWaitError):
        looks.at_once(asked)
    assert looks.at_once(asked._replace(path=b"/s/sub/deeper")) == "redirect"
