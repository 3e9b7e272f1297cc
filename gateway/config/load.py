"""Flags, environment and TOML become one `Config`, or a list of every fault.

A flag wins over an environment variable, a variable over the TOML file, and the file over the
default. A key of a [[pools]] entry is nearer to its pool than any of these and wins for that pool.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from ..listen.address import Address
from ..listen.connections_bound import in_memory
from ..listen.descriptors import hard_descriptor_limit
from ..settings import (
    AdminSettings,
    BufferSettings,
    HttpSettings,
    LogSettings,
    PoolSettings,
    RouteSettings,
    ServeSettings,
    TraceSettings,
    TrustSettings,
    WebSocketSettings,
)
from .addresses import admin_addresses, listen_addresses
from .config import Config, PoolConfig, ReloadConfig
from .cross_check import apply_log_format, apply_worker_class, check, notes_on, notes_on_ranges
from .descriptors_note import Files, files_of_clients, notes_on_descriptors
from .environment import app_environment
from .faults import ConfigError, Fault, nearest
from .http2 import check_http2, http2_settings, notes_on_http2
from .identity import Identity, identity
from .log_config import read_log_config
from .memory import memory_limit, memory_of_machine
from .memory_share import notes_on_memory, share_memory, without_workers
from .migrate import MigrateError, migrate
from .option import GATEWAY_SIDE, WORKER_SIDE, Verb
from .options import Options, table
from .reading import Reading
from .sections import read_pools, read_routes, top_level_pool
from .sources import (
    DEFAULT_FILE,
    Found,
    Sources,
    TomlFile,
    from_environ,
    from_flags,
    from_toml,
    of_text,
)
from .static_routes import routes_of_option
from .tls import check_tls, notes_on_tls, tls_settings
from .translate import translate
from .trust import notes_on_trust, trust_settings


@dataclass(frozen=True, slots=True)
class Loaded:
    config: Config
    options: Options
    """The final value of every option at the top level."""
    origins: Mapping[str, Found]
    """Field -> the place of its value. Fields that have their default are absent."""
    file: str = ""
    """The configuration file that was read; "" if there was none."""
    notes: tuple[str, ...] = ()
    """Sentences about what is allowed, but perhaps not meant."""


def load(
    verb: Verb,
    flags: Mapping[str, Any],
    environ: Mapping[str, str],
    file: str | None = None,
) -> Loaded:
    """Reads and checks everything. `flags` are texts by field name; `file` is what -c names. Raises
    ConfigError with every fault."""
    reading = Reading()
    path = (file or environ.get("PROPYLON_CONFIG") or "").removeprefix("file:")  # as hypercorn's
    if not path and os.path.exists(DEFAULT_FILE):
        path = DEFAULT_FILE
    toml = _file(path, reading) if path else TomlFile()
    found = toml.values | from_environ(environ, reading.notes) | from_flags(flags, reading.faults)
    translate(found, reading, environ)
    options = Options(
        **{
            name: reading.value(row, found[name]) if name in found else row.default
            for name, row in table().items()
        }
    )
    options = apply_log_format(apply_worker_class(options, found), found)
    if toml.broken:  # what seems to be missing may stand in that file
        raise ConfigError(reading.faults)
    pools = _pools(verb, toml, options, found, reading)
    routes = _routes(toml, pools, options, found, reading) if verb in GATEWAY_SIDE else []
    addresses = listen_addresses(options, found, reading, environ)
    admin = admin_addresses(options, found, addresses if verb in GATEWAY_SIDE else (), reading)
    trust = trust_settings(options)
    environment = app_environment(options, found, reading, environ)
    who = _identity(options, found, reading)
    reading.faults += check(verb, options, found, pools, routes, path)
    own = 1 + options.gateways * (verb in GATEWAY_SIDE)
    limit = memory_limit()
    if verb in WORKER_SIDE:
        pools = share_memory(pools, own, limit or memory_of_machine(), reading.faults)
    else:
        pools = without_workers(pools)
    if verb in GATEWAY_SIDE:
        reading.faults += check_tls(options, found, addresses) + check_http2(options, found)
    if reading.faults:
        raise ConfigError(reading.faults)
    with_workers = pools if verb in WORKER_SIDE else []
    reading.notes += [
        *notes_on(pools, routes, options),
        *notes_on_ranges(verb, pools),
        *notes_on_memory(with_workers, own, limit),
    ]
    config = _config(options, pools, routes, addresses, trust)
    memory = limit or memory_of_machine()
    serve = replace(
        config.serve,
        connections_in_memory=in_memory(memory, options.gateways),
        limit_buffered_bytes=options.limit_buffered_bytes or (memory or 0) // 2 // options.gateways,
    )
    config = replace(
        config,
        serve=serve,
        admin_addresses=admin,
        environment=tuple(environment.items()),
        identity=who,
    )
    if verb in GATEWAY_SIDE:
        reading.notes += [
            *notes_on_trust(trust, found, addresses),
            *notes_on_descriptors(config.serve, hard_descriptor_limit(), _files(config)),
        ]
    reading.notes += [
        *notes_on_tls(verb, options, addresses),
        *notes_on_http2(verb, options, found, addresses),
    ]
    return Loaded(config, options, found, path, tuple(reading.notes))


def _files(config: Config) -> Files:
    told = [PoolSettings(**pool.for_gateways) for pool in config.pools]
    return files_of_clients(config.routes, told, config.buffering.disk)


def _file(path: str, reading: Reading) -> TomlFile:
    """Reads the configuration file. A gunicorn.conf.py or hypercorn.toml is first turned into TOML,
    as `propylon migrate` does it."""
    python = path.endswith(".py")
    if not python and os.path.basename(path) != "hypercorn.toml":
        if path.startswith("python:"):
            problem = f"found {path!r}; name the module's file, as in -c gunicorn.conf.py"
            reading.faults.append(Fault("--config", problem))
            return TomlFile(broken=True)
        return from_toml(path, reading.faults)
    try:
        text = migrate(path)
    except MigrateError as error:
        reading.faults.append(Fault("--config", str(error)))
        return TomlFile(broken=True)
    reading.notes.append(
        f"{path} {'is Python, and was run as gunicorn does' if python else 'is read as hypercorn'}"
        f"{'' if python else ' reads it'}; to keep what it says as TOML: "
        f"propylon migrate {path} > propylon.toml"
    )
    left = [line.removeprefix("# ") for line in text.splitlines() if line.startswith("# not ")]
    reading.notes += [f"{path}: {line}" for line in left]
    return of_text(path, text, reading.faults)


def _pools(
    verb: Verb, toml: TomlFile, options: Options, found: Sources, reading: Reading
) -> list[PoolConfig]:
    """All pools of the file, or the one that `propylon worker --pool` picks."""
    if not toml.pools:
        return [top_level_pool(options)]
    pools = read_pools(toml.pools, options, reading)
    if "pool" not in found:
        return pools
    picked = [pool for pool in pools if pool.name == options.pool]
    if verb == "worker" and picked:
        return picked
    if verb == "worker":
        hint = nearest(options.pool, [pool.name for pool in pools])
        problem = f"found {options.pool!r}, which is none of the [[pools]]{hint}"
    else:
        problem = "it names the one pool, but there are [[pools]]"
    reading.faults.append(Fault(found["pool"].origin, problem))
    return pools


def _routes(
    toml: TomlFile, pools: list[PoolConfig], options: Options, found: Sources, reading: Reading
) -> list[RouteSettings]:
    routes = read_routes(toml.routes, pools, reading)
    files = routes_of_option(options.static, found, routes, reading)
    if not files or routes or len(pools) > 1:
        return [*routes, *files]
    # The only pool has all that no folder has.
    pool = pools[0].name
    if any(not route.prefix for route in files):
        return [route if route.prefix else replace(route, pool=pool) for route in files]
    return [RouteSettings(pool=pool), *files]


def _identity(options: Options, found: Sources, reading: Reading) -> Identity | None:
    user, group = options.user, options.group
    try:
        return identity(None if user is None else str(user), None if group is None else str(group))
    except ValueError as exc:
        origin = found["user" if "user" in found else "group"].origin
        reading.faults.append(Fault(origin, str(exc)))
        return None


def _config(
    options: Options,
    pools: list[PoolConfig],
    routes: list[RouteSettings],
    addresses: tuple[Address, ...],
    trust: TrustSettings,
) -> Config:
    reload_dirs = options.reload_dir or tuple(dict.fromkeys(pool.app_dir for pool in pools))
    return Config(
        pools=tuple(pools),
        routes=tuple(routes) or (RouteSettings(pool=pools[0].name),),
        addresses=addresses,
        backlog=options.backlog,
        gateways=options.gateways,
        root_path=options.root_path,
        run_dir=options.run_dir,
        pid_file=options.pid,
        umask=options.umask if isinstance(options.umask, int) else None,
        startup_timeout=options.startup_timeout,
        heartbeat_timeout=options.heartbeat_timeout,
        reload_observe=options.reload_observe,
        http=HttpSettings(
            parser=options.http,
            limit_request_line=options.limit_request_line,
            limit_request_fields=options.limit_request_fields,
            limit_request_field_size=options.limit_request_field_size,
            limit_request_head=max(
                HttpSettings().limit_request_head,
                options.limit_request_line + options.limit_request_field_size,
            ),
            max_request_body_size=options.max_request_body_size,
            header_map=options.header_map,
            early_hints=options.early_hints,
            websockets=options.ws == "auto",
            request_id_header=options.request_id_header if options.request_ids else "",
        ),
        http2=http2_settings(options),
        serve=ServeSettings(
            header_timeout=options.header_timeout,
            body_timeout=options.body_timeout,
            send_timeout=options.send_timeout,
            min_body_rate=options.min_body_rate,
            min_send_rate=options.min_send_rate,
            min_rate_grace=options.min_rate_grace,
            timeout_keep_alive=options.timeout_keep_alive,
            request_timeout=options.request_timeout,
            graceful_timeout=options.timeout_graceful_shutdown,
            drain_delay=options.drain_delay,
            limit_connections=options.limit_connections,
            limit_connections_per_address=options.limit_connections_per_address,
            limit_requests_per_connection=options.limit_requests_per_connection,
            server_header=options.server_header,
            date_header=options.date_header,
            headers=tuple(_field(text) for text in options.header),
            request_id_response=options.request_id_response,
        ),
        websocket=WebSocketSettings(
            max_size=options.ws_max_size,
            max_rate=options.ws_max_rate,
            max_byte_rate=options.ws_max_byte_rate,
            ping_interval=options.ws_ping_interval,
            ping_timeout=options.ws_ping_timeout,
            per_message_deflate=options.ws_per_message_deflate,
            deflate_window_bits=options.ws_deflate_window_bits,
            deflate_context_takeover=options.ws_deflate_context_takeover,
            allowed_origins=options.ws_allowed_origin,
        ),
        buffering=BufferSettings(
            body=options.buffer_size,
            memory=options.buffer_memory,
            disk=options.buffer_disk,
            directory=os.path.abspath(options.temp_dir) if options.temp_dir else "",
        ),
        trust=trust,
        log=LogSettings(
            level=options.log_level,
            format=options.log_format,
            access_log=options.access_logfile if options.access_log else "",
            access_logformat=options.access_logformat,
            error_log=options.error_logfile,
            use_colors=options.use_colors,
            config=read_log_config(options.log_config) if options.log_config else "",
        ),
        tls=tls_settings(options),
        admin=AdminSettings(
            token_file=os.path.abspath(options.admin_token_file)
            if options.admin_token_file
            else "",
            max_queue_time=options.admin_max_queue_time,
        ),
        metrics=options.metrics,
        trace=TraceSettings(export=options.traces),
        reload=ReloadConfig(
            dirs=reload_dirs, include=options.reload_include, exclude=options.reload_exclude
        )
        if options.reload
        else None,
    )


def _field(text: str) -> tuple[str, str]:
    name, _, value = text.partition(":")
    return name.lower(), value.strip(" \t")
