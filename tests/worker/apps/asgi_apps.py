"""ASGI apps that the worker's tests call; each path is a way to behave."""

import ast
import contextvars
import dataclasses
import functools
import json
import os
import sys
import time

import sniffio
from propylon.worker import shutdown_event

VARIABLE = contextvars.ContextVar("VARIABLE", default="unset")
seen = {"disconnects": 0, "errors": [], "sent": 0, "cancelled": 0, "positions": []}
routes = {}


def route(function):
    routes["/" + function.__name__] = function
    return function


async def answer(send, body, status=200, headers=((b"content-type", b"text/plain"),)):
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def sleep(seconds):
    if sniffio.current_async_library() == "trio":
        import trio

        await trio.sleep(seconds)
    else:
        import asyncio

        await asyncio.sleep(seconds)


async def together(*functions):
    """Runs them at the same time."""
    import anyio

    async with anyio.create_task_group() as tasks:
        for function in functions:
            tasks.start_soon(function)


async def cancelled_after(seconds, function):
    import anyio

    with anyio.move_on_after(seconds) as limit:
        await function()
    return limit.cancelled_caught


async def read_body(receive):
    body = b""
    while True:
        event = await receive()
        if event["type"] == "http.disconnect":
            return body, "disconnect"
        body += event["body"]
        if not event["more_body"]:
            return body, "end"


async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        assert (await receive())["type"] == "lifespan.startup"
        scope["state"]["greeting"] = "hello"
        await send({"type": "lifespan.startup.complete"})
        assert (await receive())["type"] == "lifespan.shutdown"
        print("shutdown seen", file=sys.stderr)
        await send({"type": "lifespan.shutdown.complete"})
        return
    await routes.get(scope["path"], show_scope)(scope, receive, send)


async def show_scope(scope, receive, send):
    await answer(send, repr(scope).encode())


@route
async def hello(scope, receive, send):
    await answer(send, b"hello")


@route
async def library(scope, receive, send):
    await answer(send, sniffio.current_async_library().encode())


@route
async def modules(scope, receive, send):
    await answer(send, json.dumps(sorted(sys.modules)).encode())


@route
async def state(scope, receive, send):
    mine = dict(scope["state"])
    scope["state"]["greeting"] = "spoiled"
    await answer(send, json.dumps(mine).encode())


@route
async def echo(scope, receive, send):
    body, end = await read_body(receive)
    await answer(send, body, headers=[(b"x-end", end.encode())])


@route
async def stats(scope, receive, send):
    await answer(send, json.dumps(seen).encode())


@route
async def context(scope, receive, send):
    before = VARIABLE.get()
    VARIABLE.set("set by another call")
    await sleep(0.05)
    await answer(send, before.encode())


@route
async def large(scope, receive, send):
    """5 MB in pieces of 100,000 bytes; counts what it has got rid of."""
    seen["sent"] = 0
    await send({"type": "http.response.start", "status": 200, "headers": []})
    for number in range(50):
        piece = bytes([number]) * 100_000
        await send({"type": "http.response.body", "body": piece, "more_body": True})
        seen["sent"] += len(piece)
    await send({"type": "http.response.body", "body": b""})


@route
async def fits_the_window(scope, receive, send):
    await answer(send, b"x" * 250_000)
    seen["sent"] += 1


@route
async def streams(scope, receive, send):
    """For ever; listens to nothing."""
    await send({"type": "http.response.start", "status": 200, "headers": []})
    while True:
        await send({"type": "http.response.body", "body": b"tick\n", "more_body": True})
        await sleep(0.02)


@route
async def sends_for_ever(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": []})
    while True:
        await send({"type": "http.response.body", "body": b"tick", "more_body": True})


@route
async def receives_for_ever(scope, receive, send):
    """Waits for a message that never comes."""
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"tick", "more_body": True})
    while (await receive())["type"] != "http.nonsense":
        pass


@route
async def answers_and_goes_on(scope, receive, send):
    await read_body(receive)
    await receive()
    await answer(send, b"unheard")
    await sleep(60)


@route
async def listens(scope, receive, send):
    """A stream that ends when it hears that the worker is going."""
    shutdown = shutdown_event()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"open;", "more_body": True})
    await shutdown.wait()
    assert shutdown.is_set()
    print("the stream ends", file=sys.stderr)
    await sleep(0.3)
    await send({"type": "http.response.body", "body": b"goodbye"})


@route
async def ws_empty_for_ever(scope, receive, send):
    await accepted(receive, send)
    while True:
        await send({"type": "websocket.send", "text": ""})


@route
async def ws_listens(scope, receive, send):
    await accepted(receive, send)
    await shutdown_event().wait()
    await send({"type": "websocket.close", "code": 3999, "reason": "come back"})


@route
async def extensions(scope, receive, send):
    found = sorted(scope["extensions"])
    scope["extensions"]["spoiled"] = {}
    assert scope["extensions"]["propylon.shutdown"] == {}
    kind = type(shutdown_event()).__module__
    await answer(send, json.dumps([*found, kind.split(".")[0]]).encode())


@route
async def large_at_once(scope, receive, send):
    await answer(send, b"x" * 5_000_000)


@route
async def ignores_body(scope, receive, send):
    event = await receive()
    while not seen.get("go"):
        await sleep(0.01)
    rest, _ = await read_body(receive) if event["more_body"] else (b"", "end")
    await answer(send, str(len(event["body"]) + len(rest)).encode())


@route
async def go(scope, receive, send):
    seen["go"] = True
    await answer(send, b"")


@route
async def waits_for_disconnect(scope, receive, send):
    _, end = await read_body(receive)
    event = await receive() if end == "end" else {"type": "http.disconnect"}
    seen["disconnects"] += event["type"] == "http.disconnect"
    seen["errors"].append(await answer(send, b"too late"))


@route
async def stubborn(scope, receive, send):
    import anyio

    try:
        await sleep(60)
    except anyio.get_cancelled_exc_class():
        seen["cancelled"] += 1
        raise


@route
async def slow(scope, receive, send):
    await sleep(0.2)
    await answer(send, b"slow")


@route
async def slow_sync(scope, receive, send):
    time.sleep(0.15)  # noqa: ASYNC251 - it is there to hold the loop
    await answer(send, b"slow")


@route
async def naps(scope, receive, send):
    await sleep(1.5)
    await answer(send, b"rested")


@route
async def one_after_the_other(scope, receive, send):
    """The third goes on when the file is there, and holds the loop until then."""
    seen["in_a_row"] = seen.get("in_a_row", 0) + 1
    time.sleep(0.002)  # noqa: ASYNC251
    deadline = time.monotonic() + 5
    while seen["in_a_row"] == 3 and not os.path.exists(scope["query_string"]):  # noqa: ASYNC240
        if time.monotonic() > deadline:
            await answer(send, b"late")
            return
    await answer(send, b"in time")


@route
async def sleeps_3_s(scope, receive, send):
    time.sleep(3)  # noqa: ASYNC251 - it is there to hold the loop
    await answer(send, b"slow")


@route
async def blocks(scope, receive, send):
    time.sleep(60)  # noqa: ASYNC251 - it is there to hold the loop


@route
async def holds_the_lock(scope, receive, send):
    """PyDLL: a C function that is called without letting go of the interpreter's lock."""
    import ctypes

    ctypes.PyDLL(None).sleep(20)


@route
async def clings_on(scope, receive, send):
    import asyncio

    while True:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            seen["cancelled"] += 1


@route
async def blocks_while_sending(scope, receive, send):
    await routes["/large"](scope, receive, send)
    seen["errors"].append(seen["sent"])


senders = []
"""What download has sent a piece, for each piece since it was last looked at."""


@route
async def download(scope, receive, send):
    """A long one in short pieces, of a stated length."""
    left = 1_280_000
    fields = [(b"content-length", b"%d" % left)]
    await send({"type": "http.response.start", "status": 200, "headers": fields})
    while left:
        left -= 64
        await send({"type": "http.response.body", "body": b"x" * 64, "more_body": left > 0})
        senders.append(scope["query_string"])
    seen["errors"].append(None)


@route
async def turns(scope, receive, send):
    """How many downloads go on between two turns of its own, at most, and by how many pieces."""
    downloads = pieces = 0
    for turn in range(250):
        senders.clear()
        await sleep(0)
        pieces = max(pieces, len(senders))
        if turn >= 50:  # their first pieces are out
            downloads = max(downloads, len(set(senders)))
    await answer(send, json.dumps({"downloads": downloads, "pieces": pieces}).encode())


@route
async def after_response(scope, receive, send):
    await read_body(receive)
    await answer(send, b"done")
    event = await receive()
    seen["errors"].append(event["type"])


@route
async def raises_before(scope, receive, send):
    raise ValueError("before the head")


@route
async def raises_with_head(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": []})
    raise ValueError("with a head that nobody saw")


@route
async def raises_after(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"part", "more_body": True})
    raise ValueError("after the head")


@route
async def raises_later(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"part", "more_body": True})
    await sleep(0.05)
    raise ValueError("after the head")


@route
async def many_events(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": []})
    for number in range(100):
        event = b"data: %d\n\n" % number
        await send({"type": "http.response.body", "body": event, "more_body": True})
    await send({"type": "http.response.body"})


@route
async def asks(scope, receive, send):
    """Sends, and waits for an answer, three times."""
    await send({"type": "http.response.start", "status": 200, "headers": []})
    for number in range(3):
        await send({"type": "http.response.body", "body": b"%d?" % number, "more_body": True})
        await receive()
    await send({"type": "http.response.body"})


@route
async def raises_when_complete(scope, receive, send):
    await answer(send, b"whole")
    raise ValueError("after everything")


@route
async def returns_nothing(scope, receive, send):
    pass


@route
async def returns_half(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"part", "more_body": True})


@route
async def exits(scope, receive, send):
    sys.exit("the app wants to exit")


BAD = {
    "body_first": [{"type": "http.response.body", "body": b""}],
    "two_starts": [{"type": "http.response.start", "status": 200}] * 2,
    "unknown": [{"type": "http.response.nonsense"}],
    "str_body": [
        {"type": "http.response.start", "status": 200},
        {"type": "http.response.body", "body": "text"},
    ],
    "str_header": [{"type": "http.response.start", "status": 200, "headers": [("a", b"b")]}],
    "bad_name": [{"type": "http.response.start", "status": 200, "headers": [(b"a b", b"c")]}],
    "bad_value": [
        {"type": "http.response.start", "status": 200, "headers": [(b"a", b"b\r\nx: y")]}
    ],
    "smuggled": [{"type": "http.response.start", "status": 200, "headers": [(b"a", b"b\nx:y")]}],
    "no_pair": [{"type": "http.response.start", "status": 200, "headers": [(b"a", b"b", b"c")]}],
    "str_status": [{"type": "http.response.start", "status": "200"}],
    "informational": [{"type": "http.response.start", "status": 103}],
}


@route
async def bad(scope, receive, send):
    for event in BAD[scope["query_string"].decode()]:
        await send(event)


@route
async def says(scope, receive, send):
    """Sends the events that its query names, as Python writes them."""
    for event in ast.literal_eval(scope["query_string"].decode()):
        await send(event)


@route
async def twice(scope, receive, send):
    await answer(send, b"first")
    await answer(send, b"second")


@route
async def title_case(scope, receive, send):
    await answer(send, b"", headers=[[b"Content-Type", b" text/html "], [b"X-Empty", b""]])


@route
async def raises_surrogate(scope, receive, send):
    body, _ = await read_body(receive)
    raise ValueError("no such user: " + json.loads(body)["name"])


class Odd(BaseException):
    pass


@route
async def raises_odd(scope, receive, send):
    raise Odd("neither an Exception nor a cancellation")


@route
async def raises_odd_group(scope, receive, send):
    """What a nursery of the app's raises where its call is cancelled: both in one group."""
    import anyio

    try:
        await sleep(60)
    except anyio.get_cancelled_exc_class() as error:
        raise BaseExceptionGroup("mixed", [error, Odd("while it was cancelled")]) from None


@dataclasses.dataclass(frozen=True)
class Frozen(Exception):
    number: int


@route
async def raises_frozen(scope, receive, send):
    raise Frozen(7)


@route
async def late_receive(scope, receive, send):
    """Answers before it reads."""
    await answer(send, b"done")
    found = []
    while not found or found[-1] != "http.disconnect":
        found.append((await receive())["type"])
    seen["errors"].append(found)


@route
async def receive_is_parked(scope, receive, send):
    """One task waits for the request's rest, the other answers."""
    assert (await receive())["body"] == b"part"

    async def wait():
        seen["errors"].append((await receive())["type"])

    async def reply():
        await sleep(0.05)
        await answer(send, b"done")

    await together(wait, reply)


@route
async def goes_on(scope, receive, send):
    await read_body(receive)
    await answer(send, b"done")
    seen["errors"].append((await receive())["type"])
    while not seen.get("go"):
        await sleep(0.01)
    seen["errors"].append("went on")


@route
async def two_send(scope, receive, send):
    """A large body, and others from tasks of their own while it waits for credit."""

    async def part(number, size):
        await sleep(0.03 * number)
        body = b"%d" % number * size
        await send({"type": "http.response.body", "body": body, "more_body": True})

    await send({"type": "http.response.start", "status": 200, "headers": []})
    await together(*[functools.partial(part, n, 1_000_000 >> (5 * n)) for n in range(4)])
    await send({"type": "http.response.body", "body": b"end"})


@route
async def send_is_cancelled(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": []})
    event = {"type": "http.response.body", "body": b"x" * 1_000_000, "more_body": True}
    assert await cancelled_after(0.1, functools.partial(send, event))
    try:
        await send({"type": "http.response.body", "body": b"end"})
    except RuntimeError as error:
        seen["errors"].append(str(error))


# -- WebSockets --------------------------------------------------------------------------------


async def accepted(receive, send):
    assert (await receive())["type"] == "websocket.connect"
    await send({"type": "websocket.accept"})


@route
async def ws_echo(scope, receive, send):
    await accepted(receive, send)
    while (event := await receive())["type"] == "websocket.receive":
        await send({**event, "type": "websocket.send"})


LARGE = {
    "text": "\U0001f600é" * 200_000,
    "ascii": "x" * 1_200_000,
    "bytes": b"x" * 1_200_000,
}


@route
async def ws_last_word(scope, receive, send):
    """Notes how many pieces of downloads go before its error."""
    await accepted(receive, send)
    assert (await receive())["type"] == "websocket.disconnect"
    for _ in range(50):
        await sleep(0)
    senders.clear()
    try:
        await send({"type": "websocket.send", "text": "goodbye"})
    except OSError:
        seen["errors"].append(len(set(senders)))


@route
async def ws_large(scope, receive, send):
    await accepted(receive, send)
    name = scope["query_string"].decode()
    await send({"type": "websocket.send", "bytes" if name == "bytes" else "text": LARGE[name]})
    await send({"type": "websocket.send", "text": ""})


@route
async def ws_two_send(scope, receive, send):
    await accepted(receive, send)

    async def part(number, size):
        await sleep(0.03 * number)
        await send({"type": "websocket.send", "text": str(number) * size})

    await together(*[functools.partial(part, n, 1_000_000 >> (5 * n)) for n in range(4)])
    await send({"type": "websocket.close", "code": 3000})


@route
async def ws_send_is_cancelled(scope, receive, send):
    """The one that is under way, or one that waits for its turn behind it."""
    await accepted(receive, send)
    large = {"type": "websocket.send", "text": "a" * 1_000_000}
    small = {"type": "websocket.send", "text": "b"}

    async def first():
        if scope["query_string"] == b"first":
            assert await cancelled_after(0.1, functools.partial(send, large))
        else:
            await send(large)

    async def second():
        await sleep(0.05)
        if scope["query_string"] == b"second":
            assert await cancelled_after(0.05, functools.partial(send, small))
            seen["errors"].append("withdrawn")
        else:
            try:
                await send(small)
            except OSError as error:
                seen["errors"].append(str(error))

    await together(first, second)
    seen["errors"].append((await receive())["type"])


@route
async def ws_close(scope, receive, send):
    await accepted(receive, send)
    code, reason = json.loads(bytes.fromhex(scope["query_string"].decode()))
    try:
        await send({"type": "websocket.close", "code": code, "reason": reason})
    except Exception as error:
        seen["errors"].append(f"{type(error).__name__}: {error}")
        await send({"type": "websocket.close", "code": 4000})


@route
async def ws_surrogate(scope, receive, send):
    await accepted(receive, send)
    try:
        await send({"type": "websocket.send", "text": "x" * 100_000 + "\ud800"})
    except ValueError:
        await send({"type": "websocket.send", "text": "refused"})


@route
async def ws_refuses(scope, receive, send):
    """Without accepting it; then asks twice what has become of it."""
    assert (await receive())["type"] == "websocket.connect"
    start = {"type": "websocket.http.response.start", "status": 401, "headers": []}
    body = {"type": "websocket.http.response.body"}
    how = scope["query_string"]
    if how == b"refuse":
        await send({"type": "websocket.close", "code": 4001, "reason": "no"})
    elif how == b"deny":
        await send(start)
        await send({**body, "body": b"no"})
    elif how == b"deny_in_pieces":
        await send(start)
        await send({**body, "body": b"n", "more_body": True})
        await sleep(0.02)
        await send({**body, "body": b"o"})
    elif how == b"deny_with_much":
        await send(start)
        await send({**body, "body": b"x" * 1_000_000})
    for _ in range(2):
        event = await receive()
        seen["errors"].append([event["type"], event["code"]])


@route
async def ws_sends_for_ever(scope, receive, send):
    await accepted(receive, send)
    seen.pop("go", None)
    while not seen.get("go"):
        try:
            await send({"type": "websocket.send", "text": "tick"})
            await sleep(0.01)
        except OSError:
            pass


@route
async def sends_file(scope, receive, send):
    """The request's body has the events as JSON: an event's `file` is a path, which is opened and
    read from `at` on."""
    body, _ = await read_body(receive)
    events = json.loads(body)
    opened = []
    for event in events:
        if "headers" in event:
            event["headers"] = [[part.encode() for part in field] for field in event["headers"]]
        if "body" in event:
            event["body"] = event["body"].encode()
        if "file" in event:
            opened.append(open(event["file"], event.pop("mode", "rb")))  # noqa: ASYNC230, SIM115
            event["file"] = opened[-1]
            if at := event.pop("at", 0):
                opened[-1].read(at)
    try:
        for event in events:
            await send(event)
    except Exception as error:
        seen["errors"].append(f"{type(error).__name__}: {error}")
        raise
    seen["positions"] = [file.tell() for file in opened]
    for file in opened:
        file.close()
