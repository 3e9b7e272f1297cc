"""The status page in a real Chromium: live under load, in a reload, when processes end; and that it
asks nobody else, breaks no policy, and can be used without a mouse and without eyes.
"""

import os
import re
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from .devtools import CHROMIUM, Browser
from .operating import CHANGING, begin, deploy, finish, traffic
from .server import Propylon, with_no_such
from .test_sidecar import Part

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed"),
]

FAILS = "if 'fail' in scope['path']: raise KeyError('<i>why</i>')"


@contextmanager
def admin(folder: Path, *more: str, bind: str = "127.0.0.1:0") -> Iterator[tuple[Propylon, str]]:
    """An instance with two gateways and its admin listener's URL."""
    flags = ("--gateways", "2", "--admin-bind", bind, *more)
    # The page has a report a second: a reload has to last for longer to be seen under way.
    with Propylon(*CHANGING, "2.5", *flags, cwd=folder) as server:
        yield server, server.stderr.find(r"Admin listener on (http://\S+)")[1].rstrip("/") + "/"


def number(text: str) -> float:
    found = re.search(r"\d[\d\s.]*", text)
    return float(re.sub(r"\s", "", found[0])) if found else 0.0


def test_it_is_live(tmp_path: Path) -> None:
    deploy(tmp_path, "one", in_call=FAILS)
    with admin(tmp_path) as (server, url), Browser(tmp_path / "chromium") as page:
        page.open(url)
        page.see("#state", lambda text: text == "Serving", "it serves")
        page.see("#live", lambda text: text == "live", "it is live")
        page.see("#workers-table", lambda text: text.count("ready") == 2, "two workers")
        page.see("#gateways-table", lambda text: text.count("ready") == 2, "two gateways")
        assert page.text("#where") == server.url

        page.value(
            "window.said = []; const heard = document.querySelector('#announcer');"
            "new MutationObserver(() => said.push(heard.textContent))"
            ".observe(heard, {childList: true})"
        )
        with traffic(server):
            rate = ".plot .value span + span"
            page.see(rate, lambda text: number(text) > 5, "requests a second")
            page.see(".pool-head .more", lambda text: number(text.split("·")[-1]) > 20, "a total")
            # A reload is seen as it goes on, and at its end.
            reload = begin(server, "reload")
            page.see(
                "#reload", lambda text: re.search("canary|observing|rolling", text), "it goes on"
            )
            page.see("#reload", lambda text: "generation 2 was committed" in text, "its end")
            assert finish(reload).code == 0
            page.see("#facts", lambda text: re.search(r"generation\s+2", text), "the generation")
            assert "Reload to generation 2: committed" in page.value("said.join()")
        path = "document.querySelector('.plot path.line-blue').getAttribute('d')"
        assert page.value(path).count("L") > 1
        label = page.value("document.querySelector('.plot svg').getAttribute('aria-label')")
        assert label.startswith("Requests a second over the last 5 min: ")

        # What clients and apps bring is text.
        with server.client() as client:
            assert client.get("/fail/<img src=x>?secret=1").status_code == 500
        found = page.see("#failed-table", lambda text: "500" in text and text, "the failure")
        assert "/fail/" in found
        assert "secret" not in page.text("body")
        assert page.value("document.querySelectorAll('main img, main i').length") == 0
        page.value(
            "(() => { const box = document.querySelector('#failed-filter'); box.value = 'no such';"
            "box.dispatchEvent(new Event('input')) })()"
        )
        page.see("#failed-empty", lambda text: "None of them matches" in text, "nothing matches")

        # A gateway is killed, and another takes its place.
        with_no_such(os.kill, server.pids("gateway")[0], signal.SIGKILL)
        page.see("#ended-list", lambda text: "gateway" in text and "SIGKILL" in text, "its end")
        page.see("#gateways-table", lambda text: text.count("ready") == 2, "another gateway")

        # A broken reload says why.
        deploy(tmp_path, "two", at_import="import no_such_module")
        assert finish(begin(server, "reload")).code == 1
        page.see("#reload", lambda text: "was aborted" in text and "no_such_module" in text, "why")

        assert set(page.asked) == {url, f"{url}events"}
        assert not page.complaints
        server.stop()
        page.see("#stale", lambda text: "data are" in text and "Trying again" in text, "it is lost")
        page.see("#state", lambda text: text.startswith("Was: "), "it does not say that it serves")
        deploy(tmp_path, "three")
        with admin(tmp_path, bind=url.split("/")[2]):
            page.see("#state", lambda text: text == "Serving", "it has come back")
            assert page.value("document.querySelector('#stale').hidden")


def test_problems_come_and_go_with_their_remedies(tmp_path: Path) -> None:
    run_dir = tmp_path / "<i>run<i>"
    flags = ["--run-dir", str(run_dir), "-b", "127.0.0.1:0", "--admin-bind", "127.0.0.1:0"]
    with Part("gateway", *flags) as gateway, Browser(tmp_path / "chromium") as page:
        url = gateway.stderr.find(r"Admin listener on (http://\S+)", gateway.process)[1] + "/"
        gateway.stderr.find("Serving on", gateway.process)
        page.open(url)
        page.see("#live", lambda text: text == "live", "it is live")
        assert page.value("document.querySelector('#problems').hidden")
        folder = run_dir / "default"
        folder.rename(run_dir / "away")
        folder.write_text("a file, where the directory should be")
        there = "is gone, and not made anew: Not a directory"
        text = page.see("#problems", lambda text: there in text and text, "what is wrong")
        assert "make its directory writable" in text
        assert page.value("document.querySelectorAll('main i').length") == 0
        folder.unlink()
        page.see("#problems", lambda text: there not in text, "it has gone")
        assert not page.complaints
        gateway.terminate()
        assert gateway.ended() == 0


def test_without_a_mouse_and_without_eyes(tmp_path: Path) -> None:
    deploy(tmp_path, "one", in_call=FAILS)
    with admin(tmp_path) as (server, url), Browser(tmp_path / "chromium") as page:
        with server.client() as client:
            client.get("/fail")
        page.open(url)
        page.see("#failed-table", lambda text: "500" in text, "a failure")
        faults = page.value(FAULTS)
        assert faults == []
        nodes = page.call("Accessibility.getFullAXTree")["nodes"]
        roles = [node["role"]["value"] for node in nodes if not node["ignored"]]
        assert {"banner", "main", "contentinfo", "navigation", "status", "image"} <= set(roles)
        unnamed = [
            node["role"]["value"]
            for node in nodes
            if not node["ignored"]
            and node["role"]["value"] in ("button", "link", "image", "searchbox", "table", "region")
            and not node.get("name", {}).get("value")
        ]
        assert unnamed == []

        # The columns' titles are buttons; a plot looks back with the arrow keys.
        page.value("document.querySelector('#workers-table thead button').focus()")
        press(page, "Enter", "\r")
        sort = "document.querySelector('#workers-table th').getAttribute('aria-sort')"
        assert page.value(sort) == "ascending"
        page.value("document.querySelector('.plots').focus()")
        press(page, "ArrowLeft")
        page.see("#pools-title", lambda text: text.endswith("5 s ago"), "it looks back")
        press(page, "Escape")
        page.see("#pools-title", lambda text: text.endswith("5 minutes"), "it is now again")
        assert not page.complaints


@pytest.mark.parametrize("width", [360, 768, 1_280])
def test_it_fits_every_width(tmp_path: Path, width: int) -> None:
    deploy(tmp_path, "one")
    with admin(tmp_path) as (_, url), Browser(tmp_path / "chromium") as page:
        page.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=800,
            deviceScaleFactor=1,
            mobile=width < 500,
        )
        page.open(url)
        page.see("#workers-table", lambda text: text.count("ready") == 2, "two workers")
        assert page.value("document.documentElement.scrollWidth") <= width


def test_with_a_token(tmp_path: Path) -> None:
    deploy(tmp_path, "one")
    token = tmp_path / "token"
    token.write_text("a-token-that-is-long-enough-for-anybody\n")
    token.chmod(0o600)
    flags = ("--admin-token-file", str(token))
    credentials = ("anybody", token.read_text().strip())
    with admin(tmp_path, *flags) as (_, url):
        with Browser(tmp_path / "stranger", ("anybody", "wrong")) as page:
            page.open(url)
            page.see("body", lambda text: "token" in text, "it asks for the token")
        with Browser(tmp_path / "friend", credentials) as page:
            page.open(url)
            page.see("#live", lambda text: text == "live", "it is live")
            assert not [one for one in page.complaints if "401" not in one]


def test_without_javascript(tmp_path: Path) -> None:
    deploy(tmp_path, "one")
    with admin(tmp_path) as (_, url), Browser(tmp_path / "chromium") as page:
        page.call("Emulation.setScriptExecutionDisabled", value=True)
        page.open(url)
        page.see("noscript", lambda text: "/status" in text and "/metrics" in text, "what to use")


def press(page: Browser, key: str, text: str = "") -> None:
    for kind in ("keyDown", "keyUp"):
        more = {"text": text} if text and kind == "keyDown" else {}
        page.call("Input.dispatchKeyEvent", type=kind, key=key, code=key, **more)


FAULTS = """
(() => {
  const faults = [];
  const all = (selector) => [...document.querySelectorAll(selector)];
  for (const input of all("input")) {
    if (!input.labels.length) faults.push(`no label: ${input.id}`);
  }
  let level = 0;
  for (const heading of all("h1, h2, h3, h4")) {
    const now = Number(heading.tagName[1]);
    if (now > level + 1) faults.push(`a level is left out before: ${heading.textContent}`);
    level = now;
  }
  if (all("h1").length !== 1) faults.push("not one h1");
  for (const table of all("table")) {
    if (!table.caption) faults.push(`no caption: ${table.id}`);
    if (table.querySelector("th:not([scope])")) faults.push(`th without scope: ${table.id}`);
  }
  for (const node of all("[aria-labelledby]")) {
    const title = node.getAttribute("aria-labelledby");
    if (!document.getElementById(title)) faults.push(`no title: ${title}`);
  }
  const ids = all("[id]").map((node) => node.id);
  if (new Set(ids).size !== ids.length) faults.push("an id twice");
  if (!document.documentElement.lang) faults.push("no language");
  if (!document.title) faults.push("no title");
  for (const node of all("[role=region]")) {
    if (node.tabIndex !== 0) faults.push(`not to be scrolled by keys: ${node.id}`);
  }
  return faults;
})()
"""
