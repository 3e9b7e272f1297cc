"""What is done to a server while the clients are at work. Each ends when the trial does."""

import asyncio
import os
import random
import signal
import time
from collections.abc import Awaitable, Callable

from ..compare.strict_client import Failed
from ..end_to_end.server import with_no_such
from .clients import pause
from .contestants import Contestant
from .scene import Scene
from .servers import Ground, Server
from .variants import Variant

RELOAD_EVERY = 2.0
KILL_EVERY = 0.1
SLOW_OF_LATE = 2.0
"""Seconds of which the longest wait counts for the time between two kills."""
STOP_EVERY = 6.0
"""Seconds between two SIGSTOPs: time to notice one and to start another."""
CUT_EVERY = 11.0
"""Seconds between two deaths of the gateway: more often is a crash loop, and slowed down."""
SERVE_FOR = 4.0
"""Seconds between a start and the next stop."""


class Actions:
    """The methods are what variants name."""

    def __init__(self, contestant: Contestant, server: Server, scene: Scene, variant: Variant):
        self.contestant, self.server, self.scene = contestant, server, scene
        self.variant = variant
        self.ground: Ground = server.ground
        self.random = random.Random(1)
        self._reloads: set[asyncio.Task[None]] = set()

    async def reload(self) -> None:
        """New code every 2 seconds, whether the last has been taken in or not."""
        while not await self.ended(RELOAD_EVERY):
            self.ground.deploy(self.variant.fault)
            self.begin_reload()

    def begin_reload(self) -> None:
        task = asyncio.ensure_future(self._reload())
        self._reloads.add(task)
        task.add_done_callback(self._reloads.discard)

    async def _reload(self) -> None:
        self.scene.tally.note("reloads")
        said = await self.contestant.reload(self.server)
        if said is not None:
            self.scene.tally.note(f"reload ended with exit code {said}")

    async def settle(self) -> None:
        """Lets commands end that were given."""
        if self._reloads:
            await asyncio.wait(self._reloads, timeout=30)

    async def kill_workers(self) -> None:
        """One that serves, up to ten times a second, as long as another serves. A request that has
        met two workers which died is answered 502, since it may be the cause. So on a machine that
        is slow at the moment the next kill waits for as long as requests do."""
        pause = KILL_EVERY
        while not await self.ended(pause):
            late = self.scene.tally.longest_since(time.monotonic() - SLOW_OF_LATE)
            pause = max(KILL_EVERY, late)
            alive = set(self.server.family())
            serving = [pid for pid in self.scene.serving_now() if pid in alive]
            if len(serving) < 2:
                self.scene.tally.note("kills left out: a single worker serves")
                continue
            victim = self.random.choice(serving)
            with_no_such(os.kill, victim, signal.SIGKILL)
            del self.scene.serving[victim]
            self.scene.tally.note("workers killed")

    async def stop_workers(self) -> None:
        """One that serves is stopped for ever. Who does not replace it soon has none left."""
        while not await self.ended(1.0):
            alive = set(self.server.family())
            serving = [pid for pid in self.scene.serving_now() if pid in alive]
            if not serving:
                self.scene.tally.note("stops left out: no worker serves")
                continue
            victim = self.random.choice(serving)
            with_no_such(os.kill, victim, signal.SIGSTOP)
            del self.scene.serving[victim]
            self.scene.stopped.append(victim)
            self.scene.tally.note("workers stopped")
            await self.ended(STOP_EVERY - 1.0)

    async def kill_gateways(self) -> None:
        """One process that holds clients' connections, and has been there for a while."""
        while not await self.ended(1.0):
            pids = self.contestant.gateways(self.server) if self.contestant.gateways else []
            if pids:
                with_no_such(os.kill, self.random.choice(pids), signal.SIGKILL)
                self.scene.cuts.append(time.monotonic())
                self.scene.tally.note("gateways killed")
            await self.ended(CUT_EVERY - 1.0)

    async def restart(self) -> None:
        """A graceful stop, and a start when it has ended."""
        await self._end_and_start(self.server.stop)

    async def orphan(self) -> None:
        """The supervisor is killed; its children notice, finish, and are gone."""
        await self._end_and_start(self.server.lose_supervisor)

    async def _end_and_start(self, end: Callable[[], Awaitable[None]]) -> None:
        while not await self.ended(SERVE_FOR):
            self.scene.refusal_expected = True
            began = time.monotonic()
            try:
                await end()
            except Failed as failure:
                self.scene.fail("server", failure)
                self.server.end()
            self.scene.tally.note("stops")
            longest = self.scene.tally.notes["longest stop, ms"]
            took = int(1000 * (time.monotonic() - began))
            self.scene.tally.note("longest stop, ms", max(0, took - longest))
            await self.server.start()
            self.scene.refusal_expected = False

    async def upgrade(self) -> None:
        while not await self.ended(3 * RELOAD_EVERY):
            self.scene.tally.note("upgrades")
            assert self.contestant.upgrade is not None
            said = await self.contestant.upgrade(self.server)
            if said:
                self.scene.fail("server", Failed("the upgrade failed", said))

    async def ended(self, seconds: float) -> bool:
        """Whether the trial ends, within these seconds."""
        await pause(self.scene, seconds)
        return self.scene.ending.is_set()
