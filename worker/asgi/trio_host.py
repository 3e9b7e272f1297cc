"""Hosts an ASGI app on trio. It is loaded with `--loop trio` only, because nothing else in a worker
imports trio.
"""

import logging
from typing import Final, cast

import trio

from ...protocol.messages import Scope
from ..app.load import AppLoadError, LoadedApp
from ..host.host import SHUTDOWN_TIMEOUT, Host
from ..host.link_session import HostedCall, LinkSession
from ..process.supervisor_channel import SupervisorChannel
from ..settings import WorkerSettings
from .call import AppContext, AsgiApp, AsgiCall, MeasuredCall, split
from .lifespan import Lifespan
from .loop_kind import LoopKind
from .websocket_call import WebSocketCall

logger = logging.getLogger("propylon.worker")

_LOOP: Final = LoopKind(trio.Event, (trio.Cancelled, KeyboardInterrupt), trio.sleep, trio.Lock)


def serve(settings: WorkerSettings, loaded: LoadedApp, channel: SupervisorChannel) -> None:
    """Runs the worker until it has stopped. Raises AppLoadError if the app cannot start."""
    failure = trio.run(TrioHost(settings, loaded, channel).main)
    if failure is not None:
        raise failure


class TrioHost(Host):
    loop_name = "trio"

    def __init__(
        self, settings: WorkerSettings, loaded: LoadedApp, channel: SupervisorChannel
    ) -> None:
        super().__init__(settings, loaded, channel)
        self._app = cast("AsgiApp", loaded.app)
        self._nursery: trio.Nursery  # set in main
        self._to_flush: list[LinkSession] = []
        self._flush_wanted = trio.lowlevel.ParkingLot()
        self._context = AppContext.of(_LOOP, self.slots.limit, development=settings.development)
        self._kind = AsgiCall if self.slots.limit is None else MeasuredCall

    async def main(self) -> AppLoadError | None:
        """Runs the worker. Returns why the app could not start; if that were raised, the nursery
        would wrap it in a group."""
        lifespan = Lifespan(self._app, self.settings.lifespan, _LOOP)
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            nursery.start_soon(lifespan.run)
            try:
                await lifespan.startup()
            except AppLoadError as failure:
                nursery.cancel_scope.cancel()
                return failure
            self._context = self._context._replace(state=lifespan.state)
            self.take_signals()
            self.begin()
            nursery.start_soon(self._flush_scheduled)
            while (delay := self.tick()) is not None:  # noqa: ASYNC110 - the tick is the work
                await trio.sleep(delay)
            with trio.move_on_after(SHUTDOWN_TIMEOUT) as limit:
                await lifespan.shutdown()
            if limit.cancelled_caught:
                logger.error("the app's lifespan shutdown took over %g s", SHUTDOWN_TIMEOUT)
            nursery.cancel_scope.cancel()
        return self.failure

    def new_event(self) -> trio.Event:
        return trio.Event()

    def new_call(self, session: LinkSession, scope: Scope) -> AsgiCall:
        kind = WebSocketCall if scope[0] == "websocket" else self._kind
        return kind(session, self._context)

    def start(self, call: HostedCall) -> None:
        assert isinstance(call, AsgiCall)
        scope = trio.CancelScope()
        call.runs_as(scope, self.now)
        self.take(call)
        self._nursery.start_soon(self._run, call, scope)

    async def _run(self, call: AsgiCall, scope: trio.CancelScope) -> None:
        """Runs one call. Its errors stay here, because all calls share the nursery."""
        try:
            with scope:
                await call.run(self._app)
        except BaseException as error:
            passing, ours = split(error, _LOOP.passing)
            if ours is not None:
                tail, facts = call.log_end(), call.log_facts()
                logger.error("a call has failed%s", tail, extra=facts, exc_info=ours)
            if passing is not None:
                raise passing from None

    def cancel(self, call: HostedCall) -> None:
        assert isinstance(call, AsgiCall)
        call.cancel()

    def watch(self, session: LinkSession) -> None:
        self._nursery.start_soon(self._read, session)

    async def _read(self, session: LinkSession) -> None:
        try:
            while not session.closed:
                await trio.lowlevel.wait_readable(session.sock)
                session.readable()
        except trio.ClosedResourceError:
            return  # the session closed itself

    def schedule_flush(self, session: LinkSession) -> None:
        self._to_flush.append(session)
        self._flush_wanted.unpark()

    async def _flush_scheduled(self) -> None:
        while True:
            if not self._to_flush:
                await self._flush_wanted.park()
            # One turn of the scheduler: what other calls say in it goes out in the same `send`.
            await trio.lowlevel.checkpoint()
            sessions, self._to_flush = self._to_flush, []
            for session in sessions:
                session.flush()

    def watch_writable(self, session: LinkSession) -> None:
        self._nursery.start_soon(self._wait_writable, session)

    async def _wait_writable(self, session: LinkSession) -> None:
        try:
            await trio.lowlevel.wait_writable(session.sock)
        except trio.ClosedResourceError:
            return
        session.writable()

    def closing(self, session: LinkSession) -> None:
        trio.lowlevel.notify_closing(session.sock)
        super().closing(session)
