"""Apps that fork: the child does nothing until it is killed, and has all that it was born with."""

import multiprocessing
import os
import signal

from asgi_apps import answer

by_multiprocessing = multiprocessing.get_context("fork")


def waits() -> None:
    while True:
        signal.pause()


def fork() -> int:
    """The child's pid."""
    child = os.fork()
    if child == 0:
        waits()
    return child


def fork_and_exit() -> int:
    """As somebody writes it who knows no os._exit: in a server it is an exception like any."""
    child = os.fork()
    if child == 0:
        raise SystemExit
    return child


def terminated() -> int | None:
    """The exit code of a process of multiprocessing's that is told to end."""
    process = by_multiprocessing.Process(target=waits)
    process.start()
    process.terminate()
    process.join(5)
    if process.exitcode is None:
        process.kill()
    return process.exitcode


TASKS = {
    "/fork": fork,
    "/comes_back": os.fork,
    "/exits": fork_and_exit,
    "/terminated": terminated,
    "/pid": os.getpid,
}


async def app(scope, receive, send):
    assert scope["type"] == "http"
    await answer(send, str(TASKS[scope["path"]]()).encode())


def application(environ, start_response):
    body = str(TASKS[environ["PATH_INFO"]]()).encode()
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]
