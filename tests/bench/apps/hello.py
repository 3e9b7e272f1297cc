"""The least that an ASGI and a WSGI app can do, bodies of any size, events, and WebSockets."""

from zlib import crc32

BLOCK = bytes(range(256)) * 64
EVENT = b"data: " + b"e" * 92 + b"\n\n"
EVENTS = 100
"""Of one response."""
listeners = set()
"""What sends to each WebSocket that hears the broadcasts."""


async def app(scope, receive, send):
    if scope["type"] == "http":
        path = scope["path"]
        if path.startswith("/down/"):
            await down(int(path[6:]), send)
        elif path == "/up":
            await up(receive, send, scope["query_string"] == b"crc")
        elif path == "/events":
            await events(send)
        else:
            await answer(send, b"Hello, world!")
    elif scope["type"] == "websocket":
        await (broadcast if scope["path"] == "/broadcast" else echo)(receive, send)
    else:
        while True:
            event = await receive()
            await send({"type": event["type"] + ".complete"})
            if event["type"] == "lifespan.shutdown":
                return


async def answer(send, body):
    headers = [(b"content-type", b"text/plain"), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def down(size, send):
    """Blocks of 16 KiB, as file responses and template streams come."""
    headers = [(b"content-type", b"text/plain"), (b"content-length", b"%d" % size)]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    left = size
    while left > 0:
        block = BLOCK[:left]
        left -= len(block)
        await send({"type": "http.response.body", "body": block, "more_body": left > 0})


async def up(receive, send, check):
    """Says how much came, and what of."""
    size = crc = 0
    more = True
    while more:
        event = await receive()
        body, more = event.get("body", b""), event.get("more_body", False)
        size += len(body)
        crc = crc32(body, crc) if check else crc
    await answer(send, b"%d %d" % (size, crc))


async def events(send):
    """Each is sent by itself; nginx is told not to gather them."""
    headers = [(b"content-type", b"text/event-stream"), (b"x-accel-buffering", b"no")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    for _ in range(EVENTS):
        await send({"type": "http.response.body", "body": EVENT, "more_body": True})
    await send({"type": "http.response.body", "body": b""})


async def echo(receive, send):
    await receive()
    await send({"type": "websocket.accept"})
    while (event := await receive())["type"] == "websocket.receive":
        await send({"type": "websocket.send", "bytes": event["bytes"]})


async def broadcast(receive, send):
    """What one says, all hear."""
    await receive()
    await send({"type": "websocket.accept"})
    listeners.add(send)
    try:
        while (event := await receive())["type"] == "websocket.receive":
            for tell in list(listeners):
                await tell({"type": "websocket.send", "bytes": event["bytes"]})
    finally:
        listeners.discard(send)


def wsgi(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "13")])
    return [b"Hello, world!"]
