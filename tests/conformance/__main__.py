"""Holds servers to the sentences of ASGI and PEP 3333, and prints what they keep.

    python -m tests.conformance --server propylon,uvicorn
    python -m tests.conformance --server all --write
    python -m tests.conformance --command "myserver {app} --port {port}" [--interface wsgi]
    python -m tests.conformance --url http://127.0.0.1:8000

`--url` needs a server that serves `tests.conformance.probe:asgi` (or `:wsgi`) already, with one
worker process; what needs a start of its own is then not applicable. The exit code is 1 if a
sentence of level must is broken.
"""

import argparse
import ssl
import sys
import tempfile
from pathlib import Path
from urllib.parse import urlsplit

from ..compare.command_line import chosen
from .check import Check, all_checks
from .launch import Interface
from .run import Outcome, Outcomes, Starter, run, visits, wanted
from .servers import SERVERS
from .table import (
    PAGE,
    README,
    RESULTS,
    Column,
    from_json,
    merged,
    page,
    text,
    to_json,
    with_sentences,
)
from .target import Target


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(
        prog="python -m tests.conformance",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument("--server", default="", help="all, or of " + ", ".join(SERVERS))
    made.add_argument("--command", default="", help="with {app}, {port}; {folder}, {python}")
    made.add_argument("--tls", default="", help="added to --command for TLS, with {chain}, {key}")
    made.add_argument("--url", default="", help="of a server that runs")
    made.add_argument("--interface", choices=["asgi", "wsgi"], default="asgi")
    made.add_argument("--check", default="", help="only those, by name, with commas between")
    made.add_argument("--json", type=Path, help="write the outcomes to this file")
    made.add_argument(
        "--write", action="store_true", help="renew docs/CONFORMANCE.md, results.json, README.md"
    )
    return made


def by_command(name: str, interface: Interface, command: str, tls: str, only: list[str]) -> Column:
    checks = wanted(interface, only)
    with tempfile.TemporaryDirectory(prefix="conformance-") as folder:
        outcomes = run(Starter(interface, command, tls, Path(folder)), checks)
    package, version = name, ""
    if name in SERVERS:
        package, version = SERVERS[name].package, SERVERS[name].version
    return Column(name, interface, package, version, command, outcomes)


def by_url(url: str, interface: Interface, only: list[str]) -> Column:
    parts = urlsplit(url)
    secure = parts.scheme == "https"
    assert parts.hostname is not None, f"{url} has no host"
    context = ssl._create_unverified_context() if secure else None
    address = parts.hostname, parts.port or (443 if secure else 80)
    checks = wanted(interface, only)
    here = [check for check in checks if not check.start and check.tls == secure]
    found = visits(here, Target(address, interface, context))
    outcomes: Outcomes = {
        check.name: found.get(check.name) or Outcome("not applicable", why_not(check))
        for check in checks
    }
    return Column(url, interface, url, "", "", outcomes)


def why_not(check: Check) -> str:
    return "it needs a start of its own" if check.start else "it needs the other scheme"


def main() -> int:
    arguments = parser().parse_args()
    only = chosen(arguments.check, all_checks(), parser()) if arguments.check else []
    columns: list[Column] = []
    if arguments.url:
        columns.append(by_url(arguments.url, arguments.interface, only))
    if arguments.command:
        interface, command = arguments.interface, arguments.command
        columns.append(by_command("the command", interface, command, arguments.tls, only))
    for name in chosen(arguments.server, SERVERS, parser()):
        server = SERVERS[name]
        if server.absent:
            print(f"{name} is left out: {server.absent}", file=sys.stderr)
            continue
        columns.append(by_command(name, server.interface, server.command, server.tls, only))
    if columns:
        print(text(columns))
    if arguments.json:
        arguments.json.write_text(to_json(columns))
    if arguments.write:
        old = from_json(RESULTS.read_text()) if RESULTS.exists() else []
        columns = merged(old, columns)
        RESULTS.write_text(to_json(columns))
        PAGE.write_text(page(columns))
        README.write_text(with_sentences(README.read_text()))
    broken = sum(column.count("fail", "must") for column in columns)
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
