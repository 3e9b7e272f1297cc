"""www.rst, "Request - receive event" and "Disconnect - receive event"."""

from typing import Any

from ..calls import AsgiCall
from ..check import WWW, Check, expect
from ..faults import Event, Fault, changed, dropped, without
from ..target import Visit, told

LARGE = bytes(range(256)) * 4096


class _Request(Check):
    family, text, section = "http", WWW, "Request - ``receive`` event"

    async def app(self, call: AsgiCall) -> None:
        events = [await call.receive()]
        while events[-1].get("more_body", False):
            events.append(await call.receive())
        body = b"".join(event.get("body", b"") for event in events)
        kinds = sorted({type(event.get("body", b"")).__name__ for event in events})
        more = sorted({type(event.get("more_body", False)).__name__ for event in events})
        types = sorted({event["type"] for event in events})
        sums = [len(body), sum(body) % 65_521, body[:40]]
        await call.tell({"body": sums, "kinds": kinds, "more": more, "types": types})


class RequestEventType(_Request):
    level = "must"
    says = '``type`` (*Unicode string*) -- ``"http.request"``.'
    fault = Fault(received=lambda event: {**event, "type": "http.body"})

    def ask(self, visit: Visit) -> None:
        found = visit.told(method="POST", body=b"some")
        expect(found["types"] == ["http.request"], f"the types are {found['types']}")


class RequestBodyIsBytes(_Request):
    level = "must"
    says = (
        '``body`` (*byte string*) -- Body of the request. Optional; if missing defaults to ``b""``.'
    )
    fault = Fault(received=without("body"))

    def ask(self, visit: Visit) -> None:
        found = visit.told(method="POST", body=b"s\x00me\xff")
        expect(found["kinds"] == ["bytes"], f"a body is of type {found['kinds']}")
        expect(found["body"][2] == b"s\x00me\xff", f"the body is {found['body'][2]!r}")


class RequestMoreBodyIsABool(_Request):
    level = "must"
    says = (
        "``more_body`` (*bool*) -- Signifies if there is additional content to come (as part of a "
        "Request message)."
    )
    fault = Fault(received=lambda event: {**event, "more_body": 0})

    def ask(self, visit: Visit) -> None:
        found = visit.told(method="POST", body=b"some")
        expect(found["more"] == ["bool"], f"more_body is of type {found['more']}")


class RequestWithoutABody(_Request):
    level = "must"
    says = "If ``False``, the request is complete and should be processed."
    fault = Fault(received=lambda event: {**event, "body": b"x"})

    def ask(self, visit: Visit) -> None:
        found = visit.told()
        expect(found["body"][0] == 0, f"the body is {found['body'][2]!r}")


class RequestBodyInPieces(_Request):
    level = "must"
    says = "If ``more_body`` is set, treat as start of body and concatenate on further chunks."
    fault = Fault(received=lambda event: {**event, "body": event["body"][1:]})

    def ask(self, visit: Visit) -> None:
        found = visit.told(method="POST", body=LARGE)
        expect(found["body"][:2] == [len(LARGE), sum(LARGE) % 65_521], f"{found['body'][:2]}")


class RequestBodyStreams(_Request):
    level = "may"
    says = (
        "…the body message serves as a way to stream large incoming HTTP bodies in chunks, and as "
        "a trigger to actually run request code…"
    )
    fault = Fault(around=lambda app: _collecting(app))

    async def app(self, call: AsgiCall) -> None:
        event = await call.receive()
        call.note("first")
        while event.get("more_body"):
            event = await call.receive()
        await call.tell("well")

    def ask(self, visit: Visit) -> None:
        """More than any buffer of a socket comes first, since a server may collect some."""
        with visit.connect() as connection:
            head = visit.request("/", ("Content-Length", str(len(LARGE) + 1)), method="POST")
            connection.send(head + LARGE)
            visit.wait_for_note("first", 2.0)
            connection.send(b"x")
            expect(told(connection.response()) == "well", "another answer")


def _collecting(app: Any) -> Any:
    """Collects the whole body first."""

    async def called(scope: Any, receive: Any, send: Any) -> None:
        body, more = b"", True
        while more:
            event = await receive()
            body += event.get("body", b"")
            more = event.get("more_body", False)

        async def whole() -> Event:
            return {"type": "http.request", "body": body, "more_body": False}

        await app(scope, whole, send)

    return called


class ChunkedBodyIsDecoded(_Request):
    level, section = "must", "HTTP Connection Scope"
    says = (
        "A request with a ``chunked`` encoded body should be automatically de-chunked by the "
        "server and presented to the application as plain body bytes…"
    )
    fault = Fault(received=changed("http.request", body=b"4\r\nsome\r\n0\r\n\r\n"))

    def ask(self, visit: Visit) -> None:
        with visit.connect() as connection:
            head = visit.request("/", ("Transfer-Encoding", "chunked"), method="POST")
            connection.send(head + b"4\r\nsome\r\n")
            connection.send(b'5;ext="1"\r\n more\r\n0\r\n\r\n')
            found = told(connection.response())
        expect(found["body"][2] == b"some more", f"the body is {found['body'][2]!r}")


class ConnectionServesOnAfterAChunkedBody(_Request):
    level, section = "must", "HTTP Connection Scope"
    says = "Servers are responsible for handling inbound and outbound chunked transfer encodings."
    fault = Fault(wire=lambda data: data.replace(b"some", b"same"))

    def ask(self, visit: Visit) -> None:
        with visit.connect() as connection:
            for _ in range(2):
                head = visit.request("/", ("Transfer-Encoding", "chunked"), method="POST")
                connection.send(head + b"4\r\nsome\r\n0\r\nX-Sum: 1\r\n\r\n")
                found = told(connection.response())
                expect(found["body"][2] == b"some", f"the body is {found['body'][2]!r}")


class _Disconnect(Check):
    family, text, section = "http", WWW, "Disconnect - ``receive`` event"
    level = "must"
    fault = Fault(received=dropped("http.disconnect"))


class DisconnectAfterTheResponse(_Disconnect):
    says = (
        "Sent to the application if receive is called after a response has been sent or after the "
        "HTTP connection has been closed."
    )

    async def app(self, call: AsgiCall) -> None:
        await call.body()
        await call.answer(b"whole")
        call.note("then " + (await call.receive())["type"])

    def ask(self, visit: Visit) -> None:
        """The connection stays open meanwhile."""
        with visit.connect() as connection:
            connection.send(visit.request())
            connection.response()
            note = visit.wait_for_note("then", 2.0)
            expect(note == "then http.disconnect", f"the app received {note}")


class DisconnectWhenTheClientLeaves(_Disconnect):
    says = DisconnectAfterTheResponse.says

    async def app(self, call: AsgiCall) -> None:
        await call.body()
        call.note("waits")
        call.note("then " + (await call.receive())["type"])

    def ask(self, visit: Visit) -> None:
        with visit.connect() as connection:
            connection.send(visit.request())
            visit.wait_for_note("waits")
        note = visit.wait_for_note("then", 2.0)
        expect(note == "then http.disconnect", f"the app received {note}")


class DisconnectWhenTheClientLeavesInAResponse(_Disconnect):
    says = (
        "This is mainly useful for long-polling, where you may want to trigger cleanup code if the "
        "connection closes early."
    )

    async def app(self, call: AsgiCall) -> None:
        await call.body()
        await call.start()
        await call.piece(b"some")
        call.note("then " + (await call.receive())["type"])

    def ask(self, visit: Visit) -> None:
        with visit.connect() as connection:
            connection.send(visit.request())
            connection.head()
        note = visit.wait_for_note("then", 2.0)
        expect(note == "then http.disconnect", f"the app received {note}")
