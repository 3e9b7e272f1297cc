"""The app servers beside us, each as somebody would run it: product defaults, no access log.

What a comparison has to say besides (workers, time limits, the app's interface) are its flags.
"""

from typing import Literal

from .ground import Ground
from .processes import python_tool

Where = Literal["tcp", "socket"]
"""Whom it listens to: the ground's port, or its Unix socket, where a proxy stands in front."""


def uvicorn(ground: Ground, app: str, where: Where, *flags: str) -> list[str]:
    command = [python_tool("uvicorn"), app, "--no-access-log", "--log-level", "warning", *flags]
    if where == "socket":
        return [*command, "--uds", str(ground.socket)]
    tls = ground.tls_flags("--ssl-certfile", "--ssl-keyfile")
    return [*command, "--port", str(ground.port), *tls]


def granian(ground: Ground, app: str, where: Where, *flags: str) -> list[str]:
    command = [python_tool("granian"), app, "--log-level", "warning", *flags]
    if where == "socket":
        return [*command, "--uds", str(ground.socket), "--uds-permissions", "0o777"]
    tls = ground.tls_flags("--ssl-certificate", "--ssl-keyfile")
    return [*command, "--port", str(ground.port), *tls]


def hypercorn(ground: Ground, app: str, *flags: str) -> list[str]:
    tls = ground.tls_flags("--certfile", "--keyfile")
    bind = ["--bind", ground.bind, "--log-level", "warning"]
    return [python_tool("hypercorn"), app, *bind, *flags, *tls]


def gunicorn(ground: Ground, app: str, where: Where, *flags: str) -> list[str]:
    bind = f"unix:{ground.socket}" if where == "socket" else ground.bind
    tls = ground.tls_flags("--certfile", "--keyfile") if where == "tcp" else []
    return [
        python_tool("gunicorn"), app, "--bind", bind, "--log-level", "warning",
        "--worker-tmp-dir", str(ground.folder), *flags, *tls,
    ]  # fmt: skip


def propylon(ground: Ground, *flags: str) -> list[str]:
    """Its log, and the app, are the comparison's to say."""
    command = [python_tool("propylon"), "serve", "-b", ground.bind]
    command += ["--run-dir", str(ground.folder / "run"), *flags]
    return command + ground.tls_flags("--ssl-certfile", "--ssl-keyfile")
