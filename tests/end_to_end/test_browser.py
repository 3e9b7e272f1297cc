"""A real browser: Chromium loads a page over HTTPS, and the page speaks over its WebSockets.

The page (tests/apps/browser_page.html) goes through its steps by itself and posts what it found.
"""

import base64
import hashlib
import json
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509 import load_pem_x509_certificate

from ..gateway.tls.issued import Issued, issue
from .server import DEADLINE, Propylon, descendants, start_time, wait_for, with_no_such

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
OPTIONS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-dev-shm-usage",
    "--no-first-run", "--disable-background-networking", "--disable-component-update",
    "--disable-sync", "--disable-extensions", "--no-proxy-server",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
]  # fmt: skip

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed"),
]


def key_hash(issued: Issued) -> str:
    """Of the public key, as the browser is told which certificate is good."""
    key = load_pem_x509_certificate(issued.certfile.read_bytes()).public_key()
    der = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return base64.b64encode(hashlib.sha256(der).digest()).decode()


@contextmanager
def chromium(folder: Path, url: str, issued: Issued) -> Iterator[None]:
    """With the page open. What it says on the network is in `folder`/net.json when it has ended."""
    folder.mkdir()
    command = [CHROMIUM or "", *OPTIONS, f"--user-data-dir={folder}/profile"]
    command += [f"--log-net-log={folder}/net.json", "--net-log-capture-mode=IncludeSensitive"]
    command += [f"--ignore-certificate-errors-spki-list={key_hash(issued)}", url]
    env = {**os.environ, "HOME": str(folder), "XDG_RUNTIME_DIR": str(folder)}
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env=env)
    try:
        yield
    except BaseException:
        print((folder / "log").read_text(errors="replace"))
        raise
    finally:
        family = descendants(process.pid)
        process.terminate()
        try:
            process.wait(DEADLINE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        for pid, started in family.items():
            if start_time(pid) == started:
                with_no_such(os.kill, pid, signal.SIGKILL)


def finding(folder: Path, step: str) -> dict:
    """What the page posted of this step, once it has."""

    def posted() -> dict | None:
        failed = folder / "failed"
        assert not failed.exists(), failed.read_text()
        file = folder / step
        return json.loads(file.read_text()) if file.exists() else None

    return wait_for(posted, f"the page's step {step!r}")


@pytest.mark.parametrize("version", ["1.1", "2.0"])
def test_a_page_and_its_websockets(tmp_path: Path, version: str) -> None:
    issued = issue(tmp_path, "localhost", "127.0.0.1")
    findings = tmp_path / "findings"
    findings.mkdir()
    arguments = ["browser_app:app", "-w", "2", *issued.flags]
    arguments += ["--no-http2"] if version == "1.1" else []
    env = {"FINDINGS": str(findings)}
    with Propylon(*arguments, env=env) as propylon:
        port = propylon.address[1]
        with chromium(tmp_path / "chromium", f"{propylon.url}/", issued):
            found = finding(findings, "echoes")
            assert found.pop("extensions").startswith("permessage-deflate")
            assert found == {
                "page": "https:",
                "secure": True,
                "protocol": "one",
                "empty": True,
                "text": True,
                "buffer": True,
                "blob": True,
                "where": ["wss", "/ws"],
                "close": {"code": 4000, "reason": "as asked", "wasClean": True},
                "own": {"code": 4001, "reason": "by the page", "wasClean": True},
            }
            propylon.stdout.find(f'"GET / HTTP/{version}" 200 .*Chrom')
            websocket = {"1.1": '"GET /ws HTTP/1.1" 101', "2.0": '"CONNECT /ws HTTP/2.0" 200'}
            propylon.stdout.find(websocket[version])

            # A worker is killed: the page comes back to another, or to the one in its place.
            assert finding(findings, "first") == {"before": "hello"}
            for worker in propylon.pids("worker"):
                with_no_such(os.kill, worker, signal.SIGKILL)
            over = finding(findings, "first-over")
            assert over.pop("close") == {"code": 1011, "reason": "", "wasClean": True}
            assert over == {"after": "hello again"}

            # The server is restarted.
            assert finding(findings, "second") == {"before": "hello"}
            assert propylon.stop() == 0
            with Propylon(*arguments, "-b", f"127.0.0.1:{port}", env=env):
                over = finding(findings, "second-over")
                assert over["close"]["code"] == 1012
                assert over["close"]["wasClean"]
                assert over["after"] == "hello again"


def test_a_hundred_images_over_http2(tmp_path: Path) -> None:
    """All on one connection, uploads and a WebSocket (RFC 8441) among them."""
    issued = issue(tmp_path, "localhost", "127.0.0.1")
    findings = tmp_path / "findings"
    findings.mkdir()
    folder = tmp_path / "chromium"
    arguments = ["browser_app:app", *issued.flags]
    with (
        Propylon(*arguments, env={"FINDINGS": str(findings)}) as propylon,
        chromium(folder, f"{propylon.url}/images", issued),
    ):
        assert finding(findings, "images") == {
            "widths": True,
            "sizes": [0, 1, 70_000, 5_000_000],
            "heard": "hello",
            "protocols": ["h2"],
        }
    log = (folder / "net.json").read_text()
    assert log.count(":path: /image/") >= 100
    assert ":protocol: websocket" in log
    assert ":path: /ws" in log
