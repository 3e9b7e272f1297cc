"""PEP 3333, "environ Variables" and "URL Reconstruction"."""

import re
from collections.abc import Callable
from typing import Any

from ..calls import WsgiCall
from ..check import PEP, Check, Failed, Level, expect, register
from ..faults import Fault, without
from ..target import Visit, told

REST = "/a%20b%2Fc/%C3%A9?x=%20&y=%C3%A9+z"
DECODED = "/a b/c/\xc3\xa9"
Environ = dict[str, Any]


class EnvironCheck(Check):
    family, text, section = "wsgi", PEP, "environ Variables"
    method, body, version = "GET", b"", "1.1"

    def __init__(self, name: str, level: Level, says: str, holds: Callable[[Environ, Visit], Any]):
        self.name, self.level, self.says, self.holds = name, level, says, holds
        register(self)

    def wsgi(self, call: WsgiCall) -> Any:
        return call.tell(call.environ)

    def ask(self, visit: Visit) -> None:
        environ = visit.told(
            REST, ("X-Some", "thing"), ("Content-Type", "text/plain; charset=utf-8"),
            ("Accept", "a"), method=self.method, body=self.body, version=self.version,
        )  # fmt: skip
        environ = {key: value for key, value in environ.items() if key not in ("PATH", "LS_COLORS")}
        try:
            held = self.holds(environ, visit)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise Failed(f"{type(error).__name__} {error}") from None
        expect(held, f"the environ has {self._about(environ)}")

    def _about(self, environ: Environ) -> Environ:
        """What the sentence speaks of."""
        named = re.findall(r"``([A-Z][A-Z_]+|wsgi\.[a-z_]+)``", self.says)
        return {key: environ.get(key) for key in named} or {
            key: value for key, value in environ.items() if type(value) not in (str, tuple)
        }


def environ_check(
    name: str, level: Level, says: str, holds: Callable[[Environ, Visit], Any],
    fault: Fault | dict[str, Any], **more: Any,
) -> None:  # fmt: skip
    check = EnvironCheck(f"wsgi-environ-{name}", level, says, holds)
    check.fault = fault if isinstance(fault, Fault) else Fault(environ=fault)
    for key, value in more.items():
        setattr(check, key, value)


environ_check(
    "request-method", "must",
    "``REQUEST_METHOD`` … This cannot ever be an empty string, and so is always required.",
    lambda env, _: env["REQUEST_METHOD"] == "GET", {"REQUEST_METHOD": "get"},
)  # fmt: skip
environ_check(
    "path", "must",
    "``PATH_INFO`` … The remainder of the request URL's \"path\", designating the virtual "
    "\"location\" of the request's target within the application.",
    lambda env, visit: env.get("SCRIPT_NAME", "") + env["PATH_INFO"] == visit.prefix + DECODED,
    {"PATH_INFO": "/a b/c/\xe9"},
)  # fmt: skip
environ_check(
    "script-name", "must",
    "``SCRIPT_NAME`` … This **may** be an empty string, if the application corresponds to the "
    "\"root\" of the server.",
    lambda env, _: env.get("SCRIPT_NAME", "") == "", {"SCRIPT_NAME": "/"},
)  # fmt: skip
environ_check(
    "query-string", "must",
    "``QUERY_STRING`` … The portion of the request URL that follows the ``\"?\"``, if any.",
    lambda env, _: env["QUERY_STRING"] == "x=%20&y=%C3%A9+z", {"QUERY_STRING": "x= &y=\xe9 z"},
)  # fmt: skip
environ_check(
    "content-type", "must",
    "``CONTENT_TYPE`` … The contents of any ``Content-Type`` fields in the HTTP request.",
    lambda env, _: env["CONTENT_TYPE"] == "text/plain; charset=utf-8",
    Fault(environ=without("CONTENT_TYPE")),
)  # fmt: skip
environ_check(
    "content-length", "must",
    "``CONTENT_LENGTH`` … The contents of any ``Content-Length`` fields in the HTTP request.",
    lambda env, _: env["CONTENT_LENGTH"] == "4", {"CONTENT_LENGTH": 4},
    method="POST", body=b"some",
)  # fmt: skip
environ_check(
    "content-length-of-no-body", "must",
    "``CONTENT_LENGTH`` … May be empty or absent.",
    lambda env, _: env.get("CONTENT_LENGTH", "") in ("", "0"), {"CONTENT_LENGTH": "-1"},
)  # fmt: skip
environ_check(
    "server-name-and-port", "must",
    "``SERVER_NAME`` and ``SERVER_PORT`` are required strings and must never be empty.",
    lambda env, visit: type(env["SERVER_NAME"]) is str and env["SERVER_NAME"]
    and env["SERVER_PORT"] == str(visit.target.address[1]),
    {"SERVER_PORT": 80},
)  # fmt: skip
for _version in ("1.0", "1.1"):
    environ_check(
        f"server-protocol-{_version.replace('.', '-')}", "must",
        "``SERVER_PROTOCOL`` … The version of the protocol the client used to send the request.",
        lambda env, _, version=_version: env["SERVER_PROTOCOL"] == f"HTTP/{version}",
        {"SERVER_PROTOCOL": "HTTP/2"}, version=_version,
    )  # fmt: skip
environ_check(
    "http-variables", "should",
    "The presence or absence of these variables should correspond with the presence or absence of "
    "the appropriate HTTP header in the request.",
    lambda env, visit: env["HTTP_X_SOME"] == "thing" and env["HTTP_ACCEPT"] == "a"
    and env["HTTP_HOST"] == visit.host and "HTTP_COOKIE" not in env,
    {"HTTP_COOKIE": ""},
)  # fmt: skip
environ_check(
    "variables-are-str", "must",
    "It is a violation of this specification for *any* CGI variable's value to be of any type "
    "other than ``str``.",
    lambda env, _: all(type(env[key]) is str for key in env if re.fullmatch("[A-Z][A-Z_]*", key)),
    {"REMOTE_PORT": 80},
)  # fmt: skip
environ_check(
    "variables-are-latin-1", "must",
    "Similarly, servers and gateways **must not** supply strings to an application containing any "
    "other Unicode characters.",
    lambda env, _: all(max(map(ord, value), default=0) < 256 for value in env.values()
                       if isinstance(value, str)),
    {"PATH_INFO": "/\u20ac"}, section="Unicode Issues",
)  # fmt: skip
environ_check(
    "missing-variables-are-left-out", "must",
    "Note: missing variables (such as ``REMOTE_USER`` when no authentication has occurred) should "
    "be left out of the ``environ`` dictionary.",
    lambda env, _: "REMOTE_USER" not in env, {"REMOTE_USER": ""},
)  # fmt: skip
environ_check(
    "other-cgi-variables", "should",
    "A server or gateway **should** attempt to provide as many other CGI variables as are "
    "applicable.",
    lambda env, _: env.get("REMOTE_ADDR") == "127.0.0.1", {"REMOTE_ADDR": ""},
)  # fmt: skip
environ_check(
    "version", "must",
    "``wsgi.version`` … The tuple ``(1, 0)``, representing WSGI version 1.0.",
    lambda env, _: env["wsgi.version"] == (1, 0), {"wsgi.version": [1, 0]},
)  # fmt: skip
environ_check(
    "url-scheme", "must",
    "``wsgi.url_scheme`` … Normally, this will have the value ``\"http\"`` or ``\"https\"``, as "
    "appropriate.",
    lambda env, _: env["wsgi.url_scheme"] == "http", {"wsgi.url_scheme": "https"},
)  # fmt: skip
environ_check(
    "flags", "must",
    "In addition to the CGI-defined variables, the ``environ`` dictionary … **must** contain the "
    "following WSGI-defined variables: … ``wsgi.input`` … ``wsgi.errors`` … ``wsgi.multithread`` "
    "… ``wsgi.multiprocess`` … ``wsgi.run_once``",
    lambda env, _: {"wsgi.input", "wsgi.errors", "wsgi.multithread", "wsgi.multiprocess",
                    "wsgi.run_once"} <= env.keys(),
    Fault(environ=without("wsgi.multiprocess")),
)  # fmt: skip
environ_check(
    "run-once", "should",
    "``wsgi.run_once`` … This value should evaluate true if the server or gateway expects (but "
    "does not guarantee!) that the application will only be invoked this one time during the life "
    "of its containing process.",
    lambda env, _: not env["wsgi.run_once"], {"wsgi.run_once": True},
)  # fmt: skip
environ_check(
    "names-of-its-own-variables", "should",
    "These variables should be named using only lower-case letters, numbers, dots, and "
    "underscores, and should be prefixed with a name that is unique to the defining server or "
    "gateway.",
    lambda env, _: all(re.fullmatch(r"[a-z0-9_.]+", key) for key in env if "." in key),
    {"Server.Thing": 1},
)  # fmt: skip


class _Wsgi(Check):
    family, text, section = "wsgi", PEP, "environ Variables"


class EnvironIsABuiltinDict(_Wsgi):
    level, section = "must", "Specification Details"
    says = (
        "This object **must** be a builtin Python dictionary (*not* a subclass, ``UserDict`` or "
        "other dictionary emulation), and the application is allowed to modify the dictionary in "
        "any way it desires."
    )
    fault = Fault(environ=lambda environ: type("OwnDict", (dict,), {})(environ))

    def wsgi(self, call: WsgiCall) -> Any:
        kind = type(call.environ) is dict
        call.environ["own"] = object()
        del call.environ["PATH_INFO"]
        return call.tell(kind)

    def ask(self, visit: Visit) -> None:
        expect(visit.told(), "the environ is no dict")


class ArgumentsArePositional(_Wsgi):
    level, section = "must", "Specification Details"
    says = (
        "A server or gateway **must** invoke the application object using positional (not keyword) "
        "arguments."
    )
    fault = Fault(environ={"conformance.named": True})

    def wsgi(self, call: WsgiCall) -> Any:
        return call.tell(call.positional and "conformance.named" not in call.environ)

    def ask(self, visit: Visit) -> None:
        expect(visit.told(), "the app is called with named arguments")


class EachRequestHasAnEnvironOfItsOwn(_Wsgi):
    level, section = "must", "Specification Details"
    says = EnvironIsABuiltinDict.says
    fault = Fault(environ=lambda environ: _SHARED)

    def wsgi(self, call: WsgiCall) -> Any:
        before = "mark" in call.environ
        call.environ["mark"] = 1
        return call.tell(before)

    def ask(self, visit: Visit) -> None:
        with visit.connect() as connection:
            for _ in range(2):
                connection.send(visit.request())
                marked = told(connection.response())
        expect(not marked, "what one request puts into the environ, another one finds")


_SHARED: Environ = {"PATH_INFO": "/", "HTTP_X_KEY": "0"}


class MultithreadIsTold(_Wsgi):
    level = "should"
    says = (
        "``wsgi.multithread`` … This value should evaluate true if the application object may be "
        "simultaneously invoked by another thread in the same process, and should evaluate false "
        "otherwise."
    )
    fault = Fault(environ={"wsgi.multithread": False})

    def wsgi(self, call: WsgiCall) -> Any:
        if call.environ["QUERY_STRING"] == "wait":
            call.note("inside")
            call.released()
            call.note("outside")
        return call.tell(bool(call.environ["wsgi.multithread"]))

    def ask(self, visit: Visit) -> None:
        """A server whose second thread does not come within the app's wait has none."""
        with visit.connect() as first:
            first.send(visit.request("/?wait"))
            try:
                visit.wait_for_note("inside")  # in another thread, or never
            except Failed:
                return
            both = "outside" not in visit.notes()
            flag = visit.told()
            visit.release()
            told(first.response())
        expect(flag or not both, "two threads are in the app, and the flag is false")


class UrlCanBeReconstructed(_Wsgi):
    level, section = "must", "URL Reconstruction"
    says = (
        "If an application wishes to reconstruct a request's complete URL, it may do so using the "
        "following algorithm…"
    )
    fault = Fault(environ={"wsgi.url_scheme": "", "HTTP_HOST": "elsewhere"})

    def wsgi(self, call: WsgiCall) -> Any:
        from wsgiref.util import request_uri

        return call.tell(request_uri(call.environ))

    def ask(self, visit: Visit) -> None:
        url = visit.told("/a%20b/%C3%A9?x=%20")
        scheme = "https" if visit.target.context else "http"
        expected = f"{scheme}://{visit.host}{visit.prefix}/a%20b/%C3%A9?x=%20"
        expect(url == expected, f"{url} instead of {expected}")
