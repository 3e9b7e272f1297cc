"""h2spec: its 147 cases of RFC 9113 and RFC 7541, the strict ones among them.

It is looked for as `h2spec`, or where H2SPEC says. github.com/summerwind/h2spec has releases. From
its source it is built with Debian's packages alone, golang-go, golang-golang-x-net-dev,
golang-github-fatih-color-dev and golang-github-spf13-cobra-dev:

    mkdir -p GO/src/github.com/summerwind
    git clone https://github.com/summerwind/h2spec GO/src/github.com/summerwind/h2spec
    cd GO/src/github.com/summerwind/h2spec
    GO111MODULE=off GOPATH=GO:/usr/share/gocode go build ./cmd/h2spec
    H2SPEC=$PWD/h2spec python -m pytest -m slow -s tests/end_to_end/test_h2spec.py
"""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from ..gateway.http2.engine_exam import OURS_AND_SLOW_H2
from ..gateway.tls.issued import issue
from .server import Propylon

H2SPEC = os.environ.get("H2SPEC") or shutil.which("h2spec")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        H2SPEC is None, reason="h2spec is not installed: test_h2spec.py says how to get it"
    ),
]


OPEN = "/slow?s=0.05"
"""A path whose streams are open when the next frame comes: what is wrong on an open stream may be
nothing on one that is answered."""


def report(propylon: Propylon, *arguments: str) -> tuple[str, list[str]]:
    """The last line of its report, which is printed, and the cases that failed."""
    host, port = propylon.address
    command = [H2SPEC or "", "--strict", "-h", host, "-p", str(port), "-P", OPEN, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    lines = re.findall(r"^\d+ tests, .*", done.stdout, re.M)
    assert lines, done.stdout + done.stderr
    print(f"\nh2spec {' '.join(command[1:])}: {lines[-1]}")
    failures = done.stdout.partition("Failures:")[2]
    return lines[-1], re.findall(r"\u00d7 \d+: (.*)", failures)


CASES = 147


@pytest.mark.parametrize("engine", OURS_AND_SLOW_H2)
def test_plain(engine: str) -> None:
    """A listener without TLS speaks HTTP/1.1 as well: whoever begins with anything but the preface
    is told so, with a page that h2spec takes for a frame, and not with GOAWAY."""
    flags = ("--h2c", "prior-knowledge", "--no-access-log", "--http2-engine", engine)
    with Propylon("asgi_raw:app", *flags) as propylon:
        line, failed = report(propylon)
        assert failed == ["Sends invalid connection preface"]
        assert line.startswith(f"{CASES} tests, {CASES - len(failed)} passed, 0 skipped")


@pytest.mark.parametrize("engine", OURS_AND_SLOW_H2)
def test_tls(tmp_path: Path, engine: str) -> None:
    issued = issue(tmp_path, "localhost", "127.0.0.1")
    flags = ("--no-access-log", *issued.flags, "--http2-engine", engine)
    with Propylon("asgi_raw:app", *flags) as propylon:
        line, failed = report(propylon, "--tls", "--insecure")
        assert failed == []
        assert line.startswith(f"{CASES} tests, {CASES - len(failed)} passed, 0 skipped")
