"""The worker: one process that hosts one ASGI or WSGI app and answers the calls of its gateways.

It lives in the user's environment, so it imports the standard library, msgpack, uvloop and the
protocol only: no trio in an asyncio or WSGI worker, and nothing of the gateway.

Reading order: `settings` -> `app` (loads the app) -> `host` (links to gateways, and what all hosts
share) -> `asgi`, `wsgi` (calls of the app, and what runs them) -> `process` (the process beside the
app) -> `command_line` (`older_flags`), `run`.

Apps may import `shutdown_event` from here, and nothing else.
"""

from .app.shutdown_notice import shutdown_event

__all__ = ["shutdown_event"]
