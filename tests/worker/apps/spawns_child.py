"""An app with a child of its own that outlives it."""

import subprocess

from asgi_apps import answer


async def app(scope, receive, send):
    assert scope["type"] == "http"
    child = subprocess.Popen(["sleep", "20"], close_fds=False)  # noqa: ASYNC220
    await answer(send, str(child.pid).encode())
