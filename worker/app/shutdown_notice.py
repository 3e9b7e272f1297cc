"""What tells an app that its worker is about to go, so that streams can end by themselves.

It stands here and not in the scope, whose values are plain: middleware copies, pickles and writes
scopes as JSON.
"""

from typing import Any

_event: Any = None


def shutdown_event() -> Any:
    """The event that is set when this worker stops and its clients have somewhere else to go.

    It has `is_set()` and `wait()`, and is of the kind that the app can wait for where it runs:
    asyncio.Event, trio.Event or, for WSGI, threading.Event. Raises RuntimeError outside of a
    worker; a worker announces it by `scope["extensions"]["propylon.shutdown"]`. To be called in a
    request or the lifespan, not when the app is imported.
    """
    if _event is None:
        raise RuntimeError("this process is no worker of Propylon's: nothing announces its end")
    return _event


def announce(event: object) -> None:
    """The host's: says which event this process has."""
    global _event
    _event = event
