"""Who is tried, each as somebody would run it, with what it has of the variant's settings."""

import asyncio
import json
import signal
import subprocess
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from ..compare import peers
from ..compare.ground import Commands
from ..compare.peers import Where
from ..compare.processes import python_tool
from ..compare.proxies import nginx
from ..end_to_end.server import descendants, wait_for
from .servers import Ground, Server

ASGI, WSGI = "apps.asgi:app", "apps.wsgi:app"
THREADS = 32
"""Of a WSGI worker: every slow client takes one where nobody stands in front."""

Backend = Callable[[Ground, Where], list[str]]
"""An app server's command."""
Reload = Callable[[Server], Awaitable[int | None]]


async def hang_up(server: Server) -> None:
    """SIGHUP says nothing of how it went."""
    server.signal(signal.SIGHUP)


@dataclass(frozen=True, kw_only=True)
class Contestant:
    commands: Commands
    asgi: bool = True
    http2: bool = False
    """Whether it speaks HTTP/2 without TLS, to clients that begin with it."""
    reload: Reload = hang_up
    """Has the new code served. Its exit code, of a command that waits."""
    gateways: Callable[[Server], list[int]] | None = None
    """The processes that hold clients' connections, where they are not the app's."""
    upgrade: Callable[[Server], Awaitable[str]] | None = None
    """Replaces the server's own processes. Returns what went wrong."""
    stop_signals: tuple[int, ...] = (signal.SIGTERM,)
    """One per command."""
    packages: tuple[str, ...] = ()
    """Programs whose versions are stated."""

    def has(self, need: str) -> bool:
        return {
            "": True,
            "reload": True,
            "lifespan": self.asgi,
            "one supervisor": len(self.stop_signals) == 1,
            "gateway": self.gateways is not None,
            "upgrade": self.upgrade is not None,
        }[need]


# -- Propylon --------------------------------------------------------------------------------


@cache
def help_of(*verb: str) -> str:
    done = subprocess.run(
        [python_tool("propylon"), *verb, "--help"], capture_output=True, text=True
    )
    return done.stdout


def has_verb(name: str) -> bool:
    return any(line.split()[:1] == [name] for line in help_of().splitlines())


def propylon(*flags: str) -> Commands:
    def commands(ground: Ground) -> list[list[str]]:
        settings = ground.settings
        given = {
            "--workers": settings.workers,
            "--timeout-graceful-shutdown": settings.graceful,
            "--startup-timeout": settings.startup,
        }
        if settings.heartbeat is not None:
            given["--heartbeat-timeout"] = settings.heartbeat
        if settings.limit is not None:
            given |= {"--limit-concurrency": settings.limit}
            given |= {"--queue-size": 4 * settings.limit, "--queue-timeout": 2}
        if settings.warm_up:
            given["--warm-up"] = "/quick"
        # What this version does not have yet is left out, and the table says what that costs.
        known = {name: value for name, value in given.items() if name in help_of("serve")}
        told = [word for name, value in known.items() for word in (name, str(value))]
        told += ["--h2c", "prior-knowledge"]
        return [peers.propylon(ground, *told, "--no-access-log", *flags)]

    return commands


async def propylon_reload(server: Server) -> int | None:
    if not has_verb("reload"):
        return await hang_up(server)
    return (await told(server, "reload"))[0]


async def propylon_upgrade(server: Server) -> str:
    code, text = await told(server, "upgrade")
    if code == 0 and has_verb("status"):  # another process may be the supervisor now
        code, text = await told(server, "status", "--json")
        server.main = json.loads(text)["pid"] if code == 0 else server.main
    return "" if code == 0 else f"exit code {code}: {text}"


async def told(server: Server, verb: str, *more: str) -> tuple[int, str]:
    """`propylon VERB` of this instance: its exit code and what it wrote."""
    process = await asyncio.create_subprocess_exec(
        python_tool("propylon"), verb, "--run-dir", str(server.ground.folder / "run"), *more,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        env=server.ground.environment,
    )  # fmt: skip
    output, _ = await process.communicate()
    server.append_to_log(b"propylon %b said: %b\n" % (verb.encode(), output))
    assert process.returncode is not None
    return process.returncode, output.decode()


def propylon_gateways(server: Server) -> list[int]:
    return server.find("propylon.gateway.process")


# -- its peers -------------------------------------------------------------------------------


def gunicorn(app: str, *flags: str) -> Backend:
    def command(ground: Ground, where: Where) -> list[str]:
        settings = ground.settings
        return peers.gunicorn(
            ground, app, where,
            "--workers", str(settings.workers), "--graceful-timeout", f"{settings.graceful:.0f}",
            "--timeout", f"{settings.heartbeat or 30:.0f}",
            "--pid", str(ground.folder / "gunicorn.pid"), *flags,
        )  # fmt: skip

    return command


def uvicorn(ground: Ground, where: Where) -> list[str]:
    settings = ground.settings
    limit = [] if settings.limit is None else ["--limit-concurrency", str(settings.limit)]
    return peers.uvicorn(
        ground, ASGI, where, "--workers", str(settings.workers),
        "--timeout-graceful-shutdown", f"{settings.graceful:.0f}",
        "--timeout-worker-healthcheck", f"{settings.heartbeat or settings.startup:.0f}", *limit,
    )  # fmt: skip


def granian(ground: Ground, where: Where) -> list[str]:
    settings = ground.settings
    limit = [] if settings.limit is None else ["--backpressure", str(settings.limit)]
    return peers.granian(
        ground, ASGI, where, "--interface", "asgi", "--workers", str(settings.workers),
        "--workers-kill-timeout", f"{settings.graceful:.0f}",
        "--respawn-failed-workers", "--respawn-interval", "0.5", *limit,
    )  # fmt: skip


def hypercorn(ground: Ground, _: Where) -> list[str]:
    settings = ground.settings
    return peers.hypercorn(
        ground, ASGI, "--workers", str(settings.workers),
        "--graceful-timeout", f"{settings.graceful:.0f}",
    )  # fmt: skip


def alone(server: Backend) -> Commands:
    return lambda ground: [server(ground, "tcp")]


def behind_nginx(server: Backend) -> Commands:
    return nginx(
        lambda ground: [server(ground, "socket")],
        shutdown=lambda ground: ground.settings.graceful,
    )


def nginx_workers(server: Server) -> list[int]:
    return list(descendants(server.processes[1].pid))


async def gunicorn_upgrade(server: Server) -> str:
    """As its manual has it: USR2, and when the new master's workers are there, TERM."""
    pid_file = server.ground.folder / "gunicorn.pid"
    old, new = server.main, Path(f"{pid_file}.2")
    server.signal(signal.SIGUSR2)
    workers = server.ground.settings.workers

    def booted() -> int:
        pid = int(new.read_text() or 0) if new.exists() else 0
        return pid if pid and len(descendants(pid)) >= workers else 0

    try:
        pid = await asyncio.to_thread(wait_for, booted, "a new master", 10.0)
    except AssertionError as error:
        return str(error)
    await asyncio.sleep(1.0)  # gunicorn does not say when its workers are ready
    server.main = old
    server.signal(signal.SIGTERM)
    server.main = pid
    return ""


GTHREAD = gunicorn(WSGI, "-k", "gthread", "--threads", str(THREADS))
GASGI = gunicorn(ASGI, "-k", "asgi")
BEHIND = (signal.SIGTERM, signal.SIGQUIT)

CONTESTANTS: dict[str, Contestant] = {
    "propylon": Contestant(
        commands=propylon(ASGI), http2=True, reload=propylon_reload, gateways=propylon_gateways,
        upgrade=propylon_upgrade if has_verb("upgrade") else None, packages=("propylon",),
    ),
    "propylon wsgi": Contestant(
        commands=propylon(WSGI, "--interface", "wsgi", "--threads", str(THREADS)), asgi=False,
        http2=True, reload=propylon_reload, gateways=propylon_gateways,
        upgrade=propylon_upgrade if has_verb("upgrade") else None, packages=("propylon",),
    ),
    "gunicorn gthread": Contestant(
        commands=alone(GTHREAD), asgi=False, upgrade=gunicorn_upgrade, packages=("gunicorn",)
    ),
    "gunicorn asgi": Contestant(
        commands=alone(GASGI), upgrade=gunicorn_upgrade, packages=("gunicorn",)
    ),
    "uvicorn": Contestant(
        commands=alone(uvicorn), packages=("uvicorn",)
    ),
    "granian": Contestant(commands=alone(granian), http2=True, packages=("granian",)),
    "hypercorn": Contestant(commands=alone(hypercorn), http2=True, packages=("hypercorn",)),
    "nginx → gunicorn": Contestant(
        commands=behind_nginx(GTHREAD), asgi=False, upgrade=gunicorn_upgrade,
        gateways=nginx_workers, stop_signals=BEHIND, packages=("nginx", "gunicorn"),
    ),
    "nginx → uvicorn": Contestant(
        commands=behind_nginx(uvicorn),
        gateways=nginx_workers, stop_signals=BEHIND, packages=("nginx", "uvicorn"),
    ),
}  # fmt: skip
