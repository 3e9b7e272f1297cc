"""HTTP/2 over TLS, by h2load and curl, beside servers that speak it too.

    python -m tests.bench.http2 [SERVER ...] [--rounds N] [--seconds S] [--markdown FILE]

Requests: `h2load` on one thread, 64 connections with one stream each and 8 with 32 each, to the
least ASGI app ("hello") and to FastAPI ("FastAPI"); one worker and product defaults everywhere.
nginx speaks HTTP/2 in front of uvicorn. Bodies: `curl` sends and receives 100 MB, over HTTP/2 and
over HTTP/1.1 to the same server. Idle: what a connection costs that has had one request. The
servers take turns, in another order in each round, and the medians are shown.
"""

import argparse
import random
import re
import socket
import ssl
import statistics
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from ..compare.ground import Commands
from ..compare.processes import program
from ..compare.proxies import nginx
from ..http2_frames import END_HEADERS, END_STREAM, PREFACE, Kind, frame, settings
from .contestants import alone, behind, gunicorn, hypercorn, propylon, uvicorn
from .machine import machine
from .servers import Server, running

SERVERS: dict[str, Commands] = {
    "propylon": propylon(),
    "propylon-h2": propylon("--http2-engine", "h2"),
    "nginx-uvicorn": nginx(behind(uvicorn), http2=True),
    "hypercorn": alone(hypercorn("uvloop")),
    "gunicorn": alone(gunicorn("asgi"), "--http-protocols", "h2,h1"),
}
SHAPES: Final = ((64, 1), (8, 32))
"""Connections, and streams of each."""
APPS: Final = {"hello": ("hello:app", "/"), "FastAPI": ("fast:app", "/items/5")}
"""Title -> app and path."""
SIZE: Final = 100_000_000
"""Bytes of a large body."""
IDLE: Final = 500
"""Connections."""
FINISHED = re.compile(r"finished in [\d.]+m?s, ([\d.]+) req/s")
FAILED = re.compile(r"(\d+) failed, (\d+) errored, (\d+) timeout")
GOOD = re.compile(r"status codes: (\d+) 2xx, 0 3xx, 0 4xx, 0 5xx")


class Wrong(Exception):
    pass


def requests(server: Server, path: str, connections: int, streams: int, seconds: float) -> float:
    """Requests a second."""
    command = [
        program("h2load"), "-D", f"{seconds:g}", "--warm-up-time=1",
        "-c", str(connections), "-m", str(streams), server.url + path,
    ]  # fmt: skip
    said = subprocess.run(
        command, capture_output=True, text=True, timeout=seconds + 30, check=True
    ).stdout
    finished, failed, good = (pattern.search(said) for pattern in (FINISHED, FAILED, GOOD))
    if finished is None or failed is None or good is None or any(map(int, failed.groups())):
        raise Wrong(said)
    return float(finished[1])


def curl(server: Server, version: str, path: str, *flags: str) -> float:
    """Megabytes a second."""
    command = [
        program("curl"), "-sk", version, "-o", "/dev/null", *flags, server.url + path,
        "-w", "%{http_version} %{http_code} %{time_total}",
    ]  # fmt: skip
    said = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout
    spoken, status, seconds = said.split()
    if status != "200" or (spoken == "2") != (version == "--http2"):
        raise Wrong(said)
    return SIZE / 1e6 / float(seconds)


def idle(server: Server) -> float:
    """KiB of memory of each connection that has had one request."""
    context = ssl._create_unverified_context()
    context.set_alpn_protocols(["h2"])
    head = b"\x82\x84\x87\x41\x01h"  # GET, /, https, :authority h
    asked = PREFACE + settings() + frame(Kind.HEADERS, END_HEADERS | END_STREAM, 1, head)

    def ask(stack: ExitStack) -> None:
        raw = socket.create_connection(("127.0.0.1", server.ground.port))
        sock = stack.enter_context(context.wrap_socket(raw))
        sock.settimeout(10)
        sock.sendall(asked)
        heard = b""
        while b"Hello" not in heard:
            piece = sock.recv(65_536)
            if not piece:
                raise Wrong("the connection ended")
            heard += piece

    with ExitStack() as stack:
        for _ in range(20):
            ask(stack)
        before = server.resident()
        for _ in range(IDLE):
            ask(stack)
        return (server.resident() - before) / 1024 / IDLE


def figures(
    name: str, options: argparse.Namespace, upload: Path
) -> Iterator[tuple[str, Callable[[Server], float], str]]:
    """What is measured of a server: row, how, and the app. Memory comes first: what other rows have
    left behind is used again, and would not be seen."""
    yield "an idle connection, KiB", idle, "hello:app"
    for title, (app, path) in APPS.items():
        for connections, streams in SHAPES:
            yield (
                f"{title}, {connections} x {streams}, requests/s",
                lambda server, p=path, c=connections, s=streams: requests(
                    server, p, c, s, options.seconds
                ),
                app,
            )
    for version in ("--http2", "--http1.1"):
        word = version.strip("-").replace("http", "HTTP/")
        yield (
            f"100 MB down, {word}, MB/s",
            lambda server, v=version: curl(server, v, f"/down/{SIZE}"),
            "hello:app",
        )
        yield (
            f"100 MB up, {word}, MB/s",
            lambda server, v=version: curl(server, v, "/up", "--data-binary", f"@{upload}"),
            "hello:app",
        )


def measure(options: argparse.Namespace) -> dict[str, dict[str, list[float]]]:
    found: dict[str, dict[str, list[float]]] = {}
    names = options.servers or [name for name in SERVERS if name != "propylon-h2"]
    with tempfile.NamedTemporaryFile() as file:
        file.truncate(SIZE)
        for _ in range(options.rounds):
            for name in random.sample(names, len(names)):
                by_app: dict[str, list[tuple[str, Callable[[Server], float]]]] = {}
                for row, how, app in figures(name, options, Path(file.name)):
                    if not options.only or re.search(options.only, row):
                        by_app.setdefault(app, []).append((row, how))
                for app, rows in by_app.items():
                    ready = next((path for one, path in APPS.values() if one == app), "/")
                    with running(SERVERS[name], app, tls=True, ready=(ready,)) as server:
                        for row, how in rows:
                            try:
                                figure = how(server)
                            except (Wrong, OSError, subprocess.SubprocessError) as error:
                                print(f"{name}, {row}: {error}", flush=True)
                                continue
                            found.setdefault(row, {}).setdefault(name, []).append(figure)
    return found


def table(found: dict[str, dict[str, list[float]]], options: argparse.Namespace) -> str:
    measured = set[str]().union(*found.values())
    names = [name for name in SERVERS if name in measured]
    lines = [f"| | {' | '.join(names)} |", "|---|" + "---|" * len(names)]
    for row, by_name in found.items():
        medians = {name: statistics.median(by_name[name]) for name in names if name in by_name}
        first = medians.get("propylon") or 0.0
        cells = [
            "-" if (median := medians.get(name)) is None
            else f"{median:,.0f}" if name == "propylon" or not first
            else f"{median:,.0f} ({first / median:.2f})"
            for name in names
        ]  # fmt: skip
        lines.append(f"| {row} | {' | '.join(cells)} |")
    facts = machine({"propylon", "nginx-uvicorn", "hypercorn-asyncio", "gunicorn-asgi"})
    said = ", ".join(f"{key} {fact}" for key, fact in facts.items())
    lines += ["", "In brackets: Propylon's figure as a multiple of that one."]
    lines += [f"{options.rounds} rounds, {options.seconds:g} s each; {said}."]
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("servers", nargs="*", metavar="SERVER", help=", ".join(SERVERS))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--only", help="rows that this pattern is found in")
    parser.add_argument("--markdown", type=Path)
    options = parser.parse_args()
    text = table(measure(options), options)
    print(text)
    if options.markdown:
        options.markdown.write_text(text)


if __name__ == "__main__":
    main()
