"""Checks of what a scope holds: the app tells its scope, and a predicate judges it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ..calls import AsgiCall, read, written
from ..check import WWW, Check, Failed, Level, NotOffered, expect, register
from ..client import TEXT
from ..faults import Fault
from ..target import Visit, told

REST = "/a%20b%2Fc/%C3%A9?x=%20&y=%C3%A9+z"
DECODED, QUERY = "/a b/c/\xe9", b"x=%20&y=%C3%A9+z"
FIELDS = (
    ("X-Twice", "one"),
    ("Cookie", "a=b; c=d"),
    ("X-Twice", "two"),
    ("Sec-WebSocket-Protocol", "first, second"),
)


@dataclass(frozen=True)
class Seen:
    scope: dict[str, Any]
    visit: Visit
    client: tuple[str, int]
    """The client's end of the connection."""

    @property
    def path(self) -> str:
        return self.visit.prefix + DECODED

    def fields(self, name: bytes) -> list[bytes]:
        return [value for one, value in self.scope["headers"] if one.lower() == name]


class ScopeCheck(Check):
    text = WWW
    version = "1.1"

    def __init__(self, name: str, level: Level, says: str, holds: Callable[[Seen], object]) -> None:
        self.name, self.level, self.says, self.holds = name, level, says, holds
        register(self)

    async def app(self, call: AsgiCall) -> None:
        if call.scope.get("type") == "websocket":
            await call.receive()
            await call.send({"type": "websocket.accept"})
            await call.send({"type": "websocket.send", "text": written(call.scope).decode()})
            await call.send({"type": "websocket.close"})
        else:
            await call.tell(call.scope)

    def see(self, visit: Visit) -> Seen:
        raise NotImplementedError

    def ask(self, visit: Visit) -> None:
        seen = self.see(visit)
        try:
            held = self.holds(seen)
        except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
            raise Failed(f"{type(error).__name__} {error} in {self._about(seen.scope)}") from None
        expect(held, f"the scope has {self._about(seen.scope)}")

    def _about(self, scope: dict[str, Any]) -> dict[str, Any]:
        """What the sentence speaks of, without what is different each time."""
        named = [key for key in scope if isinstance(key, str) and f"{key}" in self.says]
        found = {key: scope[key] for key in named if key != "headers"}
        return found or {"keys": sorted(map(str, scope))}


class HttpScope(ScopeCheck):
    family, section = "http", "HTTP Connection Scope"

    def see(self, visit: Visit) -> Seen:
        with visit.connect() as connection:
            connection.send(visit.request(REST, *FIELDS, version=self.version))
            address = connection.sock.getsockname()[:2]
            return Seen(told(connection.response()), visit, address)


class WebSocketScope(ScopeCheck):
    family, section = "websocket", "Websocket Connection Scope"

    def see(self, visit: Visit) -> Seen:
        with visit.websocket(REST, *FIELDS) as connection:
            address = connection.sock.getsockname()[:2]
            opcode, payload = connection.read_frame()
            expect(opcode == TEXT, f"opcode {opcode}")
            return Seen(read(payload), visit, address)


def scope_check(
    kind: type[ScopeCheck], name: str, level: Level, says: str,
    holds: Callable[[Seen], object], fault: Fault | dict[str, Any], **more: Any,
) -> None:  # fmt: skip
    """`fault`: entries of the scope that a wrong server would give, or more than that."""
    check = kind(f"{kind.family}-scope-{name}", level, says, holds)
    check.fault = fault if isinstance(fault, Fault) else Fault(scope=fault)
    for key, value in more.items():
        setattr(check, key, value)


def offered(scope: dict[str, Any], key: str) -> Any:
    """An optional entry. Raises NotOffered."""
    if scope.get(key) is None:
        raise NotOffered(f"no {key!r} in the scope")
    return scope[key]


def header_fault(change: Callable[[list[Any]], list[Any]]) -> Fault:
    return Fault(scope=lambda scope: {**scope, "headers": change(list(scope["headers"]))})


def common(kind: type[ScopeCheck], scheme: str) -> None:
    """What HTTP's scope and WebSocket's have in common; the sentences are the same."""
    scope_check(
        kind, "path", "must",
        "``path`` (*Unicode string*) -- HTTP request target excluding any query string, with "
        "percent-encoded sequences and UTF-8 byte sequences decoded into characters.",
        lambda seen: seen.scope["path"] == seen.path,
        {"path": "/a%20b%2Fc/%C3%A9"},
    )  # fmt: skip
    scope_check(
        kind, "raw-path", "must",
        "``raw_path`` (*byte string*) -- The original HTTP path component, excluding any query "
        "string, unmodified from the bytes that were received by the web server.",
        lambda seen: offered(seen.scope, "raw_path")
        == (seen.visit.prefix + REST.partition("?")[0]).encode(),
        {"raw_path": b"/a b/c/\xc3\xa9"},
    )  # fmt: skip
    scope_check(
        kind, "root-path", "must",
        "``root_path`` (*Unicode string*) -- The root path this application is mounted at; same as "
        "``SCRIPT_NAME`` in WSGI.",
        lambda seen: type(seen.scope.get("root_path", "")) is str,
        {"root_path": b""},
    )  # fmt: skip
    scope_check(
        kind, "headers-are-pairs-of-byte-strings", "must",
        "``headers`` (*Iterable[[byte string, byte string]]*) -- An iterable of ``[name, value]`` "
        "two-item iterables, where ``name`` is the header name, and ``value`` is the header value.",
        lambda seen: seen.fields(b"cookie") == [b"a=b; c=d"]
        and all(type(part) is bytes for pair in seen.scope["headers"] for part in pair)
        and all(len(pair) == 2 for pair in seen.scope["headers"]),
        header_fault(lambda pairs: [(name.decode(), value.decode()) for name, value in pairs]),
    )  # fmt: skip
    scope_check(
        kind, "duplicate-headers", "must",
        "…uplicates are possible and must be preserved in the message as received.",
        lambda seen: seen.fields(b"x-twice") == [b"one", b"two"],
        header_fault(lambda pairs: [*dict(pairs).items()]),
    )  # fmt: skip
    scope_check(
        kind, "header-names-are-lowercased", "should",
        "Header names should be lowercased, but it is not required…",
        lambda seen: all(name == name.lower() for name, _ in seen.scope["headers"]),
        header_fault(lambda pairs: [(name.upper(), value) for name, value in pairs]),
    )  # fmt: skip
    scope_check(
        kind, "client", "must",
        "``client`` (*Iterable[Unicode string, int]*) -- A two-item iterable of ``[host, port]``, "
        "where ``host`` is the remote host's IPv4 or IPv6 address, and ``port`` is the remote "
        "port…",
        lambda seen: tuple(offered(seen.scope, "client")) == seen.client,
        {"client": ("127.0.0.1", 1)},
    )  # fmt: skip
    scope_check(
        kind, "server", "must",
        "``server`` (*Iterable[Unicode string, Optional[int]]*) -- Either a two-item iterable of "
        "``[host, port]``, where ``host`` is the listening address for this server, and ``port`` "
        "is the integer listening port…",
        lambda seen: tuple(offered(seen.scope, "server")) == seen.visit.target.address,
        {"server": ("127.0.0.1", "80")},
    )  # fmt: skip
    scope_check(
        kind, "scheme", "must",
        f"``scheme`` (*Unicode string*) -- URL scheme portion (likely ``\"{scheme}\"`` or "
        f"``\"{scheme}s\"``). Optional (but must not be empty); default is ``\"{scheme}\"``.",
        lambda seen: seen.scope.get("scheme", scheme)
        == scheme + ("s" if seen.visit.target.context else ""),
        {"scheme": ""},
    )  # fmt: skip
    scope_check(
        kind, "spec-version", "must",
        "``asgi[\"spec_version\"]`` (*Unicode string*) -- Version of the ASGI HTTP spec this "
        "server understands…",
        lambda seen: seen.scope["asgi"].get("spec_version", "2.0")
        in ("2.0", "2.1", "2.2", "2.3", "2.4", "2.5"),
        {"asgi": {"version": "3.0", "spec_version": "3.0"}},
    )  # fmt: skip
    scope_check(
        kind, "state-is-a-copy", "must",
        "``state`` Optional(*dict[Unicode string, Any]*) -- A copy of the namespace passed into "
        "the lifespan corresponding to this request.",
        lambda seen: "object" in offered(seen.scope, "state"),
        {"state": {"other": 1}},
    )  # fmt: skip
