"""The settings of a worker process: one JSON object, which its supervisor sends at the start.

A field that is an option of a pool has the name that it has in the table of options
(`gateway.config.options`), and comes from there under that name. A missing field has its default
and an unknown one is ignored, so that a supervisor and a worker of different versions understand
each other.
"""

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path
from typing import Any, Final, Literal, Union, cast, get_args, get_origin, get_type_hints

AUTO_SLOTS: Final = 10_000
"""Calls that an ASGI worker runs at once on one link by default. A call that waits costs a few
kilobytes, so the gateway's own limits are the ones that count."""


class SettingsError(Exception):
    """These are not the settings of a worker. The message is a sentence."""


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
    replica: str = ""
    """What names the replica to gateways, also when this process was replaced; "" without a
    supervisor. It is a secret of ours and theirs."""
    child_id: int = 0
    """The supervisor's number for this process; 0 without a supervisor."""
    generation: int = 1
    interface: Literal["auto", "asgi", "wsgi"] = "auto"
    factory: bool = False
    app_dir: str = ""
    """The directory that is put first on sys.path; "" means the current directory."""
    pythonpath: Sequence[str] = ()
    """Further directories, which are put on sys.path behind `app_dir`."""
    loop: Loop = "auto"
    threads: int = 4
    """Threads of a WSGI worker that run the app."""
    limit_concurrency: int | Literal["auto"] = 0
    """Calls at once on each link; 0 means AUTO_SLOTS for ASGI and the number of threads for WSGI.
    `auto` means the same for WSGI. For ASGI the limit of all links together is sought (see
    `host.adaptive_limit`)."""
    first_limit: int = 0
    """Where that begins: what other workers of the pool have found; 0 if none has."""
    weight: int = 1
    """Its share of the calls beside the other workers of a gateway, 1 to 100."""
    label: Sequence[str] = ()
    """NAME=VALUE texts for the gateways' status."""
    lifespan: LifespanMode = "auto"
    graceful_timeout: float = 30.0
    """Seconds that calls have to end after SIGTERM. New ones come until the gateways let the worker
    go."""
    startup_timeout: float = 60.0
    """Seconds from the process's start to READY, as the supervisor counts them."""
    started: float = field(default_factory=time.monotonic)
    """Monotonic seconds when these settings were made, just after the process has started."""
    warm_up: Sequence[str] = ()
    """Paths that the worker requests from its app before READY."""
    heartbeat_timeout: float = 30.0
    """Seconds after which an abandoned call that goes on although its time is over (see
    `host.abandoned_calls`) counts as stuck; 0 means never. In a WSGI worker none counts as stuck
    while another thread serves."""
    max_requests: int = 0
    """Calls after which the worker asks to be replaced. 0 means never, here and in the next
    fields."""
    max_requests_jitter: int = 0
    """The most calls that are added to that limit at random."""
    workers_max_rss: int = 0
    """Bytes of resident memory after which the worker asks to be replaced."""
    workers_lifetime: float = 0.0
    """Seconds after which the worker asks to be replaced."""
    header_map: Literal["drop", "refuse", "dangerous"] = "drop"
    """With `dangerous` a WSGI environ takes fields with an underscore in their names. Otherwise the
    gateways, which have the same setting, drop or refuse them."""
    log_level: str = "info"
    log_format: Literal["text", "json"] = "text"
    log_sender: str = ""
    """What names the process in lines of text, as `worker 2`; "" if there is only one."""
    log_file: str = ""
    """The file for the worker's own log; "" means standard error."""
    log_config: str = ""
    """--log-config as JSON text, for `own_log.configure`; "" if it was not given."""
    colour: bool = False
    """Whether the worker's own log has colours."""
    development: bool = False
    """Whether it runs with --reload, where apps may send `http.response.debug`."""
    zygote: bool = False
    """Whether this process only loads the app, and workers are forked from it (--preload)."""

    @property
    def pool_dir(self) -> Path:
        return Path(self.run_dir, self.pool)

    @property
    def ready_by(self) -> float:
        """Monotonic seconds by which the app has to be ready. It is a little earlier than the
        supervisor's own limit, so that the worker can still report what took so long."""
        return self.started + 0.9 * self.startup_timeout

    def seeks_limit(self, interface: str) -> bool:
        """Whether a worker with an app of this interface seeks its limit."""
        return self.limit_concurrency == "auto" and interface == "asgi"

    def slots_for(self, interface: Interface) -> int:
        """Calls at once on each link, where no limit is sought; else the most."""
        if self.limit_concurrency == "auto" or not self.limit_concurrency:
            return AUTO_SLOTS if interface == "asgi" else self.threads
        return self.limit_concurrency


def decode_settings(data: bytes) -> WorkerSettings:
    """Reads settings from JSON. Raises SettingsError."""
    try:
        told: object = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise SettingsError(f"a worker's settings are a JSON object: {error}") from None
    if not isinstance(told, dict):
        raise SettingsError(f"a worker's settings are a JSON object, and no {type(told).__name__}")
    return settings_of(cast("dict[str, Any]", told))


def settings_of(told: Mapping[str, Any]) -> WorkerSettings:
    """Makes settings of a JSON object. Raises SettingsError."""
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
    """Returns a value as the type of its field. Raises SettingsError."""
    choices = get_args(kind) if get_origin(kind) is Literal else ()
    if get_origin(kind) is Union:
        fits, wanted = type(value) is int or value == "auto", "a whole number or auto"
    elif choices:
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
