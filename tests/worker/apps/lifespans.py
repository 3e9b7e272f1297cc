"""Apps that differ in how they meet a lifespan."""

import sys

from asgi_apps import answer


async def served(scope, receive, send):
    await answer(send, b"served" + repr(scope["state"]).encode())


async def unsupported(scope, receive, send):
    assert scope["type"] == "http"
    await served(scope, receive, send)


async def answers_as_if_http(scope, receive, send):
    await receive()
    await answer(send, b"served" + repr(scope["state"]).encode())


async def returns(scope, receive, send):
    if scope["type"] == "http":
        await served(scope, receive, send)


async def returns_after_receive(scope, receive, send):
    await receive()
    if scope["type"] == "http":
        await served(scope, receive, send)


async def raises_after_receive(scope, receive, send):
    await receive()
    if scope["type"] == "http":
        return await served(scope, receive, send)
    raise LookupError("no database at db.internal")


class Odd(BaseException):
    pass


async def raises_odd_before(scope, receive, send):
    if scope["type"] == "http":
        return await served(scope, receive, send)
    raise Odd("neither an Exception nor a cancellation")


async def raises_odd_after(scope, receive, send):
    await receive()
    await raises_odd_before(scope, receive, send)


async def exits(scope, receive, send):
    await receive()
    sys.exit("no database")


async def exits_before_receive(scope, receive, send):
    sys.exit(3)


async def says_failed_and_raises(scope, receive, send):
    """As Starlette does, whatever its lifespan raises."""
    await says_failed(scope, receive, send)
    raise LookupError("no database at db.internal")


async def says_failed(scope, receive, send):
    await receive()
    await send({"type": "lifespan.startup.failed", "message": "Traceback:\n  no database"})


async def shutdown_fails(scope, receive, send):
    if scope["type"] == "http":
        await served(scope, receive, send)
        return
    await receive()
    await send({"type": "lifespan.startup.complete"})
    await receive()
    await send({"type": "lifespan.shutdown.failed", "message": "could not say goodbye"})


async def shutdown_raises(scope, receive, send):
    if scope["type"] == "http":
        await served(scope, receive, send)
        return
    await receive()
    await send({"type": "lifespan.startup.complete"})
    await receive()
    raise ValueError("at the very end")


async def leaves_after_startup(scope, receive, send):
    if scope["type"] == "http":
        await served(scope, receive, send)
        return
    await receive()
    await send({"type": "lifespan.startup.complete"})
    print("left early", file=sys.stderr)


async def raises_anything(scope, receive, send):
    """Text that UTF-8 cannot carry, and more of it than a message can."""
    await receive()
    if scope["type"] == "http":
        return await served(scope, receive, send)
    raise LookupError("\ud800" * 500_000 + " the end")
