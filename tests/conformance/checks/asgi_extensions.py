"""extensions.rst: what an extension that a scope offers has to do. None has to be offered."""

import os
import tempfile
from typing import Any, ClassVar

from ..calls import AsgiCall
from ..check import EXTENSIONS, Check, Failed, NotOffered, expect
from ..client import Response, Silence
from ..faults import Event, Fault, changed, dropped, without
from ..target import Visit

DATA = bytes(range(256)) * 1024


class _Extension(Check):
    family, text = "extensions", EXTENSIONS
    level = "must"
    extension: ClassVar[str]
    te = False
    """Whether the client takes trailers."""

    def offered(self, call: AsgiCall) -> bool:
        return self.extension in (call.scope.get("extensions") or {})

    async def app(self, call: AsgiCall) -> None:
        if not self.offered(call):
            await call.answer(b"not offered", status=501)
            return
        await self.use(call)

    async def use(self, call: AsgiCall) -> None:
        raise NotImplementedError

    def fields(self) -> tuple[tuple[str, str], ...]:
        return (("TE", "trailers"), ("Connection", "TE")) if self.te else ()

    def response(self, visit: Visit) -> Response:
        """Raises NotOffered. The connection has to serve on, where it is not said to close."""
        with visit.connect() as connection:
            connection.send(visit.request("/", *self.fields()))
            response = connection.response()
            if response.status == 501 and response.body == b"not offered":
                raise NotOffered(f"no {self.extension} in the scope's extensions")
            closes = b"close" in [value.lower() for value in response.values(b"connection")]
            if response.framing != "close" and response.complete and not closes:
                expect(connection.silent(0.1), "more comes behind the response")
        return response


# -- Websocket Denial Response ---------------------------------------------------------------


class _Denial(_Extension):
    section, extension = "Websocket Denial Response", "websocket.http.response"

    async def app(self, call: AsgiCall) -> None:
        await call.receive()
        if not self.offered(call):
            await call.send({"type": "websocket.accept"})
            await call.send({"type": "websocket.close"})
            return
        fields = [(b"x-a", b"1"), (b"x-b", b"2"), (b"content-type", b"text/plain")]
        start = {"type": "websocket.http.response.start", "status": 418, "headers": fields}
        await call.send(start)
        for piece in (b"no ", b"tea"):
            more = piece != b"tea"
            body = {"type": "websocket.http.response.body", "body": piece, "more_body": more}
            await call.send(body)

    def denied(self, visit: Visit) -> Response:
        with visit.connect() as connection:
            connection.send(visit.handshake())
            response = connection.response()
            if response.status == 101:
                raise NotOffered(f"no {self.extension} in the scope's extensions")
            expect(response.complete, "the response does not end")
            expect(response.body == b"no tea", f"the body is {response.body!r}")
            if response.framing != "close":
                expect(connection.ends(), "the connection stays open")
        return response


class DenialIsSent(_Denial):
    says = (
        "The messages themselves should be ``websocket.http.response.start`` and "
        "``websocket.http.response.body`` with a structure that matches the "
        "``http.response.start`` and ``http.response.body`` messages defined in the HTTP part of "
        "the core ASGI specification."
    )
    fault = Fault(sent=changed("websocket.http.response.start", status=403))

    def ask(self, visit: Visit) -> None:
        response = self.denied(visit)
        expect(response.status == 418, f"status {response.status}")
        pairs = [(n.lower(), v) for n, v in response.headers if n.lower() in (b"x-a", b"x-b")]
        expect(pairs == [(b"x-a", b"1"), (b"x-b", b"2")], f"the fields are {pairs}")


class DenialClosesTheConnection(_Denial):
    level = "should"
    says = (
        "These messages cannot be followed by any other websocket messages as the server should "
        "send a HTTP response and then close the connection."
    )
    fault = Fault(sent=lambda event: None if event.get("body") == b"tea" else event)

    def ask(self, visit: Visit) -> None:
        self.denied(visit)


# -- HTTP/2 Server Push, Debug ---------------------------------------------------------------


class PushIsTaken(_Extension):
    section, extension, level = "HTTP/2 Server Push", "http.response.push", "should"
    says = (
        "The ASGI server should then attempt to send a server push (or push promise) to the client."
    )
    fault = Fault(
        scope={"extensions": {"http.response.push": {}}}, sent=dropped("http.response.body")
    )

    async def use(self, call: AsgiCall) -> None:
        await call.start((b"content-length", b"5"))
        await call.send({"type": self.extension, "path": "/pushed", "headers": []})
        await call.piece(b"whole", more=False)

    def ask(self, visit: Visit) -> None:
        """Over HTTP/1.1 there is nothing to push with: the response goes on."""
        body = self.response(visit).body
        expect(body == b"whole", f"the body is {body!r}")


class DebugIsNotOffered(_Extension):
    section, extension, level = "Debug", "http.response.debug", "should"
    says = (
        "This extension is not meant to be used in production, only for testing purposes, and ASGI "
        "servers should not implement it."
    )
    fault = Fault(scope={"extensions": {"http.response.debug": {}}})

    async def use(self, call: AsgiCall) -> None:
        await call.answer(b"offered")

    def ask(self, visit: Visit) -> None:
        try:
            self.response(visit)
        except NotOffered:
            return
        raise Failed("it is offered")


# -- Zero Copy Send --------------------------------------------------------------------------


class _ZeroCopy(_Extension):
    section, extension = "Zero Copy Send", "http.response.zerocopysend"
    expected: ClassVar[bytes] = DATA

    async def use(self, call: AsgiCall) -> None:
        with tempfile.TemporaryFile() as file:
            file.write(DATA)
            file.flush()
            await self.send(call, file)
            call.note(f"closed {file.closed}")

    async def send(self, call: AsgiCall, file: Any) -> None:
        raise NotImplementedError

    def event(self, file: Any, **more: Any) -> Event:
        return {"type": self.extension, "file": file, **more}

    def ask(self, visit: Visit) -> None:
        got = self.response(visit).body
        expect(got == self.expected, f"{len(got)} bytes instead of {len(self.expected)}, or others")


class ZeroCopySendsAFile(_ZeroCopy):
    says = (
        "``offset`` (*int*): Optional. If this value exists, it will specify the offset at which "
        "sendfile starts to read data from ``file``. Otherwise, it will be read from the current "
        "position of ``file``."
    )
    fault = Fault(sent=lambda event: {**event, "offset": 0} if "file" in event else event)
    expected = DATA[100:]

    async def send(self, call: AsgiCall, file: Any) -> None:
        file.seek(100)
        await call.start((b"content-length", b"%d" % len(self.expected)))
        await call.send(self.event(file))


class ZeroCopyHasOffsetAndCount(_ZeroCopy):
    says = (
        "``count`` (*int*): Optional. ``count`` is the number of bytes to copy between the file "
        "descriptors."
    )
    fault = Fault(sent=without("count"))
    expected = DATA[1000:3000]

    async def send(self, call: AsgiCall, file: Any) -> None:
        file.seek(0)
        await call.start()
        await call.send(self.event(file, offset=1000, count=2000))


class ZeroCopyReadsToTheEnd(_ZeroCopy):
    says = "If omitted, the file will be read until its end."
    fault = Fault(sent=lambda event: {**event, "count": 10} if "file" in event else event)
    expected = DATA[1000:]

    async def send(self, call: AsgiCall, file: Any) -> None:
        await call.start()
        await call.send(self.event(file, offset=1000))


class ZeroCopyMixesWithBodies(_ZeroCopy):
    says = (
        "This message can be sent at any time after the *Response Start* message but before the "
        "final *Response Body* message, and can be mixed with ``http.response.body``. It can also "
        "be called multiple times in one response."
    )
    fault = Fault(sent=lambda event: None if event.get("offset") == 20 else event)
    expected = b"<" + DATA[10:15] + b"|" + DATA[20:30] + DATA[:4] + b">"

    async def send(self, call: AsgiCall, file: Any) -> None:
        await call.start()
        await call.piece(b"<")
        await call.send(self.event(file, offset=10, count=5, more_body=True))
        await call.piece(b"|")
        await call.send(self.event(file, offset=20, count=10, more_body=True))
        await call.send(self.event(file, offset=0, count=4, more_body=True))
        await call.piece(b">", more=False)


class ZeroCopyLeavesTheFileOpen(_ZeroCopy):
    says = (
        "After calling this extension to respond, the ASGI application itself should actively "
        "close the used file descriptor - ASGI servers are not responsible for closing "
        "descriptors."
    )
    fault = Fault(around=lambda app: _closing(app))

    async def send(self, call: AsgiCall, file: Any) -> None:
        await call.start()
        await call.send(self.event(file, offset=0))
        os.fstat(file.fileno())

    def ask(self, visit: Visit) -> None:
        super().ask(visit)
        note = visit.wait_for_note("closed", 2.0)
        expect(note == "closed False", "the server has closed the file")


def _closing(app: Any) -> Any:
    async def called(scope: Any, receive: Any, send: Any) -> None:
        async def closing(event: Event) -> None:
            await send(event)
            if "file" in event:
                event["file"].close()

        await app(scope, receive, closing)

    return called


# -- Path Send -------------------------------------------------------------------------------


class _Path(_Extension):
    section, extension = "Path Send", "http.response.pathsend"

    async def use(self, call: AsgiCall) -> None:
        with tempfile.NamedTemporaryFile() as file:
            file.write(DATA)
            file.flush()
            fields = (b"content-type", b"x/y"), (b"content-length", b"%d" % len(DATA))
            await call.start(*fields)
            await call.send({"type": self.extension, "path": file.name})
            await call.released()


class PathSendsAFile(_Path):
    says = (
        "``path`` (*Unicode string*): The string representation of the absolute file path to be "
        "sent by the server, platform specific."
    )
    fault = Fault(wire=lambda data: data.replace(b"\x01\x02\x03", b"\x01\x02\x04"))

    def ask(self, visit: Visit) -> None:
        try:
            response = self.response(visit)
        finally:
            visit.release()
        got = response.body
        expect(got == DATA, f"status {response.status}, {len(got)} bytes instead of {len(DATA)}")
        expect(response.values(b"content-type") == [b"x/y"], "another Content-Type")


class PathSendIsAWholeBody(_Path):
    says = (
        "Except for the characteristics of path-send, it should behave the same as ordinary "
        "``http.response.body``."
    )
    level = "should"
    fault = Fault(sent=dropped("http.response.pathsend"))

    def ask(self, visit: Visit) -> None:
        """The response ends with the file, while the app goes on."""
        try:
            response = self.response(visit)
        except Silence:
            raise Failed("the response does not end") from None
        finally:
            visit.release()
        expect(response.complete, "the response is cut")


# -- Early Hints -----------------------------------------------------------------------------


class EarlyHintsAreSent(_Extension):
    section, extension, level = "Early Hints", "http.response.early_hint", "should"
    says = (
        "The ASGI server should then attempt to send an informational response to the client with "
        "the provided links as ``Link`` headers. The server may decide to ignore this message, for "
        "example if the HTTP/1.1 protocol is used and the server has security concerns."
    )
    fault = Fault(sent=without("links"))
    links = (b"</a.css>; rel=preload; as=style", b"</b.js>; rel=preload; as=script")

    async def use(self, call: AsgiCall) -> None:
        await call.start((b"content-length", b"5"))
        for link in self.links:
            await call.send({"type": self.extension, "links": [link]})
        await call.piece(b"whole", more=False)

    def ask(self, visit: Visit) -> None:
        response = self.response(visit)
        expect(response.body == b"whole", f"the body is {response.body!r}")
        expect({one.status for one in response.interim} <= {103}, f"{response.interim}")
        links = [value for one in response.interim for value in one.values(b"link")]
        expect(links == list(self.links), f"the hints before the response are {links}")


class EarlyHintsDoNotChangeTheResponse(EarlyHintsAreSent):
    level = "must"
    says = (
        "This message can be sent at any time (and multiple times) after the *Response Start* "
        "message but before the final *Response Body* message."
    )
    fault = Fault(sent=lambda event: {**event, "type": "http.x"} if "links" in event else event)

    def ask(self, visit: Visit) -> None:
        response = self.response(visit)
        expect((response.status, response.body) == (200, b"whole"), f"status {response.status}")


# -- HTTP Trailers ---------------------------------------------------------------------------


class _Trailers(_Extension):
    section, extension, te = "HTTP Trailers", "http.response.trailers", True
    fault = Fault(sent=without("headers"))

    async def use(self, call: AsgiCall) -> None:
        await call.start((b"trailer", b"x-sum, x-more"), trailers=True)
        await call.piece(b"some ")
        await call.piece(b"body", more=False)
        await self.trail(call)

    async def trail(self, call: AsgiCall) -> None:
        fields = [(b"x-sum", b"9"), (b"x-more", b"a")]
        await call.send({"type": self.extension, "headers": fields})

    expected: ClassVar[list[tuple[bytes, bytes]]] = [(b"x-sum", b"9"), (b"x-more", b"a")]

    def ask(self, visit: Visit) -> None:
        response = self.response(visit)
        expect(response.body == b"some body", f"the body is {response.body!r}")
        found = [(name.lower(), value) for name, value in response.trailers]
        expect(found == self.expected, f"the trailers are {found}")


class TrailersAreSent(_Trailers):
    says = (
        "``headers`` (*Iterable[[byte string, byte string]]*): An iterable of ``[name, value]`` "
        "two-item iterables, where ``name`` is the header name, and ``value`` is the header value."
    )


class TrailersComeInSeveralMessages(_Trailers):
    says = (
        "``more_trailers`` (*bool*): Signifies if there is additional content to come (as part of "
        "a *HTTP Trailers* message)."
    )

    async def trail(self, call: AsgiCall) -> None:
        fields = [(b"x-sum", b"9")]
        await call.send({"type": self.extension, "headers": fields, "more_trailers": True})
        await call.send({"type": self.extension, "headers": [(b"x-more", b"a")]})


class ResponseWaitsForItsTrailers(_Trailers):
    text, section = "www.rst", "Response Start - ``send`` event"
    says = (
        'If ``True``, the server must wait until it receives a ``"http.response.trailers"`` '
        "message after the *Response Body* event."
    )
    fault = Fault(sent=changed("http.response.start", trailers=False))

    async def trail(self, call: AsgiCall) -> None:
        call.note("body sent")
        await call.released()
        await super().trail(call)

    def ask(self, visit: Visit) -> None:
        with visit.connect() as connection:
            connection.send(visit.request("/", *self.fields()))
            response = connection.head()
            if response.status == 501:
                raise NotOffered(f"no {self.extension} in the scope's extensions")
            try:
                expect(connection.heard(b"body", 2.0), "the connection ended")
                early = connection.heard(b"\r\n0\r\n", 0.2)
            except Silence:
                early = False
            finally:
                visit.release()
            connection.body(response)
        expect(not early, "the response ends before its trailers")
        expect(len(response.trailers) == 2, f"the trailers are {response.trailers}")


class TrailersNeedTeOfTheClient(_Trailers):
    says = (
        "The ASGI server will only send the trailing headers in case the client has sent the "
        "``TE: trailers`` header in the request."
    )
    expected: ClassVar[list[tuple[bytes, bytes]]] = []
    fault = Fault(
        scope={"extensions": {"http.response.trailers": {}}},
        wire=lambda data: data.replace(b"\r\n0\r\n", b"\r\n0\r\nx-sum: 9\r\n"),
    )

    def ask(self, visit: Visit) -> None:
        """A server may as well offer the extension only to who has asked for it."""
        self.response(visit)
        self.te = False
        try:
            super().ask(visit)
        except NotOffered:
            pass
        finally:
            self.te = True
