"""www.rst, "Response Start", "Response Body" and "Disconnected Client"."""

from typing import Any

from ..calls import AsgiCall, pause
from ..check import WWW, Check, Failed, NotApplicable, NotOffered, expect
from ..client import Silence
from ..faults import Event, Fault, changed
from ..target import Visit

ENDLESS = b"x" * 262_144


class _Start(Check):
    family, text, section = "http", WWW, "Response Start - ``send`` event"
    level = "must"


class _Body(Check):
    family, text, section = "http", WWW, "Response Body - ``send`` event"
    level = "must"


class StatusIsSent(_Start):
    says = "``status`` (*int*) -- HTTP status code."
    fault = Fault(sent=changed("http.response.start", status=200))

    async def app(self, call: AsgiCall) -> None:
        await call.answer(b"x", status=int(call.scope["path"][-3:]))

    def ask(self, visit: Visit) -> None:
        for status in (200, 299, 404, 418, 503):
            got = visit.get(f"/{status}").status
            expect(got == status, f"status {got} instead of {status}")


def _reversed(event: Event) -> Event:
    return {**event, "headers": event["headers"][::-1]} if "headers" in event else event


class HeaderOrderIsPreserved(_Start):
    says = "Order must be preserved in the HTTP response."
    fault = Fault(sent=_reversed)

    async def app(self, call: AsgiCall) -> None:
        names = (b"x-b", b"x-a", b"x-c", b"x-a")
        await call.answer(b"", *((name, b"%d" % place) for place, name in enumerate(names)))

    def ask(self, visit: Visit) -> None:
        found = [(n, v) for n, v in visit.get().headers if n.lower().startswith(b"x-")]
        found = [(name.lower(), value) for name, value in found if name.lower() in b"x-b x-a x-c"]
        sent = [(b"x-b", b"0"), (b"x-a", b"1"), (b"x-c", b"2"), (b"x-a", b"3")]
        expect(found == sent, f"{found} instead of {sent}")


class SetCookieIsNotJoined(_Start):
    section = "HTTP"
    says = (
        "For the ``Set-Cookie`` header in HTTP/1.0, HTTP/1.1 and HTTP2.0, it may appear "
        "repeatedly, but cannot be concatenated by commas (or anything else) into a single header "
        "field."
    )
    fault = Fault(wire=lambda data: data.replace(b"a=1\r\n", b"a=1, ").replace(b", set-", b", "))

    async def app(self, call: AsgiCall) -> None:
        await call.answer(b"", (b"set-cookie", b"a=1"), (b"set-cookie", b"b=2"))

    def ask(self, visit: Visit) -> None:
        values = visit.get().values(b"set-cookie")
        expect(values == [b"a=1", b"b=2"], f"the fields are {values}")


class HeaderValuesAreExactBytes(_Start):
    section = "WSGI encoding differences"
    says = (
        "``headers``: These are byte strings of the exact byte sequences sent by the client/to be "
        "sent by the server."
    )
    fault = Fault(wire=lambda data: data.replace(b"\xe9", b"\xc3\xa9"))

    async def app(self, call: AsgiCall) -> None:
        await call.answer(b"", (b"x-bytes", b"\xe9 ,;="))

    def ask(self, visit: Visit) -> None:
        values = visit.get().values(b"x-bytes")
        expect(values == [b"\xe9 ,;="], f"the values are {values}")


class HeadersMayBeAnyIterable(_Start):
    says = (
        "``headers`` (*Iterable[[byte string, byte string]]*) -- An iterable of ``[name, value]`` "
        "two-item iterables, where ``name`` is the header name, and ``value`` is the header value."
    )
    fault = Fault(sent=lambda event: {**event, "headers": []} if "headers" in event else event)

    async def app(self, call: AsgiCall) -> None:
        pairs = ([b"x-made", b"%d" % number] for number in range(3))
        event = {"type": "http.response.start", "status": 200, "headers": pairs}
        await call.send(event)
        await call.piece(b"", more=False)

    def ask(self, visit: Visit) -> None:
        values = visit.get().values(b"x-made")
        expect(values == [b"0", b"1", b"2"], f"the values are {values}")


class HeadersMayBeMissing(_Start):
    says = "Optional; if missing defaults to an empty list."
    fault = Fault(sent=lambda event: {**event, "type": "x"} if "status" in event else event)

    async def app(self, call: AsgiCall) -> None:
        await call.send({"type": "http.response.start", "status": 200})
        await call.piece(b"whole", more=False)

    def ask(self, visit: Visit) -> None:
        response = visit.get()
        expect((response.status, response.body) == (200, b"whole"), f"status {response.status}")


class TransferEncodingOfTheAppIsIgnored(_Start):
    says = (
        "You may send a ``Transfer-Encoding`` header in this message, but the server must ignore "
        "it."
    )
    fault = Fault(wire=lambda data: data.replace(b"\r\n", b"\r\ntransfer-encoding: gzip\r\n", 1))

    async def app(self, call: AsgiCall) -> None:
        coding = call.scope["path"].rpartition("/")[2].encode()
        await call.start((b"transfer-encoding", coding))
        await call.piece(b"some ")
        await call.piece(b"more", more=False)

    def ask(self, visit: Visit) -> None:
        for coding in ("chunked", "gzip"):
            response = visit.get(f"/{coding}")
            codings = response.values(b"transfer-encoding")
            expect(codings in ([b"chunked"], []), f"Transfer-Encoding {codings}")
            expect(response.body == b"some more", f"the body is {response.body!r}")


class ResponseHasAnEnd(_Start):
    says = (
        "Servers handle ``Transfer-Encoding`` themselves, and may opt to use ``Transfer-Encoding: "
        "chunked`` if the application presents a response that has no ``Content-Length`` set."
    )
    fault = Fault(wire=lambda data: data.replace(b"\r\n0\r\n\r\n", b""))

    async def app(self, call: AsgiCall) -> None:
        await call.start()
        for _ in range(3):
            await call.piece(b"piece ")
            await pause(0.01)
        await call.piece(b"end", more=False)

    def ask(self, visit: Visit) -> None:
        with visit.connect() as connection:
            connection.send(visit.request())
            response = connection.response()
            expect(response.complete, "its framing has no end")
            expect(response.body == b"piece piece piece end", f"the body is {response.body!r}")
            if response.framing != "close":
                connection.send(visit.request())
                expect(connection.response().complete, "the next response has no end")


class ResponseToHttp10IsNotChunked(_Start):
    section = "HTTP"
    says = (
        "The HTTP format covers HTTP/1.0, HTTP/1.1 and HTTP/2, as the changes in HTTP/2 are "
        "largely on the transport level."
    )
    fault = Fault(wire=lambda data: data.replace(b"\r\n", b"\r\ntransfer-encoding: chunked\r\n", 1))
    app = ResponseHasAnEnd.app

    def ask(self, visit: Visit) -> None:
        """RFC 9112, 6.1: no transfer coding for a client that has not said HTTP/1.1."""
        with visit.connect() as connection:
            connection.send(visit.request(version="1.0"))
            response = connection.head()
            expect(not response.values(b"transfer-encoding"), "HTTP/1.0 knows no chunks")
            connection.body(response)
        expect(response.body == b"piece piece piece end", f"the body is {response.body!r}")


class BodiesAreConcatenated(_Body):
    says = (
        "``body`` (*byte string*) -- HTTP body content. Concatenated onto any previous ``body`` "
        "values sent in this connection scope."
    )
    fault = Fault(sent=lambda event: None if event.get("body") == b"2" else event)

    async def app(self, call: AsgiCall) -> None:
        await call.start((b"content-length", b"6"))
        for number in range(5):
            await call.piece(b"%d" % number)
        await call.piece(b"5", more=False)

    def ask(self, visit: Visit) -> None:
        response = visit.get()
        expect(response.body == b"012345", f"the body is {response.body!r}")


class BodyMayBeMissing(_Body):
    says = 'Optional; if missing defaults to ``b""``.'
    fault = Fault(sent=lambda event: None if event["type"].endswith("body") else event)

    async def app(self, call: AsgiCall) -> None:
        await call.start()
        await call.send({"type": "http.response.body"})

    def ask(self, visit: Visit) -> None:
        response = visit.get()
        expect(response.status == 200, f"status {response.status}")
        expect(response.body == b"" and response.complete, f"the body is {response.body!r}")


class MoreBodyMayBeMissing(_Body):
    says = (
        "If ``False``, and the server is not expecting *Response Trailers* response will be taken "
        "as complete and closed, and any further messages on the channel will be ignored. "
        "Optional; if missing defaults to ``False``."
    )
    fault = Fault(sent=changed("http.response.body", more_body=True))

    async def app(self, call: AsgiCall) -> None:
        await call.start()
        await call.send({"type": "http.response.body", "body": b"whole"})
        await call.released()

    def ask(self, visit: Visit) -> None:
        """The response is complete while the app goes on."""
        with visit.connect() as connection:
            connection.send(visit.request())
            try:
                response = connection.response()
            except Silence:
                raise Failed("the response does not end before its app does") from None
            finally:
                visit.release()
        expect(response.body == b"whole", f"the body is {response.body!r}")


class FurtherMessagesAreIgnored(_Body):
    says = (
        "If ``False``, and the server is not expecting *Response Trailers* response will be taken "
        "as complete and closed, and any further messages on the channel will be ignored."
    )
    fault = Fault(wire=lambda data: data + b"more")

    async def app(self, call: AsgiCall) -> None:
        await call.answer(b"whole")
        await call.raises({"type": "http.response.body", "body": b"more"})
        await call.raises({"type": "http.response.start", "status": 200, "headers": []})
        call.note("sent")

    def ask(self, visit: Visit) -> None:
        """Whether `send` raises is another check's (asgi-messages-after-the-end-are-ignored)."""
        with visit.connect() as connection:
            connection.send(visit.request())
            connection.response()
            visit.wait_for_note("sent")
            expect(connection.silent(0.1), "more than the response was sent")


class BodyIsFlushedBeforeSendReturns(_Body):
    says = (
        "Protocol servers must flush any data passed to them into the send buffer before returning "
        "from a send call."
    )
    fault = Fault(late=True)

    async def app(self, call: AsgiCall) -> None:
        await call.start()
        await call.piece(b"first")
        await call.released()
        await call.piece(b"last", more=False)

    def ask(self, visit: Visit) -> None:
        with visit.connect() as connection:
            connection.send(visit.request())
            visit.hears_first(connection, "the first piece does not come before the second")
            response = connection.response()
            expect(response.body == b"firstlast", f"the body is {response.body!r}")


# -- a client that has left ------------------------------------------------------------------


class _Left(Check):
    family, text, section = "http", WWW, "Disconnected Client - ``send`` exception"
    level = "should"

    async def app(self, call: AsgiCall) -> None:
        if call.scope["path"].endswith("/spec"):
            await call.tell(call.scope["asgi"].get("spec_version", "2.0"))
            return
        await call.body()
        await call.start()
        call.note("started")
        event: Event = {}
        while event.get("type") != "http.disconnect":
            event = await call.receive()
        await pause(0.05)
        try:
            for _ in range(8):
                await call.piece(ENDLESS)
        except Exception as error:
            call.note(f"raised {type(error).__name__} {isinstance(error, OSError)}")
            raise
        call.note("raised nothing")

    def leave(self, visit: Visit) -> str:
        with visit.connect() as connection:
            connection.send(visit.request())
            visit.wait_for_note("started")
        return visit.wait_for_note("raised")


class SendRaisesWhenTheClientHasLeft(_Left):
    says = (
        "If ``send()`` is called on a closed connection the server should raise a server-specific "
        "subclass of ``OSError``."
    )
    fault = Fault(
        scope=lambda scope: {**scope, "asgi": {"version": "3.0", "spec_version": "2.5"}},
        deaf=True,
    )

    def ask(self, visit: Visit) -> None:
        spec = visit.told("/spec")
        if float(spec) < 2.4:
            raise NotOffered(f"it says that it speaks {spec}, and 2.4 brought this")
        note = self.leave(visit)
        expect(note.endswith(" True"), f"send {note}")


class ErrorOfALeftClientIsNotLogged(_Left):
    alone = True
    says = (
        "Servers must be prepared to catch this exception if they raised it and should not log it "
        "as an error in their server logs."
    )
    fault = Fault(around=lambda app: _angry(app))

    def ask(self, visit: Visit) -> None:
        if visit.target.log is None:
            raise NotApplicable("its log cannot be read from here")
        before = len(visit.target.log())
        note = self.leave(visit)
        if note == "raised nothing":
            raise NotApplicable("its send raises nothing then")
        visit.notes()
        logged = visit.target.log()[before:]
        expect("Traceback" not in logged, f"it logs a traceback: {logged[-300:]}")


def _angry(app: Any) -> Any:
    async def called(scope: Any, receive: Any, send: Any) -> None:
        try:
            await app(scope, receive, send)
        except OSError:
            raise RuntimeError("not the one that the server knows") from None

    return called
