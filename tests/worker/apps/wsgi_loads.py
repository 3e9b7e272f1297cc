"""WSGI apps for the question how many threads work: calls that compute, that wait, that do both."""

import threading
import time

busy = {"now": 0, "most": 0}
lock = threading.Lock()


def application(environ, start_response):
    """`/compute/MS/wait/MS` and so on, one after the other."""
    with lock:
        busy["now"] += 1
        busy["most"] = max(busy["most"], busy["now"])
    try:
        words = iter(environ["PATH_INFO"].split("/")[1:])
        for verb in words:
            globals()[verb](float(next(words)) / 1000)
        body = str(busy["most"]).encode()
    finally:
        with lock:
            busy["now"] -= 1
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [threading.current_thread().name.encode() + b" " + body]


def compute(seconds):
    """So much processor time of this thread."""
    until = time.thread_time() + seconds
    while time.thread_time() < until:
        sum(range(100))


def wait(seconds):
    time.sleep(seconds)


def reset(seconds):
    with lock:
        busy["most"] = busy["now"]
