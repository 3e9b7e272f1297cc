"""PEP 3333: the iterable, `start_response()`, `write()`, lengths and file wrappers."""

import gc
import io
import os
import sys
import tempfile
import weakref
from collections.abc import Iterator
from typing import Any

from ..calls import WsgiCall, written
from ..check import PEP, Check, Failed, NotApplicable, NotOffered, expect
from ..client import Silence
from ..faults import Fault
from ..target import Visit, told


class _Wsgi(Check):
    family, text, section, level = "wsgi", PEP, "Specification Details", "must"


def other_start(change: Any) -> Fault:
    """A `start_response` that the server's is wrapped in."""

    def around(app: Any) -> Any:
        return lambda environ, start: app(environ, change(start))

    return Fault(around=around)


def listed(app: Any) -> Any:
    """Collects what the app yields, and forgets its close()."""
    return lambda environ, start: list(app(environ, start))


class Pieces:
    """An iterable that tells what becomes of it."""

    def __init__(self, call: WsgiCall, *pieces: bytes, fails: bool = False) -> None:
        self.call, self.pieces, self.fails = call, pieces, fails

    def __iter__(self) -> Iterator[bytes]:
        yield from self.pieces
        if self.fails:
            raise RuntimeError("in the iterable")

    def close(self) -> None:
        self.call.note("closed")


# -- the iterable ----------------------------------------------------------------------------


class BlocksAreNotDelayed(_Wsgi):
    section = "Buffering and Streaming"
    says = (
        "WSGI servers, gateways, and middleware **must not** delay the transmission of any block; "
        "they **must** either fully transmit the block to the client, or guarantee that they will "
        "continue transmission even while the application is producing its next block."
    )
    fault = Fault(around=listed)

    def wsgi(self, call: WsgiCall) -> Any:
        call.start()
        yield b"first"
        call.released()
        yield b"last"

    def ask(self, visit: Visit) -> None:
        with visit.connect() as connection:
            connection.send(visit.request())
            visit.hears_first(connection, "the first block does not come before the second")
            expect(connection.response().body == b"firstlast", "another body")


class BytesAreNotAltered(_Wsgi):
    level = "should"
    says = (
        "The server or gateway should treat the yielded bytestrings as binary byte sequences: in "
        "particular, it should ensure that line endings are not altered."
    )
    body = b"a\nb\r\nc\rd\x00\xff"
    fault = Fault(wire=lambda data: data.replace(b"\r\nc", b"\n\nc"))

    def wsgi(self, call: WsgiCall) -> Any:
        call.start()
        return [self.body]

    def ask(self, visit: Visit) -> None:
        expect(visit.get().body == self.body, "another body")


class _Closed(_Wsgi):
    says = (
        "If the iterable returned by the application has a ``close()`` method, the server or "
        "gateway **must** call that method upon completion of the current request, whether the "
        "request was completed normally, or terminated early due to an application error during "
        "iteration or an early disconnect of the browser."
    )
    fault = Fault(around=lambda app: lambda environ, start: iter(app(environ, start)))


class CloseIsCalled(_Closed):
    def wsgi(self, call: WsgiCall) -> Any:
        call.start()
        return Pieces(call, b"some")

    def ask(self, visit: Visit) -> None:
        visit.get()
        visit.wait_for_note("closed", 2.0)


class CloseIsCalledAfterAnError(_Closed):
    def wsgi(self, call: WsgiCall) -> Any:
        call.start()
        return Pieces(call, b"some", fails=True)

    def ask(self, visit: Visit) -> None:
        with visit.connect() as connection:
            connection.send(visit.request())
            connection.more()
            visit.wait_for_note("closed", 2.0)


class CloseIsCalledWhenTheClientHasLeft(_Closed):
    def wsgi(self, call: WsgiCall) -> Any:
        call.start()
        call.note("started")
        call.released()
        return Pieces(call, *[b"x" * 262_144] * 64)

    def ask(self, visit: Visit) -> None:
        with visit.connect() as connection:
            connection.send(visit.request())
            visit.wait_for_note("started", 2.0)
        visit.release()
        visit.wait_for_note("closed")


class CloseIsCalledOnce(_Closed):
    fault = Fault(around=lambda app: _closing_twice(app))

    def wsgi(self, call: WsgiCall) -> Any:
        call.start()
        return Pieces(call, b"some", b"more")

    def ask(self, visit: Visit) -> None:
        visit.get()
        visit.wait_for_note("closed", 2.0)
        closed = visit.notes()
        expect(closed == ["closed"], f"it is called {len(closed)} times")


def _closing_twice(app: Any) -> Any:
    def called(environ: Any, start: Any) -> Any:
        iterable = app(environ, start)
        iterable.close()
        return iterable

    return called


class StartMayComeWithTheFirstIteration(_Wsgi):
    says = (
        "However, this invocation **may** be performed by the iterable's first iteration, so "
        "servers **must not** assume that ``start_response()`` has been called before they begin "
        "iterating over the iterable."
    )
    fault = Fault(around=lambda app: _impatient(app))

    def wsgi(self, call: WsgiCall) -> Any:
        call.start()
        yield b"whole"

    def ask(self, visit: Visit) -> None:
        response = visit.get()
        expect((response.status, response.body) == (200, b"whole"), f"status {response.status}")


def _impatient(app: Any) -> Any:
    def called(environ: Any, start: Any) -> Any:
        started: list[int] = []

        def noted(*arguments: Any) -> Any:
            started.append(1)
            return start(*arguments)

        iterable = app(environ, noted)
        if not started:
            raise RuntimeError("no start_response")
        return iterable

    return called


class OtherAttributesAreNotUsed(_Wsgi):
    says = (
        "Finally, servers and gateways **must not** directly use any other attributes of the "
        "iterable returned by the application, unless it is an instance of a type specific to that "
        "server or gateway…"
    )
    fault = Fault(around=lambda app: _curious(app))

    def wsgi(self, call: WsgiCall) -> Any:
        class Watched:
            def __getattribute__(self, name: str) -> Any:
                if not name.startswith("__"):
                    call.note(f"asked for {name}")
                return object.__getattribute__(self, name)

            def __iter__(self) -> Iterator[bytes]:
                return iter([b"whole"])

            def close(self) -> None:
                call.note("closed")

        call.start()
        return Watched()

    def ask(self, visit: Visit) -> None:
        expect(visit.get().body == b"whole", "another body")
        visit.wait_for_note("closed")
        used = set(visit.notes()) - {"asked for close", "closed"}
        expect(not used, f"the server {', '.join(sorted(used))}")


def _curious(app: Any) -> Any:
    def called(environ: Any, start: Any) -> Any:
        iterable = app(environ, start)
        getattr(iterable, "fileno", None)
        return iterable

    return called


class EmptyIterableEndsTheResponse(_Wsgi):
    says = (
        "When called by the server, the application object must return an iterable yielding zero "
        "or more bytestrings."
    )
    fault = Fault(around=lambda app: lambda environ, start: [*app(environ, start), b"x"])

    def wsgi(self, call: WsgiCall) -> Any:
        call.start(("X-Some", "thing"))
        return []

    def ask(self, visit: Visit) -> None:
        response = visit.get()
        expect(response.status == 200 and response.complete, f"status {response.status}")
        expect(response.values(b"x-some") == [b"thing"], "the headers are missing")
        expect(response.body == b"", f"the body is {response.body!r}")


# -- start_response() ------------------------------------------------------------------------


class _Start(_Wsgi):
    section = "The start_response() Callable"


class StatusAndHeadersAreSent(_Start):
    says = (
        'The ``status`` parameter is a status string of the form ``"999 Message here"``, and '
        "``response_headers`` is a list of ``(header_name, header_value)`` tuples describing the "
        "HTTP response header."
    )
    section = "Specification Details"
    fault = other_start(lambda start: lambda status, fields, *e: start("200 OK", fields, *e))

    def wsgi(self, call: WsgiCall) -> Any:
        call.start(("X-A", "\xe9"), ("Set-Cookie", "a=1"), ("Set-Cookie", "b=2"), status="418 Tea")
        return [b"x"]

    def ask(self, visit: Visit) -> None:
        response = visit.get()
        expect(response.status == 418, f"status {response.status}")
        expect(response.values(b"x-a") == [b"\xe9"], f"X-A: {response.values(b'x-a')}")
        cookies = response.values(b"set-cookie")
        expect(cookies == [b"a=1", b"b=2"], f"Set-Cookie: {cookies}")


class NecessaryHeadersAreAdded(_Start):
    says = (
        "In general, the server or gateway is responsible for ensuring that correct headers are "
        "sent to the client: if the application omits a header required by HTTP (or other relevant "
        "specifications that are in effect), the server or gateway **must** add it. For example, "
        "the HTTP ``Date:`` and ``Server:`` headers would normally be supplied by the server or "
        "gateway."
    )
    fault = Fault(wire=lambda data: data.replace(b"ate: ", b"ata: "))

    def wsgi(self, call: WsgiCall) -> Any:
        call.start()
        return [b"x"]

    def ask(self, visit: Visit) -> None:
        """RFC 9110, 6.6.1: an origin server with a clock MUST send Date."""
        expect(len(visit.get().values(b"date")) == 1, "no Date, or several")


class HopByHopHeadersAreAnError(_Start):
    level = "should"
    says = (
        "These features are the exclusive province of the actual web server, and a server or "
        "gateway **should** consider it a fatal error for an application to attempt sending them, "
        "and raise an error if they are supplied to ``start_response()``."
    )
    fault = other_start(lambda start: lambda status, fields, *e: start(status, [], *e))

    def wsgi(self, call: WsgiCall) -> Any:
        raised = []
        for name, value in (("Connection", "close"), ("Transfer-Encoding", "chunked")):
            try:
                call.start_response("200 OK", [(name, value)])
            except Exception:
                raised.append(name)
                continue
            body = written([f"start_response took {name}"])
            try:
                raise RuntimeError
            except RuntimeError:
                call.start_response("200 OK", [("Content-Length", str(len(body)))], sys.exc_info())
            return [body]
        call.note("raised")
        raise RuntimeError("as it should be")

    def ask(self, visit: Visit) -> None:
        response = visit.get()
        if "raised" not in visit.notes():
            raise Failed(str(told(response)[0]))


class HeadersAreCheckedAtOnce(_Start):
    level = "should"
    says = (
        "Servers **should** check for errors in the headers at the time ``start_response`` is "
        "called, so that an error can be raised while the application is still running."
    )
    fault = other_start(lambda start: lambda status, fields, *e: start(status, [], *e))

    def wsgi(self, call: WsgiCall) -> Any:
        try:
            call.start_response("200 OK", [("X-Split", "a\r\nX-Other: b")])
        except Exception:
            call.note("raised")
            raise
        return [b"x"]

    def ask(self, visit: Visit) -> None:
        with visit.connect() as connection:
            connection.send(visit.request())
            connection.more()
        expect("raised" in visit.notes(), "start_response took a value with a line break")


class HeadersWaitForTheFirstBlock(_Start):
    says = (
        "However, the ``start_response`` callable **must not** actually transmit the response "
        "headers. Instead, it must store them for the server or gateway to transmit **only** after "
        "the first iteration of the application return value that yields a non-empty bytestring, "
        "or upon the application's first invocation of the ``write()`` callable."
    )
    fault = Fault(around=lambda app: _hasty(app))

    def wsgi(self, call: WsgiCall) -> Any:
        call.start()
        yield b""
        call.note("yielded")
        call.released()
        yield b"whole"

    def ask(self, visit: Visit) -> None:
        with visit.connect() as connection:
            connection.send(visit.request())
            visit.wait_for_note("yielded", 2.0)
            silent = connection.silent(0.2)
            visit.release()
            expect(silent, "something is sent before the first block that is not empty")
            expect(connection.response().body == b"whole", "another body")


def _hasty(app: Any) -> Any:
    def called(environ: Any, start: Any) -> Any:
        for piece in app(environ, start):
            yield piece or b"x"

    return called


class ExcInfoReplacesTheHeaders(_Start):
    level = "should"
    says = (
        "If ``exc_info`` is supplied, and no HTTP headers have been output yet, ``start_response`` "
        "should replace the currently-stored HTTP response headers with the newly-supplied ones…"
    )
    fault = other_start(lambda start: lambda *a: start("200 OK", [("X-First", "1")], *a[2:]))

    def wsgi(self, call: WsgiCall) -> Any:
        call.start(("X-First", "1"))
        try:
            raise RuntimeError("trapped")
        except RuntimeError:
            call.start_response("503 Sorry", [("X-Second", "2")], sys.exc_info())
        return [b"sorry"]

    def ask(self, visit: Visit) -> None:
        response = visit.get()
        expect(response.status == 503, f"status {response.status}")
        found = [response.values(b"x-first"), response.values(b"x-second")]
        expect(found == [[], [b"2"]], f"X-First and X-Second: {found}")


class ExcInfoAfterTheHeadersRaises(_Start):
    says = (
        "However, if ``exc_info`` is provided, and the HTTP headers have already been sent, "
        "``start_response`` **must** raise an error…"
    )
    fault = other_start(lambda start: lambda *a: start(*a) if len(a) < 3 else None)

    def wsgi(self, call: WsgiCall) -> Any:
        call.start()
        yield b"some"
        try:
            raise LookupError("trapped")
        except LookupError as error:
            try:
                call.start_response("500 Oops", [], sys.exc_info())
            except BaseException as raised:
                call.note(f"raised {'the same' if raised is error else type(raised).__name__}")
                raise
        call.note("nothing")

    def note(self, visit: Visit) -> str:
        with visit.connect() as connection:
            connection.send(visit.request())
            connection.more()
            connection.ends()
        return visit.wait_for_note("")

    def ask(self, visit: Visit) -> None:
        expect(self.note(visit).startswith("raised"), "start_response raises nothing")


class ExcInfoAfterTheHeadersRaisesTheSame(ExcInfoAfterTheHeadersRaises):
    level = "should"
    says = "…and **should** re-raise using the ``exc_info`` tuple."
    fault = other_start(lambda start: lambda *a: start(*a) if len(a) < 3 else int(""))

    def ask(self, visit: Visit) -> None:
        note = self.note(visit)
        expect(note == "raised the same", f"it raised {note}")


class SecondStartIsAnError(_Start):
    says = (
        "More precisely, it is a fatal error to call ``start_response`` without the ``exc_info`` "
        "argument if ``start_response`` has already been called within the current invocation of "
        "the application."
    )
    fault = other_start(lambda start: _forgiving(start))

    def wsgi(self, call: WsgiCall) -> Any:
        call.start()
        try:
            call.start()
        except BaseException:
            call.note("raised")
            raise
        call.note("nothing")
        return [b"x"]

    def ask(self, visit: Visit) -> None:
        visit.get()
        expect("raised" in visit.notes(), "start_response takes a second call")


def _forgiving(start: Any) -> Any:
    calls: list[int] = []

    def forgiving(*arguments: Any) -> Any:
        calls.append(1)
        return start(*arguments) if len(calls) == 1 else None

    return forgiving


class _Referable(Exception):
    """An error that a weak reference can be had of."""


class ExcInfoIsNotKept(_Start):
    level = "should"
    says = (
        "Note: servers, gateways, or middleware implementing ``start_response`` **should** ensure "
        "that no reference is held to the ``exc_info`` parameter beyond the duration of the "
        "function's execution…"
    )
    fault = other_start(lambda start: lambda *a: (_KEPT.append(a), start(*a))[1])

    def wsgi(self, call: WsgiCall) -> Any:
        kept = self._start(call)
        gc.collect()
        return [b"kept" if kept() is not None else b"gone"]

    def _start(self, call: WsgiCall) -> Any:
        try:
            raise _Referable
        except _Referable as error:
            call.start_response("200 OK", [], sys.exc_info())
            return weakref.ref(error)

    def ask(self, visit: Visit) -> None:
        expect(visit.get().body == b"gone", "the error is still referred to")


_KEPT: list[Any] = []


# -- Content-Length --------------------------------------------------------------------------


class _Length(_Wsgi):
    section, level = "Handling the Content-Length Header", "should"


class NoMoreThanTheLengthIsSent(_Length):
    says = (
        "If the application supplies a ``Content-Length`` header, the server **should not** "
        "transmit more bytes to the client than the header allows…"
    )
    fault = Fault(wire=lambda data: data + b"!")

    def wsgi(self, call: WsgiCall) -> Any:
        call.start(("Content-Length", "4"))
        return [b"some", b"more"]

    def ask(self, visit: Visit) -> None:
        with visit.connect() as connection:
            connection.send(visit.request())
            response = connection.response()
            rest = b"" if connection.silent(0.2) else connection.rest()
        if response.status >= 500:
            return  # refused altogether
        expect(response.body == b"some"[: len(response.body)], f"the body is {response.body!r}")
        expect(not rest, f"behind it comes {rest!r}")


class IterationStopsAtTheLength(_Length):
    says = "…and **should** stop iterating over the response when enough data has been sent…"
    fault = Fault(around=listed)

    def wsgi(self, call: WsgiCall) -> Any:
        call.start(("Content-Length", "4"))
        return self._endless(call)

    def _endless(self, call: WsgiCall) -> Iterator[bytes]:
        try:
            yield b"some"
            for number in range(50):
                call.note(f"asked for {number}")
                yield b"more"
        finally:
            call.note("end")

    def ask(self, visit: Visit) -> None:
        """One step further is needed where a server sees only then that there is more."""
        visit.get()
        visit.wait_for_note("end")
        asked = sum(note.startswith("asked") for note in visit.notes())
        expect(asked <= 1, f"it iterated {asked} times more")


class WritePastTheLengthRaises(_Length):
    says = "…or raise an error if the application tries to ``write()`` past that point."
    fault = other_start(lambda start: lambda *a: (start(*a), lambda data: None)[1])

    def wsgi(self, call: WsgiCall) -> Any:
        write = call.start(("Content-Length", "4"))
        write(b"some")
        try:
            write(b"more")
        except Exception:
            call.note("raised")
            raise
        call.note("nothing")
        return []

    def ask(self, visit: Visit) -> None:
        with visit.connect() as connection:
            connection.send(visit.request())
            connection.more()
            note = visit.wait_for_note("")
        expect(note == "raised", "write() takes more than the Content-Length")


class LessThanTheLengthClosesTheConnection(_Length):
    says = (
        "(Of course, if the application does not provide *enough* data to meet its stated "
        "``Content-Length``, the server **should** close the connection and log or otherwise "
        "report the error.)"
    )
    fault = Fault(wire=lambda data: data + b"rest")

    def wsgi(self, call: WsgiCall) -> Any:
        call.start(("Content-Length", "8"))
        return [b"some"]

    def ask(self, visit: Visit) -> None:
        with visit.connect() as connection:
            connection.send(visit.request())
            try:
                response = connection.response()
            except Silence:
                raise Failed("the connection stays open, and the client waits") from None
        expect(response.status >= 500 or not response.complete, "the response looks whole")


class ResponseWithoutALengthHasAnEnd(_Length):
    level = "must"
    says = (
        "Note that the server **must** comply fully with :rfc:`2616` when doing this, or else fall "
        "back to one of the other strategies for dealing with the absence of ``Content-Length``."
    )
    fault = Fault(wire=lambda data: data.replace(b"\r\n", b"\r\nTransfer-Encoding: chunked\r\n", 1))

    def wsgi(self, call: WsgiCall) -> Any:
        call.start()
        return iter([b"some ", b"", b"more"])

    def ask(self, visit: Visit) -> None:
        for version in ("1.1", "1.0"):
            response = visit.get("/", version=version)
            expect(response.body == b"some more", f"the body is {response.body!r}")
            chunked = response.framing == "chunked"
            expect(version == "1.1" or not chunked, "HTTP/1.0 knows no chunks")
            expect(response.complete, "its framing has no end")


# -- write() ---------------------------------------------------------------------------------


class _Write(_Wsgi):
    section = "The write() Callable"


class WriteIsReturned(_Write):
    section = "Specification Details"
    says = (
        "The ``start_response`` callable must return a ``write(body_data)`` callable that takes "
        "one positional parameter: a bytestring to be written as part of the HTTP response body."
    )
    fault = other_start(lambda start: lambda *a: (start(*a), lambda data: None)[1])

    def wsgi(self, call: WsgiCall) -> Any:
        write = call.start()
        write(b"one ")
        write(b"two ")
        return [b"three"]

    def ask(self, visit: Visit) -> None:
        """What the iterable yields comes after all that was written."""
        body = visit.get().body
        expect(body == b"one two three", f"the body is {body!r}")


class WriteSendsAtOnce(_Write):
    says = (
        "In other words, before ``write()`` returns, it must guarantee that the passed-in "
        "bytestring was either completely sent to the client, or that it is buffered for "
        "transmission while the application proceeds onward."
    )
    fault = other_start(lambda start: lambda *a: (start(*a), lambda data: None)[1])

    def wsgi(self, call: WsgiCall) -> Any:
        call.start()(b"first")
        call.released()
        return []

    def ask(self, visit: Visit) -> None:
        with visit.connect() as connection:
            connection.send(visit.request())
            visit.hears_first(connection, "what is written waits for the app's end")


# -- errors ----------------------------------------------------------------------------------


class _Error(_Wsgi):
    section, level = "Error Handling", "should"

    def wsgi(self, call: WsgiCall) -> Any:
        raise RuntimeError(f"conformance: seen {call.key}")


class UncaughtErrorsAreTrapped(_Error):
    says = (
        "Servers **should** trap and log any exception that aborts an application or the iteration "
        "of its return value."
    )
    fault = Fault(around=lambda app: lambda environ, start: start("200 OK", []) and [])

    def ask(self, visit: Visit) -> None:
        with visit.connect() as connection:
            connection.send(visit.request())
            if connection.more():
                status = connection.response().status
                expect(status >= 500, f"status {status}")
        visit.notes()  # it serves on


class UncaughtErrorsAreLogged(_Error):
    says = UncaughtErrorsAreTrapped.says
    fault = UncaughtErrorsAreTrapped.fault

    def ask(self, visit: Visit) -> None:
        if visit.target.log is None:
            raise NotApplicable("its log cannot be read from here")
        visit.get()
        visit.target.wait_for_log(f"seen {visit.key}")


# -- file wrappers ---------------------------------------------------------------------------


class _File(_Wsgi):
    section = "Optional Platform-Specific File Handling"

    def file(self) -> Any:
        file = tempfile.TemporaryFile()  # noqa: SIM115
        file.write(b"0123456789")
        file.seek(3)
        return file

    def wsgi(self, call: WsgiCall) -> Any:
        wrapper = call.environ.get("wsgi.file_wrapper")
        if wrapper is None:
            call.start(status="501 No")
            return [b"none"]
        return self.wrapped(call, wrapper)

    def wrapped(self, call: WsgiCall, wrapper: Any) -> Any:
        raise NotImplementedError

    expected = b"3456789"

    def ask(self, visit: Visit) -> None:
        response = visit.get()
        if response.status == 501:
            raise NotOffered("no wsgi.file_wrapper in the environ")
        expect(response.status == 200, f"status {response.status}")
        expect(response.body == self.expected, f"the body is {response.body!r}")


def other_wrapper(change: Any) -> Fault:
    return Fault(environ=lambda environ: {**environ, "wsgi.file_wrapper": change})


def _from_the_start(file: Any, size: int = 0) -> Any:
    file.seek(0)
    return [file.read()]


class FileIsSentFromItsPosition(_File):
    says = (
        'In other words, transmission should begin at the current position within the "file" at '
        "the time that transmission begins, and continue until the end is reached, or until "
        "``Content-Length`` bytes have been written."
    )
    fault = other_wrapper(_from_the_start)

    def wrapped(self, call: WsgiCall, wrapper: Any) -> Any:
        call.start()
        return wrapper(self.file(), 4)


class FileIsSentUpToTheLength(_File):
    says, expected = FileIsSentFromItsPosition.says, b"3456"
    fault = other_wrapper(_from_the_start)

    def wrapped(self, call: WsgiCall, wrapper: Any) -> Any:
        call.start(("Content-Length", "4"))
        return wrapper(self.file())


class FileWrapperTakesAnythingThatReads(_File):
    says = (
        "Note that even if the object is *not* suitable for the platform API, the "
        "``wsgi.file_wrapper`` **must** still return an iterable that wraps ``read()`` and "
        "``close()``, so that applications using file wrappers are portable across platforms."
    )
    fault = other_wrapper(lambda file, size=0: [os.pread(file.fileno(), 99, 3)])

    def wrapped(self, call: WsgiCall, wrapper: Any) -> Any:
        class Reader:
            inner = io.BytesIO(self.expected)

            def read(self, size: int = -1) -> bytes:
                return self.inner.read(size)

        call.start()
        return wrapper(Reader(), 4)


class FileWrapperClosesTheFile(_File):
    says = (
        "It **may** have a ``close()`` method, and if so, the iterable returned by "
        "``wsgi.file_wrapper`` **must** have a ``close()`` method that invokes the original "
        "file-like object's ``close()`` method."
    )
    fault = other_wrapper(lambda file, size=0: [file.read()])

    def wrapped(self, call: WsgiCall, wrapper: Any) -> Any:
        class File:
            inner = io.BytesIO(self.expected)

            def read(self, size: int = -1) -> bytes:
                return self.inner.read(size)

            def close(self) -> None:
                call.note("closed")

        call.start()
        return wrapper(File())

    def ask(self, visit: Visit) -> None:
        super().ask(visit)
        visit.wait_for_note("closed", 2.0)


class FileWrapperSendsNothingByItself(_File):
    says = (
        "The callable **must** return an iterable object, and **must not** perform any data "
        "transmission until and unless the server/gateway actually receives the iterable as a "
        "return value from the application."
    )
    expected = b"instead"
    fault = other_wrapper(lambda file, size=0: None)

    def wrapped(self, call: WsgiCall, wrapper: Any) -> Any:
        call.start()
        iter(wrapper(self.file()))
        return [b"instead"]
