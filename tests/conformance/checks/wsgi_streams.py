"""PEP 3333, "Input and Error Streams" and how bodies of requests arrive."""

from typing import Any

from ..calls import WsgiCall
from ..check import PEP, Check, Failed, NotApplicable, expect
from ..client import Silence
from ..faults import Fault
from ..target import Visit, told

BODY = b"one\ntwo\r\nthree"
LARGE = bytes(range(256)) * 4096


class OtherInput:
    """A `wsgi.input` that has some methods of the server's, and others of a fault's."""

    def __init__(self, real: Any, **methods: Any) -> None:
        self._real = real
        self.__dict__.update(methods)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    def __iter__(self) -> Any:
        return iter([b"other"])


def other(stream: str, **methods: Any) -> Fault:
    def wrong(environ: dict[str, Any]) -> dict[str, Any]:
        environ[stream] = OtherInput(environ[stream], **methods)
        return environ

    return Fault(environ=wrong)


def _fails(*_: Any) -> Any:
    raise TypeError("not this way")


class _Stream(Check):
    family, text, section, level = "wsgi", PEP, "Input and Error Streams", "must"
    body = BODY
    expected: Any = BODY

    def read(self, stream: Any) -> Any:
        raise NotImplementedError

    def wsgi(self, call: WsgiCall) -> Any:
        try:
            got = self.read(call.environ["wsgi.input"])
        except (TypeError, AttributeError) as error:
            got = f"{type(error).__name__} {error}"
        return call.tell(got)

    def ask(self, visit: Visit) -> None:
        try:
            got = visit.told(method="POST", body=self.body)
        except Silence:
            raise Failed("the app waits for bytes that do not come") from None
        expect(got == self.expected, f"{got!r:.200} instead of {self.expected!r:.200}")


_SUPPORTED = (
    "The methods listed in the table above **must** be supported by all servers conforming to this "
    "specification."
)
_END = (
    "The server is not required to read past the client's specified ``Content-Length``, and "
    "**should** simulate an end-of-file condition if the application attempts to read past that "
    "point."
)


class InputReadsASize(_Stream):
    says = _SUPPORTED
    expected = (b"one", b"\ntwo\r\nthree")
    fault = other("wsgi.input", read=lambda size: b"x" * size)

    def read(self, stream: Any) -> Any:
        return stream.read(3), stream.read(len(BODY) - 3)


class InputReadsLines(_Stream):
    says = _SUPPORTED
    expected = (b"one\n", b"two\r\n", b"three", b"")
    fault = other("wsgi.input", readline=lambda: b"one")

    def read(self, stream: Any) -> Any:
        return tuple(stream.readline() for _ in range(4))


class InputReadsAllLines(_Stream):
    says = _SUPPORTED
    expected = (b"one\n", b"two\r\n", b"three")
    fault = other("wsgi.input", readlines=lambda: [BODY])

    def read(self, stream: Any) -> Any:
        return tuple(stream.readlines())


class InputReadsLinesWithAHint(_Stream):
    says = (
        "Note that the ``hint`` argument to ``readlines()`` is optional for both caller and "
        "implementer."
    )
    expected = b"one\n"
    fault = other("wsgi.input", readlines=lambda hint: [BODY])

    def read(self, stream: Any) -> Any:
        return stream.readlines(2)[0]


class InputIterates(_Stream):
    says = _SUPPORTED
    expected = (b"one\n", b"two\r\n", b"three")
    fault = other("wsgi.input")

    def read(self, stream: Any) -> Any:
        return tuple(stream)


class InputEndsWhereTheBodyEnds(_Stream):
    says, level = _END, "should"
    expected = (BODY, b"")
    fault = other("wsgi.input", read=lambda size: BODY)

    def read(self, stream: Any) -> Any:
        return stream.read(1000), stream.read(1000)


class InputReadsToTheEnd(_Stream):
    says = (
        "A server **should** allow ``read()`` to be called without an argument, and return the "
        "remainder of the client's input stream."
    )
    level = "should"
    expected = b"\ntwo\r\nthree"
    fault = other("wsgi.input", read=lambda size: b"")

    def read(self, stream: Any) -> Any:
        stream.read(3)
        return stream.read()


class ExhaustedInputGivesNothing(_Stream):
    says = (
        "A server **should** return empty bytestrings from any attempt to read from an empty or "
        "exhausted input stream."
    )
    level = "should"
    expected = (b"", b"", ())
    fault = other("wsgi.input", read=lambda *size: None)

    def read(self, stream: Any) -> Any:
        while stream.readline():
            pass
        return stream.read(1), stream.readline(), tuple(stream.readlines())


class EmptyInputGivesNothing(_Stream):
    says, level, body = ExhaustedInputGivesNothing.says, "should", b""
    expected = (b"", b"")
    fault = other("wsgi.input", read=lambda *size: None)

    def read(self, stream: Any) -> Any:
        return stream.read(1), stream.readline()


class InputReadsPartsOfLines(_Stream):
    says = (
        'Servers **should** support the optional "size" argument to ``readline()``, but as in WSGI '
        "1.0, they are allowed to omit support for it."
    )
    level = "should"
    expected = (b"on", b"e\n", b"two\r\n")
    fault = other("wsgi.input", readline=lambda: b"one\n")

    def read(self, stream: Any) -> Any:
        return stream.readline(2), stream.readline(2), stream.readline(100)


class InputHasLargeBodies(_Stream):
    says = (
        "``wsgi.input`` … An input stream (file-like object) from which the HTTP request body "
        "bytes can be read."
    )
    section = "environ Variables"
    body, expected = LARGE, (len(LARGE), sum(LARGE) % 65_521, "bytes")
    fault = other("wsgi.input", read=lambda size: b"")

    def read(self, stream: Any) -> Any:
        pieces = [stream.read(10_000)]
        while pieces[-1]:
            pieces.append(stream.read(10_000))
        whole = b"".join(pieces)
        return len(whole), sum(whole) % 65_521, type(pieces[0]).__name__


class ErrorsMayBeWritten(_Stream):
    says = _SUPPORTED
    expected = "written"
    fault = other("wsgi.errors", writelines=_fails)

    def wsgi(self, call: WsgiCall) -> Any:
        errors = call.environ["wsgi.errors"]
        try:
            errors.write("conformance: a line\n")
            errors.writelines(["conformance: another\n", "conformance: and one more\n"])
            errors.flush()
        except (TypeError, AttributeError) as error:
            return call.tell(repr(error))
        return call.tell("written")


class ErrorsTakeAnyUnicode(_Stream):
    says = (
        "(On platforms where the ``str`` type is unicode, the error stream **should** accept and "
        "log arbitrary unicode without raising an error; it is allowed, however, to substitute "
        "characters that cannot be rendered in the stream's encoding.)"
    )
    section, level = "environ Variables", "should"
    expected = "written"
    fault = other("wsgi.errors", write=lambda text: text.encode("ascii"))

    def wsgi(self, call: WsgiCall) -> Any:
        try:
            call.environ["wsgi.errors"].write("conformance: \u20ac \U0001f30d \xe9\n")
            call.environ["wsgi.errors"].flush()
        except UnicodeError as error:
            return call.tell(repr(error))
        return call.tell("written")


class ErrorsAreLogged(_Stream):
    says = (
        "``wsgi.errors`` … An output stream (file-like object) to which error output can be "
        "written, for the purpose of recording program or other errors in a standardized and "
        "possibly centralized location."
    )
    section = "environ Variables"
    fault = other("wsgi.errors", write=lambda text: None)

    def wsgi(self, call: WsgiCall) -> Any:
        call.environ["wsgi.errors"].write(f"conformance: seen {call.key}\n")
        call.environ["wsgi.errors"].flush()
        return call.tell("")

    def ask(self, visit: Visit) -> None:
        if visit.target.log is None:
            raise NotApplicable("its log cannot be read from here")
        visit.told()
        visit.target.wait_for_log(f"seen {visit.key}")


# -- HTTP on the way in ----------------------------------------------------------------------


class ChunkedBodyIsDecoded(_Stream):
    says = (
        'WSGI servers **must** handle any supported inbound "hop-by-hop" headers on their own, '
        "such as by decoding any inbound ``Transfer-Encoding``, including chunked encoding if "
        "applicable."
    )
    section = "Other HTTP Features"
    fault = other("wsgi.input", read=lambda: b"4\r\nsome\r\n")

    def read(self, stream: Any) -> Any:
        return stream.read()

    def ask(self, visit: Visit) -> None:
        with visit.connect() as connection:
            head = visit.request("/", ("Transfer-Encoding", "chunked"), method="POST")
            connection.send(head + b"4\r\nsome\r\n5\r\n more\r\n0\r\n\r\n")
            got = told(connection.response())
        expect(got == b"some more", f"the body is {got!r:.200}")


class ExpectContinueIsTransparent(_Stream):
    says = (
        "Servers and gateways that implement HTTP 1.1 **must** provide transparent support for "
        'HTTP 1.1\'s "expect/continue" mechanism.'
    )
    section = "HTTP 1.1 Expect/Continue"
    fault = other("wsgi.input", read=lambda size: b"")

    def read(self, stream: Any) -> Any:
        return stream.read(4)

    def heard(self, visit: Visit) -> bool:
        """Sends the body when told to, or after a while. Returns whether it was told to."""
        with visit.connect() as connection:
            fields = (("Expect", "100-continue"), ("Content-Length", "4"))
            connection.send(visit.request("/", *fields, method="POST"))
            silent = connection.silent(1.0)
            connection.send(b"some")
            response = connection.response()
            expect(told(response) == b"some", f"the body is {response.body!r:.200}")
        return not silent and any(one.status == 100 for one in response.interim)

    def ask(self, visit: Visit) -> None:
        self.heard(visit)


class ExpectContinueIsAnswered(ExpectContinueIsTransparent):
    says = (
        "Wait until the client decides that the server does not support expect/continue, and sends "
        "the request body on its own. (This is suboptimal, and is not recommended.)"
    )
    level = "may"
    fault = Fault(wire=lambda data: b"" if data.startswith(b"HTTP/1.1 100") else data)

    def ask(self, visit: Visit) -> None:
        expect(self.heard(visit), "no 100 Continue within 1 s")


class ExpectContinueOfHttp10(ExpectContinueIsTransparent):
    says = (
        "Note that these behavior restrictions do not apply for HTTP 1.0 requests, or for requests "
        "that are not directed to an application object."
    )
    fault = Fault(wire=lambda data: b"HTTP/1.1 100 Continue\r\n\r\n" + data)

    def ask(self, visit: Visit) -> None:
        """RFC 9110, 10.1.1: a server ignores the expectation of an HTTP/1.0 client."""
        fields = ("Expect", "100-continue")
        response = visit.get("/", fields, method="POST", body=b"some", version="1.0")
        expect(not response.interim, "HTTP/1.0 knows no 100 Continue")
        expect(told(response) == b"some", f"the body is {response.body!r:.200}")
