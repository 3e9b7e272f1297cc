"""The application that a server is to serve: the app's side of every check, by path.

`/NAME/…` is a check's, `/faulty/NAME/…` the same behind its fault, `/notes/KEY` what was noted,
`/release/KEY` lets an app go on.
"""

from collections.abc import Iterable
from typing import Any

from .calls import NOTES, RELEASED, AsgiCall, WsgiCall, written
from .check import Check, all_checks
from .faults import AsgiApp, Receive, Scope, Send, WsgiApp, broken_asgi, broken_wsgi

STATE: dict[str, Any] = {"object": object()}
"""What the lifespan leaves in its state; a request finds the same object in its copy."""


def named(path: str) -> tuple[Check | None, bool, str]:
    """The check, whether it runs behind its fault, and the path's last part."""
    parts = path.split("/")[1:]
    faulty = parts[0] == "faulty"
    return all_checks().get(parts[1 if faulty else 0]), faulty, parts[-1]


async def asgi(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "lifespan":
        await lifespan(scope, receive, send)
        return
    path = scope["path"]
    check, faulty, key = named(path)
    if check is not None:

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            await check.app(AsgiCall(scope, receive, send))

        called: AsgiApp = broken_asgi(app, check.fault) if faulty and check.fault else app
        await called(scope, receive, send)
        return
    call = AsgiCall(scope, receive, send)
    if path.startswith("/release/"):
        RELEASED.add(key)
    await call.tell(NOTES.get(key, []))


async def lifespan(scope: Scope, receive: Receive, send: Send) -> None:
    if "state" in scope:
        scope["state"].update(STATE)
    while True:
        event = await receive()
        await send({"type": event["type"] + ".complete"})
        if event["type"] == "lifespan.shutdown":
            return


def wsgi(*arguments: Any, **named_arguments: Any) -> Iterable[bytes]:
    """By whatever arguments it is called: a check judges them."""
    environ, start_response = arguments or tuple(named_arguments.values())
    path = environ.get("PATH_INFO", "")
    check, faulty, key = named(path)
    if check is not None:

        def app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
            positional = len(arguments) == 2
            return check.wsgi(WsgiCall(environ, start_response, positional=positional))

        called: WsgiApp = broken_wsgi(app, check.fault) if faulty and check.fault else app
        return called(environ, start_response)
    if path.startswith("/release/"):
        RELEASED.add(key)
    body = written(NOTES.get(key, []))
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]
