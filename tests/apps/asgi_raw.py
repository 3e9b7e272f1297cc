"""An ASGI app with a knob for each thing that can go well or badly. The path turns the knob, the
query sets it: /stream?n=1000000&piece=65536."""

import json
import os
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import sniffio

Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]
ZEROS = bytes(1 << 20)


def mark(file: str, text: str) -> None:
    """For a test to see, whole or not at all. Until it is whole its name begins with a dot, which
    no test's pattern matches."""
    unfinished = Path(file).with_name("." + Path(file).name)
    unfinished.write_text(text)
    os.replace(unfinished, file)


async def sleep(seconds: float) -> None:
    if sniffio.current_async_library() == "trio":
        import trio

        await trio.sleep(seconds)
    else:
        import asyncio

        await asyncio.sleep(seconds)


async def start(send: Send, status: int = 200, *headers: tuple[bytes, bytes]) -> None:
    await send({"type": "http.response.start", "status": status, "headers": headers})


async def body(send: Send, data: bytes = b"", more: bool = False) -> None:
    await send({"type": "http.response.body", "body": data, "more_body": more})


async def answer(send: Send, data: bytes, status: int = 200) -> None:
    await start(send, status, (b"content-length", b"%d" % len(data)))
    await body(send, data)


async def hello(scope: dict[str, Any], receive: Receive, send: Send) -> None:
    await answer(send, b"hello")


async def echo(scope: dict[str, Any], receive: Receive, send: Send) -> None:
    """The body comes back piece by piece, as it comes."""
    await start(send)
    more = True
    while more:
        event = await receive()
        if event["type"] == "http.disconnect":
            return
        more = event["more_body"]
        await body(send, event["body"], more)


async def swallow(scope: dict[str, Any], receive: Receive, send: Send) -> None:
    """Counts the body; as fast as it comes."""
    count, more = 0, True
    while more:
        event = await receive()
        if event["type"] == "http.disconnect":
            return
        count += len(event["body"])
        more = event["more_body"]
    await answer(send, b"%d" % count)


async def ask(scope: dict[str, Any], receive: Receive, send: Send) -> None:
    """Asks for the body only after `s` seconds."""
    knobs = dict(parse_qsl(scope["query_string"].decode()))
    await sleep(float(knobs["s"]))
    await swallow(scope, receive, send)


async def stream(scope: dict[str, Any], receive: Receive, send: Send) -> None:
    knobs = dict(parse_qsl(scope["query_string"].decode()))
    left, piece = int(knobs["n"]), int(knobs.get("piece", 65_536))
    await start(send, 200, (b"content-type", b"application/octet-stream"))
    while left:
        size = min(left, piece)
        left -= size
        await body(send, ZEROS[:size], more=True)
    await body(send)


async def slow(scope: dict[str, Any], receive: Receive, send: Send) -> None:
    """Answers after `s` seconds. `file` is written when the app has begun."""
    knobs = dict(parse_qsl(scope["query_string"].decode()))
    if "file" in knobs:
        mark(knobs["file"], str(os.getpid()))
    await sleep(float(knobs["s"]))
    await answer(send, b"slept")


async def trickle(scope: dict[str, Any], receive: Receive, send: Send) -> None:
    """The worker's pid, then a dot every tenth of a second, `n` of them."""
    knobs = dict(parse_qsl(scope["query_string"].decode()))
    await start(send)
    await body(send, b"%d\n" % os.getpid(), more=True)
    for _ in range(int(knobs["n"])):
        await sleep(0.1)
        await body(send, b".", more=True)
    await body(send)


async def crash(scope: dict[str, Any], receive: Receive, send: Send) -> None:
    """Raises before the head, or `after` so many bytes of body; these have travelled if it waits
    `s` seconds in between."""
    knobs = dict(parse_qsl(scope["query_string"].decode()))
    if "after" in knobs:
        await start(send)
        await body(send, b"x" * int(knobs["after"]), more=True)
    if "s" in knobs:
        await sleep(float(knobs["s"]))
    raise RuntimeError("crashed as asked")


async def parrot(scope: dict[str, Any], receive: Receive, send: Send) -> None:
    """Raises what the client says, decoded from JSON."""
    raise ValueError(json.loads((await receive())["body"]))


LATE = {"running": 0}


async def late(scope: dict[str, Any], receive: Receive, send: Send) -> None:
    """Answers, and then asks for the request until there is a disconnect."""
    LATE["running"] += 1
    await answer(send, b"hello")
    while (await receive())["type"] != "http.disconnect":
        pass
    LATE["running"] -= 1


async def count_late(scope: dict[str, Any], receive: Receive, send: Send) -> None:
    """How many of them run."""
    await answer(send, b"%d" % LATE["running"])


async def exit_now(scope: dict[str, Any], receive: Receive, send: Send) -> None:
    os._exit(7)


async def watch(scope: dict[str, Any], receive: Receive, send: Send) -> None:
    """Writes `file` when the client goes away."""
    knobs = dict(parse_qsl(scope["query_string"].decode()))
    await start(send)
    await body(send, b"watching", more=True)
    while (await receive())["type"] != "http.disconnect":
        pass
    try:
        await body(send, b"nobody hears this", more=True)
        sent = "sent"
    except OSError:
        sent = "OSError"
    mark(knobs["file"], sent)


async def nothing(scope: dict[str, Any], receive: Receive, send: Send) -> None:
    """Returns without a response."""


async def background(scope: dict[str, Any], receive: Receive, send: Send) -> None:
    """Answers, and goes on for `s` seconds, then writes `file`."""
    knobs = dict(parse_qsl(scope["query_string"].decode()))
    await answer(send, b"accepted", 202)
    await sleep(float(knobs["s"]))
    mark(knobs["file"], "done")


async def facts(scope: dict[str, Any], receive: Receive, send: Send) -> None:
    names = ("http_version", "method", "scheme", "path", "root_path", "client", "server")
    lines = [f"{name}={scope[name]!r}" for name in names]
    lines += [f"raw_path={scope['raw_path']!r}", f"query_string={scope['query_string']!r}"]
    lines += [f"header {name.decode()}={value.decode()}" for name, value in scope["headers"]]
    lines += [f"pid={os.getpid()}", f"loop={sniffio.current_async_library()}"]
    await answer(send, "\n".join(lines).encode())


async def tls(scope: dict[str, Any], receive: Receive, send: Send) -> None:
    await answer(send, json.dumps(scope["extensions"].get("tls")).encode())


async def websocket(scope: dict[str, Any], receive: Receive, send: Send) -> None:
    """Says what it came by, then repeats what it hears."""
    await receive()
    await send({"type": "websocket.accept"})
    by = [scope["scheme"], "tls" in scope["extensions"]]
    await send({"type": "websocket.send", "text": json.dumps(by)})
    while (event := await receive())["type"] != "websocket.disconnect":
        await send(event | {"type": "websocket.send"})


async def spin(scope: dict[str, Any], receive: Receive, send: Send) -> None:
    """Blocks the event loop for `s` seconds, as no app should."""
    knobs = dict(parse_qsl(scope["query_string"].decode()))
    time.sleep(float(knobs["s"]))  # noqa: ASYNC251
    await answer(send, b"spun")


KNOBS = {
    "/echo": echo,
    "/ask": ask,
    "/swallow": swallow,
    "/stream": stream,
    "/slow": slow,
    "/trickle": trickle,
    "/crash": crash,
    "/parrot": parrot,
    "/late": late,
    "/count_late": count_late,
    "/exit": exit_now,
    "/watch": watch,
    "/nothing": nothing,
    "/background": background,
    "/facts": facts,
    "/spin": spin,
    "/tls": tls,
}


async def app(scope: dict[str, Any], receive: Receive, send: Send) -> None:
    if scope["type"] == "lifespan":
        while True:
            event = await receive()
            await send({"type": f"{event['type']}.complete"})
            if event["type"] == "lifespan.shutdown":
                return
    if scope["type"] == "websocket":
        await websocket(scope, receive, send)
        return
    path = scope["path"].removeprefix(scope["root_path"])
    await KNOBS.get(path, hello)(scope, receive, send)


async def no_lifespan(scope: dict[str, Any], receive: Receive, send: Send) -> None:
    assert scope["type"] == "http"
    await hello(scope, receive, send)


async def failing_lifespan(scope: dict[str, Any], receive: Receive, send: Send) -> None:
    assert scope["type"] == "lifespan"
    await receive()
    await send({"type": "lifespan.startup.failed", "message": "no database at db:5432"})
