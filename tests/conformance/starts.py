"""The apps of checks that need a start of their own: an attribute for each, which is its check's
name with underscores, and with `__faulty` behind it the same app behind its fault."""

from typing import Any

from .check import all_checks
from .faults import Receive, Scope, Send, broken_asgi


def app_of(check: Any, faulty: bool) -> Any:
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


for _name, _check in all_checks().items():
    if _check.start:
        globals()[_name.replace("-", "_")] = app_of(_check, faulty=False)
        globals()[_name.replace("-", "_") + "__faulty"] = app_of(_check, faulty=True)
