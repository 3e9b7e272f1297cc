"""Static files beside nginx, which sends the same folder by sendfile(2).

    python -m tests.bench.static_files [--rounds 5] [--seconds 2] [--sizes 10000,1000000] [--tls]
                                       [--folder DIR] [--markdown FILE]

One gateway process and one nginx worker run at the same time and are asked in turns, so that what
else the machine does meanwhile hits both. Figures are medians of the rounds; the ratio is ours by
nginx's of the same round, and its median. nginx is set up as its manual says for static files
(sendfile, tcp_nopush), with its cache of open descriptors off, as it is by default.
"""

import argparse
import os
import re
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median

from ..compare.ground import Commands
from ..compare.processes import program
from ..compare.proxies import start_nginx
from .contestants import propylon
from .servers import Ground, Server, running

CONNECTIONS = (1, 64)
SETTLED = 3.5
"""Seconds after which Propylon keeps a file that was made: a site's files are older than that."""
TARGETS = {10_000: 0.5, 1_000_000: 0.9}
"""Size of a file in bytes -> the least ratio that we want."""
_RATE = re.compile(r"Requests/sec:\s+([\d.]+)")
_FAULTS = re.compile(r"(Socket errors:.*|Non-2xx.*)")


def nginx(folder: Path) -> Commands:
    def commands(ground: Ground) -> list[list[str]]:
        listen, tls = f"127.0.0.1:{ground.port} backlog=2048", ""
        if ground.tls:
            listen += " ssl"
            tls = "ssl_certificate {}; ssl_certificate_key {};".format(*ground.certificate)
            tls += "ssl_protocols TLSv1.2 TLSv1.3;"
        conf = f"""
            {"user root;" if os.geteuid() == 0 else ""}
            worker_processes 1; daemon off; pid {ground.folder}/nginx.pid;
            error_log {ground.folder}/nginx.log; events {{ worker_connections 4096; }}
            http {{ access_log off; sendfile on; tcp_nopush on; keepalive_requests 100000000;
              client_body_temp_path {ground.folder}/body; proxy_temp_path {ground.folder}/proxy;
              fastcgi_temp_path {ground.folder}/fastcgi; uwsgi_temp_path {ground.folder}/uwsgi;
              scgi_temp_path {ground.folder}/scgi;
              server {{ listen {listen}; {tls} location /s/ {{ alias {folder}/; }} }} }}"""
        return [start_nginx(ground.folder, conf)]

    return commands  # type: ignore[return-value]


def wrk(url: str, connections: int, seconds: int) -> float:
    """Requests a second."""
    command = [program("wrk"), "-t", "1", "-c", str(connections), "-d", f"{seconds}s", url]
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    if fault := _FAULTS.search(said):
        raise SystemExit(f"{url}: {fault[1]}")
    found = _RATE.search(said)
    assert found is not None, said
    return float(found[1])


@contextmanager
def both(folder: Path, *, tls: bool) -> Iterator[dict[str, Server]]:
    with ExitStack() as stack:
        ready = (f"/s/{next(folder.iterdir()).name}",)
        ours = propylon("--static", f"/s={folder}")
        yield {
            "propylon": stack.enter_context(running(ours, "hello:app", tls, ready)),
            "nginx": stack.enter_context(running(nginx(folder), "hello:app", tls, ready)),
        }


def measure(folder: Path, sizes: list[int], rounds: int, seconds: int, *, tls: bool) -> str:
    """A table in Markdown."""
    for size in sizes:
        (folder / f"{size}.bin").write_bytes(os.urandom(size))
    time.sleep(SETTLED)
    lines = [
        "| file | connections | Propylon | nginx | ratio | CPU a request | nginx's |",
        "|---|---|---|---|---|---|---|",
    ]
    with both(folder, tls=tls) as servers:
        for size in sizes:
            for connections in CONNECTIONS:
                rates: dict[str, list[float]] = {name: [] for name in servers}
                cpu: dict[str, list[float]] = {name: [] for name in servers}
                for _ in range(rounds):
                    for name, server in servers.items():
                        before = sum(server.cpu().values())
                        rate = wrk(f"{server.url}/s/{size}.bin", connections, seconds)
                        rates[name].append(rate)
                        used = sum(server.cpu().values()) - before
                        cpu[name].append(1e6 * used / rate / seconds)
                ours, theirs = rates["propylon"], rates["nginx"]
                ratio = median(a / b for a, b in zip(ours, theirs, strict=True))
                lines.append(
                    f"| {size:,} bytes | {connections} | {median(ours):,.0f}/s "
                    f"| {median(theirs):,.0f}/s | {ratio:.2f} "
                    f"| {median(cpu['propylon']):.0f} µs | {median(cpu['nginx']):.0f} µs |"
                )
                print(lines[-1], flush=True)
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench.static_files",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=2)
    parser.add_argument("--sizes", default=",".join(map(str, TARGETS)))
    parser.add_argument("--tls", action="store_true")
    parser.add_argument("--folder", type=Path, help="where the files are made (a temporary folder)")
    parser.add_argument("--markdown", type=Path)
    options = parser.parse_args()
    sizes = [int(size) for size in options.sizes.split(",")]
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        Path(folder).chmod(0o755)
        table = measure(Path(folder), sizes, options.rounds, options.seconds, tls=options.tls)
    if options.markdown is not None:
        options.markdown.write_text(table)


if __name__ == "__main__":
    main()
