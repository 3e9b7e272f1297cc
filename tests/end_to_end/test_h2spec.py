"""h2spec, 146 cases of RFC 9113 and RFC 7541 (and one that no server can be asked).

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

from ..gateway.tls.issued import issue
from .server import Propylon

H2SPEC = os.environ.get("H2SPEC") or shutil.which("h2spec")
ENGINES = [()]
"""Flags that choose an engine."""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        H2SPEC is None, reason="h2spec is not installed: test_h2spec.py says how to get it"
    ),
]


def summary(propylon: Propylon, *arguments: str) -> str:
    """The last line of its report, which is printed."""
    host, port = propylon.address
    command = [H2SPEC or "", "--strict", "-h", host, "-p", str(port), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    line = re.findall(r"^\d+ tests, .*", done.stdout, re.M)[-1]
    print(f"\nh2spec {' '.join(command[1:])}: {line}")
    assert done.returncode == 0, done.stdout
    return line


ALL = "147 tests, 146 passed, 1 skipped, 0 failed"


@pytest.mark.parametrize("engine", ENGINES)
def test_plain(engine: tuple[str, ...]) -> None:
    flags = ("--h2c", "prior-knowledge", "--no-access-log", *engine)
    with Propylon("asgi_raw:app", *flags) as propylon:
        assert summary(propylon) == ALL


@pytest.mark.parametrize("engine", ENGINES)
def test_tls(tmp_path: Path, engine: tuple[str, ...]) -> None:
    issued = issue(tmp_path, "localhost", "127.0.0.1")
    with Propylon("asgi_raw:app", "--no-access-log", *issued.flags, *engine) as propylon:
        assert summary(propylon, "--tls", "--insecure") == ALL
