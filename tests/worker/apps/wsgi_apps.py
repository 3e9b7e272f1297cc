"""WSGI apps that the worker's tests call; each path is a way to behave."""

import gzip
import hashlib
import json
import sys
import threading
import time

seen = {"closed": [], "errors": [], "sent": 0, "framings": 0, "yielding": False}
barrier = threading.Barrier(3)
routes = {}


def route(function):
    routes["/" + function.__name__] = function
    return function


def application(environ, start_response):
    return routes.get(environ["PATH_INFO"], show_environ)(environ, start_response)


def answer(start_response, body, status="200 OK", headers=()):
    start_response(status, [("Content-Type", "text/plain"), *headers])
    return [body]


class Closing:
    """An iterable that tells whether it was closed."""

    def __init__(self, name, parts):
        self.name, self.parts = name, parts

    def __iter__(self):
        return iter(self.parts)

    def close(self):
        seen["closed"].append(self.name)


def show_environ(environ, start_response):
    plain = {k: v for k, v in environ.items() if isinstance(v, (str, bool, tuple))}
    return answer(start_response, json.dumps(plain).encode())


@route
def hello(environ, start_response):
    return answer(start_response, b"hello")


@route
def go(environ, start_response):
    seen["go"] = True
    return answer(start_response, b"")


@route
def modules(environ, start_response):
    return answer(start_response, json.dumps(sorted(sys.modules)).encode())


@route
def stats(environ, start_response):
    return answer(start_response, json.dumps(seen).encode())


@route
def echo(environ, start_response):
    return answer(start_response, environ["wsgi.input"].read())


@route
def hints(environ, start_response):
    hint = environ.get("wsgi.early_hints")
    if hint is None:
        return answer(start_response, b"no hints")
    hint([("Link", "</a>; rel=preload"), ("X-Other", "y"), ("Link", "</b>")])
    return answer(start_response, b"hinted")


@route
def hints_late(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    yield b"part"
    environ["wsgi.early_hints"]([("Link", "</a>")])
    yield b"rest"


@route
def hints_behind_start(environ, start_response):
    body = answer(start_response, b"hinted")
    environ["wsgi.early_hints"]([("Link", "</a>")])
    return body


@route
def hints_wrong(environ, start_response):
    environ["wsgi.early_hints"]([("Link", "</a>\r\nX: y")])


@route
def own_reason(environ, start_response):
    return answer(start_response, b"x", "422 Out Of \xfc Cheese")


@route
def own_reason_in_parts(environ, start_response):
    start_response("200 Fine", [])
    yield b"one"
    yield b"two"


@route
def no_reason(environ, start_response):
    return answer(start_response, b"x", "200")


@route
def reason_beyond_latin_1(environ, start_response):
    return answer(start_response, b"x", "200 \u4e2d")


@route
def reason_with_line_end(environ, start_response):
    return answer(start_response, b"x", "200 OK\r\nX: y")


@route
def framing(environ, start_response):
    """What is said of the request's body, and what there is of it."""
    seen["framings"] += 1
    body = environ["wsgi.input"].read()
    found = {
        "length": environ.get("CONTENT_LENGTH"),
        "coding": environ.get("HTTP_TRANSFER_ENCODING"),
        "read": len(body),
        "sha256": hashlib.sha256(body).hexdigest(),
    }
    return answer(start_response, json.dumps(found).encode())


@route
def yields_nothing(environ, start_response):
    start_response("200 OK", [])
    try:
        while True:
            seen["yielding"] = True
            time.sleep(0.01)
            yield b""
    finally:
        seen["closed"].append("yields_nothing")


@route
def lines(environ, start_response):
    source = environ["wsgi.input"]
    found = [
        source.readline(),
        source.readline(3),
        source.read(2),
        *source.readlines(),
        source.read(),
    ]
    return answer(start_response, json.dumps([line.decode() for line in found]).encode())


@route
def copies(environ, start_response):
    """Streams the body back while it arrives."""
    start_response("200 OK", [])
    while block := environ["wsgi.input"].read(1000):
        yield block


@route
def lazy_body(environ, start_response):
    time.sleep(0.25)
    return answer(start_response, str(len(environ["wsgi.input"].read())).encode())


@route
def broken_body(environ, start_response):
    try:
        environ["wsgi.input"].read()
    except OSError as error:
        seen["errors"].append(type(error).__name__)
        raise
    return answer(start_response, b"whole")


@route
def generator(environ, start_response):
    start_response("200 OK", [])
    try:
        for number in range(3):
            yield b"part %d;" % number
    finally:
        seen["closed"].append("generator")


@route
def sized(environ, start_response):
    start_response("200 OK", [("Content-Length", "5")])
    return Closing("sized", [b"whole"])


class SlowToClose(Closing):
    def close(self):
        time.sleep(0.2)
        super().close()


@route
def sized_parts(environ, start_response):
    start_response("200 OK", [("Content-Length", "5")])
    return SlowToClose("sized_parts", [b"who", b"le"])


@route
def too_long(environ, start_response):
    start_response("200 OK", [("Content-Length", "5")])
    return Closing("too_long", [b"whole", b" and more"])


@route
def many_parts(environ, start_response):
    start_response("200 OK", [])
    return [b"a", b"b", b"c"]


@route
def large(environ, start_response):
    seen["sent"] = 0
    start_response("200 OK", [])
    for number in range(50):
        yield bytes([number]) * 100_000
        seen["sent"] += 100_000


@route
def fits_the_window(environ, start_response):
    start_response("200 OK", [])
    yield b"x" * 250_000
    seen["sent"] += 1


@route
def streams(environ, start_response):
    start_response("200 OK", [])
    while True:
        yield b"tick\n"
        time.sleep(0.02)


@route
def listens(environ, start_response):
    start_response("200 OK", [])
    yield b"open;"
    assert environ["propylon.shutdown"].wait(10)
    yield b"goodbye"


@route
def large_list(environ, start_response):
    return answer(start_response, b"x" * 1_000_000)


@route
def writes(environ, start_response):
    write = start_response("200 OK", [])
    write(b"written;")
    write(b"again;")
    return [b"returned"]


@route
def replaces_head(environ, start_response):
    start_response("200 OK", [])
    try:
        raise ValueError("found before the head was sent")
    except ValueError:
        return answer_again(start_response, sys.exc_info())


@route
def replaces_late(environ, start_response):
    write = start_response("200 OK", [])
    write(b"part")
    try:
        raise ValueError("found after the head was sent")
    except ValueError:
        return answer_again(start_response, sys.exc_info())


def answer_again(start_response, exc_info):
    start_response("500 Oops", [("X-Error", "yes")], exc_info)
    return [b"error page"]


@route
def starts_twice(environ, start_response):
    start_response("200 OK", [])
    start_response("200 OK", [])
    return []


@route
def never_starts(environ, start_response):
    return Closing("never_starts", [])


@route
def body_without_start(environ, start_response):
    return [b"body"]


@route
def raises(environ, start_response):
    raise ValueError("before anything")


@route
def raises_in_iteration(environ, start_response):
    def parts():
        yield b"part"
        raise ValueError("in the middle")

    start_response("200 OK", [])
    return Closing("raises_in_iteration", parts())


@route
def bad_header(environ, start_response):
    start_response("200 OK", [("X-Bad", "a\r\nb: c")])
    return []


@route
def header_of_three(environ, start_response):
    start_response("200 OK", [("x", "y", "z")])
    return []


@route
def bytes_header(environ, start_response):
    start_response("200 OK", [(b"x", b"y")])
    return []


@route
def bad_status(environ, start_response):
    start_response("OK", [])
    return []


@route
def text_body(environ, start_response):
    start_response("200 OK", [])
    return ["text"]


@route
def empty(environ, start_response):
    start_response("204 No Content", [])
    return []


@route
def meets(environ, start_response):
    """Answers only when three of its kind are in the app at the same time."""
    barrier.wait(5)
    return answer(start_response, threading.current_thread().name.encode())


@route
def slow(environ, start_response):
    time.sleep(0.25)
    return answer(start_response, b"slow")


@route
def naps(environ, start_response):
    time.sleep(1.5)
    return answer(start_response, b"rested")


@route
def sleeps_3_s(environ, start_response):
    time.sleep(3)
    return answer(start_response, b"slow")


@route
def clings_on(environ, start_response):
    time.sleep(60)
    return answer(start_response, b"late")


@route
def file(environ, start_response):
    start_response("200 OK", [])
    return environ["wsgi.file_wrapper"](open(__file__, "rb"), 100)


@route
def raises_surrogate(environ, start_response):
    raise ValueError("no such user: " + json.loads(environ["wsgi.input"].read())["name"])


class BadClose:
    def __iter__(self):
        return iter(())

    def close(self):
        raise RuntimeError("close failed")


@route
def bad_close(environ, start_response):
    return BadClose()


@route
def huge_head(environ, start_response):
    return answer(start_response, b"body", headers=[("X-Huge", "x" * 2_000_000)])


class ReadsLate(Closing):
    """Reads the request after the response is complete."""

    def __init__(self, name, parts, environ):
        super().__init__(name, parts)
        self.input = environ["wsgi.input"]

    def close(self):
        found = []
        try:
            while block := self.input.read(4):
                found.append(block.decode())
        except OSError as error:
            found.append(type(error).__name__)
        seen["errors"].append(found)


@route
def late_read(environ, start_response):
    start_response("200 OK", [("Content-Length", "4")])
    return ReadsLate("late_read", [b"done"], environ)


def stuck(environ, start_response):
    time.sleep(30)


class Wrapped:
    """A framework's own object around a file."""

    def __init__(self, file):
        self.file = file

    def __getattr__(self, name):
        return getattr(self.file, name)

    def close(self):
        seen["closed"].append("wrapped")
        self.file.close()


@route
def sends_file(environ, start_response):
    """The query has how, where in the file it stands, and the Content-Length ("": none)."""
    how, at, length = environ["QUERY_STRING"].split(",")
    opens = gzip.open if how == "gzip" else open
    file = opens(environ["HTTP_X_FILE"], "r+b" if how == "write" else "rb")
    if how == "write":
        file.write(b"written")
    file.seek(int(at))
    headers = [("Content-Length", length)] if length else []
    start_response("200 OK", [("Content-Type", "video/mp4"), *headers])
    return environ["wsgi.file_wrapper"](Wrapped(file), 1_000)
