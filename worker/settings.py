"""What a worker process is told when it starts: one JSON object, from its supervisor.

A field that is an option of a pool is named as in the options' table (`gateway.config.options`),
and comes from there under that name. What is left out has its default, and what is unknown is
ignored, so that a supervisor and a worker of different versions understand each other.
"""

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path
from typing import Any, Final, Literal, cast, get_args, get_origin, get_type_hints

AUTO_SLOTS: Final = 10_000
"""Calls that an ASGI worker is willing to run at once on one link, unless told otherwise: a call
that waits costs a few kilobytes, so the gateway's own limits are the ones that count."""


class SettingsError(Exception):
    """Why these are no settings of a worker, as a sentence."""


Interface = Literal["asgi", "wsgi"]
Loop = Literal["auto", "asyncio", "uvloop", "trio"]
LifespanMode = Literal["auto", "on", "off"]


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerSettings:
    app: str
    """`module:attr`, `module:attr.attr` or `module`."""
    run_dir: str
    """Gateways listen on `<run_dir>/<pool>/*.sock`."""
    pool: str = "default"
    worker_id: int = 1
    child_id: int = 0
    """Which of all the processes that its supervisor ever started; 0: it has none."""
    generation: int = 1
    interface: Literal["auto", "asgi", "wsgi"] = "auto"
    factory: bool = False
    app_dir: str = ""
    """Put first on sys.path; "" is the current directory."""
    pythonpath: Sequence[str] = ()
    """More directories, put on sys.path after it."""
    loop: Loop = "auto"
    threads: int = 4
    """App threads of a WSGI worker."""
    limit_concurrency: int = 0
    """Calls at once, per link; 0: AUTO_SLOTS for ASGI, the number of threads for WSGI."""
    lifespan: LifespanMode = "auto"
    graceful_timeout: float = 30.0
    """Seconds that calls have to end after SIGTERM. New ones come until the gateways let go."""
    startup_timeout: float = 60.0
    """Seconds from the process's start to READY, as the supervisor counts them."""
    started: float = field(default_factory=time.monotonic)
    """When these settings were made: the process has just started."""
    warm_up: Sequence[str] = ()
    """Paths that the app is asked for before READY."""
    heartbeat_timeout: float = 30.0
    """Seconds after which a call that nobody waits for any more, and that goes on although its time
    is over (see `abandoned`), counts as stuck; 0: never. In a WSGI worker none does while a thread
    serves."""
    max_requests: int = 0
    """Calls after which the worker asks to be replaced; 0: never, as in the next ones."""
    max_requests_jitter: int = 0
    """At most so many more, by chance."""
    workers_max_rss: int = 0
    """Bytes of resident memory."""
    workers_lifetime: float = 0.0
    """Seconds."""
    header_map: Literal["drop", "refuse", "dangerous"] = "drop"
    """dangerous: a WSGI environ takes fields whose names have an underscore. The gateways, which
    are told the same, drop or refuse them otherwise."""
    log_level: str = "info"
    log_file: str = ""
    """Where our own lines go; "" is standard error."""
    log_config: str = ""
    """What `own_log.configure` takes; "": nothing."""
    colour: bool = False
    """Whether they are coloured."""
    zygote: bool = False
    """To load the app only, and have workers forked from this process (--preload)."""

    @property
    def pool_dir(self) -> Path:
        return Path(self.run_dir, self.pool)

    @property
    def ready_by(self) -> float:
        """A time by the monotonic clock: a little earlier than the supervisor loses its patience,
        so that there is still somebody who says what took so long."""
        return self.started + 0.9 * self.startup_timeout

    def slots_for(self, interface: Interface) -> int:
        return self.limit_concurrency or (AUTO_SLOTS if interface == "asgi" else self.threads)


def decode_settings(data: bytes) -> WorkerSettings:
    """Raises SettingsError."""
    try:
        told: object = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise SettingsError(f"a worker's settings are a JSON object: {error}") from None
    if not isinstance(told, dict):
        raise SettingsError(f"a worker's settings are a JSON object, and no {type(told).__name__}")
    return settings_of(cast("dict[str, Any]", told))


def settings_of(told: Mapping[str, Any]) -> WorkerSettings:
    """Of what JSON has made of them. Raises SettingsError."""
    kinds = get_type_hints(WorkerSettings)
    found: dict[str, Any] = {}
    for each in fields(WorkerSettings):
        if each.name in told:
            found[each.name] = _value(each.name, kinds[each.name], told[each.name])
        elif each.default is MISSING and each.default_factory is MISSING:
            raise SettingsError(f"a worker's settings lack {each.name}")
    settings = WorkerSettings(**found)
    if settings.threads < 1:
        raise SettingsError(f"a worker's setting threads: {settings.threads} is less than 1")
    return settings


def _value(name: str, kind: Any, value: Any) -> Any:
    """The value as its field has it. Raises SettingsError."""
    choices = get_args(kind) if get_origin(kind) is Literal else ()
    if choices:
        fits, wanted = value in choices, f"one of {', '.join(choices)}"
    elif get_origin(kind) is Sequence:
        items = cast("list[object]", value) if isinstance(value, list) else [None]
        fits, wanted = all(isinstance(item, str) for item in items), "a list of texts"
    elif kind is float:
        fits, wanted = type(value) in (int, float), "a number"
    else:
        fits, wanted = type(value) is kind, f"of type {kind.__name__}"
    if not fits:
        raise SettingsError(f"a worker's setting {name} is {value!r}, and not {wanted}")
    return tuple(cast("list[str]", value)) if isinstance(value, list) else value
