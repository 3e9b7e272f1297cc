"""Real nginx and HAProxy in front, each a process of the test's own, on loopback."""

import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from .server import DEADLINE, wait_for

NGINX = shutil.which("nginx")
HAPROXY = shutil.which("haproxy")
needs_nginx = pytest.mark.skipif(NGINX is None, reason="nginx is not installed")
needs_haproxy = pytest.mark.skipif(HAPROXY is None, reason="haproxy is not installed")


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return probe.getsockname()[1]


@contextmanager
def running(command: list[str], port: int, log: Path) -> Iterator[None]:
    """The process, once its port accepts."""
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output)
    try:

        def accepts() -> bool:
            assert process.poll() is None, log.read_text()
            try:
                socket.create_connection(("127.0.0.1", port), DEADLINE).close()
            except ConnectionRefusedError:
                return False
            return True

        wait_for(accepts, f"{command[0]} on port {port}")
        yield
    finally:
        process.terminate()
        process.wait(DEADLINE)


@contextmanager
def nginx(
    folder: Path, upstream: str, *, server: str = "", location: str = "", user: str = ""
) -> Iterator[int]:
    """Its port. `upstream` as in proxy_pass; directives end in semicolons. `user`: whom its worker
    runs as, which only root can say."""
    folder.mkdir(exist_ok=True)
    port = free_port()
    processes = f"master_process on; user {user};" if user else "master_process off;"
    (folder / "nginx.conf").write_text(f"""
        daemon off; {processes} pid {folder}/pid; error_log {folder}/error.log;
        events {{ worker_connections 64; }}
        http {{
            access_log off;
            client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
            fastcgi_temp_path {folder}/fastcgi; uwsgi_temp_path {folder}/uwsgi;
            scgi_temp_path {folder}/scgi;
            server {{
                listen 127.0.0.1:{port};
                {server}
                location / {{ proxy_pass {upstream}; {location} }}
            }}
        }}
    """)
    command = [NGINX or "", "-p", str(folder), "-e", f"{folder}/error.log"]
    with running([*command, "-c", f"{folder}/nginx.conf"], port, folder / "log"):
        yield port


@contextmanager
def haproxy(
    folder: Path, server: str, *, mode: str = "tcp", bind: str = "", more: str = "", stats: int = 0
) -> Iterator[int]:
    """Its port. `server` and `bind` are what stands behind the addresses; `stats` is the port of
    its command line."""
    folder.mkdir(exist_ok=True)
    port = free_port()
    (folder / "haproxy.cfg").write_text(f"""
global
    maxconn 100
    {f"stats socket ipv4@127.0.0.1:{stats}" if stats else ""}
defaults
    mode {mode}
    timeout connect 5s
    timeout check 20s
    timeout client 20s
    timeout server 20s
frontend in
    bind 127.0.0.1:{port} {bind}
    default_backend app
backend app
    {more}
    server app {server}
""")
    with running([HAPROXY or "", "-db", "-f", f"{folder}/haproxy.cfg"], port, folder / "log"):
        yield port


def first_check(stats: int) -> str:
    """What HAProxy says of its server's first check: L4OK, L7OK, L4CON, ..."""
    return wait_for(lambda: _check_status(stats).strip("* ").replace("INI", ""), "a check")


def _check_status(stats: int) -> str:
    with socket.create_connection(("127.0.0.1", stats), DEADLINE) as sock:
        sock.sendall(b"show stat app 4 -1\n")
        text = b"".join(iter(lambda: sock.recv(65_536), b"")).decode()
    names, values, *_ = (line.split(",") for line in text.removeprefix("# ").splitlines())
    return dict(zip(names, values, strict=True))["check_status"]
