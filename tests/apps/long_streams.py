"""Server-sent events that end when the worker is about to go: an ASGI and a WSGI app."""

from propylon.worker import shutdown_event


async def app(scope, receive, send):
    if scope["type"] != "http":
        raise NotImplementedError
    shutdown = shutdown_event()
    headers = [(b"content-type", b"text/event-stream")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"data: hello\n\n", "more_body": True})
    await shutdown.wait()
    await send({"type": "http.response.body", "body": b"event: goodbye\ndata:\n\n"})


def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/event-stream")])
    yield b"data: hello\n\n"
    environ["propylon.shutdown"].wait()
    yield b"event: goodbye\ndata:\n\n"
