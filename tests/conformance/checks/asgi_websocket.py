"""www.rst, "WebSocket": its events, from the handshake to its end."""

import ast
import struct
from typing import Any, ClassVar

from ..calls import AsgiCall
from ..check import CORE, WWW, Check, Failed, NotOffered, expect
from ..client import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, Connection, Silence
from ..faults import Event, Fault, changed, dropped, without
from ..target import Visit

LONG = "é" * 100_000
ACCEPT = b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
"""Of RFC 6455's sample key (1.3)."""


class _WebSocket(Check):
    family, text, section = "websocket", WWW, "WebSocket"
    level = "must"

    async def open(self, call: AsgiCall, **accept: Any) -> None:
        await call.receive()
        await call.send({"type": "websocket.accept", **accept})

    async def app(self, call: AsgiCall) -> None:
        """Tells what it receives, one text for each event, and notes it."""
        await self.open(call)
        while True:
            event = await call.receive()
            told = ascii_of(event)
            call.note(told)
            if event["type"] == "websocket.disconnect":
                return
            await call.send({"type": "websocket.send", "text": told})


def told(connection: Connection) -> dict[str, Any]:
    """The event that the app has received."""
    opcode, payload = connection.read_frame()
    expect(opcode == TEXT, f"opcode {opcode}: {payload[:80]!r}")
    return event_of(payload.decode())


def since(visit: Visit, version: float, has: bool) -> None:
    """What a later version of the specification brought, a server of an earlier one need not
    have. The app has noted which one it says that it speaks."""
    spec = visit.wait_for_note("spec ")[5:]
    if float(spec) < version and not has:
        raise NotOffered(f"it says that it speaks {spec}, and {version} brought this")


def ascii_of(event: Event) -> str:
    """A close code may be an enumeration's number."""
    if "code" in event and isinstance(event["code"], int):
        event = {**event, "code": int(event["code"])}
    return ascii(sorted(event.items()))


def event_of(text: str) -> dict[str, Any]:
    return dict(ast.literal_eval(text))


def close(connection: Connection, code: int = 1000, reason: bytes = b"") -> None:
    connection.frame(CLOSE, struct.pack("!H", code) + reason)


# -- the handshake ---------------------------------------------------------------------------


class ConnectComesFirst(_WebSocket):
    section = "Connect - ``receive`` event"
    says = (
        "Sent to the application when the client initially opens a connection and is about to "
        "finish the WebSocket handshake."
    )
    fault = Fault(received=dropped("websocket.connect"))

    async def app(self, call: AsgiCall) -> None:
        event = await call.receive()
        call.note("first " + event["type"])
        await call.send({"type": "websocket.close"})

    def ask(self, visit: Visit) -> None:
        with visit.connect() as connection:
            connection.send(visit.handshake())
            note = visit.wait_for_note("first", 2.0)
        expect(note == "first websocket.connect", f"the app received {note}")


class HandshakeWaitsForTheApp(_WebSocket):
    section = "Connect - ``receive`` event"
    says = (
        "The protocol server must send this message during the handshake phase of the WebSocket "
        "and not complete the handshake until it gets a reply…"
    )
    fault = Fault(around=lambda app: _hasty(app))

    async def app(self, call: AsgiCall) -> None:
        await call.receive()
        await call.released()
        await call.send({"type": "websocket.accept"})
        await call.send({"type": "websocket.close"})

    def ask(self, visit: Visit) -> None:
        with visit.connect() as connection:
            connection.send(visit.handshake())
            silent = connection.silent(0.3)
            visit.release()
            expect(silent, "the server answers before the app does")
            expect(connection.response().status == 101, "no handshake")


def _hasty(app: Any) -> Any:
    """Accepts before the app has said so."""

    async def called(scope: Any, receive: Any, send: Any) -> None:
        event = await receive()
        await send({"type": "websocket.accept"})

        async def again() -> Event:
            return event

        async def not_twice(event: Event) -> None:
            if event["type"] not in ("websocket.accept", "websocket.http.response.start"):
                await send(event)

        await app(scope, again, not_twice)

    return called


class CloseBeforeAcceptIs403(_WebSocket):
    section = "Close - ``send`` event"
    says = (
        "If this is sent before the socket is accepted, the server must close the connection with "
        "a HTTP 403 error code (Forbidden), and not complete the WebSocket handshake…"
    )
    fault = Fault(around=_hasty)

    async def app(self, call: AsgiCall) -> None:
        await call.receive()
        await call.send({"type": "websocket.close"})

    def ask(self, visit: Visit) -> None:
        with visit.connect() as connection:
            connection.send(visit.handshake())
            response = connection.response()
            expect(response.status == 403, f"status {response.status}")


class AcceptCompletesTheHandshake(_WebSocket):
    section = "Accept - ``send`` event"
    says = "Sent by the application when it wishes to accept an incoming connection."
    fault = Fault(sent=changed("websocket.accept", type="websocket.close"))

    def ask(self, visit: Visit) -> None:
        with visit.connect() as connection:
            connection.send(visit.handshake())
            response = connection.response()
            expect(response.status == 101, f"status {response.status}")
            found = response.values(b"sec-websocket-accept")
            expect(found == [ACCEPT], f"Sec-WebSocket-Accept {found}")
            names = response.values(b"sec-websocket-protocol")
            expect(not names, f"a subprotocol that nobody chose: {names}")


class AcceptChoosesASubprotocol(_WebSocket):
    section = "Accept - ``send`` event"
    says = "``subprotocol`` (*Unicode string*) -- The subprotocol the server wishes to accept."
    fault = Fault(sent=without("subprotocol"))

    async def app(self, call: AsgiCall) -> None:
        await self.open(call, subprotocol="second")
        await call.send({"type": "websocket.close"})

    def ask(self, visit: Visit) -> None:
        with visit.connect() as connection:
            connection.send(visit.handshake("/", ("Sec-WebSocket-Protocol", "first, second")))
            found = connection.response().values(b"sec-websocket-protocol")
        expect(found == [b"second"], f"Sec-WebSocket-Protocol {found}")


class AcceptHasHeaders(_WebSocket):
    section = "Accept - ``send`` event"
    says = "Order must be preserved in the HTTP response."
    fault = Fault(sent=lambda event: {**event, "headers": event.get("headers", [])[::-1]})

    async def app(self, call: AsgiCall) -> None:
        names = (b"x-b", b"x-a", b"x-b")
        call.note("spec " + call.scope["asgi"].get("spec_version", "2.0"))
        await self.open(call, headers=[(n, b"%d" % place) for place, n in enumerate(names)])
        await call.send({"type": "websocket.close"})

    def ask(self, visit: Visit) -> None:
        with visit.connect() as connection:
            connection.send(visit.handshake())
            response = connection.response()
        found = [(n.lower(), v) for n, v in response.headers if n.lower() in (b"x-a", b"x-b")]
        since(visit, 2.1, bool(found))
        expect(found == [(b"x-b", b"0"), (b"x-a", b"1"), (b"x-b", b"2")], f"the fields are {found}")


class ErrorBeforeAcceptIsNoWebSocket(_WebSocket):
    family, text, section = "websocket", CORE, "Error Handling"
    says = (
        "…they must terminate the application instance and its associated connection if this "
        "happens."
    )
    fault = Fault(around=_hasty)

    async def app(self, call: AsgiCall) -> None:
        await call.receive()
        raise RuntimeError("before accept")

    def ask(self, visit: Visit) -> None:
        with visit.connect() as connection:
            connection.send(visit.handshake())
            if connection.more():
                status = connection.response().status
                expect(status >= 400, f"status {status}")


# -- messages of the client ------------------------------------------------------------------


class _Receive(_WebSocket):
    section = "Receive - ``receive`` event"


class TextIsReceivedAsText(_Receive):
    says = (
        "``text`` (*Unicode string*) -- The message content, if it was text mode, or ``None``. "
        "Optional; if missing, it is equivalent to ``None``."
    )
    fault = Fault(received=without("text"))

    def ask(self, visit: Visit) -> None:
        with visit.websocket() as connection:
            connection.frame(TEXT, "gr\xfc\xdfe \U0001f30d".encode())
            event = told(connection)
        expect(event["type"] == "websocket.receive", f"{event}")
        expect(event.get("text") == "gr\xfc\xdfe \U0001f30d", f"{event}")


class BytesAreReceivedAsBytes(_Receive):
    says = (
        "``bytes`` (*byte string*) -- The message content, if it was binary mode, or ``None``. "
        "Optional; if missing, it is equivalent to ``None``."
    )
    fault = Fault(received=without("bytes"))

    def ask(self, visit: Visit) -> None:
        with visit.websocket() as connection:
            connection.frame(BINARY, b"\x00\xff")
            event = told(connection)
        expect(event.get("bytes") == b"\x00\xff", f"{event}")


class ReceivedIsEitherTextOrBytes(_Receive):
    says = (
        "Exactly one of ``bytes`` or ``text`` must be non-``None``. One or both keys may be "
        "present, however."
    )
    fault = Fault(received=lambda event: {"text": "", "bytes": b"", **event})

    def ask(self, visit: Visit) -> None:
        with visit.websocket() as connection:
            for opcode, payload in ((TEXT, b"a"), (BINARY, b"b"), (TEXT, b""), (BINARY, b"")):
                connection.frame(opcode, payload)
                event = told(connection)
                both = [event.get("text"), event.get("bytes")]
                none = both[1] if opcode == TEXT else both[0]
                some = both[0] if opcode == TEXT else both[1]
                expect(none is None and some is not None, f"{event}")


class FragmentsAreJoined(_WebSocket):
    level = "should"
    says = (
        "WebSocket protocol servers should handle message fragmentation themselves, and deliver "
        "complete messages to the application."
    )
    fault = Fault(received=changed("websocket.receive", text="fra"))

    def ask(self, visit: Visit) -> None:
        with visit.websocket() as connection:
            connection.frame(TEXT, b"fra", fin=False)
            connection.frame(PING, b"between")
            connection.frame(CONTINUATION, b"gme", fin=False)
            connection.frame(CONTINUATION, b"nts")
            opcode, payload = connection.read_frame()
            if opcode == PONG:
                opcode, payload = connection.read_frame()
            event = event_of(payload.decode())
        expect(event.get("text") == "fragments", f"{event}")


class LongMessageIsWhole(_WebSocket):
    level = "should"
    says = FragmentsAreJoined.says
    fault = Fault(received=changed("websocket.receive", text="short"))

    async def app(self, call: AsgiCall) -> None:
        await self.open(call)
        event = await call.receive()
        await call.send({"type": "websocket.send", "text": str(event["text"] == LONG)})

    def ask(self, visit: Visit) -> None:
        with visit.websocket() as connection:
            connection.frame(TEXT, LONG.encode())
            _, payload = connection.read_frame()
        expect(payload == b"True", "another message")


class PingIsAnswered(_WebSocket):
    level = "should"
    says = (
        "WebSocket protocol servers should handle PING/PONG messages themselves, and send PING "
        "messages as necessary to ensure the connection is alive."
    )
    fault = Fault(wire=lambda data: data.replace(b"pay", b"pax"))

    def ask(self, visit: Visit) -> None:
        with visit.websocket() as connection:
            connection.frame(PING, b"pay")
            opcode, payload = connection.read_frame()
            expect((opcode, payload) == (PONG, b"pay"), f"opcode {opcode}, {payload!r}")
            connection.frame(TEXT, b"next")
            expect(told(connection).get("text") == "next", "the app has received the PING")


# -- messages of the app ---------------------------------------------------------------------


class _Send(_WebSocket):
    section = "Send - ``send`` event"
    event: Event
    frame: tuple[int, bytes]

    async def app(self, call: AsgiCall) -> None:
        await self.open(call)
        await call.send({"type": "websocket.send", **self.event})
        await call.receive()

    def ask(self, visit: Visit) -> None:
        with visit.websocket() as connection:
            got = connection.read_frame()
        expect(got == self.frame, f"opcode and payload {got} instead of {self.frame}")


class TextIsSentAsText(_Send):
    says = "``text`` (*Unicode string*) -- Text message content, or ``None``."
    fault = Fault(sent=changed("websocket.send", text=None, bytes=b"x"))
    event: ClassVar[Event] = {"text": "gr\xfc\xdfe"}
    frame = (TEXT, "gr\xfc\xdfe".encode())


class BytesAreSentAsBinary(_Send):
    says = "``bytes`` (*byte string*) -- Binary message content, or ``None``."
    fault = Fault(sent=changed("websocket.send", text="x", bytes=None))
    event: ClassVar[Event] = {"bytes": b"\x00\xff"}
    frame = (BINARY, b"\x00\xff")


class OtherKeyMayBeNone(_Send):
    says = ReceivedIsEitherTextOrBytes.says
    fault = Fault(sent=without("text"))
    event: ClassVar[Event] = {"text": "x", "bytes": None}
    frame = (TEXT, b"x")


class EmptyTextIsAMessage(_Send):
    says = ReceivedIsEitherTextOrBytes.says
    fault = Fault(sent=dropped("websocket.send"))
    event: ClassVar[Event] = {"text": "", "bytes": None}
    frame = (TEXT, b"")


class _InvalidMessage(_WebSocket):
    text, section, level = CORE, "Error Handling", "should"
    says = (
        "If a server receives an invalid event dictionary - for example, having an unknown "
        "``type``, missing keys an event type should have, or with wrong Python types for objects "
        "(e.g. Unicode strings for HTTP headers) - it should raise an exception out of the "
        "``send`` awaitable back to the application."
    )
    fault = Fault(deaf=True)
    event: Event

    async def app(self, call: AsgiCall) -> None:
        await self.open(call)
        call.note("raised " + await call.raises(self.event))

    def ask(self, visit: Visit) -> None:
        with visit.websocket():
            note = visit.wait_for_note("raised")
        expect(note != "raised ", f"send took {self.event} without an error")


class UnknownTypeRaises(_InvalidMessage):
    event: ClassVar[Event] = {"type": "websocket.unknown"}


class MessageWithoutContentRaises(_InvalidMessage):
    event: ClassVar[Event] = {"type": "websocket.send", "text": None, "bytes": None}


class TextAsBytesRaises(_InvalidMessage):
    event: ClassVar[Event] = {"type": "websocket.send", "text": b"bytes"}


# -- the end ---------------------------------------------------------------------------------


class _Disconnect(_WebSocket):
    section = "Disconnect - ``receive`` event"

    def disconnect(self, visit: Visit) -> dict[str, Any]:
        return event_of(visit.wait_for_note("[('code'", 2.0))


class DisconnectHasTheClientsCode(_Disconnect):
    says = "``code`` (*int*) -- The WebSocket close code, as per the WebSocket spec."
    fault = Fault(received=changed("websocket.disconnect", code=1000))

    def ask(self, visit: Visit) -> None:
        with visit.websocket() as connection:
            close(connection, 4321)
            event = self.disconnect(visit)
        expect(event["code"] == 4321, f"{event}")


class DisconnectWithoutACodeIs1005(_Disconnect):
    says = (
        "If no code was received in the frame from the client, the server should set this to "
        "``1005`` (the default value in the WebSocket specification)."
    )
    level = "should"
    fault = Fault(received=changed("websocket.disconnect", code=1000))

    def ask(self, visit: Visit) -> None:
        with visit.websocket() as connection:
            connection.frame(CLOSE)
            event = self.disconnect(visit)
        expect(event["code"] == 1005, f"{event}")


class DisconnectHasTheClientsReason(_Disconnect):
    says = (
        "``reason`` (*Unicode string*) -- A reason given for the disconnect, can be any string. "
        "Optional; if missing or ``None`` default is empty string."
    )
    fault = Fault(received=changed("websocket.disconnect", reason="other"))

    async def app(self, call: AsgiCall) -> None:
        call.note("spec " + call.scope["asgi"].get("spec_version", "2.0"))
        await super().app(call)

    def ask(self, visit: Visit) -> None:
        with visit.websocket() as connection:
            close(connection, 1000, "wär's".encode())
            event = self.disconnect(visit)
        since(visit, 2.5, bool(event.get("reason")))
        expect(event.get("reason") == "wär's", f"{event}")


class DisconnectWhenTheConnectionIsLost(_Disconnect):
    says = (
        "Sent to the application when either connection to the client is lost, either from the "
        "client closing the connection, the server closing the connection, or loss of the socket."
    )
    fault = Fault(received=dropped("websocket.disconnect"))

    def ask(self, visit: Visit) -> None:
        with visit.websocket() as connection:
            connection.frame(TEXT, b"x")
            told(connection)
        self.disconnect(visit)


class DisconnectAfterTheAppsClose(_Disconnect):
    says = DisconnectWhenTheConnectionIsLost.says
    fault = Fault(received=dropped("websocket.disconnect"))

    async def app(self, call: AsgiCall) -> None:
        await self.open(call)
        await call.send({"type": "websocket.close", "code": 4001})
        call.note(ascii_of(await call.receive()))

    def ask(self, visit: Visit) -> None:
        with visit.websocket() as connection:
            code, _ = connection.closed()
            close(connection, code)
            self.disconnect(visit)


class _Close(_WebSocket):
    section = "Close - ``send`` event"
    says = (
        "If this is sent after the socket is accepted, the server must close the socket with the "
        "close code passed in the message (or 1000 if none is specified)."
    )
    event: Event
    closed: tuple[int, str]

    async def app(self, call: AsgiCall) -> None:
        await self.open(call)
        await call.send({"type": "websocket.close", **self.event})

    def ask(self, visit: Visit) -> None:
        with visit.websocket() as connection:
            got = connection.closed()
            expect(got == self.closed, f"code and reason {got} instead of {self.closed}")
            close(connection, got[0])
            expect(connection.ends(), "the connection stays open")


class CloseHasTheAppsCode(_Close):
    fault = Fault(sent=without("code"))
    event: ClassVar[Event] = {"code": 4002}
    closed = (4002, "")


class CloseWithoutACodeIs1000(_Close):
    fault = Fault(sent=changed("websocket.close", code=1001))
    event: ClassVar[Event] = {}
    closed = (1000, "")


class CloseHasTheAppsReason(_Close):
    says = (
        "``reason`` (*Unicode string*) -- A reason given for the closure, can be any string. "
        "Optional; if missing or ``None`` default is empty string."
    )
    fault = Fault(sent=without("reason"))
    event: ClassVar[Event] = {"code": 4003, "reason": "wär's"}
    closed = (4003, "wär's")

    async def app(self, call: AsgiCall) -> None:
        call.note("spec " + call.scope["asgi"].get("spec_version", "2.0"))
        await super().app(call)

    def ask(self, visit: Visit) -> None:
        with visit.websocket() as connection:
            got = connection.closed()
        since(visit, 2.3, bool(got[1]))
        expect(got == self.closed, f"code and reason {got} instead of {self.closed}")


class ErrorOfTheAppClosesTheSocket(_WebSocket):
    section, level = "Websocket Connection Scope", "should"
    says = (
        "WebSocket connections' scope lives as long as the socket itself - if the application dies "
        "the socket should be closed, and vice-versa."
    )
    fault = Fault(around=lambda app: _undying(app))

    async def app(self, call: AsgiCall) -> None:
        await self.open(call)
        raise RuntimeError("after accept")

    def ask(self, visit: Visit) -> None:
        with visit.websocket() as connection:
            try:
                code, _ = connection.closed()
            except Silence:
                raise Failed("the socket stays open") from None
            expect(code != 1000, "the close looks as if all were well: 1000")


class ReturnOfTheAppClosesTheSocket(_WebSocket):
    section, level = "Websocket Connection Scope", "should"
    says = ErrorOfTheAppClosesTheSocket.says
    fault = Fault(around=lambda app: _undying(app))

    async def app(self, call: AsgiCall) -> None:
        await self.open(call)

    def ask(self, visit: Visit) -> None:
        with visit.websocket() as connection:
            try:
                connection.closed()
            except Silence:
                raise Failed("the socket stays open") from None


def _undying(app: Any) -> Any:
    async def called(scope: Any, receive: Any, send: Any) -> None:
        try:
            await app(scope, receive, send)
        except RuntimeError:
            pass
        await receive()

    return called


class SendRaisesWhenTheClientHasLeft(_WebSocket):
    section, level = "Disconnected Client - ``send`` exception", "should"
    says = (
        "If ``send()`` is called on a closed connection the server should raise a server-specific "
        "subclass of ``OSError``."
    )
    fault = Fault(
        scope=lambda scope: {**scope, "asgi": {"version": "3.0", "spec_version": "2.5"}},
        deaf=True,
    )

    async def app(self, call: AsgiCall) -> None:
        call.note("spec " + call.scope["asgi"].get("spec_version", "2.0"))
        await self.open(call)
        while (await call.receive())["type"] != "websocket.disconnect":
            pass
        try:
            await call.send({"type": "websocket.send", "text": "x"})
        except Exception as error:
            call.note(f"raised {type(error).__name__} {isinstance(error, OSError)}")
        else:
            call.note("raised nothing")

    def ask(self, visit: Visit) -> None:
        with visit.websocket() as connection:
            close(connection)
            note = visit.wait_for_note("raised")
        since(visit, 2.4, note.endswith(" True"))
        expect(note.endswith(" True"), f"send {note}")
