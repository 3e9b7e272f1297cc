"""A raw ASGI app of WebSockets with a knob for each thing that can go well or badly. The path
turns the knob, the query sets it: /flood?n=1000000&piece=65536."""

from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import parse_qsl

from asgi_raw import answer, mark, sleep

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]

seen: dict[str, Any] = {"open": 0, "reading": False, "empty": 0}
room: set[Send] = set()
"""Who gets what /room hears."""


def knobs(scope: Scope) -> dict[str, str]:
    return dict(parse_qsl(scope["query_string"].decode()))


async def accept(receive: Receive, send: Send, **about: object) -> None:
    assert await receive() == {"type": "websocket.connect"}
    await send({"type": "websocket.accept", **about})


async def say(send: Send, data: str | bytes) -> None:
    await send({"type": "websocket.send", "text" if isinstance(data, str) else "bytes": data})


def said(event: dict[str, Any]) -> str | bytes | None:
    """A received event's message; None for the disconnect."""
    if event["type"] == "websocket.disconnect":
        return None
    text = event.get("text")
    return event["bytes"] if text is None else text


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    await accept(receive, send)
    while (data := said(await receive())) is not None:
        await say(send, data)


async def sizes(scope: Scope, receive: Receive, send: Send) -> None:
    """Tells of every message its kind and length."""
    await accept(receive, send)
    while (data := said(await receive())) is not None:
        await say(send, f"{type(data).__name__} {len(data)}")


async def facts(scope: Scope, receive: Receive, send: Send) -> None:
    """The scope, but for what no message can carry."""
    await accept(receive, send)
    shown = {name: value for name, value in scope.items() if name not in ("app", "state")}
    await say(send, repr(shown))
    await receive()


async def choose(scope: Scope, receive: Receive, send: Send) -> None:
    """Accepts with the last subprotocol that is offered and with headers of its own."""
    offered = scope["subprotocols"]
    headers = [(b"X-Chosen-Of", b"%d" % len(offered)), (b"set-cookie", b"a=b")]
    await accept(receive, send, subprotocol=offered[-1] if offered else None, headers=headers)
    await receive()


async def accept_later(scope: Scope, receive: Receive, send: Send) -> None:
    """Writes `file` and accepts `s` seconds later."""
    asked = knobs(scope)
    mark(asked["file"], "began")
    await sleep(float(asked["s"]))
    await accept(receive, send)
    await receive()


async def accept_badly(scope: Scope, receive: Receive, send: Send) -> None:
    """Accepts with a header or a subprotocol that must not leave the house."""
    bad: dict[str, object] = {
        "header": {"headers": [(b"x", b"y\r\nset-cookie: evil=1")]},
        "name": {"headers": [(b"x y", b"z")]},
        "subprotocol": {"subprotocol": "a\r\nset-cookie: evil=1"},
        "foreign": {"subprotocol": "漢字"},
    }
    await accept(receive, send, **bad[knobs(scope)["how"]])  # type: ignore[arg-type]
    await receive()


async def refuse(scope: Scope, receive: Receive, send: Send) -> None:
    assert await receive() == {"type": "websocket.connect"}
    await send({"type": "websocket.close", "code": 4001, "reason": "never seen"})


async def deny(scope: Scope, receive: Receive, send: Send) -> None:
    """A whole HTTP response instead of the 101, in `pieces`."""
    assert await receive() == {"type": "websocket.connect"}
    pieces = int(knobs(scope).get("pieces", "1"))
    headers = [(b"content-type", b"text/plain"), (b"www-authenticate", b"Basic")]
    kind = "websocket.http.response"
    await send({"type": f"{kind}.start", "status": 401, "headers": headers})
    for number in range(pieces):
        more = number + 1 < pieces
        await send({"type": f"{kind}.body", "body": b"no entry\n", "more_body": more})


async def close(scope: Scope, receive: Receive, send: Send) -> None:
    """Closes as asked, and hears of its own disconnect."""
    asked = knobs(scope)
    await accept(receive, send)
    about: dict[str, object] = {"type": "websocket.close"}
    if "code" in asked:
        about |= {"code": int(asked["code"]), "reason": asked.get("reason")}
    await send(about)
    heard = await receive()
    if "file" in asked:
        mark(asked["file"], f"{heard['type']} {heard['code']}")


async def told(scope: Scope, receive: Receive, send: Send) -> None:
    """Writes to `file` what the disconnect says, and what sending behind it gives."""
    await accept(receive, send)
    while (event := await receive())["type"] != "websocket.disconnect":
        pass
    try:
        await say(send, "nobody hears this")
        sent = "sent"
    except OSError:
        sent = "OSError"
    mark(knobs(scope)["file"], f"{event['code']} {event['reason']} {sent}")


async def crash(scope: Scope, receive: Receive, send: Send) -> None:
    """Raises before it has accepted, or at the first message."""
    if "before" in knobs(scope):
        raise RuntimeError("crashed as asked")
    await accept(receive, send)
    await receive()
    raise RuntimeError("crashed as asked")


async def leave(scope: Scope, receive: Receive, send: Send) -> None:
    """Returns without a word of goodbye."""
    await accept(receive, send)
    await say(send, "last words")


async def silent(scope: Scope, receive: Receive, send: Send) -> None:
    """Neither accepts nor refuses."""


async def flood(scope: Scope, receive: Receive, send: Send) -> None:
    """`n` bytes in messages of `piece`, as fast as they go."""
    asked = knobs(scope)
    await accept(receive, send)
    message = bytes(int(asked["piece"]))
    for _ in range(int(asked["n"]) // len(message)):
        await say(send, message)
    await say(send, "that was all")
    await receive()


async def empty(scope: Scope, receive: Receive, send: Send) -> None:
    """Empty messages without end, whose number /empties tells."""
    await accept(receive, send)
    while True:
        await say(send, "")
        seen["empty"] += 1


async def empties(scope: Scope, receive: Receive, send: Send) -> None:
    await accept(receive, send)
    while said(await receive()) is not None:
        await say(send, str(seen["empty"]))


async def late(scope: Scope, receive: Receive, send: Send) -> None:
    """Reads nothing until /read_on is opened; then counts until the word `end`, or until the
    disconnect, which it writes to `file`."""
    seen["reading"] = False
    await accept(receive, send)
    while not seen["reading"]:
        await sleep(0.01)
    count = 0
    while (event := await receive())["type"] == "websocket.receive":
        data = said(event)
        if data == "end":
            return await say(send, str(count))
        count += len(data or "")
    return mark(knobs(scope)["file"], f"{count} {event['code']} {event['reason']}".strip())


async def read_on(scope: Scope, receive: Receive, send: Send) -> None:
    seen["reading"] = True
    await accept(receive, send)


async def join(scope: Scope, receive: Receive, send: Send) -> None:
    """What one says, all of the room hear."""
    await accept(receive, send)
    room.add(send)
    try:
        await say(send, f"{len(room)}")
        while (data := said(await receive())) is not None:
            for each in list(room):
                try:
                    await say(each, data)
                except OSError:
                    room.discard(each)  # it left in the meantime
    finally:
        room.discard(send)


KNOBS = {
    f"/{knob.__name__}": knob
    for knob in (
        accept_badly, accept_later, choose, close, crash, deny, echo, empties, empty, facts, flood,
        join, late, leave, read_on, refuse, silent, sizes, told,
    )
}  # fmt: skip


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "lifespan":
        while True:
            event = await receive()
            await send({"type": f"{event['type']}.complete"})
            if event["type"] == "lifespan.shutdown":
                return
    elif scope["type"] == "websocket":
        await KNOBS.get(scope["path"], echo)(scope, receive, send)
    else:
        await answer(send, b"hello")
