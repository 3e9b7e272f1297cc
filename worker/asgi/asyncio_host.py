"""Hosts an ASGI app on asyncio, with uvloop's loop if it is installed.

The sockets are watched and not wrapped in transports. A transport of uvloop keeps written bytes
until the end of its turn, but STARTED has to be on the wire before the app is called; and one
`send` for each turn needs no further buffer.
"""

import asyncio
import logging
from collections.abc import Callable
from typing import Final, cast

from ...protocol.messages import Scope
from ..app.load import AppLoadError, LoadedApp
from ..host.host import SHUTDOWN_TIMEOUT, Host
from ..host.link_session import HostedCall, LinkSession
from ..process.supervisor_channel import SupervisorChannel
from ..settings import WorkerSettings
from .call import AppContext, AsgiApp, AsgiCall, MeasuredCall
from .lifespan import Lifespan
from .loop_kind import LoopKind
from .websocket_call import WebSocketCall

logger = logging.getLogger("propylon.worker")

# GeneratorExit comes from a loop that closes while calls still run.
_LOOP: Final = LoopKind(
    asyncio.Event,
    (asyncio.CancelledError, KeyboardInterrupt, GeneratorExit),
    asyncio.sleep,
    asyncio.Lock,
)


def serve(settings: WorkerSettings, loaded: LoadedApp, channel: SupervisorChannel) -> None:
    """Runs the worker until it has stopped. Raises AppLoadError if the app cannot start."""
    factory, name = loop_factory(settings.loop)
    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(AsyncioHost(settings, loaded, channel, name).main())


def loop_factory(loop: str) -> tuple[Callable[[], asyncio.AbstractEventLoop], str]:
    """The function that makes the loop, and the loop's name. Raises AppLoadError if uvloop is asked
    for and not installed."""
    if loop != "asyncio":
        try:
            import uvloop
        except ImportError:
            if loop == "uvloop":
                raise AppLoadError("loop", "--loop uvloop: uvloop is not installed") from None
        else:
            return uvloop.new_event_loop, "uvloop"
    return asyncio.new_event_loop, "asyncio"


class AsyncioHost(Host):
    def __init__(
        self,
        settings: WorkerSettings,
        loaded: LoadedApp,
        channel: SupervisorChannel,
        loop_name: str,
    ) -> None:
        super().__init__(settings, loaded, channel)
        self.loop_name = loop_name
        self._app = cast("AsgiApp", loaded.app)
        self._loop: asyncio.AbstractEventLoop  # set in main
        self._context = AppContext.of(_LOOP, self.slots.limit, development=settings.development)
        self._kind = AsgiCall if self.slots.limit is None else MeasuredCall

    async def main(self) -> None:
        self._loop = asyncio.get_running_loop()
        lifespan = Lifespan(self._app, self.settings.lifespan, _LOOP)
        task = self._loop.create_task(lifespan.run())
        try:
            await lifespan.startup()
            self._context = self._context._replace(state=lifespan.state)
            self.take_signals()
            self.begin()
            while (delay := self.tick()) is not None:  # noqa: ASYNC110 - the tick is the work
                await asyncio.sleep(delay)
            try:
                async with asyncio.timeout(SHUTDOWN_TIMEOUT):
                    await lifespan.shutdown()
            except TimeoutError:
                logger.error("the app's lifespan shutdown took over %g s", SHUTDOWN_TIMEOUT)
            if self.failure is not None:
                raise self.failure
        finally:
            task.cancel()

    def new_event(self) -> asyncio.Event:
        return asyncio.Event()

    def new_call(self, session: LinkSession, scope: Scope) -> AsgiCall:
        kind = WebSocketCall if scope[0] == "websocket" else self._kind
        return kind(session, self._context)

    def start(self, call: HostedCall) -> None:
        assert isinstance(call, AsgiCall)
        call.runs_as(self._loop.create_task(call.run(self._app)), self.now)
        self.take(call)

    def cancel(self, call: HostedCall) -> None:
        assert isinstance(call, AsgiCall)
        call.cancel()

    def watch(self, session: LinkSession) -> None:
        self._loop.add_reader(session.sock, session.readable)

    def schedule_flush(self, session: LinkSession) -> None:
        self._loop.call_soon(session.flush)

    def watch_writable(self, session: LinkSession) -> None:
        self._loop.add_writer(session.sock, self._writable, session)

    def _writable(self, session: LinkSession) -> None:
        self._loop.remove_writer(session.sock)
        session.writable()

    def closing(self, session: LinkSession) -> None:
        self._loop.remove_reader(session.sock)
        self._loop.remove_writer(session.sock)
        super().closing(session)
