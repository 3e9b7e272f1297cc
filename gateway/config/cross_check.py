"""Faults and notes that no single value shows: whether the values agree with each other."""

import dataclasses
import os
from importlib.util import find_spec
from typing import Final

from ..settings import MOST_HEAD, RouteSettings
from .app_name import in_our_words
from .config import PoolConfig
from .faults import Fault
from .option import GATEWAY_SIDE, WORKER_SIDE, Verb
from .options import Options
from .sources import FILE, Sources
from .values import GREENLET_THREADS, GREENLETS, WORKER_CLASSES

_THREADS: Final = {"sync": 1} | dict.fromkeys(GREENLETS, GREENLET_THREADS)
"""gunicorn's worker class -> the number of threads that it stands for."""
OTEL_PACKAGES: Final = ("opentelemetry.sdk", "opentelemetry.exporter.otlp.proto.http")
"""What propylon[otel] installs."""


def apply_worker_class(options: Options, found: Sources) -> Options:
    """Fills in what a worker class (-k) stands for: --interface, --loop, and for some classes
    --threads, unless these are given at the same layer or above."""
    if options.worker_class is None:
        return options
    interface, loop = WORKER_CLASSES[options.worker_class]
    means = {
        "interface": interface,
        "loop": loop,
        "threads": _THREADS.get(options.worker_class, "auto"),
    }
    layer = found["worker_class"].layer
    spoken = {
        name: value
        for name, value in means.items()
        if value != "auto" and (name not in found or found[name].layer < layer)
    }
    return dataclasses.replace(options, **spoken)


def apply_log_format(options: Options, found: Sources) -> Options:
    """The access log is JSON where our own log is, unless --access-logformat is given."""
    if options.log_format == "text" or "access_logformat" in found:
        return options
    return dataclasses.replace(options, access_logformat=options.log_format)


def check(
    verb: Verb,
    options: Options,
    found: Sources,
    pools: list[PoolConfig],
    routes: list[RouteSettings],
    file: str = "",
) -> list[Fault]:
    """Returns every fault in how the values go together. `file` is the configuration file that was
    read, named by -c or found in the current directory; "" if there was none."""
    faults = _check_pools(pools)
    limit = options.timeout_graceful_shutdown
    if verb in GATEWAY_SIDE and options.drain_delay and options.drain_delay >= limit:
        origin = found["drain_delay"].origin
        problem = f"found {options.drain_delay:g}, which leaves nothing of {limit:g} s to finish"
        faults.append(Fault(origin, f"{problem}: see timeout-graceful-shutdown"))
    if verb in GATEWAY_SIDE:
        faults += _check_head_limits(options, found)
        faults += _check_traces(options, found)
    if verb in WORKER_SIDE:
        faults += _check_apps(verb, options, found, pools)
        faults += _check_app_beside_pools(options, found, pools, file)
        faults += _check_reload(options, found)
    if verb in GATEWAY_SIDE and len(pools) > 1 and not routes:
        problem = f"{len(pools)} pools, but no [[routes]] to say which requests go where"
        faults.append(Fault("", problem))
    if verb in ("worker", "gateway") and options.run_dir is None:
        problem = f"propylon {verb} needs it: the directory that gateway and workers share"
        faults.append(Fault("--run-dir", problem))
    return faults


def notes_on(pools: list[PoolConfig], routes: list[RouteSettings], options: Options) -> list[str]:
    """Notes about what is allowed, but perhaps not meant."""
    notes: list[str] = []
    if routes:
        routed = {route.pool for route in routes}  # "" of routes that send files only
        notes += [
            f"pool {pool.name} gets no requests: no route names it"
            for pool in pools
            if pool.name not in routed
        ]
    if options.worker_class in GREENLETS:
        notes.append(
            f"-k {options.worker_class}: there are no greenlets; each worker runs the app in "
            f"{options.threads} threads, and --threads says how many: as many as requests wait "
            "for something at once"
        )
    notes += [
        f"pool {pool.name} has limit-concurrency auto and interface wsgi: its workers take as many "
        f"requests at once as they have threads, {pool.for_workers['threads']}"
        for pool in pools
        if (pool.for_workers["limit_concurrency"], pool.for_workers["interface"])
        == ("auto", "wsgi")
    ]
    if options.app.endswith("()"):
        notes.append(f"{options.app} is taken as {options.app[:-2]} --factory")
    if not options.reload and (options.reload_dir or options.reload_include):
        notes.append("files are not watched: --reload is not given")
    return notes


def notes_on_ranges(verb: Verb, pools: list[PoolConfig]) -> list[str]:
    """Notes on pools that will not move within their range: how long requests wait is seen where
    the gateway is."""
    if verb != "worker":
        return []
    return [
        f"pool {pool.name} has {pool.workers_text}: it starts {pool.workers} and stays there, "
        "since only propylon serve sees how long requests wait; propylon scale, or more "
        "containers, change it"
        for pool in pools
        if pool.scales
    ]


def _check_head_limits(options: Options, found: Sources) -> list[Fault]:
    """A request's head travels to its worker in one message, which bounds the head's size."""
    size = options.limit_request_line + options.limit_request_field_size
    if size <= MOST_HEAD:
        return []
    larger = max(
        ("limit_request_line", "limit_request_field_size"), key=lambda name: getattr(options, name)
    )
    problem = (
        f"found {getattr(options, larger)}; request line and one field are {MOST_HEAD} bytes "
        "together at most, which is what can travel to a worker"
    )
    return [Fault(found[larger].origin, problem)]


def _check_pools(pools: list[PoolConfig]) -> list[Fault]:
    return [
        Fault(
            "--loop" if len(pools) == 1 else f"pool {pool.name}",
            "found 'trio' with interface wsgi; a WSGI app runs in threads, not on a loop",
        )
        for pool in pools
        if (pool.for_workers["loop"], pool.for_workers["interface"]) == ("trio", "wsgi")
    ]


def _check_apps(
    verb: Verb, options: Options, found: Sources, pools: list[PoolConfig]
) -> list[Fault]:
    faults: list[Fault] = []
    for pool in pools:
        if not pool.app and "app" not in found:
            faults.append(
                Fault("", f"no app is named; say which: propylon {verb} main:app")
                if len(pools) == 1
                else Fault(f"pool {pool.name}", "it has no app")
            )
        if not os.path.isdir(pool.app_dir):
            origin = found["app_dir"].origin if "app_dir" in found else f"pool {pool.name}"
            faults.append(Fault(origin, f"found {pool.app_dir!r}, which is no directory"))
    return faults


def _check_app_beside_pools(
    options: Options, found: Sources, pools: list[PoolConfig], file: str
) -> list[Fault]:
    given = found.get("app")
    app = in_our_words(options.app)["app"]
    if not given or given.layer <= FILE or any(pool.app == app for pool in pools):
        return []
    problem = (
        f"found {given.value!r}, but every one of the [[pools]] of {file} has an app of its own; "
        "leave it out, or name another file by -c"
    )
    return [Fault(given.origin, problem)]


def _check_traces(options: Options, found: Sources) -> list[Fault]:
    if options.traces == "off" or _are_there(*OTEL_PACKAGES):
        return []
    problem = "it needs OpenTelemetry's packages: pip install 'propylon[otel]'"
    return [Fault(found["traces"].origin, problem)]


def _are_there(*packages: str) -> bool:
    """Whether all of the packages are installed."""
    try:
        return all(find_spec(name) is not None for name in packages)
    except ImportError:  # a package above one of them is missing
        return False


def _check_reload(options: Options, found: Sources) -> list[Fault]:
    if not options.reload:
        return []
    faults = [
        Fault(found["reload_dir"].origin, f"found {path!r}, which is no directory")
        for path in options.reload_dir
        if not os.path.isdir(path)
    ]
    if find_spec("watchfiles") is None:
        problem = "it needs the package watchfiles: pip install propylon[reload]"
        faults.append(Fault(found["reload"].origin, problem))
    return faults
