"""The worker: one process that hosts one ASGI or WSGI app and answers the calls of its gateways.

It lives in the user's environment: standard library, msgpack, uvloop and `protocol` only, no trio
in an asyncio or WSGI worker, nothing of the gateway. Reading order: `settings` -> `load_app` ->
`session` (one link) -> `asgi_call`, `wsgi_call` (one call) -> `host` (what all hosts share) ->
`host_asyncio`, `host_trio` -> `call_queue`, `lead`, `solo_policy`, `wait_meter`, `unflushed` and
the `host_threads` that puts these together -> `run`.

For apps there is `shutdown_event`; nothing else here is meant to be imported by them.
"""

from .shutdown import shutdown_event

__all__ = ["shutdown_event"]
