"""The ASGI lifespan: the app's start-up and shutdown, on any event loop.

Mode `auto` has to tell an app that does not know the lifespan from an app with a start-up that has
failed. ASGI's lifespan specification says: "If an exception is raised when calling the application
callable with a lifespan.startup message or a scope of type lifespan, the server must continue but
not send any lifespan events." An app that cannot start sends `lifespan.startup.failed`; frameworks
do so for it. So an app that raises or returns without having sent that is served. Only `sys.exit`
is different: an app that calls it wants the process to end.

An app that raises before it has called `receive` has looked at the scope's type and declined, which
is not worth a line in the log. An app that raises after it got `lifespan.startup` may have meant
something, so that is logged once.
"""

import logging
from typing import Any, Literal

from ..app.load import AppLoadError
from ..app.tracebacks import app_traceback, strip_frames, summary
from ..settings import LifespanMode
from .call import AsgiApp, AsgiEvent, split
from .loop_kind import LoopKind

logger = logging.getLogger("propylon.worker")


class _NotLifespan(RuntimeError):
    """The app has sent an event that does not belong to a lifespan."""


class Lifespan:
    def __init__(self, app: AsgiApp, mode: LifespanMode, loop: LoopKind) -> None:
        self.state: dict[str, object] = {}
        """The state that the app makes at start-up. Every call gets a shallow copy."""
        self.status: Literal["unsupported", "starting", "started", "failed", "ended"] = (
            "unsupported" if mode == "off" else "starting"
        )
        self._app = app
        self._mode = mode
        self._passing = loop.passing
        self._started = loop.new_event()
        self._stop = loop.new_event()
        self._stopped = loop.new_event()
        self._received = 0
        self._message = ""
        self._error: BaseException | None = None
        self._never = loop.new_event()

    async def run(self) -> None:
        """Runs the app's lifespan, from start-up to shutdown. It raises only cancellations."""
        if self._mode == "off":
            return
        scope: dict[str, object] = {
            "type": "lifespan",
            "asgi": {"version": "3.0", "spec_version": "2.0"},
            "state": self.state,
        }
        try:
            await self._app(scope, self._receive, self._send)
        except BaseException as error:
            passing, raised = split(error, self._passing)
            if raised is not None:
                self._raised(raised)
            if passing is error:
                raise
            if passing is not None:
                raise passing from None
        finally:
            if self.status == "starting":
                self.status = self._judge()
            elif self.status == "started":
                self.status = "ended"
            self._started.set()
            self._stopped.set()

    async def startup(self) -> None:
        """Waits until the app has started. Raises AppLoadError if it cannot."""
        if self._mode != "off":
            await self._started.wait()
        if self.status == "failed":
            raise AppLoadError("lifespan", *self._failure())

    async def shutdown(self) -> None:
        """Tells the app to shut down and waits until it has."""
        if self.status == "started":
            self._stop.set()
            await self._stopped.wait()

    def _raised(self, error: BaseException) -> None:
        self._error = strip_frames(error)
        if self.status == "started":
            logger.error(
                "lifespan: the app raised %s",
                type(error).__name__,
                exc_info=(type(error), error, error.__traceback__),
            )

    def _judge(self) -> Literal["unsupported", "failed"]:
        error = self._error
        if self._mode == "on" or isinstance(error, SystemExit):
            return "failed"
        if error is None or not self._received or isinstance(error, _NotLifespan):
            logger.debug("the app does not support lifespan")
        else:
            logger.warning(
                "the app raised %s when it was told of its start-up, and is served without "
                "lifespan, as ASGI wants it; --lifespan on makes that an error",
                summary(error)[:500],
            )
        return "unsupported"

    def _failure(self) -> tuple[str, str]:
        detail = app_traceback(self._error) if self._error is not None else ""
        if self._message:
            lines = [line.strip() for line in self._message.splitlines() if line.strip()]
            sentence = f"the app's start-up failed: {lines[-1] if lines else 'no reason given'}"
            return sentence, detail or (self._message if len(lines) > 1 else "")
        if self._error is None:
            return "the app returned from its lifespan without an answer to lifespan.startup", ""
        return f"the app's start-up raised {summary(self._error)}", detail

    async def _receive(self) -> AsgiEvent:
        self._received += 1
        if self._received == 1:
            return {"type": "lifespan.startup"}
        if self._received == 2:
            await self._stop.wait()
            return {"type": "lifespan.shutdown"}
        await self._never.wait()  # there is no third event; the host cancels this wait
        return {"type": "lifespan.shutdown"}

    async def _send(self, event: dict[str, Any]) -> None:
        try:
            kind = event["type"]
        except (KeyError, TypeError):
            raise _NotLifespan(f"an event is a dict with a type, not {event!r:.200}") from None
        if kind == "lifespan.startup.complete" and self.status == "starting":
            self.status = "started"
            self._started.set()
        elif kind == "lifespan.startup.failed" and self.status == "starting":
            self._message = str(event.get("message", "")) or "no reason given"
            self.status = "failed"
            self._started.set()
        elif kind == "lifespan.shutdown.complete" and self._stop_asked:
            self.status = "ended"
            self._stopped.set()
        elif kind == "lifespan.shutdown.failed" and self._stop_asked:
            self.status = "ended"
            logger.error("the app's shutdown failed: %s", event.get("message", "no reason given"))
            self._stopped.set()
        else:
            raise _NotLifespan(self._why_not(kind))

    def _why_not(self, kind: object) -> str:
        """The rule that an event breaks, as a sentence."""
        if kind in ("lifespan.startup.complete", "lifespan.startup.failed"):
            rule = "it answers lifespan.startup, which was answered already"
        elif kind not in ("lifespan.shutdown.complete", "lifespan.shutdown.failed"):
            rule = "a lifespan has only startup.complete, startup.failed and those of the shutdown"
        elif self._received < 2:
            rule = "it answers lifespan.shutdown, which has not come"
        else:
            rule = "it answers lifespan.shutdown, which was answered already"
        return f"{kind!r} has no place at this point of a lifespan: {rule}"

    @property
    def _stop_asked(self) -> bool:
        return self.status == "started" and self._received >= 2
