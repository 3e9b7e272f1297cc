"""Apps that leave a mark where they were imported, and say in which process they run."""

import json
import os
import random
import threading

if path := os.environ.get("IMPORTED_FILE"):
    with open(path, "a") as file:
        file.write(f"{os.getpid()}\n")
if os.environ.get("IMPORT_FAILS"):
    raise LookupError("no settings")
if os.environ.get("IMPORT_THREADS"):
    threading.Thread(target=threading.Event().wait, name="poller", daemon=True).start()
if os.environ.get("NO_PIDFDS"):
    del os.pidfd_open

lifespans = []


def about():
    return json.dumps(
        {
            "pid": os.getpid(),
            "parent": os.getppid(),
            "random": random.random(),
            "lifespans": lifespans,
            "fds": sorted(fds()),
        }
    ).encode()


def fds():
    for name in os.listdir("/proc/self/fd"):
        try:
            yield os.readlink(f"/proc/self/fd/{name}")
        except OSError:
            pass


async def asgi(scope, receive, send):
    if scope["type"] == "lifespan":
        await receive()
        lifespans.append(os.getpid())
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})
        return
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": about()})


def wsgi(environ, start_response):
    start_response("200 OK", [])
    return [about()]
