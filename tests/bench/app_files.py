"""A file of 100 MB that an app answers with, beside nginx from disk and uvicorn.

    python -m tests.bench.app_files [--rounds N] [--markdown FILE]

One client with one connection downloads the file five times and drops the bytes in the kernel
(MSG_TRUNC, tcp(7)). The servers take turns, in another order in each round. The file is in the page
cache, and its sender has one process, no access log and its defaults; nginx has `sendfile on`. The
apps are Starlette's `FileResponse` and Flask's `send_file`, which know nothing of who serves them.
The CPU time is that of all downloads, for each kind of process.
"""

import argparse
import os
import random
import socket
import statistics
import tempfile
import time
from pathlib import Path

from ..compare.ground import Commands
from ..compare.proxies import start_nginx
from .contestants import alone, propylon, uvicorn
from .machine import machine
from .servers import Ground, Server, cpu_by_role, running

SIZE = 100_000_000
DOWNLOADS = 5
REQUEST = b"GET /big HTTP/1.1\r\nHost: localhost\r\n\r\n"


def nginx(ground: Ground) -> list[list[str]]:
    conf = f"""
        worker_processes 1; daemon off; pid {ground.folder}/nginx.pid;
        error_log {ground.folder}/nginx.log; events {{ }}
        http {{
          access_log off; sendfile on; tcp_nopush on;
          server {{ listen 127.0.0.1:{ground.port}; root {os.environ["FILES_FOLDER"]}; }}
        }}"""
    return [start_nginx(ground.folder, conf)]


CONTESTANTS: dict[str, tuple[Commands, str]] = {
    "nginx, from disk": (nginx, "files:asgi"),
    "Propylon, Starlette's FileResponse": (propylon(), "files:asgi"),
    "Propylon, Flask's send_file": (propylon(), "files:wsgi"),
    "uvicorn, Starlette's FileResponse": (alone(uvicorn), "files:asgi"),
}


def download(server: Server) -> float:
    """Downloads the file, and returns megabytes a second."""
    buffer = bytearray(1 << 20)
    with socket.create_connection(("127.0.0.1", server.ground.port)) as sock:
        began = time.perf_counter()
        for _ in range(DOWNLOADS):
            sock.sendall(REQUEST)
            head = b""
            while b"\r\n\r\n" not in head:
                head += sock.recv(1_000)
            assert head.startswith(b"HTTP/1.1 200"), head
            left = SIZE - len(head.partition(b"\r\n\r\n")[2])
            while left:
                count = sock.recv_into(buffer, min(left, len(buffer)), socket.MSG_TRUNC)
                assert count, "the response was cut"
                left -= count
        return DOWNLOADS * SIZE / 1e6 / (time.perf_counter() - began)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--markdown", type=Path)
    options = parser.parse_args()
    speeds: dict[str, list[float]] = {name: [] for name in CONTESTANTS}
    used: dict[str, dict[str, float]] = {name: {} for name in CONTESTANTS}
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        Path(folder, "big").write_bytes(os.urandom(SIZE))
        os.environ["FILES_FOLDER"] = folder
        for _ in range(options.rounds):
            for name in random.sample(list(CONTESTANTS), len(CONTESTANTS)):
                commands, app = CONTESTANTS[name]
                with running(commands, app, ready=("/big",)) as server:
                    before = server.cpu()
                    speeds[name].append(download(server))
                    for role, seconds in cpu_by_role(before, server.cpu()).items():
                        used[name][role] = used[name].get(role, 0.0) + seconds
    text = table(speeds, used, options.rounds)
    print(text)
    if options.markdown:
        options.markdown.write_text(text)


def table(speeds: dict[str, list[float]], used: dict[str, dict[str, float]], rounds: int) -> str:
    medians = {name: statistics.median(found) for name, found in speeds.items()}
    first, *_, last = medians.values()
    lines = [
        "| who sends it | MB/s | of nginx | of uvicorn | CPU seconds per GB |",
        "|---|---|---|---|---|",
    ]
    gigabytes = rounds * DOWNLOADS * SIZE / 1e9
    for name, median in medians.items():
        cpu = ", ".join(f"{role} {seconds / gigabytes:.2f}" for role, seconds in used[name].items())
        lines.append(
            f"| {name} | {median:,.0f} | {median / first:.2f} | {median / last:.1f} | {cpu} |"
        )
    facts = machine({"propylon", "uvicorn"})
    lines += ["", f"{rounds} rounds; " + ", ".join(f"{key} {fact}" for key, fact in facts.items())]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
