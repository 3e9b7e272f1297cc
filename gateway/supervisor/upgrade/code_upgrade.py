"""One attempt to let the installed code take over.

An exec(2) cannot be taken back, and what it interrupts is lost: an answer that is half written, a
reload that was asked for a moment ago. So an attempt has three states. While it is `checking`, the
new code is started to read the state that it would be handed, which takes a second or more, and
everything else goes on. If that has gone well it is `due`: the supervisor waits until all that it
was told is done, and asks again for obstacles, since there may be some by now. Otherwise it is
`none`.
"""

from collections.abc import Callable
from typing import Literal

import trio

from ...config.faults import ConfigError
from ...control.commands import Result
from ...control.server import Say
from ...observe.process_log import logger
from ..fleet.controller import FleetController
from ..fleet.events import FleetEvent, Tick
from ..generations import Generations
from .exec import refused
from .saved_state import Handover


class CodeUpgrade:
    def __init__(
        self,
        generations: Generations,
        controller: FleetController,
        save: Callable[[], Handover],
        tell: Callable[[FleetEvent], None],
    ) -> None:
        self.state: Literal["none", "checking", "due"] = "none"
        self._generations = generations
        self._controller = controller
        self._save = save
        self._tell = tell

    async def check(self, say: Say) -> Result:
        """Begins an attempt. Returns whether it is due, and if not, why."""
        if self.state != "none":
            return Result(False, "not upgraded: an upgrade is under way")
        self.state = "checking"
        try:
            if why := await self._in_the_way(say):
                return Result(False, f"not upgraded{why}")
            logger.info("Upgrading: the code that is installed now takes over")
            self.state = "due"
            self._tell(Tick())  # has the supervisor look whether it is time
        finally:
            if self.state == "checking":
                self.state = "none"
        return Result(
            True, "The supervisor takes over", {"generation": self._generations.next_of_gateways}
        )

    async def _in_the_way(self, say: Say) -> str:
        """The end of a sentence that begins with "not upgraded"; "" if nothing is in the way."""
        if why := self._not_now():
            return f": {why}"
        try:
            config = await trio.to_thread.run_sync(self._generations.read)
        except ConfigError as error:
            faults = "\n".join(str(fault) for fault in error.faults)
            return f", the configuration is wrong:\n{faults}"
        if config != self._generations.current:
            return ": the configuration has changed; reload first"
        say("Looking at the code that is installed now")
        why = await refused(self._save()) or self._not_now()
        return f": {why}" if why else ""

    def obstacle(self) -> str:
        """Why an attempt that is due cannot be made at this moment; "" if it can."""
        return self._not_now() or self._changed()

    def failed(self, why: str) -> None:
        self.state = "none"
        logger.error("Not upgraded: %s", why)

    def _changed(self) -> str:
        try:
            same = self._generations.read() == self._generations.current
        except Exception as error:  # whatever it is, the upgrade must not begin
            logger.debug("the configuration is not read: %r", error)
            same = False
        return "" if same else "the configuration has changed; reload first"

    def _not_now(self) -> str:
        if self._controller.phase != "serving":
            return f"Propylon is {self._controller.phase}"
        if self._controller.rollout is not None:
            return "a reload is under way"
        if any(p.state == "starting" for p in self._controller.fleet.of_kind("gateway")):
            return "a gateway is starting"
        if any(pool.preload for pool in self._generations.current.pools):
            return "workers of --preload are not children of ours; start Propylon anew instead"
        return ""
