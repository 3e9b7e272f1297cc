"""The worker's command line. People use `propylon worker`; this one is spoken by the supervisor."""

import argparse
from collections.abc import Sequence

from .settings import WorkerSettings


def parse(arguments: Sequence[str] | None) -> WorkerSettings:
    parser = argparse.ArgumentParser(
        prog="python -m propylon.worker", description="One worker process, hosting one app."
    )
    add = parser.add_argument
    add(
        "app", metavar="APP", help="module:attribute; the attribute is app or application if absent"
    )
    add("--run-dir", required=True, help="gateways listen in its subdirectory named as the pool")
    add("--pool", default="default")
    add("--worker-id", type=int, default=1)
    add("--child-id", type=int, default=0, help="the supervisor's number for this process")
    add("--generation", type=int, default=1)
    add("--interface", choices=("auto", "asgi", "wsgi"), default="auto")
    add("--factory", action="store_true", help="APP is called without arguments to give the app")
    add("--app-dir", default="", help="put first on sys.path; the current directory if absent")
    add("--python-path", action="append", default=[], help="put on sys.path after that")
    add("--loop", choices=("auto", "asyncio", "uvloop", "trio"), default="auto")
    add("--threads", type=_positive, default=4, help="app threads of a WSGI worker")
    add("--slots", type=int, default=0, help="calls at once per link; 0: by the interface")
    add("--lifespan", choices=("auto", "on", "off"), default="auto")
    add("--graceful-timeout", type=float, default=30.0, help="seconds that calls have to end")
    add("--heartbeat-timeout", type=float, default=30.0, help="seconds until a call is stuck")
    add("--startup-timeout", type=float, default=60.0, help="seconds until the app must be ready")
    add("--warm-up", action="append", default=[], help="path that the app is asked for before that")
    add("--max-requests", type=int, default=0, help="calls, then it asks to be replaced")
    add("--max-requests-jitter", type=int, default=0, help="at most so many more, by chance")
    add("--workers-max-rss", type=int, default=0, help="bytes, then it asks to be replaced")
    add("--workers-lifetime", type=float, default=0.0, help="seconds, likewise")
    add("--header-map", choices=("drop", "refuse", "dangerous"), default="drop")
    add("--log-level", choices=("debug", "info", "warning", "error", "critical"), default="info")
    add("--log-file", default="", help="for our own lines, instead of standard error")
    add("--log-config", default="", help="for the logging module, as JSON text")
    add("--colour", action="store_true", help="our own lines are for a terminal")
    add("--preload", action="store_true", help="load the app and fork workers when told to")
    add("--channel-fd", type=int, default=None, help="socket to the supervisor: JSON lines out")
    found = WorkerSettings(**vars(parser.parse_args(arguments)))
    if found.preload and found.channel_fd is None:
        parser.error("--preload needs a --channel-fd: without a supervisor nobody asks for workers")
    return found


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is less than 1")
    return number
