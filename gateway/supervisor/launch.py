"""Starts the processes of a generation: what each is told, and which sockets it inherits."""

import os
from collections.abc import Callable
from contextlib import suppress

import msgspec
import trio

from ..config.build import WorkerSeat, gateway_settings, worker_arguments
from ..config.schema import Config, PoolConfig
from ..listen.address import speaks_tls
from ..settings import ListenerSettings, door_name
from .messages import Spawn
from .plan import Plan
from .spawn import ChildProcess, send_settings, spawn


class Launcher:
    def __init__(self, plan: Plan, nursery: trio.Nursery) -> None:
        self._plan = plan
        self._nursery = nursery

    def gateway(self, config: Config, order: Spawn, *, await_workers: bool) -> ChildProcess:
        """Raises OSError."""
        listeners = [
            ListenerSettings(fd=fd, address=address, tls=speaks_tls(item.address))
            for (fd, address), item in zip(
                self._plan.listeners.for_gateway(order.place.number),
                self._plan.listeners.items,
                strict=True,
            )
        ]
        settings = gateway_settings(
            config,
            order.place.number,
            self._plan.run_dir,
            listeners,
            await_workers=await_workers,
        )
        theirs, ours = os.pipe()
        try:
            process = spawn(
                "propylon.gateway.process",
                lambda leash: [f"--settings-fd={theirs}", f"--leash-fd={leash}"],
                [theirs, *(listener.fd for listener in listeners)],
            )
        except BaseException:
            os.close(ours)
            raise
        finally:
            os.close(theirs)
        self._nursery.start_soon(send_settings, ours, msgspec.json.encode(settings))
        return process

    def clean_up_after_gateway(self, number: int, pid: int) -> None:
        """The doors of one that could not remove them itself."""
        for pool in os.scandir(self._plan.run_dir):
            if pool.is_dir():
                with suppress(OSError):
                    os.unlink(os.path.join(pool.path, door_name(number, pid)))

    def worker(self, config: Config, pool: PoolConfig, order: Spawn) -> ChildProcess:
        """Raises OSError."""
        return spawn("propylon.worker", self._arguments(config, pool, order))

    def _arguments(
        self, config: Config, pool: PoolConfig, order: Spawn
    ) -> Callable[[int], list[str]]:
        def arguments(leash: int) -> list[str]:
            seat = WorkerSeat(
                number=order.place.number,
                child=order.child,
                generation=order.generation,
                run_dir=self._plan.run_dir,
                leash_fd=leash,
            )
            return worker_arguments(config, pool, seat)

        return arguments
