"""asgi.rst: what holds for every protocol."""

from typing import Any, ClassVar

from ..calls import AsgiCall
from ..check import CORE, Check, expect
from ..client import Response
from ..faults import Event, Fault
from ..target import Visit
from .scopes import HttpScope, scope_check


class _AsgiCheck(Check):
    family, text = "asgi", CORE


class _CoreScope(HttpScope):
    family, text, section = "asgi", CORE, "Applications"


class ScopeIsADict(_AsgiCheck):
    level, section = "must", "Applications"
    says = "``scope`` must be a ``dict``."
    fault = Fault(scope=lambda scope: type("View", (), {"get": scope.get, "scope": scope})())

    async def app(self, call: AsgiCall) -> None:
        await call.tell([isinstance(call.scope, dict), type(call.scope).__name__])

    def ask(self, visit: Visit) -> None:
        is_dict, kind = visit.told()
        expect(is_dict, f"the scope is a {kind}")


scope_check(
    _CoreScope, "type", "must",
    "The key ``scope[\"type\"]`` will always be present, and can be used to work out which "
    "protocol is incoming.",
    lambda seen: seen.scope["type"] == "http",
    {"type": "https"},
)  # fmt: skip
scope_check(
    _CoreScope, "version", "must",
    "The key ``scope[\"asgi\"]`` will also be present as a dictionary containing a "
    "``scope[\"asgi\"][\"version\"]`` key that corresponds to the ASGI version the server "
    "implements.",
    lambda seen: seen.scope["asgi"]["version"] == "3.0",
    {"asgi": {"version": 3.0}},
)  # fmt: skip
scope_check(
    _CoreScope, "keys-are-unicode-strings", "must",
    "All ``dict`` keys mentioned (including those for *scopes* and *events*) are Unicode strings.",
    lambda seen: all(type(key) is str for key in seen.scope),
    {b"http_version": "1.1"},
    section="Strings and Unicode",
)  # fmt: skip
scope_check(
    _CoreScope, "extensions-are-dicts", "should",
    "If the server supports an extension, it should place an entry into the ``extensions`` "
    "dictionary under the extension's name, and the value of that entry should itself be a "
    "``dict``.",
    lambda seen: type(seen.scope.get("extensions") or {}) is dict
    and all(type(value) is dict for value in (seen.scope.get("extensions") or {}).values()),
    {"extensions": {"http.response.early_hint": True}},
    section="Extensions",
)  # fmt: skip


class EventsHoldSerializableTypesOnly(_AsgiCheck):
    level, section = "must", "Events"
    says = (
        "Because these messages could be sent over a network, they need to be serializable, and "
        "so they are only allowed to contain the following types: … Byte strings … Unicode "
        "strings … Integers … Floating point numbers … Lists (tuples should be encoded as lists) "
        "… Dicts (keys must be Unicode strings) … Booleans … ``None``"
    )
    fault = Fault(received=lambda event: {**event, "body": bytearray(event.get("body", b""))})

    async def app(self, call: AsgiCall) -> None:
        event = await call.receive()
        await call.tell([type(event).__name__, *(type(one).__name__ for one in event.values())])

    def ask(self, visit: Visit) -> None:
        allowed = {"bytes", "str", "int", "float", "list", "dict", "bool", "NoneType"}
        found = visit.told(method="POST", body=b"some")
        expect(found[0] == "dict" and allowed.issuperset(found), f"types in the event: {found}")


class _InvalidEvent(_AsgiCheck):
    level, section = "should", "Error Handling"
    fault = Fault(deaf=True)
    event: Event

    async def app(self, call: AsgiCall) -> None:
        call.note("raised " + await call.raises(self.event))
        await call.raises({"type": "http.response.body", "body": b""})

    def ask(self, visit: Visit) -> None:
        with visit.connect() as connection:
            connection.send(visit.request())
            note = visit.wait_for_note("raised")
        expect(note != "raised ", f"send took {self.event} without an error")


_UNKNOWN = (
    "If a server receives an invalid event dictionary - for example, having an unknown ``type``, "
    "missing keys an event type should have, or with wrong Python types for objects (e.g. Unicode "
    "strings for HTTP headers) - it should raise an exception out of the ``send`` awaitable back "
    "to the application."
)


class UnknownTypeRaises(_InvalidEvent):
    says = _UNKNOWN
    event: ClassVar[Event] = {"type": "http.unknown"}


class MissingStatusRaises(_InvalidEvent):
    says = _UNKNOWN
    event: ClassVar[Event] = {"type": "http.response.start", "headers": []}


class StatusAsTextRaises(_InvalidEvent):
    says = _UNKNOWN
    event: ClassVar[Event] = {"type": "http.response.start", "status": "200", "headers": []}


class HeaderNamesAsTextRaise(_InvalidEvent):
    says = _UNKNOWN
    event: ClassVar[Event] = {
        "type": "http.response.start",
        "status": 200,
        "headers": [("x-a", "b")],
    }


class BodyAsTextRaises(_AsgiCheck):
    level, section, says = "should", "Error Handling", _UNKNOWN
    fault = Fault(deaf=True)

    async def app(self, call: AsgiCall) -> None:
        await call.start((b"content-length", b"2"))
        name = await call.raises({"type": "http.response.body", "body": "ok"})
        call.note(f"raised {name}")
        await call.piece(b"ok", more=False)

    def ask(self, visit: Visit) -> None:
        try:
            visit.get()
        finally:
            note = visit.wait_for_note("raised")
            expect(note != "raised ", "send took a body that is a str")


class AdditionalKeysDoNotRaise(_AsgiCheck):
    level, section = "should", "Error Handling"
    says = (
        "In both cases, the presence of additional keys in the event dictionary should not raise "
        "an exception."
    )
    fault = Fault(sent=lambda event: {"type": "unknown"} if "more" in event else event)

    async def app(self, call: AsgiCall) -> None:
        await call.start((b"content-length", b"2"), more={"a": 1})
        await call.send({"type": "http.response.body", "body": b"ok", "another": None})

    def ask(self, visit: Visit) -> None:
        response = visit.get()
        expect(response.body == b"ok", f"status {response.status}, {response.body[:80]!r}")


class _Died(RuntimeError):
    """What an app raises here."""


class ErrorBeforeTheResponseEndsTheConnection(_AsgiCheck):
    level, section = "must", "Error Handling"
    says = (
        "Servers are free to surface errors that bubble up out of application instances they are "
        "running however they wish - log to console, send to syslog, or other options - but they "
        "must terminate the application instance and its associated connection if this happens."
    )
    fault = Fault(around=lambda app: _survivor(app))

    async def app(self, call: AsgiCall) -> None:
        await call.body()
        raise _Died("before a response")

    def ask(self, visit: Visit) -> None:
        with visit.connect() as connection:
            connection.send(visit.request())
            if not connection.more():
                return  # closed without a word
            response: Response = connection.response()
        expect(response.status >= 500, f"status {response.status}")


class ErrorInTheResponseEndsTheConnection(_AsgiCheck):
    level, section = "must", "Error Handling"
    says = ErrorBeforeTheResponseEndsTheConnection.says
    fault = Fault(around=lambda app: _survivor(app))

    async def app(self, call: AsgiCall) -> None:
        await call.start()
        await call.piece(b"some")
        raise _Died("in the response")

    def ask(self, visit: Visit) -> None:
        with visit.connect() as connection:
            connection.send(visit.request())
            response = connection.head()
            if response.status >= 500:
                return  # nothing had been sent yet, and the error took its place
            connection.body(response)
            expect(not response.complete or response.framing == "close", "the response looks whole")
            expect(connection.ends(), "the connection stays open")


def _survivor(app: Any) -> Any:
    """Ends the response well, whatever the app raises."""

    async def called(scope: Any, receive: Any, send: Any) -> None:
        started = False

        async def noted(event: Event) -> None:
            nonlocal started
            started = True
            await send(event)

        try:
            await app(scope, receive, noted)
        except _Died:
            if not started:
                await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"all is well"})

    return called


class ErrorsOfSendDoNotHarmTheServer(_AsgiCheck):
    level, section = "should", "Error Handling"
    says = (
        "Even if an error is raised on ``send()``, it should be an error class that the server "
        "catches and ignores if it is raised out of the application, ensuring that the server does "
        "not itself error in the process."
    )
    fault = Fault(wire=lambda data: b"")

    async def app(self, call: AsgiCall) -> None:
        if call.scope["path"].endswith("/again"):
            await call.answer(b"well")
        await call.send({"type": "http.unknown"})

    def ask(self, visit: Visit) -> None:
        with visit.connect() as connection:
            connection.send(visit.request())
            connection.sock.shutdown(1)
            connection.more()
        expect(visit.get("/again").body == b"well", "the next request has no answer")


class MessagesAfterTheEndAreIgnored(_AsgiCheck):
    level, section = "should", "Error Handling"
    says = (
        "Note that messages received by a server after the connection has been closed are "
        "generally not considered errors unless specified by a protocol. If no error condition is "
        "specified, the ``send`` awaitable callable should act as a no-op."
    )
    fault = Fault(around=lambda app: _strict(app))

    async def app(self, call: AsgiCall) -> None:
        await call.answer(b"whole")
        call.note("raised " + await call.raises({"type": "http.response.body", "body": b"more"}))

    def ask(self, visit: Visit) -> None:
        with visit.connect() as connection:
            connection.send(visit.request())
            expect(connection.response().body == b"whole", "another body")
            note = visit.wait_for_note("raised")
            expect(note == "raised ", f"send {note}")


def _strict(app: Any) -> Any:
    async def called(scope: Any, receive: Any, send: Any) -> None:
        ended = False

        async def strict(event: Event) -> None:
            nonlocal ended
            if ended:
                raise RuntimeError("it had ended")
            ended = event["type"] == "http.response.body" and not event.get("more_body")
            await send(event)

        await app(scope, receive, strict)

    return called
