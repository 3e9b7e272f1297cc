"""Apps that count whom they were asked by, and fail if the path says so."""

import json
import os
import sys
import time

asked = []


async def asgi(scope, receive, send):
    if scope["type"] == "lifespan":
        await receive()
        scope["state"]["started"] = True
        await send({"type": "lifespan.startup.complete"})
        await receive()
        print("shutdown seen", file=sys.stderr)
        await send({"type": "lifespan.shutdown.complete"})
        return
    assert scope["state"]["started"]
    path = scope["path"]
    note(path, dict(scope["headers"]).get(b"user-agent", b"").decode(), scope["query_string"])
    if path == "/raises":
        raise LookupError("no such table")
    if path == "/nothing":
        return
    if path == "/hangs":
        await receive()
        await receive()
    if path == "/streams":
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for _ in range(20):
            await send({"type": "http.response.body", "body": b"x" * 100_000, "more_body": True})
        await send({"type": "http.response.body", "body": b""})
        return
    headers = [(b"content-type", b"application/json")]
    await send({"type": "http.response.start", "status": status_of(path), "headers": headers})
    await send({"type": "http.response.body", "body": json.dumps(asked).encode()})


def wsgi(environ, start_response):
    path = environ["PATH_INFO"]
    note(path, environ.get("HTTP_USER_AGENT", ""), environ["QUERY_STRING"].encode())
    if path == "/raises":
        raise LookupError("no such table")
    if path == "/nothing":
        return []
    if path == "/hangs":
        time.sleep(30)
    start_response(f"{status_of(path)} Whatever", [])
    if path == "/streams":
        return (b"x" * 100_000 for _ in range(20))
    return [json.dumps(asked).encode()]


def note(path, agent, query):
    asked.append([path, agent, query.decode(), os.getpid()])


def status_of(path):
    return int(path[1:]) if path[1:].isdigit() else 200
