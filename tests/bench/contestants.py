"""Who is compared: each is started for one app and faces its clients on one port.

A contestant is what somebody would run: product defaults, access log off, one worker process
unless its name says more, and a proxy in front with one worker of its own. Its name is how the
command line calls it; "nginx-uvicorn" is nginx in front of uvicorn.
"""

from collections.abc import Callable
from dataclasses import dataclass

from ..compare import peers
from ..compare.ground import Commands
from ..compare.peers import Where
from ..compare.processes import python_tool
from ..compare.proxies import caddy, haproxy, nginx
from .servers import APPS, Ground

THREADS = 4
"""Of a WSGI worker."""
Backend = Callable[[Ground, Where], list[str]]
"""An app server's command; its flags depend on whether it listens to "tcp" or a Unix "socket"."""


@dataclass(frozen=True)
class Contestant:
    commands: Commands
    can: frozenset[str]
    """Of "asgi", "wsgi", "tls" and "websocket"."""
    packages: tuple[str, ...]
    """Programs whose versions are stated."""


# -- Propylon --------------------------------------------------------------------------------


def propylon(*flags: str, pools: int = 1, routes: int = 0, log: bool = False) -> Commands:
    """`routes` lead to the pools in turn, each from a prefix of its own: /r0, /r1 and so on."""

    def commands(ground: Ground) -> list[list[str]]:
        command = peers.propylon(ground, *flags)
        if log:
            command += ["--access-logfile", str(ground.folder / "access.log")]
            command += ["--access-logformat", "json"]
        else:
            command += ["--no-access-log"]
        if ground.wsgi:
            command += ["--threads", str(THREADS)]
        if routes:
            path = ground.folder / "propylon.toml"
            path.write_text(toml(ground.app, pools, routes))
            return [[*command, "-c", str(path)]]
        return [[*command, ground.app, "--app-dir", str(APPS)]]

    return commands


def toml(app: str, pools: int, routes: int) -> str:
    text = "".join(
        f'[[pools]]\nname = "p{pool}"\napp = "{app}"\napp_dir = "{APPS}"\n' for pool in range(pools)
    )
    return text + "".join(
        f'[[routes]]\nprefix = "/r{route}"\npool = "p{route % pools}"\n' for route in range(routes)
    )


# -- app servers -----------------------------------------------------------------------------


def uvicorn(ground: Ground, where: Where, *flags: str) -> list[str]:
    return peers.uvicorn(ground, ground.app, where, *flags)


def granian(ground: Ground, where: Where, *flags: str) -> list[str]:
    interface = ["--interface", "wsgi" if ground.wsgi else "asgi"]
    if ground.wsgi:
        interface += ["--blocking-threads", str(THREADS)]
    return peers.granian(ground, ground.app, where, *interface, *flags)


def hypercorn(kind: str) -> Backend:
    return lambda ground, _: peers.hypercorn(ground, ground.app, "--worker-class", kind)


def gunicorn(kind: str) -> Backend:
    threads = ["--threads", str(THREADS)] if kind == "gthread" else []
    return lambda ground, where: peers.gunicorn(ground, ground.app, where, "-k", kind, *threads)


def daphne(ground: Ground, _: str) -> list[str]:
    return [
        python_tool("daphne"), ground.app, "-v", "0", "-b", "127.0.0.1", "-p", str(ground.port)
    ]  # fmt: skip


def uwsgi(ground: Ground) -> list[list[str]]:
    """Its own HTTP router before one worker: the `--http` of its quickstart, and keep-alive."""
    return [[
        python_tool("uwsgi"), "--http", ground.bind, "--http-keepalive", "--module", ground.app,
        "--master", "--processes", "1", "--threads", str(THREADS), "--enable-threads",
        "--disable-logging", "--die-on-term",
    ]]  # fmt: skip


def alone(server: Backend, *flags: str) -> Commands:
    return lambda ground: [[*server(ground, "tcp"), *flags]]


def behind(server: Backend) -> Commands:
    return lambda ground: [server(ground, "socket")]


# -- the table -------------------------------------------------------------------------------

ASGI = frozenset({"asgi", "websocket"})
WSGI = frozenset({"wsgi"})
TLS = frozenset({"tls"})
GTHREAD, GASGI = gunicorn("gthread"), gunicorn("asgi")
OURS = ("propylon",)

CONTESTANTS: dict[str, Contestant] = {
    "propylon": Contestant(propylon(), ASGI | WSGI | TLS, OURS),
    "propylon-2-gateways": Contestant(propylon("--gateways", "2"), ASGI | WSGI | TLS, OURS),
    "propylon-2-workers": Contestant(propylon("-w", "2"), ASGI | WSGI | TLS, OURS),
    "propylon-h11": Contestant(propylon("--http", "h11"), ASGI | WSGI | TLS, OURS),
    "propylon-2-gateways-h11": Contestant(
        propylon("--http", "h11", "--gateways", "2"), ASGI | WSGI | TLS, OURS
    ),
    "propylon-access-log": Contestant(propylon(log=True), ASGI | WSGI | TLS, OURS),
    "propylon-64-routes": Contestant(propylon(routes=64), ASGI | WSGI, OURS),
    "propylon-8-pools": Contestant(propylon(pools=8, routes=64), ASGI | WSGI, OURS),
    "propylon-64-pools": Contestant(propylon(pools=64, routes=64), ASGI | WSGI, OURS),
    "nginx-uvicorn": Contestant(nginx(behind(uvicorn)), ASGI | TLS, ("nginx", "uvicorn")),
    "nginx-uvicorn-access-log": Contestant(
        nginx(behind(uvicorn), access_log=True), ASGI | TLS, ("nginx", "uvicorn")
    ),
    "nginx-uvicorn-64-locations": Contestant(
        nginx(behind(uvicorn), locations=64), ASGI, ("nginx", "uvicorn")
    ),
    "nginx-gunicorn-gthread": Contestant(
        nginx(behind(GTHREAD)), WSGI | TLS, ("nginx", "gunicorn")
    ),
    "nginx-gunicorn-asgi": Contestant(nginx(behind(GASGI)), ASGI | TLS, ("nginx", "gunicorn")),
    "nginx-granian": Contestant(
        nginx(behind(granian)), ASGI | WSGI | TLS, ("nginx", "granian")
    ),
    "haproxy-uvicorn": Contestant(haproxy(behind(uvicorn)), ASGI | TLS, ("haproxy", "uvicorn")),
    "caddy-uvicorn": Contestant(caddy(behind(uvicorn)), ASGI | TLS, ("caddy", "uvicorn")),
    "uwsgi": Contestant(uwsgi, WSGI, ("uwsgi",)),
    "uvicorn": Contestant(alone(uvicorn), ASGI | TLS, ("uvicorn",)),
    "uvicorn-2-workers": Contestant(alone(uvicorn, "--workers", "2"), ASGI | TLS, ("uvicorn",)),
    "uvicorn-3-workers": Contestant(alone(uvicorn, "--workers", "3"), ASGI | TLS, ("uvicorn",)),
    "granian": Contestant(alone(granian), ASGI | WSGI | TLS, ("granian",)),
    "granian-2-workers": Contestant(
        alone(granian, "--workers", "2"), ASGI | WSGI | TLS, ("granian",)
    ),
    "granian-3-workers": Contestant(
        alone(granian, "--workers", "3"), ASGI | WSGI | TLS, ("granian",)
    ),
    "hypercorn-asyncio": Contestant(alone(hypercorn("asyncio")), ASGI | TLS, ("hypercorn",)),
    "hypercorn-trio": Contestant(alone(hypercorn("trio")), ASGI | TLS, ("hypercorn",)),
    "gunicorn-gthread": Contestant(alone(GTHREAD), WSGI | TLS, ("gunicorn",)),
    "gunicorn-asgi": Contestant(alone(GASGI), ASGI | TLS, ("gunicorn",)),
    "daphne": Contestant(alone(daphne), ASGI, ("daphne",)),
}  # fmt: skip


def title(name: str) -> str:
    """As tables write it: "nginx → uvicorn"."""
    for proxy in ("nginx", "haproxy", "caddy"):
        if name.startswith(proxy + "-"):
            return f"{proxy} → {name.removeprefix(proxy + '-').replace('-', ' ')}"
    return name.replace("-", " ")
