"""What a `Config` means to each child process: the settings of a gateway, and of a worker."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from ..observe.console_log import shows_colour
from ..settings import GatewaySettings, ListenerSettings, PoolSettings, RouteSettings
from .config import Config, PoolConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerId:
    """Which worker of its pool, and which process, it is."""

    number: int
    child: int
    """The supervisor's number for the process."""
    generation: int
    replica: str = ""
    """What names its replica to gateways, and nobody can guess."""


def gateway_settings(
    config: Config,
    gateway: int,
    run_dir: str,
    listeners: Sequence[ListenerSettings],
    *,
    listener_name: str = "1",
    await_workers: bool = False,
) -> GatewaySettings:
    return GatewaySettings(
        gateway=gateway,
        run_dir=run_dir,
        door=listener_name,
        await_workers=await_workers,
        listeners=tuple(listeners),
        pools=tuple(
            PoolSettings(
                name=pool.name,
                gateways=config.gateways,
                heartbeat_timeout=config.heartbeat_timeout,
                drain_delay=config.serve.drain_delay,
                **pool.for_gateways,
            )
            for pool in config.pools
        ),
        routes=tuple(
            replace(route, share_of=(gateway, config.gateways)) if _has_share(route) else route
            for route in config.routes
        ),
        root_path=config.root_path,
        http=config.http,
        http2=config.http2,
        serve=config.serve,
        websocket=config.websocket,
        buffering=config.buffering,
        trust=config.trust,
        log=replace(config.log, sender=f"gateway {gateway}" if config.gateways > 1 else ""),
        tls=config.tls,
        metrics=config.metrics,
        trace=config.trace,
    )


def _has_share(route: RouteSettings) -> bool:
    return bool(route.most_calls or route.most_percent)


def worker_settings(
    config: Config,
    pool: PoolConfig,
    who: WorkerId,
    run_dir: str,
    *,
    zygote: bool = False,
    first_limit: int = 0,
) -> dict[str, Any]:
    """Fields of `worker.settings.WorkerSettings`, as they are sent. `zygote`: it forks workers.
    `first_limit`: what workers of the pool have found to be right; 0 if none has."""
    log = config.log
    return {
        **pool.for_workers,
        "app": pool.app,
        "app_dir": os.path.abspath(pool.app_dir),
        "pool": pool.name,
        "run_dir": run_dir,
        "worker_id": who.number,
        "replica": who.replica,
        "child_id": who.child,
        "generation": who.generation,
        "zygote": zygote,
        "first_limit": first_limit,
        "graceful_timeout": config.serve.graceful_timeout,
        "heartbeat_timeout": config.heartbeat_timeout,
        "startup_timeout": config.startup_timeout,
        "header_map": config.http.header_map,
        "development": config.reload is not None,
        "log_level": log.level,
        "log_format": log.format,
        "log_sender": _sender(config, pool, who, zygote=zygote),
        "log_file": "" if log.error_log == "-" else log.error_log,
        "log_config": log.config,
        "colour": log.format == "text" and shows_colour(log.error_log, log.use_colors),
    }


def _sender(config: Config, pool: PoolConfig, who: WorkerId, *, zygote: bool) -> str:
    """What names a worker in lines of text; "" if there is only one."""
    if len(config.pools) == pool.most_workers == 1:
        return ""
    of_pool = pool.name if len(config.pools) > 1 else ""
    if zygote:
        return f"zygote {of_pool}".rstrip()
    return f"worker {of_pool}/{who.number}" if of_pool else f"worker {who.number}"


def shown_to_ps(pool: PoolConfig, who: WorkerId) -> list[str]:
    """What tells a worker in a list of processes; it does not act on it."""
    return [pool.app, f"--pool={pool.name}", f"--worker-id={who.number}"]
