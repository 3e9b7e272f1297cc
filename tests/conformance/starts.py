"""The apps of checks that need a start of their own: an attribute for each, which is its check's
name with underscores, and with `__faulty` behind it the same app behind its fault."""

from typing import Any

from .check import all_checks
from .faults import Receive, Scope, Send, broken_asgi


def __getattr__(name: str) -> Any:
    stem, _, faulty = name.partition("__")
    check: Any = all_checks().get(stem.replace("_", "-"))
    if check is None:
        raise AttributeError(name)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await check.called(scope, receive, send)

    if faulty and check.fault is not None:
        return broken_asgi(app, check.fault)
    if not getattr(check, "legacy", False):
        return app

    def legacy(scope: Scope) -> Any:
        async def instance(receive: Receive, send: Send) -> None:
            await check.called(scope, receive, send)

        return instance

    return legacy
