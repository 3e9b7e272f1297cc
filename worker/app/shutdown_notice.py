"""The event that tells an app that its worker is about to end, so that streams can end by
themselves.

It is not a part of the scope, because a scope holds plain values: middleware copies, pickles and
writes scopes as JSON.
"""

from typing import Any

_event: Any = None


def shutdown_event() -> Any:
    """Returns the event that is set when this worker stops and its clients can go to another one.

    The event has `is_set()` and `wait()` and suits the app's loop: asyncio.Event, trio.Event or,
    for WSGI, threading.Event. A worker announces it by `scope["extensions"]["propylon.shutdown"]`.
    Call this function in a request or in the lifespan, not while the app is imported. Raises
    RuntimeError outside of a worker.
    """
    if _event is None:
        raise RuntimeError("this process is no worker of Propylon's: nothing announces its end")
    return _event


def announce(event: object) -> None:
    """Sets the event of this process. The host calls it."""
    global _event
    _event = event
