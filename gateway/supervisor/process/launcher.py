"""Starts the processes of a generation, with their settings and the sockets that they inherit."""

import hmac
import os
import secrets
import signal
from collections import Counter
from collections.abc import Callable, Container, Iterable, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any

import trio

from ....protocol.supervision.messages import LogsReopened, Problem
from ... import json_texts
from ...config.build import WorkerId, gateway_settings, shown_to_ps, worker_settings
from ...config.config import Config, PoolConfig
from ...control.run_dir import make_pool_directory
from ...directories import remove_socket
from ...listen.address import speaks_tls
from ...settings import ListenerSettings
from ..fleet.events import Spawn
from ..generations import Plan
from ..log_reopening import LogReopening
from .child import ChildProcess, Launch, spawn
from .key_copies import KeyCopies
from .log_files import give_logs
from .zygote import ForkedWorker, Zygote, start_zygote


class Launcher:
    def __init__(
        self,
        plan: Plan,
        nursery: trio.Nursery,
        reopening: LogReopening,
        found_limit: Callable[[str], int],
    ) -> None:
        """`found_limit` returns how many calls at once the workers of a pool have found to be
        right; 0 if they do not seek that."""
        self._found_limit = found_limit
        self._plan = plan
        self._nursery = nursery
        self._reopening = reopening
        self._copies: KeyCopies | None = None
        """Copies of keys that gateways may not read."""
        self.secret = secrets.token_hex(32)
        """What replicas' names are made with. It stays as long as the instance does."""
        self._starts: Counter[int] = Counter()
        self._zygotes: dict[tuple[str, int], Zygote] = {}
        """(Pool, generation) -> the zygote that forks its workers."""
        self._waiting: Counter[tuple[str, int]] = Counter()
        self._listener_names: dict[int, str] = {}
        """Pid of a gateway -> the name of its worker listeners' sockets."""

    def gateway(self, config: Config, order: Spawn, *, await_workers: bool) -> ChildProcess:
        """Raises OSError, RunDirError."""
        give_logs(config)
        number = order.replica_id.number
        for pool in config.pools:  # a pool that a reload has brought has no directory yet
            shared = not self._plan.with_workers
            who = config.identity
            make_pool_directory(self._plan.run_dir, pool.name, shared=shared, owner=who)
        listeners = [
            ListenerSettings(fd=fd, address=address, tls=speaks_tls(item.address))
            for (fd, address), item in zip(
                self._plan.listeners.for_gateway(number),
                self._plan.listeners.items,
                strict=True,
            )
        ]
        earlier = self._starts[number]
        listener_name = f"{number}.{earlier}" if earlier else f"{number}"
        settings = gateway_settings(
            config,
            number,
            self._plan.run_dir,
            listeners,
            listener_name=listener_name,
            await_workers=await_workers,
        )
        copies: list[int] = []
        if config.identity is not None and config.tls.certificates:
            tls, copies = self._key_copies().settings(config.tls)
            settings = replace(settings, tls=tls)
        launch = Launch(
            module="propylon.gateway.process",
            settings=json_texts.encode(settings),
            pass_fds=[*(listener.fd for listener in listeners), *copies],
            who=config.identity,
        )
        process = spawn(launch, self._nursery)
        self._starts[number] += 1
        self._listener_names[process.pid] = listener_name
        return process

    def _key_copies(self) -> KeyCopies:
        if self._copies is None:
            self._copies = KeyCopies()
            self._nursery.start_soon(self._copies.watch)
        return self._copies

    def problems(self, now: float) -> Iterable[Problem]:
        """The problems of this moment."""
        return () if self._copies is None else self._copies.problems()

    @property
    def starts(self) -> dict[int, int]:
        """Gateway's number -> how often such a gateway was started."""
        return dict(self._starts)

    def listener_name(self, pid: int) -> str:
        """The name of a gateway's worker listeners' sockets; "" for a worker."""
        return self._listener_names.get(pid, "")

    def resume(
        self, starts: Mapping[int, int], listener_names: Mapping[int, str], secret: str
    ) -> None:
        """Continues after an upgrade. `secret` is "" if the older code had none."""
        self.secret = secret or self.secret
        self._starts.update(starts)
        self._listener_names.update(listener_names)

    def gateway_ended(self, pid: int) -> None:
        """Removes the worker listeners' sockets of a gateway that could not do so itself."""
        listener_name = self._listener_names.pop(pid)
        with suppress(OSError):
            for entry in os.scandir(self._plan.run_dir):
                if entry.is_dir(follow_symlinks=False):
                    remove_socket(os.path.join(entry.path, f"{listener_name}.sock"))

    def worker(self, config: Config, pool: PoolConfig, order: Spawn) -> ChildProcess:
        """Raises OSError."""
        give_logs(config)
        return spawn(self._launch(config, pool, order), self._nursery)

    async def forked_worker(self, config: Config, pool: PoolConfig, order: Spawn) -> ForkedWorker:
        """Has a worker forked by the zygote of its pool and generation (--preload). If this is
        cancelled while the zygote still loads the app, the zygote is ended. Raises OSError,
        PreloadFailed."""
        key = (pool.name, order.generation)
        zygote = self._zygotes.get(key)
        if zygote is None or not zygote.usable:
            give_logs(config)
            zygote = start_zygote(self._launch(config, pool, order, zygote=True), self._nursery)
            self._zygotes[key] = zygote
            self._nursery.start_soon(self._tend_zygote, key, zygote)
        self._waiting[key] += 1
        try:
            return await zygote.fork(order.child, self._settings(config, pool, order))
        except trio.Cancelled:
            if not zygote.has_loaded and self._waiting[key] == 1:  # no other worker waits for it
                zygote.stop()
                zygote.signal(signal.SIGKILL)
            raise
        finally:
            self._waiting[key] -= 1

    async def _tend_zygote(self, key: tuple[str, int], zygote: Zygote) -> None:
        name = _zygote_name(key, zygote)

        def hear(report: object) -> None:
            if isinstance(report, LogsReopened):
                self._reopening.confirmed(name, report.token, report.problem)

        await zygote.run(hear)
        self._reopening.process_ended(name)

    def zygotes(self) -> dict[str, Zygote]:
        """The zygotes that run and have loaded their apps, by names for people. Others open the
        logs themselves: at their start, and in each worker."""
        return {
            _zygote_name(key, zygote): zygote
            for key, zygote in self._zygotes.items()
            if zygote.usable and zygote.has_loaded and not zygote.has_ended
        }

    def drain_zygotes(self, keep: Container[int]) -> None:
        """Has the zygotes of other generations end after their last worker."""
        for key in [key for key in self._zygotes if key[1] not in keep]:
            self._zygotes.pop(key).stop()

    def _launch(
        self, config: Config, pool: PoolConfig, order: Spawn, *, zygote: bool = False
    ) -> Launch:
        settings = self._settings(config, pool, order, zygote=zygote)
        return worker_launch(config, pool, self._worker_id(order), settings)

    def _worker_id(self, order: Spawn) -> WorkerId:
        return WorkerId(
            number=order.replica_id.number,
            child=order.child,
            generation=order.generation,
            replica=replica_name(self.secret, order.replica_id.pool, order.replica_id.number),
        )

    def _settings(
        self, config: Config, pool: PoolConfig, order: Spawn, *, zygote: bool = False
    ) -> dict[str, Any]:
        who = self._worker_id(order)
        return worker_settings(
            config,
            pool,
            who,
            self._plan.run_dir,
            zygote=zygote,
            first_limit=self._found_limit(pool.name),
        )


def worker_launch(
    config: Config, pool: PoolConfig, who: WorkerId, settings: Mapping[str, Any]
) -> Launch:
    return Launch(
        module="propylon.worker",
        settings=json_texts.encode(settings),
        shown=shown_to_ps(pool, who),
        variables=config.environment,
        who=config.identity,
    )


def replica_name(secret: str, pool: str, number: int) -> str:
    """What names a replica to gateways: the same for each process that it has, another for each
    instance, and nothing that a client can guess (see `gateway.pool.sticky_cookie`)."""
    return hmac.digest(secret.encode(), f"{pool}/{number}".encode(), "sha256")[:16].hex()


def _zygote_name(key: tuple[str, int], zygote: Zygote) -> str:
    return f"zygote of pool {key[0]} (generation {key[1]}, pid {zygote.pid})"
