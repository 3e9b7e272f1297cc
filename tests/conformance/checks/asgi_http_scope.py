"""www.rst, "HTTP Connection Scope"."""

from ..calls import AsgiCall
from ..check import WWW, Check, expect
from ..faults import Fault
from ..target import Visit, told
from .scopes import QUERY, HttpScope, common, offered, scope_check

scope_check(
    HttpScope, "type", "must", '``type`` (*Unicode string*) -- ``"http"``.',
    lambda seen: seen.scope["type"] == "http", {"type": "HTTP"},
)  # fmt: skip
scope_check(
    HttpScope, "http-version", "must",
    '``http_version`` (*Unicode string*) -- One of ``"1.0"``, ``"1.1"`` or ``"2"``.',
    lambda seen: seen.scope["http_version"] == "1.1", {"http_version": "HTTP/1.1"},
)  # fmt: skip
scope_check(
    HttpScope, "http-version-of-older-clients", "must",
    '``http_version`` (*Unicode string*) -- One of ``"1.0"``, ``"1.1"`` or ``"2"``.',
    lambda seen: seen.scope["http_version"] == "1.0", {"http_version": "1.1"}, version="1.0",
)  # fmt: skip
scope_check(
    HttpScope, "method", "must",
    "``method`` (*Unicode string*) -- The HTTP method name, uppercased.",
    lambda seen: seen.scope["method"] == "GET", {"method": "get"},
)  # fmt: skip
scope_check(
    HttpScope, "query-string", "must",
    "``query_string`` (*byte string*) -- URL portion after the ``?``, percent-encoded.",
    lambda seen: seen.scope["query_string"] == QUERY, {"query_string": b"x= &y=\xe9 z"},
)  # fmt: skip
common(HttpScope, "http")


class _HttpScopeCheck(Check):
    family, text, section = "http", WWW, "HTTP Connection Scope"

    async def app(self, call: AsgiCall) -> None:
        await call.tell(call.scope)


class QueryStringIsEmptyWithoutOne(_HttpScopeCheck):
    level = "must"
    says = "``query_string`` (*byte string*) -- URL portion after the ``?``, percent-encoded."
    fault = Fault(scope={"query_string": None})

    def ask(self, visit: Visit) -> None:
        query = visit.told()["query_string"]
        expect(query == b"", f"query_string is {query!r}")


class OrderOfHeaderValuesIsPreserved(_HttpScopeCheck):
    level = "must"
    says = (
        "Order of header values must be preserved from the original HTTP request; order of header "
        "names is not important."
    )
    fault = Fault(scope=lambda scope: {**scope, "headers": list(scope["headers"])[::-1]})

    def ask(self, visit: Visit) -> None:
        sent = [str(number) for number in (3, 1, 2, 10, 4)]
        scope = visit.told("/", *(("X-Number", number) for number in sent))
        values = [value.decode() for name, value in scope["headers"] if name.lower() == b"x-number"]
        expect(values == sent, f"{values} instead of {sent}")


class HeadersAreExactBytes(_HttpScopeCheck):
    level, section = "must", "WSGI encoding differences"
    says = (
        "``headers``: These are byte strings of the exact byte sequences sent by the client/to be "
        "sent by the server."
    )
    fault = Fault(scope=lambda scope: {**scope, "headers": [(b"x-bytes", b"\xc3\xa9")]})

    def ask(self, visit: Visit) -> None:
        scope = visit.told("/", ("X-Bytes", "\xe9 ,;=\t!"))
        values = [value for name, value in scope["headers"] if name.lower() == b"x-bytes"]
        expect(values == [b"\xe9 ,;=\t!"], f"the values are {values}")


class EachRequestHasAScopeOfItsOwn(_HttpScopeCheck):
    level = "must"
    says = (
        "HTTP connections have a single-request *connection scope* - that is, your application "
        "will be called at the start of the request, and will last until the end of that specific "
        "request, even if the underlying socket is still open and serving multiple requests."
    )
    fault = Fault(scope={"path": "/first"})

    def ask(self, visit: Visit) -> None:
        with visit.connect() as connection:
            for rest in ("/first", "/second"):
                connection.send(visit.request(rest))
                scope = told(connection.response())
                expect(scope["path"] == visit.prefix + rest, f"the path is {scope['path']!r}")


class StateOfOneRequestIsNotAnothers(_HttpScopeCheck):
    level, section, text = "must", "Lifespan State", "lifespan.rst"
    says = (
        "The server will ensure that a *shallow copy* of the namespace is passed into each "
        "subsequent request/response call into the application."
    )
    fault = Fault(scope=lambda scope: {**scope, "state": _SHARED})

    async def app(self, call: AsgiCall) -> None:
        before = dict(call.scope.get("state") or {})
        if call.scope.get("state") is not None:
            call.scope["state"]["mark"] = 1
        await call.tell({"state": before or None})

    def ask(self, visit: Visit) -> None:
        offered(visit.told(), "state")
        state = visit.told()["state"]
        expect("mark" not in state, "what one request puts into the state, another one finds")


_SHARED: dict[str, object] = {"object": None}


class StateIsShallow(_HttpScopeCheck):
    level, section, text = "must", "Lifespan State", "lifespan.rst"
    says = StateOfOneRequestIsNotAnothers.says
    fault = Fault(scope={"state": {"object": object()}})

    async def app(self, call: AsgiCall) -> None:
        from ..probe import STATE

        state = call.scope.get("state")
        await call.tell({"state": state and [state.get("object") is STATE["object"]]})

    def ask(self, visit: Visit) -> None:
        (same,) = offered(visit.told(), "state")
        expect(same, "the object in the state is not the one that the lifespan has put there")
