"""asgi_raw with what only HTTP/2's tests ask for: odd fields, statuses without a body, trailers."""

from typing import Any
from urllib.parse import parse_qsl

import asgi_raw
from asgi_raw import Receive, Send, body, sleep, start

Scope = dict[str, Any]


def query(scope: Scope) -> dict[str, str]:
    return dict(parse_qsl(scope["query_string"].decode()))


async def status(scope: Scope, receive: Receive, send: Send) -> None:
    """Status `n` with a body, whether it may have one or not."""
    await start(send, int(query(scope)["n"]), (b"etag", b'"1"'))
    await body(send, b"a body", more=True)
    await body(send)


async def odd_fields(scope: Scope, receive: Receive, send: Send) -> None:
    """Fields as careless apps send them."""
    fields = [
        (b"X-Upper", b"Value"), (b"connection", b"close"), (b"Keep-Alive", b"timeout=5"),
        (b"transfer-encoding", b"chunked"), (b"proxy-connection", b"close"), (b"upgrade", b"h2c"),
        (b"set-cookie", b"a=1"), (b"set-cookie", b"b=2"),
    ]  # fmt: skip
    await start(send, 200, *fields)
    await body(send, b"odd")


async def many_fields(scope: Scope, receive: Receive, send: Send) -> None:
    """`n` fields of 100 bytes that no table has: more than one frame of them."""
    count = int(query(scope)["n"])
    await start(send, 200, *[(b"x-%d" % number, b"%04d" % number * 25) for number in range(count)])
    await body(send, b"many")


async def call(scope: Scope, receive: Receive, send: Send) -> None:
    """A gRPC-like method: hints if the query asks for them, then each message of the request
    doubled, then the status in trailers."""
    if "hints" in query(scope) and "http.response.early_hint" in scope["extensions"]:
        await send({"type": "http.response.early_hint", "links": [b"</style.css>; rel=preload"]})
    fields = ((b"content-type", b"application/grpc"), (b"trailer", b"grpc-status, grpc-message"))
    trailers = "http.response.trailers" in scope["extensions"]
    await send(
        {"type": "http.response.start", "status": 200, "headers": fields, "trailers": trailers}
    )
    more = True
    while more:
        event = await receive()
        if event["type"] == "http.disconnect":
            return
        more = event["more_body"]
        if event["body"]:
            await body(send, event["body"] * 2, more=True)
    await body(send)
    if trailers:
        await send({
            "type": "http.response.trailers",
            "headers": [(b"grpc-status", b"0"), (b"grpc-message", b"well done")],
            "more_trailers": False,
        })  # fmt: skip


async def crash_late(scope: Scope, receive: Receive, send: Send) -> None:
    """Raises behind a head whose fields the client's table takes up, and a piece of its body."""
    await start(send, 200, (b"x-remembered", query(scope)["n"].encode()))
    await body(send, b"a piece", more=True)
    await sleep(0.01)
    raise RuntimeError("crashed as asked")


async def remembered(scope: Scope, receive: Receive, send: Send) -> None:
    await start(send, 200, (b"x-remembered", query(scope)["n"].encode()))
    await body(send)


OWN = {
    "/status": status,
    "/odd": odd_fields,
    "/many": many_fields,
    "/call": call,
    "/crash_late": crash_late,
    "/remembered": remembered,
}


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    own = OWN.get(scope.get("path", ""))
    if scope["type"] == "http" and own is not None:
        await own(scope, receive, send)
    else:
        await asgi_raw.app(scope, receive, send)
