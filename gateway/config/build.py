"""What a `Config` means to each child process: settings for a gateway, arguments for a worker."""

import os
from collections.abc import Sequence
from dataclasses import dataclass

from ..observe.console_log import shows_colour
from ..settings import GatewaySettings, ListenerSettings, PoolSettings
from .config import Config, PoolConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerSeat:
    """Which worker it is."""

    number: int
    child: int
    """The supervisor's number for the process."""
    generation: int
    run_dir: str
    channel_fd: int | None
    """None: it is given one when it is forked."""


def gateway_settings(
    config: Config,
    gateway: int,
    run_dir: str,
    listeners: Sequence[ListenerSettings],
    *,
    door: str = "1",
    await_workers: bool = False,
) -> GatewaySettings:
    return GatewaySettings(
        gateway=gateway,
        run_dir=run_dir,
        door=door,
        await_workers=await_workers,
        listeners=tuple(listeners),
        pools=tuple(
            PoolSettings(
                name=pool.name,
                queue_size=pool.queue_size,
                queue_timeout=pool.queue_timeout,
                heartbeat_timeout=config.heartbeat_timeout,
                drain_delay=config.serve.drain_delay,
            )
            for pool in config.pools
        ),
        routes=config.routes,
        root_path=config.root_path,
        http=config.http,
        serve=config.serve,
        websocket=config.websocket,
        trust=config.trust,
        log=config.log,
        tls=config.tls,
    )


def worker_arguments(config: Config, pool: PoolConfig, seat: WorkerSeat) -> list[str]:
    """Arguments of `python -m propylon.worker`."""
    return [
        pool.app,
        f"--pool={pool.name}",
        f"--worker-id={seat.number}",
        f"--child-id={seat.child}",
        f"--generation={seat.generation}",
        f"--run-dir={seat.run_dir}",
        f"--interface={pool.interface}",
        *(["--factory"] if pool.factory else []),
        f"--app-dir={os.path.abspath(pool.app_dir)}",
        *(f"--python-path={os.path.abspath(path)}" for path in pool.python_path),
        f"--loop={pool.loop}",
        f"--threads={pool.threads}",
        f"--slots={pool.limit_concurrency}",
        f"--lifespan={pool.lifespan}",
        f"--graceful-timeout={config.serve.graceful_timeout}",
        f"--heartbeat-timeout={config.heartbeat_timeout}",
        f"--startup-timeout={config.startup_timeout}",
        *(f"--warm-up={path}" for path in pool.warm_up),
        f"--max-requests={pool.max_requests}",
        f"--max-requests-jitter={pool.max_requests_jitter}",
        f"--workers-max-rss={pool.workers_max_rss}",
        f"--workers-lifetime={pool.workers_lifetime}",
        *([f"--header-map={config.http.header_map}"] if config.http.header_map != "drop" else []),
        f"--log-level={config.log.level}",
        *([f"--log-file={config.log.error_log}"] if config.log.error_log != "-" else []),
        *([f"--log-config={config.log.config}"] if config.log.config else []),
        *(["--colour"] if shows_colour(config.log.error_log, config.log.use_colors) else []),
        *([f"--channel-fd={seat.channel_fd}"] if seat.channel_fd is not None else []),
    ]
