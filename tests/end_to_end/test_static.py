"""Files from the gateway to real clients, with nginx as the judge of behaviour."""

import gzip
import hashlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
import trustme

from .other_proxies import NGINX, needs_nginx, nginx
from .server import Propylon, wait_for

SIZE = 3_000_017


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    site = tmp_path_factory.mktemp("site")
    site.chmod(0o755)
    (site / "sub").mkdir()
    (site / "index.html").write_text("<h1>home</h1>")
    (site / "sub/index.html").write_text("<h1>sub</h1>")
    (site / "big.bin").write_bytes(os.urandom(SIZE))
    (site / "style.css").write_text("a{}" * 100)
    (site / "style.css.gz").write_bytes(gzip.compress(b"a{}" * 100))
    (site / "photo.png").write_bytes(b"png")
    (site / "caf\xe9 au lait.txt").write_text("coffee")
    (site / "empty.txt").write_text("")
    for path in site.rglob("*"):
        if path.is_file():
            os.utime(path, (1_000_000_000, 1_000_000_000))
    (site / "out").symlink_to("/etc/hostname")
    return site


@pytest.fixture(scope="module", params=["httptools", "h11", "tls"])
def propylon(request: pytest.FixtureRequest, site: Path) -> Iterator[Propylon]:
    how, more = request.param, []
    if how == "tls":
        folder = site.with_name("certificates")
        folder.mkdir(exist_ok=True)
        leaf = trustme.CA().issue_cert("localhost", "127.0.0.1")
        leaf.private_key_and_cert_chain_pem.write_to_path(folder / "leaf.pem")
        more = ["--ssl-certfile", str(folder / "leaf.pem")]
    else:
        more = ["--http", how]
    with Propylon("asgi_raw:app", "--static", f"/s={site}", *more) as propylon:
        yield propylon


def client(propylon: Propylon) -> httpx.Client:
    return httpx.Client(base_url=propylon.url, verify=False, timeout=20)


def test_a_large_file_whole_and_in_parts(propylon: Propylon, site: Path) -> None:
    content = (site / "big.bin").read_bytes()
    with client(propylon) as http:
        whole = http.get("/s/big.bin")
        assert (whole.status_code, len(whole.content)) == (200, SIZE)
        assert whole.content == content
        pieces = []
        for start in range(0, SIZE, 1_000_000):
            fields = {
                "range": f"bytes={start}-{start + 999_999}",
                "if-range": whole.headers["etag"],
            }
            part = http.get("/s/big.bin", headers=fields)
            assert part.status_code == 206
            pieces.append(part.content)
        assert b"".join(pieces) == content
        assert http.get("/s/").text == "<h1>home</h1>"
        assert http.get("/s/missing").status_code == 404
        # The app is asked for all else, on the same connection.
        assert http.get("/").status_code == 200


@pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl: apt-get install curl")
def test_a_download_is_resumed(propylon: Propylon, site: Path, tmp_path: Path) -> None:
    half = tmp_path / "big.bin"
    half.write_bytes((site / "big.bin").read_bytes()[: SIZE // 2])
    command = ["curl", "-sk", "-C", "-", "-o", str(half), f"{propylon.url}/s/big.bin"]
    subprocess.run(command, check=True)
    assert half.read_bytes() == (site / "big.bin").read_bytes()


def test_readers_that_leave_leave_nothing_open(propylon: Propylon) -> None:
    (gateway,) = propylon.pids("gateway")

    def open_files() -> int:
        return len(os.listdir(f"/proc/{gateway}/fd"))

    with client(propylon) as http:
        http.get("/s/style.css")
        before = open_files()

        def leave(_: int) -> None:
            with client(propylon) as other, other.stream("GET", "/s/big.bin") as response:
                assert response.status_code == 200
                next(response.iter_raw(100))

        with ThreadPoolExecutor(8) as threads:
            list(threads.map(leave, range(40)))
        wait_for(lambda: open_files() <= before, "the files to be closed")


def test_who_reads_slowly_holds_up_nobody(propylon: Propylon, site: Path) -> None:
    wanted = hashlib.sha256((site / "big.bin").read_bytes()).hexdigest()
    with client(propylon) as slow, slow.stream("GET", "/s/big.bin") as response:
        pieces = response.iter_raw(10_000)
        got = hashlib.sha256(next(pieces))
        with client(propylon) as http:
            for _ in range(20):
                assert http.get("/s/style.css").status_code == 200
        for piece in pieces:
            got.update(piece)
    assert got.hexdigest() == wanted


REQUESTS = [
    *[
        (method, path, {})
        for method in ("GET", "HEAD")
        for path in (
            "/", "/sub", "/sub/", "/style.css", "/photo.png", "/empty.txt", "/missing", "/sub/x",
            "/caf%C3%A9%20au%20lait.txt", "/style.css/", "/index.html?a=1", "/%69ndex.html",
        )
    ],
    *[
        ("GET", "/style.css", {"range": wanted})
        for wanted in (
            "bytes=0-0", "bytes=0-", "bytes=-5", "bytes=299-", "bytes=300-", "bytes=5-2", "bytes=a",
            "bytes=0-1000", "lines=0-1", "bytes=-0", "bytes=0-9,200-209", "bytes=900-,901-",
        )
    ],
    *[
        ("GET", "/style.css", fields)
        for fields in (
            {"if-modified-since": "Sun, 09 Sep 2001 01:46:40 GMT"},
            {"if-modified-since": "Sun, 09 Sep 2001 01:46:39 GMT"},
            {"if-modified-since": "nonsense"},
            {"if-unmodified-since": "Sun, 09 Sep 2001 01:46:39 GMT"},
            {"if-unmodified-since": "Sun, 09 Sep 2001 01:46:40 GMT"},
            {"if-none-match": "*"},
            {"if-none-match": '"other"'},
            {"if-match": "*"},
            {"if-match": '"other"'},
            {"range": "bytes=0-1", "if-range": '"other"'},
            {"range": "bytes=0-1", "if-range": "Sun, 09 Sep 2001 01:46:40 GMT"},
            {"range": "bytes=0-1", "if-range": "Sun, 09 Sep 2001 01:46:39 GMT"},
            {"accept-encoding": "gzip"},
            {"accept-encoding": "gzip;q=0"},
            {"accept-encoding": "identity"},
        )
    ],
    ("POST", "/style.css", {}),
    ("GET", "/..%2f..%2fetc%2fpasswd", {}),
    ("GET", "/.hidden", {}),
]  # fmt: skip
"""Method, path below the folder, fields."""
COMPARED = ("content-type", "content-length", "content-range", "content-encoding", "last-modified")
DIFFERS = {
    ("/sub", ""): "301 there, 308 here",
    ("/style.css", "bytes=5-2"): "416 there; it may be refused or ignored (RFC 9110 section 14.2)",
    ("/style.css", "bytes=a"): "416 there",
}


@needs_nginx
@pytest.mark.slow
def test_nginx_says_the_same(site: Path, tmp_path: Path) -> None:
    assert NGINX
    location = f"""location /s/ {{ alias {site}/; charset utf-8; gzip_static on;
        charset_types text/css text/plain;
        types {{ text/html html; text/css css; image/png png; text/plain txt; }} }}
        location = /s {{ return 404; }}"""
    seen: dict[str, list[Any]] = {}
    user = "root" if os.geteuid() == 0 else ""
    with (
        Propylon("asgi_raw:app", "--static", f"/s={site}") as propylon,
        nginx(tmp_path / "nginx", propylon.url, server=location, user=user) as port,
    ):
        for name, url in (("us", propylon.url), ("nginx", f"http://127.0.0.1:{port}")):
            seen[name] = []
            with httpx.Client(base_url=url) as http:
                for method, path, fields in REQUESTS:
                    fields = {"accept-encoding": "identity", **fields}
                    answer = http.request(method, f"/s{path}", headers=fields)
                    ok = answer.status_code < 300
                    kept = {k: answer.headers.get(k, "").lower() for k in COMPARED if ok}
                    if "multipart" in kept.get("content-type", ""):
                        kept = {"content-type": "multipart/byteranges"}
                    body = answer.content if ok and "content-length" in kept else b""
                    seen[name].append((method, path, fields, answer.status_code, kept, body))
    differ = {
        (path, fields.get("range", "")): (ours, theirs)
        for ours, theirs in zip(seen["us"], seen["nginx"], strict=True)
        for _, path, fields, *_ in [ours]
        if ours != theirs
    }
    assert differ.keys() == DIFFERS.keys(), differ
