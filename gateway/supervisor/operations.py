"""Operations: carries out what an operator asks for, on the control socket or by a signal.

The same request may come in two ways that differ in everything else. A command comes on a
connection, and its client waits: the answer must say how it went, a reload may take minutes, and
the operator wants to read what is logged meanwhile. A signal has no connection; its sender reads
the log and does not wait. So the work itself is done elsewhere (a deployment, an upgrade, the
supervisor's own stop), where neither is known. Here a command becomes a Result, and a signal a line
in the log.

Two facts are kept here for that. Clients that wait get each line of the fleet's log (`said`). And
since the work of a signal goes on after its handler has returned, `idle` says whether all of it has
been begun: an upgrade in between would lose it.
"""

from collections.abc import Awaitable, Callable
from typing import Final, Protocol

import trio

from ..control import commands
from ..control.commands import Command, Result
from ..control.server import Say
from ..control.status import StatusReport, tail
from ..observe.process_log import logger
from .generations import Deployment, Refused, Reloading
from .upgrade.code_upgrade import CodeUpgrade

STOPPING: Final = Result(False, "Propylon is stopping")


class OperatedInstance(Protocol):
    """The part of the supervisor that operations need."""

    @property
    def stops(self) -> bool: ...

    async def status(self) -> StatusReport: ...

    def stop(self, why: str, *, now: bool = False) -> None: ...

    def reopen_logs(self) -> None: ...

    async def logs_reopened(self) -> str: ...


class Operations:
    def __init__(
        self, instance: OperatedInstance, deployment: Deployment, upgrade: CodeUpgrade
    ) -> None:
        self._instance = instance
        self._deployment = deployment
        self._upgrade = upgrade
        self._stops = 0
        """How many signals to stop have come. The second one means at once."""
        self._listening: set[Say] = set()
        """Clients that wait for the end of an operation and get the lines of the log."""
        self._by_signal = 0
        """How many requests by signals have not been begun yet."""

    @property
    def idle(self) -> bool:
        """Whether all requests by signals have been begun or refused."""
        return not self._by_signal

    def said(self, text: str) -> None:
        """Passes a line of the log on to clients that wait."""
        for say in self._listening:
            say(text)

    # -- the control socket --------------------------------------------------------------------

    async def carry_out(self, command: Command, say: Say) -> Result:
        if self._instance.stops and not isinstance(command, commands.Status | commands.Stop):
            return STOPPING
        match command:
            case commands.Status():
                return Result(True, "", await self._instance.status())
            case commands.Reload(wait):
                return await self._reload(self._deployment.reload, say, wait=wait)
            case commands.Rollback(wait):
                return await self._reload(self._deployment.roll_back, say, wait=wait)
            case commands.Scale(workers, relative, pool, auto):
                if auto:
                    return self._deployment.unscale(pool)
                return self._deployment.scale(pool, workers, relative=relative)
            case commands.Stop(now):
                self._instance.stop("`propylon stop`", now=now)
                return await self._say_until_the_end(say)
            case commands.Drain():
                self._instance.stop("`propylon drain`")
                return Result(True, "Draining: what is under way is finished, then it ends")
            case commands.Reopen():
                why = await self._instance.logs_reopened()
                said = f"Not all logs were opened again: {why}" if why else "Logs were opened again"
                return Result(not why, said)
            case commands.Upgrade():
                return await self._upgrade.check(say)

    async def _say_until_the_end(self, say: Say) -> Result:
        """Sends the progress of a stop. The end of this process is the answer."""
        say("Stopping")
        self._listening.add(say)
        try:
            await trio.sleep_forever()
        finally:
            self._listening.discard(say)

    async def _reload(
        self, begin: Callable[[Say], Awaitable[Reloading]], say: Say, *, wait: bool
    ) -> Result:
        try:
            reloading = await begin(say)
        except Refused as refused:
            return Result(False, str(refused))
        if not wait:
            return Result(True, f"Reloading: generation {reloading.generation}")
        self._listening.add(say)
        try:
            ended = await reloading.wait()
        finally:
            self._listening.discard(say)
        if ended.committed:
            return Result(True, "")  # the client has got the line of the log
        if ended.overtaken:
            return Result(False, f"not reloaded: {ended.why}")
        what = f"not reloaded, the old serve on: {ended.why}"
        return Result(False, f"{what}\n{tail(ended.detail)}" if ended.detail else what)

    # -- signals, and files that change --------------------------------------------------------

    def file_changed(self, what: str) -> None:
        if not self._instance.stops:
            self._deployment.reload_code(what)

    def on_stop(self, name: str) -> None:
        self._stops += 1
        self._instance.stop(name, now=self._stops > 1)

    def on_logs_moved(self) -> None:
        self._instance.reopen_logs()

    async def on_hang_up(self) -> None:
        if self._instance.stops:
            return
        logger.info("Reloading on SIGHUP")
        self._by_signal += 1
        try:
            await self._deployment.reload(_unheard)
        except Refused as refused:
            logger.error("SIGHUP: %s", refused)
        finally:
            self._by_signal -= 1

    def on_scale(self, by: int) -> None:
        result = self._deployment.scale("", by, relative=True)
        if not result.ok:
            logger.warning("%s: %s", "SIGTTIN" if by > 0 else "SIGTTOU", result.message)

    async def on_upgrade(self) -> None:
        result = await self._upgrade.check(_unheard)
        if not result.ok:
            logger.error("SIGUSR2: %s", result.message)


def _unheard(text: str) -> None:
    """Drops a line of progress: a signal has no client that waits for it."""
