"""lifespan.rst. Each check starts the server with an app of its own, and ends it."""

import ast
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..calls import pause, written
from ..check import CORE, LIFESPAN, Check, Failed, NotApplicable, NotOffered, expect
from ..client import Connection, Silence
from ..faults import Event, Fault, Receive, Scope, Send, changed, dropped
from ..target import told

if TYPE_CHECKING:
    from ..launch import Launch
    from ..run import StartVisit

SLOW = 0.7
"""Seconds that an app's start or end takes where a server has to wait for it."""
SHOWN = "conformance: this text is to be seen"


def note(text: str) -> None:
    """Into the file that is there when the process is not."""
    with Path(os.environ["CONFORMANCE_NOTES"]).open("a") as file:
        file.write(f"{text}\n")


def noted() -> list[str]:
    return Path(os.environ["CONFORMANCE_NOTES"]).read_text().splitlines()


async def reply(send: Send, body: bytes) -> None:
    fields = [(b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 200, "headers": fields})
    await send({"type": "http.response.body", "body": body})


class _Lifespan(Check):
    """The app is `called`; its lifespan is noted."""

    family, text, start = "lifespan", LIFESPAN, True
    level = "must"

    async def called(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            note("called")
            await self.live(scope, receive, send)
        else:
            await self.serve(scope, receive, send)

    async def live(self, scope: Scope, receive: Receive, send: Send) -> None:
        event = await receive()
        note(event["type"])
        await self.begin(scope, send)
        event = await receive()
        note(event["type"])
        await self.end(send)

    async def begin(self, scope: Scope, send: Send) -> None:
        await send({"type": "lifespan.startup.complete"})

    async def end(self, send: Send) -> None:
        await send({"type": "lifespan.shutdown.complete"})

    async def serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        await reply(send, b"served")

    def ask(self, visit: "StartVisit") -> None:  # type: ignore[override]
        with visit.launch() as launch:
            try:
                self.watch(launch)
            except Failed:
                runs = launch.answered or launch.accepts()
                if runs and self.family == "lifespan" and "called" not in launch.noted():
                    raise NotApplicable("it calls no app for its lifespan") from None
                raise

    def watch(self, launch: "Launch") -> None:
        raise NotImplementedError


def get(launch: "Launch") -> Any:
    with Connection(launch.address) as connection:
        connection.send(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
        response = connection.response()
    launch.answered = True
    return response


def served(launch: "Launch", seconds: float = 15.0) -> Any:
    """The response to a first request, which may come late. Raises Failed."""
    until = time.monotonic() + seconds
    while True:
        try:
            return get(launch)
        except (OSError, Failed):
            if time.monotonic() > until or launch.process.poll() is not None:
                raise Failed("it does not serve") from None
            time.sleep(0.02)


def stopped(launch: "Launch") -> None:
    launch.terminate()
    if not launch.wait():
        raise Failed("it does not end")


class StartupComesFirst(_Lifespan):
    section = "Startup - ``receive`` event"
    says = (
        "Sent to the application when the server is ready to startup and receive connections, but "
        "before it has started to do so."
    )
    fault = Fault(received=changed("lifespan.startup", type="lifespan.start"))

    def watch(self, launch: "Launch") -> None:
        served(launch)
        seen = launch.noted()
        expect(seen == ["called", "lifespan.startup"], f"the app saw {seen}")


class LifespanScope(_Lifespan):
    section = "Scope"
    says = (
        '``type`` (*Unicode string*) -- ``"lifespan"``. … ``asgi["version"]`` (*Unicode string*) '
        '-- The version of the ASGI spec. … ``asgi["spec_version"]`` (*Unicode string*) -- The '
        'version of this spec being used. Optional; if missing defaults to ``"1.0"``.'
    )
    fault = Fault(scope={"asgi": {"version": "3.0", "spec_version": "2.5"}})

    async def begin(self, scope: Scope, send: Send) -> None:
        note("scope " + repr(scope["asgi"]))
        await super().begin(scope, send)

    def watch(self, launch: "Launch") -> None:
        served(launch)
        asgi = eval_noted(launch, "scope ")
        expect(asgi.get("version") == "3.0", f"{asgi}")
        expect(asgi.get("spec_version", "1.0") in ("1.0", "2.0"), f"{asgi}")


def eval_noted(launch: "Launch", start: str) -> Any:
    for line in launch.noted():
        if line.startswith(start):
            return ast.literal_eval(line.removeprefix(start))
    raise Failed(f"the app saw no {start}")


class StateIsAnEmptyNamespace(_Lifespan):
    section = "Scope"
    says = (
        "``state`` Optional(*dict[Unicode string, Any]*) -- An empty namespace where the "
        "application can persist state to be used when handling subsequent requests. Optional; if "
        "missing the server does not support this feature."
    )
    fault = Fault(scope={"state": None})

    async def begin(self, scope: Scope, send: Send) -> None:
        note("state " + repr(scope.get("state", "missing")))
        await super().begin(scope, send)

    def watch(self, launch: "Launch") -> None:
        served(launch)
        state = eval_noted(launch, "state ")
        if state == "missing":
            raise NotOffered("no 'state' in the scope")
        expect(state == {}, f"the state is {state!r}")


class ServerWaitsForStartup(_Lifespan):
    section = "Startup Complete - ``send`` event"
    says = "A server must wait for this message before it starts processing connections."
    fault = Fault(around=lambda app: _hasty(app))

    async def begin(self, scope: Scope, send: Send) -> None:
        for _ in range(1000):
            if "go on" in noted():
                break
            await pause(0.01)
        await super().begin(scope, send)

    def watch(self, launch: "Launch") -> None:
        until = time.monotonic() + 15.0
        while "lifespan.startup" not in launch.noted():
            expect(time.monotonic() < until, "the app is not told of the startup")
            time.sleep(0.02)
        try:
            served(launch, 1.5)
        except Failed:
            with launch.notes.open("a") as file:
                file.write("go on\n")
            served(launch)
        else:
            raise Failed("a request is served before the app's startup is complete")


def _hasty(app: Any) -> Any:
    """Says that startup is complete before the app does, and serves beside it."""

    async def called(scope: Any, receive: Any, send: Any) -> None:
        async def hasty_receive() -> Event:
            event = await receive()
            await send({"type": event["type"] + ".complete"})
            return event

        async def hasty_send(event: Event) -> None:
            if scope["type"] != "lifespan":
                await send(event)

        await app(scope, hasty_receive if scope["type"] == "lifespan" else receive, hasty_send)

    return called


class StartupFailedEndsTheServer(_Lifespan):
    section, level = "Startup Failed - ``send`` event", "should"
    says = "If a server sees this it should log/print the message provided and then exit."
    fault = Fault(sent=changed("lifespan.startup.failed", type="lifespan.startup.complete"))

    async def begin(self, scope: Scope, send: Send) -> None:
        await send({"type": "lifespan.startup.failed", "message": SHOWN})

    def watch(self, launch: "Launch") -> None:
        expect(launch.wait(), "it does not end")
        expect(SHOWN in launch.log(), "its log does not have the app's message")


class _Unsupported(_Lifespan):
    section = "Scope"
    says = (
        "If an exception is raised when calling the application callable with a "
        "``lifespan.startup`` message or a ``scope`` with type ``lifespan``, the server must "
        "continue but not send any lifespan events."
    )
    fault = Fault(around=lambda app: _exiting(app))

    def watch(self, launch: "Launch") -> None:
        expect(served(launch).body == b"served", "another body")
        stopped(launch)
        seen = [line for line in launch.noted() if "shutdown" in line]
        expect(not seen, f"the app saw {seen}")


def _exiting(app: Any) -> Any:
    async def called(scope: Any, receive: Any, send: Any) -> None:
        try:
            await app(scope, receive, send)
        except RuntimeError:
            await send({"type": "lifespan.startup.failed", "message": "no"})

    return called


class ErrorForTheScopeIsNoLifespan(_Unsupported):
    async def live(self, scope: Scope, receive: Receive, send: Send) -> None:
        raise RuntimeError("no lifespan here")


class ErrorInStartupIsNoLifespan(_Unsupported):
    async def live(self, scope: Scope, receive: Receive, send: Send) -> None:
        note((await receive())["type"])
        raise RuntimeError("no lifespan here")


class RequestsAreOnTheLifespansLoop(_Lifespan):
    section = "Lifespan Protocol"
    says = (
        "The important part is that lifespans and requests are run in the same event loop to "
        "ensure that objects like database connection pools are not moved or shared across event "
        "loops."
    )
    fault = Fault(around=lambda app: _numbered(app))

    async def live(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.loop = loop(scope)
        await super().live(scope, receive, send)

    async def serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        await reply(send, written(self.loop == loop(scope)))

    def watch(self, launch: "Launch") -> None:
        expect(told(served(launch)), "another event loop")


def loop(scope: Scope) -> int:
    import asyncio

    if "loop" in scope:
        return scope["loop"]
    try:
        return id(asyncio.get_running_loop())
    except RuntimeError:
        import trio

        return id(trio.lowlevel.current_trio_token())


def _numbered(app: Any) -> Any:
    async def called(scope: Any, receive: Any, send: Any) -> None:
        await app({**scope, "loop": hash(scope["type"])}, receive, send)

    return called


class LifespanIsCalledOnce(_Lifespan):
    section, level = "Lifespan Protocol", "should"
    says = "Lifespans should be executed once per event loop that will be processing requests."
    fault = Fault(around=lambda app: _twice(app))

    def watch(self, launch: "Launch") -> None:
        for _ in range(3):
            served(launch)
        calls = launch.noted().count("called")
        expect(calls == 1, f"one process has called the app's lifespan {calls} times")


def _twice(app: Any) -> Any:
    async def called(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            note("called")
        await app(scope, receive, send)

    return called


class ShutdownIsSent(_Lifespan):
    section = "Shutdown - ``receive`` event"
    says = (
        "Sent to the application when the server has stopped accepting connections and closed all "
        "active connections."
    )
    fault = Fault(received=dropped("lifespan.shutdown"))

    def watch(self, launch: "Launch") -> None:
        served(launch)
        launch.terminate()
        launch.wait(3.0)
        seen = launch.noted()
        expect(seen[-1:] == ["lifespan.shutdown"], f"the app saw {seen}")


class ShutdownComesBehindTheLastConnection(_Lifespan):
    section = "Shutdown - ``receive`` event"
    says = ShutdownIsSent.says
    fault = Fault(around=lambda app: _forgetful(app))

    async def serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        note("request")
        await pause(SLOW)
        note("response")
        await reply(send, b"served")

    def watch(self, launch: "Launch") -> None:
        launch.wait_for_port()
        with Connection(launch.address) as connection:
            connection.send(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
            until = time.monotonic() + 15.0
            while "request" not in launch.noted():
                expect(time.monotonic() < until, "the app is not called")
                time.sleep(0.01)
            launch.terminate()
            try:
                connection.response()
            except Failed:
                pass
        expect(launch.wait(), "it does not end")
        seen = launch.noted()
        shutdown = "lifespan.shutdown" in seen and seen.index("lifespan.shutdown")
        expect(shutdown and "response" in seen[:shutdown], f"the app saw {seen}")


def _forgetful(app: Any) -> Any:
    async def called(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            note("request")
            return
        await app(scope, receive, send)

    return called


class NoRequestIsServedInShutdown(_Lifespan):
    section = "Shutdown - ``receive`` event"
    says = ShutdownIsSent.says
    fault = Fault(received=lambda event: _noted_early(event))

    async def end(self, send: Send) -> None:
        await pause(SLOW)
        await super().end(send)

    def watch(self, launch: "Launch") -> None:
        served(launch)
        if "lifespan.shutdown" not in launch.noted():
            launch.terminate()
        until = time.monotonic() + 5.0
        while "lifespan.shutdown" not in launch.noted():
            expect(time.monotonic() < until, "the app is not told of the shutdown")
            time.sleep(0.01)
        try:
            status = get(launch).status
        except (OSError, Silence, Failed):
            return
        expect(status >= 500, "a request is served while the app shuts down")


def _noted_early(event: Event) -> Event:
    note("lifespan.shutdown")
    return event


class ServerWaitsForShutdown(_Lifespan):
    section = "Shutdown Complete - ``send`` event"
    says = "A server must wait for this message before terminating."
    fault = Fault(around=lambda app: _hasty(app))

    async def end(self, send: Send) -> None:
        await pause(SLOW)
        note("complete")
        await super().end(send)

    def watch(self, launch: "Launch") -> None:
        served(launch)
        stopped(launch)
        seen = launch.noted()
        expect("complete" in seen, f"it ended before the app's shutdown was complete: {seen}")


class ShutdownFailedIsLogged(_Lifespan):
    section, level = "Shutdown Failed - ``send`` event", "should"
    says = "If a server sees this it should log/print the message provided and then terminate."
    fault = Fault(sent=changed("lifespan.shutdown.failed", message=""))

    async def end(self, send: Send) -> None:
        await send({"type": "lifespan.shutdown.failed", "message": SHOWN})

    def watch(self, launch: "Launch") -> None:
        served(launch)
        stopped(launch)
        expect(SHOWN in launch.log(), "its log does not have the app's message")


class LegacyAppIsServed(_Lifespan):
    family, text, section, level = "asgi", CORE, "Legacy Applications", "may"
    says = (
        "Servers are encouraged to support both types as of ASGI 3.0 and gradually drop support by "
        "default over time."
    )
    legacy = True
    fault = Fault(around=lambda app: lambda scope: None)

    def watch(self, launch: "Launch") -> None:
        expect(served(launch).body == b"served", "another body")
