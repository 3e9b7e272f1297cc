"""A response that closes the connection; as WSGI also with words of its own."""

from collections.abc import Callable, Iterable
from typing import Any


async def asgi(scope: dict[str, Any], receive: Any, send: Any) -> None:
    if scope["type"] == "lifespan":
        raise RuntimeError
    headers = [(b"connection", b"close"), (b"content-length", b"4")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"done"})


def wsgi(environ: dict[str, Any], start_response: Callable[..., object]) -> Iterable[bytes]:
    headers = [("X-Answer", "42"), ("ETag", "'x'"), ("Connection", "close")]
    start_response("422 Out Of Cheese", headers)
    return [b"done"]
