"""The worker: one process that hosts one ASGI or WSGI app and answers the calls of its gateways.

It lives in the user's environment: standard library, msgpack, uvloop and `protocol` only, no trio
in an asyncio or WSGI worker, nothing of the gateway. Reading order: `settings` -> `app` (found,
loaded, recognised) -> `host` (one link, and what all hosts share) -> `asgi`, `wsgi` (one call, and
who runs it) -> `process` (beside the app) -> `run`.

For apps there is `shutdown_event`; nothing else here is meant to be imported by them.
"""

from .app.shutdown_notice import shutdown_event

__all__ = ["shutdown_event"]
