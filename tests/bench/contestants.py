"""The servers that are compared: each is started for one app and listens on one URL.

A contestant is what somebody would run: product defaults, access log off, one worker process, and
the proxy in front with one worker of its own.
"""

import shutil
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.request import urlopen

import trustme

APPS = Path(__file__).parent / "apps"
BOOT = 20.0
"""Seconds to answer the first request."""


class Absent(Exception):
    """A program that this contestant needs is not installed."""


@dataclass(frozen=True)
class Ground:
    """What a contestant is started with."""

    app: str
    port: int
    tls: bool
    folder: Path
    """For its sockets, configuration and certificate, all its own."""

    @property
    def url(self) -> str:
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self.port}"

    @property
    def certificate(self) -> tuple[str, str]:
        """Paths of the chain and the key."""
        chain, key = self.folder / "chain.pem", self.folder / "key.pem"
        if not chain.exists():
            issued = trustme.CA(key_type=trustme.KeyType.ECDSA).issue_cert(
                "127.0.0.1", key_type=trustme.KeyType.ECDSA
            )
            key.write_bytes(issued.private_key_pem.bytes())
            chain.write_bytes(b"".join(pem.bytes() for pem in issued.cert_chain_pems))
        return str(chain), str(key)


Commands = Callable[[Ground], list[list[str]]]


def python_tool(name: str) -> str:
    path = Path(sys.executable).with_name(name)
    if not path.exists():
        raise Absent(f"{name}: pip install {name}")
    return str(path)


def program(name: str) -> str:
    path = shutil.which(name) or shutil.which(name, path="/usr/sbin")
    if path is None:
        raise Absent(name)
    return path


def propylon(*flags: str) -> Commands:
    def commands(ground: Ground) -> list[list[str]]:
        command = [python_tool("propylon"), "serve", ground.app, "--app-dir", str(APPS)]
        command += ["-b", f"127.0.0.1:{ground.port}", "--no-access-log", *flags]
        if ground.tls:
            chain, key = ground.certificate
            command += ["--ssl-certfile", chain, "--ssl-keyfile", key]
        return [command]

    return commands


def uvicorn(ground: Ground, *bind: str) -> list[str]:
    command = [python_tool("uvicorn"), ground.app, "--app-dir", str(APPS), "--no-access-log"]
    return [*command, "--log-level", "warning", *bind]


def bare_uvicorn(ground: Ground) -> list[list[str]]:
    command = uvicorn(ground, "--port", str(ground.port))
    if ground.tls:
        chain, key = ground.certificate
        command += ["--ssl-certfile", chain, "--ssl-keyfile", key]
    return [command]


def hypercorn(ground: Ground) -> list[list[str]]:
    command = [python_tool("hypercorn"), ground.app, "--worker-class", "uvloop"]
    command += ["--bind", f"127.0.0.1:{ground.port}", "--log-level", "warning"]
    if ground.tls:
        chain, key = ground.certificate
        command += ["--certfile", chain, "--keyfile", key]
    return [command]


def nginx_uvicorn(ground: Ground) -> list[list[str]]:
    sock = ground.folder / "app.sock"
    return [uvicorn(ground, "--uds", str(sock)), nginx(ground, sock)]


def nginx(ground: Ground, upstream: Path) -> list[str]:
    """nginx as its manual puts it before an app server: keep-alive to it, WebSockets upgraded."""
    tls, listen = "", f"127.0.0.1:{ground.port} backlog=2048"
    if ground.tls:
        chain, key = ground.certificate
        listen += " ssl"
        tls = f"ssl_certificate {chain}; ssl_certificate_key {key};"
    conf = ground.folder / "nginx.conf"
    conf.write_text(f"""
        worker_processes 1; daemon off; pid {ground.folder}/nginx.pid;
        error_log {ground.folder}/nginx.log;
        events {{ worker_connections 20000; }}
        http {{
          access_log off; keepalive_requests 1000000; client_max_body_size 0;
          client_body_temp_path {ground.folder}/body; proxy_temp_path {ground.folder}/proxy;
          map $http_upgrade $connection_upgrade {{ default upgrade; "" ""; }}
          upstream app {{ server unix:{upstream}; keepalive 64; }}
          server {{
            listen {listen}; {tls}
            location / {{
              proxy_pass http://app; proxy_http_version 1.1;
              proxy_set_header Host $host; proxy_set_header Upgrade $http_upgrade;
              proxy_set_header Connection $connection_upgrade;
            }}
          }}
        }}""")
    return [program("nginx"), "-c", str(conf), "-e", f"{ground.folder}/nginx.log"]


CONTESTANTS: dict[str, Commands] = {
    "propylon": propylon(),
    "propylon, h11": propylon("--http", "h11"),
    "nginx → uvicorn": nginx_uvicorn,
    "uvicorn": bare_uvicorn,
    "hypercorn": hypercorn,
}


@contextmanager
def running(commands: Commands, ground: Ground, answer: str) -> Iterator[list[int]]:
    """Its processes' pids, once `answer` (a path) is answered with 200."""
    context = ssl._create_unverified_context() if ground.tls else None
    with ExitStack() as stack:
        log = stack.enter_context((ground.folder / "log").open("w+"))
        processes: list[subprocess.Popen[bytes]] = []
        for command in commands(ground):
            process = subprocess.Popen(command, cwd=APPS, stdout=log, stderr=log)
            stack.callback(stop, process)
            processes.append(process)
        end = time.monotonic() + BOOT
        while True:
            try:
                with urlopen(ground.url + answer, context=context, timeout=5):
                    break
            except OSError as error:
                if time.monotonic() > end or any(p.poll() is not None for p in processes):
                    log.seek(0)
                    raise RuntimeError(f"does not answer: {error}\n{log.read()}") from None
                time.sleep(0.05)
        yield [process.pid for process in processes]


def stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(15)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
