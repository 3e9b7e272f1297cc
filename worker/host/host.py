"""The rules that all hosts share, whichever way they run the app: dial the gateways, keep their
links, sweep, drain and stop.

The rules need no timers and no signal handling of an event loop. A signal sets a number, and a tick
several times a second looks at everything: signals, channel, directory, graces, deadlines. The
three hosts (asyncio, trio, threads) have ticks in common, so nearly all rules stand here.
"""

import gc
import logging
import os
import signal
import socket
import time
from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import Any, Final, Literal, Protocol, cast

from ...protocol.errors import VersionMismatch
from ...protocol.hello import Greeting
from ...protocol.messages import BYE_NORMAL, FEATURES, SHARED_SLOTS, Scope
from ...protocol.supervision.messages import ProblemsSeen, RecycleWish, Vitals, WorkerReady
from ...protocol.supervision.problems import ProblemReporter
from ..app.load import AppLoadError, LoadedApp
from ..app.shutdown_notice import announce
from ..process import own_log
from ..process.app_children import end_if_child, handle, when_forked
from ..process.supervisor_channel import SupervisorChannel
from ..settings import WorkerSettings
from .abandoned_calls import AbandonedCalls
from .announced_slots import AnnouncedSlots
from .app_metrics import AppMetrics
from .dialer import DialPlan, connect
from .link_problems import LinkProblems
from .link_session import HostedCall, LinkSession
from .recycle import RecyclePlan
from .vitals import LagMeter, rss_bytes
from .warm_up import WarmUp

logger = logging.getLogger("propylon.worker")

TICK: Final = 0.1
"""Seconds between two ticks. A new gateway is dialled within it."""
WARM_TICK: Final = 0.005
"""Seconds between two ticks while the app is warmed up."""
STOPPING_TICK: Final = 0.02
"""Seconds between two ticks while the worker stops, so that it ends soon after its last call."""
GREETING_TIMEOUT: Final = 2.0
"""Seconds from the beginning of a drain that a gateway has to say HELLO if it never did. A gateway
that does not even accept its links is not waited for."""
REPORT_EVERY: Final = 1.0
"""Seconds between two reports to the supervisor. They are the worker's heartbeat."""
SHUTDOWN_TIMEOUT: Final = 10.0
"""Seconds that the app's lifespan shutdown may take."""
CANCEL_TIMEOUT: Final = 1.0
"""Seconds that cancelled calls have to end at the graceful deadline."""


def worker_greeting(settings: WorkerSettings, interface: str) -> Greeting:
    who: dict[str, object] = {
        "pool": settings.pool,
        "worker": settings.worker_id,
        "pid": os.getpid(),
        "generation": settings.generation,
        "interface": interface,
    }
    if settings.child_id:
        who["id"] = settings.child_id
    if settings.replica:
        who["replica"] = settings.replica
    if settings.weight != 1:
        who["weight"] = settings.weight
    if settings.seeks_limit(interface):
        who["slots"] = SHARED_SLOTS
    if settings.label:
        who["labels"] = dict(label.split("=", 1) for label in settings.label)
    return Greeting(who=who, features=FEATURES)


class Settable(Protocol):
    def set(self) -> None: ...


class Host(ABC):
    """The part of a host that all kinds share. It knows no event loop."""

    loop_name: str
    cancellable = True
    """Whether `cancel` ends a call whatever it does."""

    def __init__(
        self, settings: WorkerSettings, loaded: LoadedApp, channel: SupervisorChannel
    ) -> None:
        self.settings = settings
        self.loaded = loaded
        self.channel = channel
        self.greeting = worker_greeting(settings, loaded.interface)
        self.slots = AnnouncedSlots(settings, loaded.interface)
        self.about: dict[str, object] = {"app": loaded.name, "interface": loaded.interface}
        self.sessions: dict[str, LinkSession] = {}
        self.shutdown = self.new_event()
        """The event that tells the app that streams should end; it gets it by `shutdown_event`."""
        announce(self.shutdown)
        when_forked(self.forked)
        self.running: set[HostedCall] = set()
        """Calls in the app, and in a WSGI worker also those that wait for a thread."""
        self.now = 0.0
        """Monotonic seconds of the last tick: exact enough for the age of a call, and free."""
        self.requests = 0
        """How many calls the worker has taken."""
        self.failure: AppLoadError | None = None
        """Why the app cannot be served, although it was loaded."""
        self.state: Literal["warming", "serving", "draining", "cancelling", "stopped"] = "serving"
        self._signals = 0
        self._since = 0.0
        """Monotonic seconds when the state was entered."""
        self._warm_up: WarmUp | None = None
        self._abandoned = AbandonedCalls(cancellable=self.cancellable)
        self._report_at = 0.0
        self._recycle = RecyclePlan(settings, time.monotonic())
        self._asked_to_go = False
        self._logs_problem = ""
        """Why the log could not be opened again, when that was last tried."""
        self._plan = DialPlan(settings.pool_dir)
        self._link_problems = LinkProblems(settings.pool_dir)
        self._logged: tuple[str, ...] = ()
        """The problems that the log knows of, where no supervisor does."""
        self._problems = ProblemReporter(self._report_problems, [self._link_problems.at])
        self._lag = LagMeter()
        self._app_metrics = AppMetrics(settings)

    # -- what the kinds of host add ----------------------------------------------------------

    @abstractmethod
    def new_event(self) -> "Settable":
        """Makes an event of the kind that suits the app's loop."""

    @abstractmethod
    def new_call(self, session: LinkSession, scope: Scope) -> HostedCall: ...

    @abstractmethod
    def start(self, call: HostedCall) -> None: ...

    @abstractmethod
    def cancel(self, call: HostedCall) -> None:
        """Cancels a running call as far as the interface allows."""

    @abstractmethod
    def watch(self, session: LinkSession) -> None:
        """Has `session.readable` called whenever its socket has bytes, from now on."""

    @abstractmethod
    def schedule_flush(self, session: LinkSession) -> None: ...

    @abstractmethod
    def watch_writable(self, session: LinkSession) -> None: ...

    def closing(self, session: LinkSession) -> None:
        if self.sessions.get(session.path) is session:
            del self.sessions[session.path]
        if session.gateway != "silent":
            self._plan.succeeded(session.path)
        released = session.gateway == "released"
        self._plan.ended(session.path, time.monotonic(), for_long=released)

    def forked(self) -> None:
        """Cleans up in a process that the app has forked: the links belong to its parent."""
        for session in self.sessions.values():
            session.let_go()

    # -- the life of a host ------------------------------------------------------------------

    def take_signals(self) -> None:
        handle(signal.SIGTERM, self._on_signal)
        # Ctrl-C goes to the whole process group; a supervisor decides what it means.
        handle(signal.SIGINT, _ignore if self.channel.held else self._on_signal)

    def begin(self) -> None:
        """Begins to dial gateways: the app has started."""
        self.about["loop"] = self.loop_name
        if not self.settings.warm_up:
            self._announce()
            return
        self.state = "warming"
        self._warm_up = WarmUp(self.settings.warm_up, self.settings.ready_by)
        self._take_up(self._warm_up.sock, "the warm-up")

    def _announce(self) -> None:
        """Announces that the app may get calls."""
        self.state, self.requests = "serving", 0
        gc.collect()
        gc.freeze()  # objects that the app made at its start stay: collections can skip them
        logger.debug(
            "worker %s/%d of generation %d serves %s (%s, %s)",
            self.settings.pool,
            self.settings.worker_id,
            self.settings.generation,
            self.loaded.name,
            self.loaded.interface,
            self.loop_name,
        )
        self.channel.say(
            WorkerReady(os.getpid(), self.loaded.name, self.loaded.interface, self.loop_name)
        )

    def tick(self) -> float | None:
        """Looks at everything. Returns the seconds until the next tick, None when the host has
        stopped."""
        end_if_child()
        now = self.now = time.monotonic()
        late = self._lag.arrived(now)
        self.channel.flush()
        self.channel.listen()
        own_log.retry()
        if self.channel.take_logs_moved():
            self._logs_problem = own_log.reopen()
        self.channel.confirm_logs(self._logs_problem)
        if self.state == "warming":
            return self._warm(now)
        if now >= self._report_at:
            self._report_at = now + REPORT_EVERY
            self._report(now)
        if why := self._recycle.due(self.requests, now):
            self._ask_to_go(why)
        if self.state == "serving" and self._is_to_go():
            self._drain(now)
        elif self.state == "draining":
            self._tell_the_app(now)
        self._sweep(now)
        if self.state == "serving":
            self._dial(now)
            self.slots.look(now, self.sessions.values(), late)
            self._app_metrics.look(now)
            delay = TICK
        elif self._has_stopped(now):
            self.state = "stopped"
            for session in list(self.sessions.values()):
                session.finish(BYE_NORMAL, "the worker stops")
                session.close()
            self._app_metrics.finish()
            return None
        else:
            delay = STOPPING_TICK
        self._lag.expect(now + delay)
        return delay

    def take(self, call: HostedCall) -> None:
        """Counts a call that is about to enter the app."""
        self.requests += 1
        self.running.add(call)

    def abandoned(self, call: HostedCall, code: int) -> None:
        self._abandoned.add(call, code, time.monotonic())

    def left(self, call: HostedCall) -> None:
        self.running.discard(call)

    def slots_for(self, session: LinkSession) -> int:
        return self.slots.slots_for(session, self.sessions.values())

    def vitals(self) -> dict[str, object]:
        now = time.monotonic()
        begun = [call.began for call in self.running if call.began]
        return {
            "rss": rss_bytes(),
            "calls": len(begun),
            "queued": len(self.running) - len(begun),
            "lag": self._lag.read(now),
            "oldest_call": round(now - min(begun), 3) if begun else 0.0,
        }

    def stuck(self, now: float) -> int:
        """How many abandoned calls are stuck. The supervisor replaces a worker that has any."""
        patience = self.settings.heartbeat_timeout
        return self._abandoned.stuck(now, patience) if patience else 0

    # -- the looks ---------------------------------------------------------------------------

    def _on_signal(self, number: int, frame: object) -> None:
        self._signals += 1

    def _is_to_go(self) -> bool:
        by_itself = self._asked_to_go and not self.channel.held
        return by_itself or self._is_told_to_go()

    def _is_told_to_go(self) -> bool:
        return bool(self._signals) or self.channel.cut or self.channel.hurried

    def _is_hurried(self) -> bool:
        """Whether to end at once. With a supervisor a signal means a drain, however often it
        comes; only the supervisor's order hurries."""
        return self.channel.hurried or (self._signals > 1 and not self.channel.held)

    def _dial(self, now: float) -> None:
        plan, problems = self._plan, self._link_problems
        for path in plan.due(now, self.sessions):
            try:
                sock = connect(path)
            except OSError as error:
                logger.debug("no link to %s: %s", path, error)
                problems.refused(path, error)
                plan.ended(path, now)
                continue
            problems.connected(path)
            self._take_up(sock, path)
        linked = any(session.gateway != "silent" for session in self.sessions.values())
        problems.looked(plan.found, plan.fault, linked, now)
        self._problems.sweep(now)

    def version_differs(self, session: LinkSession, mismatch: VersionMismatch) -> None:
        self._link_problems.differs(session.path, mismatch, time.monotonic())

    def _report_problems(self, seen: ProblemsSeen) -> None:
        if self.channel.held:
            self.channel.say(seen)
        else:
            sentences = tuple(f"{one.what}; {one.remedy}" for one in seen.problems)
            for sentence in sentences:
                if sentence not in self._logged:
                    logger.error("%s", sentence)
            self._logged = sentences

    def _take_up(self, sock: socket.socket, path: str) -> None:
        session = self.sessions[path] = self.slots.new_session(sock, path, self)
        self.watch(session)
        session.flush()

    def _warm(self, now: float) -> float | None:
        """The tick until the app has answered all warm-up requests, or failed to."""
        warm_up = self._warm_up
        assert warm_up is not None
        warm_up.step(now)
        stopped = self._is_told_to_go()
        if not (warm_up.done or warm_up.failure or stopped):
            return WARM_TICK
        for session in list(self.sessions.values()):
            session.close()
        warm_up.close()
        if warm_up.failure:
            self.failure = AppLoadError("warm-up", warm_up.failure)
        elif not stopped:
            self._announce()
            return 0.0
        for call in list(self.running):
            self.cancel(call)
        self.state = "stopped"
        return None

    def _report(self, now: float) -> None:
        """Reports vitals to the supervisor. The tick does it, so that a loop that hangs is
        silent."""
        vitals = cast("dict[str, Any]", self.vitals())
        if why := self._recycle.grown(vitals["rss"]):
            self._ask_to_go(why)
        user, system, *_ = os.times()
        self.channel.say(
            Vitals(
                **vitals,
                **self.slots.vitals(),
                requests=self.requests,
                stuck=self.stuck(now),
                cpu=user + system,
            )
        )

    def _ask_to_go(self, why: str) -> None:
        """Asks to be replaced, once, and serves on. Without a supervisor the worker drains."""
        if self._asked_to_go or self.state != "serving":
            return
        self._asked_to_go = True
        logger.debug("asks to be replaced: it %s", why)
        if self.channel.held:
            self.channel.say(RecycleWish(why, self._recycle.kind))
        else:
            logger.info("stopping: this worker %s", why)

    def _sweep(self, now: float) -> None:
        """Cancels abandoned calls that are due."""
        hurry = self.state != "serving"
        for call, sentence in self._abandoned.due(now, self.running, hurry=hurry):
            logger.warning("%s", sentence, extra=call.log_facts())
            self.cancel(call)

    # -- the end -----------------------------------------------------------------------------

    def _drain(self, now: float) -> None:
        """Asks the gateways to be let go (DRAIN), and serves on. A gateway without another worker
        goes on opening calls here until it answers with its own DRAIN."""
        self.state = "draining"
        self._since = now
        self._tell_the_app(now)
        logger.debug("draining: %d calls are running", len(self.running))
        for session in list(self.sessions.values()):
            session.link.drain("the worker stops")
            session.flush()

    def _tell_the_app(self, now: float) -> None:
        """Sets the shutdown event as soon as clients can go elsewhere, to other workers or another
        server. As long as gateways still open calls here, clients that are sent away would come
        back at once. When half of the graceful time is over, it is set in any case."""
        gateways = {session.gateway for session in self.sessions.values()}
        if (
            "winding_down" in gateways
            or "released" in gateways
            or "greeted" not in gateways
            or now - self._since > self.settings.graceful_timeout / 2
        ):
            self.shutdown.set()

    def gateway_winds_down(self) -> None:
        if self.state == "draining":
            self.shutdown.set()

    def _has_stopped(self, now: float) -> bool:
        unsaid = any(session.has_unsent for session in self.sessions.values())
        if self.state == "cancelling":
            return not (self.running or unsaid) or now - self._since > CANCEL_TIMEOUT
        greeted_by = self._since + GREETING_TIMEOUT
        let_go = all(
            session.gateway == "released" or (session.gateway == "silent" and now >= greeted_by)
            for session in self.sessions.values()
        )
        # The link to a gateway that has answered is closed when no call is left. Responses that
        # the gateway has not read yet would be lost with it.
        idle = not (self.running or unsaid or any(s.link.calls for s in self.sessions.values()))
        if let_go and idle:
            return True
        hurried = self._is_hurried()
        if hurried or now - self._since > self.settings.graceful_timeout:
            self.state = "cancelling"
            self._since = now
            why = "we end at once" if hurried else "it outlived the graceful timeout"
            self._cancel_all(list(self.running), why)
            return not (self.running or unsaid)
        return False

    def _cancel_all(self, calls: Iterable[HostedCall], why: str) -> None:
        self.shutdown.set()
        for call in calls:
            tail, facts = call.log_end(), call.log_facts()
            logger.warning("a call is cancelled: %s%s", why, tail, extra=facts)
            call.stop()
            self.cancel(call)
        for session in list(self.sessions.values()):
            session.flush()


def _ignore(number: int, frame: object) -> None:
    """Ignores a signal. It is a handler, because the app's children would inherit SIG_IGN."""
