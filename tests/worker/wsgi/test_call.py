"""WSGI calls over a real link."""

import gzip
import hashlib
import json
import os
import time
from pathlib import Path
from typing import Any

import pytest
from propylon.protocol.hello import Greeting
from propylon.protocol.messages import (
    APP_FAILED,
    BAD_RESPONSE,
    CLIENT_GONE,
    CONFIRM_START,
    END,
    EVENT,
    FEATURES,
    FILES,
    HOLD_BODY,
    IDENTIFIED,
    MAX_BODY,
    REASON,
    RESPONSE,
    RESPONSE_FILE,
    STARTED,
    WINDOW,
    Scope,
)

from ..gateway_peer import TIMEOUT, GatewayPeer, Listener, PeerCall, WorkerProcess, running, scope


def sized(path: str, length: int) -> Scope:
    """Of a POST whose body streams, as its length is known."""
    return scope("POST", path.encode(), headers=[(b"content-length", b"%d" % length)])


# -- the environ -------------------------------------------------------------------------------


def test_the_request_s_id(wsgi: GatewayPeer) -> None:
    about = scope(headers=[(b"host", b"h"), (b"x-trace", b"0193-a")])
    assert "propylon.request_id" not in wsgi.call(about).json
    found = wsgi.call(about, flags=IDENTIFIED).json
    assert (found["propylon.request_id"], found["HTTP_X_TRACE"]) == ("0193-a", "0193-a")


def test_the_environ(wsgi: GatewayPeer) -> None:
    headers = [
        (b"host", b"example.org"),
        (b"content-type", b"text/plain"),
        (b"content-length", b"2"),
        (b"cookie", b"a=1"),
        (b"cookie", b"b=2"),
        (b"accept", b"x"),
        (b"accept", b"y"),
        (b"x-forwarded-for", b"192.0.2.9"),
        (b"x_forwarded_for", b"spoofed"),
        (b"proxy", b"http://spoofed"),
        (b"x-latin", b"\xff"),
    ]
    about = scope(
        "POST", b"/mount/caf%C3%A9", query=b"q=%20", root_path="/mount", headers=headers
    )  # fmt: skip
    found = wsgi.call(about, b"hi").json
    assert found["SCRIPT_NAME"] == "/mount"
    assert found["PATH_INFO"] == "/caf\u00c3\u00a9"  # native strings: UTF-8 read as latin-1
    assert (found["QUERY_STRING"], found["REQUEST_URI"]) == ("q=%20", "/mount/caf%C3%A9?q=%20")
    assert (found["CONTENT_TYPE"], found["CONTENT_LENGTH"]) == ("text/plain", "2")
    assert (found["HTTP_COOKIE"], found["HTTP_ACCEPT"]) == ("a=1; b=2", "x, y")
    assert found["HTTP_X_FORWARDED_FOR"] == "192.0.2.9"
    assert "HTTP_PROXY" not in found
    assert found["HTTP_X_LATIN"] == "\xff"
    assert (found["REMOTE_ADDR"], found["REMOTE_PORT"]) == ("192.0.2.1", "40000")
    assert (found["SERVER_NAME"], found["SERVER_PORT"]) == ("192.0.2.2", "80")
    assert (found["SERVER_PROTOCOL"], found["wsgi.url_scheme"]) == ("HTTP/1.1", "http")
    assert found["wsgi.multithread"] is found["wsgi.multiprocess"] is True
    assert found["wsgi.run_once"] is False
    assert found["wsgi.input_terminated"] is True


@pytest.mark.parametrize(
    ("host", "name", "port"),
    [
        (b"h:8000", "h", "8000"),
        (b"h", "h", "80"),
        (b"h:", "h", "80"),
        (b"[::1]:8000", "::1", "8000"),
        (b"[::1]", "::1", "80"),
        (b"[::ffff:192.0.2.1]", "::ffff:192.0.2.1", "80"),
        (b"", "localhost", "80"),
    ],
)
def test_on_a_unix_socket_the_host_field_names_the_server(
    wsgi: GatewayPeer, host: bytes, name: str, port: str
) -> None:
    about = scope(path=b"/facts", headers=[(b"host", host)])
    found = wsgi.call((*about[:9], ("/run/a.sock", None), None)).json
    assert (found["SERVER_NAME"], found["SERVER_PORT"]) == (name, port)


@pytest.mark.parametrize(
    ("path", "rest"), [(b"/m", ""), (b"/m/", "/"), (b"/x", "/x"), (b"/mx", "/mx")]
)
def test_the_mount_point_is_cut_off_once(wsgi: GatewayPeer, path: bytes, rest: str) -> None:
    found = wsgi.call(scope(path=path, root_path="/m")).json
    assert (found["SCRIPT_NAME"], found["PATH_INFO"]) == ("/m", rest)


# -- responses ---------------------------------------------------------------------------------


def test_a_list_is_one_message_with_its_length(wsgi: GatewayPeer) -> None:
    call = wsgi.get("/hello")
    assert (call.status, call.body, call.kinds) == (200, b"hello", [RESPONSE])
    assert call.headers == [(b"Content-Type", b"text/plain"), (b"Content-Length", b"5")]
    assert wsgi.get("/many_parts").header == {b"Content-Length": b"3"}


@pytest.mark.parametrize(
    ("path", "status", "reason"),
    [("/own_reason", 422, b"Out Of \xfc Cheese"), ("/own_reason_in_parts", 200, b"Fine")],
)
def test_an_own_reason_phrase_comes_before_the_response(
    wsgi: GatewayPeer, path: str, status: int, reason: bytes
) -> None:
    call = wsgi.get(path)
    assert call.events == [{"type": REASON, "status": status, "reason": reason}]
    assert (call.kinds[0], call.status, call.complete) == (EVENT, status, True)


@pytest.mark.parametrize("path", ["/hello", "/no_reason", "/reason_beyond_latin_1"])
def test_a_usual_reason_phrase_costs_no_message(wsgi: GatewayPeer, path: str) -> None:
    call = wsgi.get(path)
    assert (call.kinds, call.status) == ([RESPONSE], 200)


def test_an_older_gateway_gets_names_in_lower_case(run_dir: Path) -> None:
    listener = Listener(run_dir)
    worker = WorkerProcess("wsgi_apps:application", run_dir)
    peer = listener.accept(greeting=Greeting(who={"gateway": 1}))
    try:
        call = peer.get("/hello")
        assert call.headers == [(b"content-type", b"text/plain"), (b"content-length", b"5")]
        assert peer.get("/sized").header == {b"content-length": b"5"}
    finally:
        peer.sock.close()
        worker.close()
        listener.close()


def test_204_gets_no_length(wsgi: GatewayPeer) -> None:
    call = wsgi.get("/empty")
    assert (call.status, call.headers, call.complete) == (204, [], True)


def test_a_sized_body_is_complete_before_close(wsgi: GatewayPeer) -> None:
    call = wsgi.get("/sized")
    assert (call.kinds[0], call.body) == (RESPONSE, b"whole")
    assert "sized" in wsgi.get("/stats").json["closed"]


def test_a_body_is_complete_by_its_content_length(wsgi: GatewayPeer) -> None:
    call = wsgi.open(scope(path=b"/sized_parts"))
    wsgi.flush()
    wsgi.until(lambda: call.complete)
    assert not call.ended  # the app is still in close(); the client need not wait for it
    wsgi.until(lambda: call.ended)
    assert call.body == b"whole"


def test_a_body_beyond_its_length_is_cut_and_logged(wsgi: GatewayPeer) -> None:
    call = wsgi.get("/too_long")
    assert (call.body, call.complete) == (b"whole", True)
    assert "longer than its content-length" in wsgi.worker.errors
    assert "too_long" in wsgi.get("/stats").json["closed"]


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/generator", b"part 0;part 1;part 2;"),
        ("/writes", b"written;again;returned"),
        ("/large_list", b"x" * 1_000_000),
    ],
)
def test_bodies_in_parts(wsgi: GatewayPeer, path: str, body: bytes) -> None:
    call = wsgi.get(path)
    assert (call.status, call.body, call.complete) == (200, body, True)


def test_a_file_goes_by_the_wrapper(wsgi: GatewayPeer) -> None:
    source = Path(__file__).parents[1] / "apps" / "wsgi_apps.py"
    assert wsgi.get("/file").body == source.read_bytes()


def test_exc_info_replaces_a_head_that_was_not_sent(wsgi: GatewayPeer) -> None:
    call = wsgi.get("/replaces_head")
    assert (call.status, call.body, call.header[b"X-Error"]) == (500, b"error page", b"yes")


def test_exc_info_raises_once_the_head_was_sent(wsgi: GatewayPeer) -> None:
    call = wsgi.get("/replaces_late")
    assert (call.status, call.body, call.complete) == (200, b"part", False)
    assert call.reset == (APP_FAILED, "ValueError: found after the head was sent")


@pytest.mark.parametrize(
    ("path", "code", "words"),
    [
        ("/raises", APP_FAILED, "ValueError: before anything"),
        ("/starts_twice", APP_FAILED, "start_response was called already"),
        ("/never_starts", BAD_RESPONSE, "without calling start_response"),
        ("/body_without_start", APP_FAILED, "before start_response"),
        ("/bad_header", APP_FAILED, "holds CR, LF or NUL"),
        ("/bytes_header", APP_FAILED, "a header is a pair of latin-1 strings"),
        ("/header_of_three", APP_FAILED, "a header is a pair of latin-1 strings"),
        ("/reason_with_line_end", APP_FAILED, "holds a control character"),
        ("/bad_status", APP_FAILED, "status is a string such as '200 OK', not 'OK'"),
        ("/text_body", APP_FAILED, "a WSGI body is bytes, not str"),
        ("/bad_close", BAD_RESPONSE, "without calling start_response"),
        ("/huge_head", APP_FAILED, "RESPONSE takes 20000"),
    ],
)
def test_apps_that_are_wrong(wsgi: GatewayPeer, path: str, code: int, words: str) -> None:
    call = wsgi.get(path)
    assert (call.status, call.complete) == (0, False)
    assert call.reset is not None
    assert call.reset[0] == code
    assert words in call.reset[1]
    assert wsgi.get("/hello").body == b"hello"


def test_an_exception_s_text_may_be_anything(wsgi: GatewayPeer) -> None:
    """A client's JSON can put a lone surrogate there; every thread survives it."""
    for _ in range(5):
        call = wsgi.call(scope("POST", b"/raises_surrogate"), b'{"name": "\\ud800"}')
        assert call.reset == (APP_FAILED, "ValueError: no such user: \\ud800")
    assert wsgi.get("/hello").body == b"hello"


def test_every_thread_survives_a_close_that_raises(wsgi: GatewayPeer) -> None:
    for _ in range(5):
        assert wsgi.get("/bad_close").ended
    assert "RuntimeError: close failed" in wsgi.worker.errors
    assert "a call has failed" not in wsgi.worker.errors


def test_an_exception_in_the_iteration(wsgi: GatewayPeer) -> None:
    call = wsgi.get("/raises_in_iteration")
    assert (call.body, call.complete) == (b"part", False)
    assert call.reset == (APP_FAILED, "ValueError: in the middle")
    log = wsgi.worker.errors
    assert "GET /raises_in_iteration: the app raised ValueError\nTraceback" in log
    assert "wsgi_call.py" not in log


def test_iterables_are_always_closed(wsgi: GatewayPeer) -> None:
    for path in ("/generator", "/raises_in_iteration", "/never_starts", "/sized"):
        wsgi.get(path)
    closed = wsgi.get("/stats").json["closed"]
    assert {"generator", "raises_in_iteration", "never_starts", "sized"} <= set(closed)


# -- requests ----------------------------------------------------------------------------------


def test_the_body_is_read_in_every_way(wsgi: GatewayPeer) -> None:
    call = wsgi.open(sized("/lines", 33), b"first li", more=True)
    wsgi.flush()
    wsgi.quiet(0.05)
    wsgi.link.send_body(call, b"ne\nsecond\nthird\nfou", True)
    wsgi.flush()
    wsgi.quiet(0.05)
    wsgi.link.send_body(call, b"rth", False)
    wsgi.flush()
    wsgi.until(lambda: call.ended)
    assert json.loads(call.body) == ["first line\n", "sec", "on", "d\n", "third\n", "fourth", ""]


def test_a_body_streams_through(wsgi: GatewayPeer) -> None:
    call = wsgi.open(sized("/copies", 1_500), b"a" * 1000, more=True)
    wsgi.flush()
    wsgi.until(lambda: len(call.body) == 1000)
    wsgi.link.send_body(call, b"b" * 500, False)
    wsgi.flush()
    wsgi.until(lambda: call.ended)
    assert call.body == b"a" * 1000 + b"b" * 500


def test_a_long_body_comes_by_credit(wsgi: GatewayPeer) -> None:
    call = wsgi.open(sized("/lazy_body", 5_000_000), b"x" * MAX_BODY, more=True)
    sent = MAX_BODY

    def feed() -> None:
        nonlocal sent
        while call.send_credit and sent < 5_000_000:
            size = min(call.send_credit, MAX_BODY, 5_000_000 - sent)
            sent += size
            wsgi.link.send_body(call, b"x" * size, sent < 5_000_000)
        wsgi.flush()

    feed()
    wsgi.quiet(0.1)
    feed()
    assert sent == WINDOW  # the app sleeps before it reads
    while sent < 5_000_000:
        wsgi.until(lambda: call.send_credit)
        feed()
    wsgi.until(lambda: call.ended)
    assert call.body == b"5000000"


IN_CHUNKS = [(b"host", b"test"), (b"transfer-encoding", b"chunked")]


@pytest.mark.parametrize("size", [0, 5, MAX_BODY + 1, 3_000_000])
def test_a_body_in_chunks_comes_whole_and_with_its_length(wsgi: GatewayPeer, size: int) -> None:
    """Apps that ask for CONTENT_LENGTH see it, however large: in memory or in a file."""
    body = (bytes(range(256)) * (size // 256 + 1))[:size]
    call = wsgi.open(scope("POST", b"/framing", headers=IN_CHUNKS), body[:3], more=True)
    sent = min(3, size)
    wsgi.flush()
    while sent < size:
        wsgi.until(lambda: call.send_credit)
        piece = body[sent : sent + min(call.send_credit, MAX_BODY)]
        sent += len(piece)
        wsgi.link.send_body(call, piece, True)
        wsgi.flush()
    assert not call.complete  # it has not met the app yet
    wsgi.link.send_body(call, b"", False)
    wsgi.flush()
    wsgi.until(lambda: call.ended)
    digest = hashlib.sha256(body).hexdigest()
    assert call.json == {"length": str(size), "coding": None, "read": size, "sha256": digest}


@pytest.mark.parametrize("headers", [IN_CHUNKS, IN_CHUNKS[:1]], ids=["now", "older gateways"])
def test_a_body_in_chunks_that_came_with_the_head(wsgi: GatewayPeer, headers) -> None:
    found = wsgi.call(scope("POST", b"/framing", headers=headers), b"whole").json
    assert (found["length"], found["coding"], found["read"]) == ("5", None, 5)


def test_a_request_without_a_body_has_no_length(wsgi: GatewayPeer) -> None:
    assert wsgi.get("/framing").json["length"] is None


def test_a_client_that_leaves_its_chunks_unfinished_never_meets_the_app(wsgi: GatewayPeer) -> None:
    before = wsgi.get("/stats").json["framings"]
    call = wsgi.open(scope("POST", b"/framing", headers=IN_CHUNKS), b"part", more=True)
    wsgi.flush()
    wsgi.quiet(0.05)
    wsgi.link.reset(call, CLIENT_GONE, "gone")
    wsgi.flush()
    wsgi.until(lambda: call.ended)
    assert wsgi.get("/stats").json["framings"] == before


def test_no_room_for_a_body_in_chunks(run_dir: Path) -> None:
    body = b"x" * MAX_BODY
    room = (
        "import resource, runpy, signal;"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, 1_000_000));"
        "runpy.run_module('propylon.worker', run_name='__main__', alter_sys=True)"
    )
    with running("wsgi_apps:application", run_dir, code=("-c", room)) as (worker, peer):
        call = peer.open(scope("POST", b"/framing", headers=IN_CHUNKS), body, more=True)
        peer.flush()
        while not call.ended:
            peer.until(lambda: call.send_credit or call.ended)
            if call.send_credit and not call.ended:
                peer.link.send_body(call, body[: min(call.send_credit, MAX_BODY)], True)
                peer.flush()
        assert (call.status, call.complete) == (507, True)
        assert "TMPDIR" in worker.errors
        assert peer.get("/hello").body == b"hello"


def test_an_iterable_of_nothing_hears_that_its_client_left(wsgi: GatewayPeer) -> None:
    call = wsgi.open(scope(path=b"/yields_nothing"))
    wsgi.flush()
    wsgi.until(lambda: wsgi.get("/stats").json["yielding"])
    wsgi.link.reset(call, CLIENT_GONE, "gone")
    wsgi.flush()
    wsgi.until(lambda: call.ended)
    assert "yields_nothing" in wsgi.get("/stats").json["closed"]


def test_a_held_body_is_asked_for(wsgi: GatewayPeer) -> None:
    call = wsgi.open(scope("POST", b"/echo"), more=True, flags=HOLD_BODY)
    wsgi.flush()
    wsgi.until(lambda: call.send_credit == WINDOW)
    wsgi.link.send_body(call, b"body", False)
    wsgi.flush()
    wsgi.until(lambda: call.ended)
    assert call.body == b"body"


def test_a_client_that_goes_in_the_middle_of_its_body(wsgi: GatewayPeer) -> None:
    call = wsgi.open(sized("/broken_body", 100), b"part", more=True)
    wsgi.flush()
    wsgi.quiet(0.05)
    wsgi.link.reset(call, CLIENT_GONE, "gone")
    wsgi.flush()
    wsgi.until(lambda: call.ended)
    assert "ClientDisconnected" in wsgi.get("/stats").json["errors"]


def test_a_read_after_the_response_does_not_wait_for_the_request(wsgi: GatewayPeer) -> None:
    """The rest of the request never comes. It is no end of the body: what is missing shows."""
    before = len(wsgi.get("/stats").json["errors"])
    for _ in range(5):
        call = wsgi.open(sized("/late_read", 100), b"part", more=True)
        wsgi.flush()
        wsgi.until(lambda call=call: call.ended)
        assert call.body == b"done"
    call = wsgi.call(scope("POST", b"/late_read"), b"whole")
    found = wsgi.get("/stats").json["errors"][before:]
    assert found == [["part", "ClientDisconnected"]] * 5 + [["whol", "e"]]


def test_a_slow_reader_stops_the_app_at_the_window(wsgi: GatewayPeer) -> None:
    wsgi.take_bodies = False
    call = wsgi.open(scope(path=b"/large"))
    wsgi.flush()
    wsgi.until(lambda: len(call.body) == WINDOW)
    wsgi.quiet()
    assert len(call.body) == WINDOW
    assert wsgi.get("/stats").json["sent"] <= WINDOW
    wsgi.take_bodies = True
    wsgi.link.taken(call, len(call.body))
    wsgi.flush()
    wsgi.until(lambda: call.ended)
    assert call.body == b"".join(bytes([number]) * 100_000 for number in range(50))


def test_a_disconnect_frees_the_thread_that_waits_to_send(wsgi: GatewayPeer) -> None:
    wsgi.take_bodies = False
    call = wsgi.open(scope(path=b"/large"))
    wsgi.flush()
    wsgi.until(lambda: len(call.body) == WINDOW)
    wsgi.link.reset(call, CLIENT_GONE, "gone")
    wsgi.flush()
    wsgi.until(lambda: call.ended)
    wsgi.take_bodies = True


# -- threads and the link ----------------------------------------------------------------------


def test_threads_run_calls_at_the_same_time(wsgi: GatewayPeer) -> None:
    calls = [wsgi.open(scope(path=b"/meets")) for _ in range(3)]
    wsgi.flush()
    wsgi.until(lambda: all(call.ended for call in calls))
    assert len({call.body for call in calls}) == 3


def test_more_calls_than_threads_wait_in_the_worker(wsgi: GatewayPeer) -> None:
    assert wsgi.slots == 4
    calls = [wsgi.open(scope(path=b"/hello")) for _ in range(300)]
    wsgi.flush()
    wsgi.until(lambda: all(call.ended for call in calls))
    assert {call.body for call in calls} == {b"hello"}


def test_a_ping_is_answered_while_all_threads_are_busy(wsgi: GatewayPeer) -> None:
    calls = [wsgi.open(scope(path=b"/slow")) for _ in range(5)]
    wsgi.flush()
    wsgi.quiet(0.1)
    vitals = wsgi.ping()
    assert (vitals["calls"], vitals["queued"]) == (4, 1)
    assert 0.05 < vitals["oldest_call"] < 0.25
    wsgi.until(lambda: all(call.ended for call in calls))
    assert wsgi.ping()["oldest_call"] == 0.0


def test_started_comes_before_the_answer(wsgi: GatewayPeer) -> None:
    assert wsgi.call(scope("POST", b"/hello"), flags=CONFIRM_START).kinds == [STARTED, RESPONSE]


def test_what_waits_for_a_thread_is_not_started(wsgi: GatewayPeer) -> None:
    """The gateway may send it to another worker if this one dies."""
    busy = [wsgi.open(scope(path=b"/naps")) for _ in range(4)]
    waiting = [wsgi.open(scope("POST", b"/hello"), flags=CONFIRM_START) for _ in range(6)]
    wsgi.flush()
    wsgi.quiet(0.3)
    assert wsgi.ping()["queued"] == 6
    assert not any(call.started for call in waiting)
    wsgi.until(lambda: all(call.ended for call in (*busy, *waiting)))
    assert {tuple(call.kinds) for call in waiting} == {(STARTED, RESPONSE)}


def test_the_app_is_entered_when_started_is_on_the_wire(run_dir: Path) -> None:
    """Behind a socket that takes nothing it is not."""
    with running("wsgi_apps:application", run_dir) as (_, peer):
        other = Listener(run_dir, name="2")
        witness = other.accept()
        large = [peer.open(scope(path=b"/fits_the_window")) for _ in range(8)]
        peer.flush()
        deadline = time.monotonic() + TIMEOUT
        while witness.get("/stats").json["sent"] < len(large):
            assert time.monotonic() < deadline
        calls = [peer.open(scope("POST", b"/go"), flags=CONFIRM_START) for _ in range(2)]
        peer.flush()
        while witness.ping()["calls"] < len(calls):
            assert time.monotonic() < deadline
        assert "go" not in witness.get("/stats").json
        peer.until(lambda: all(call.ended for call in (*large, *calls)))
        assert {tuple(call.kinds) for call in calls} == {(STARTED, RESPONSE)}
        assert witness.get("/stats").json["go"]
        witness.sock.close()
        other.close()


def test_a_call_given_up_while_it_waits_for_a_thread_never_meets_the_app(
    wsgi: GatewayPeer,
) -> None:
    calls = [wsgi.open(scope(path=b"/slow")) for _ in range(4)]
    waiting = wsgi.open(sized("/broken_body", 100), more=True)
    wsgi.flush()
    wsgi.quiet(0.1)
    before = wsgi.ping()
    errors = wsgi.worker.errors
    wsgi.link.reset(waiting, CLIENT_GONE, "gone")
    wsgi.flush()
    wsgi.until(lambda: waiting.ended and all(call.ended for call in calls))
    assert before["queued"] == 1
    assert "the app left on the disconnect" not in wsgi.worker.errors[len(errors) :]


def test_websocket_calls_are_refused(wsgi: GatewayPeer) -> None:
    for flags in (0, CONFIRM_START):
        call = wsgi.call(scope(kind="websocket"), flags=flags)
        assert (call.status, call.complete, call.ended) == (400, True, True)
        assert b"serve an ASGI app" in call.body
        assert not call.started
    assert wsgi.worker.errors.count("a WebSocket was asked for and refused") == 1


VALID = (
    "/hello", "/echo", "/own_reason", "/own_reason_in_parts", "/framing", "/lines", "/copies",
    "/generator", "/sized", "/sized_parts", "/many_parts", "/large_list", "/fits_the_window",
    "/writes", "/replaces_head", "/file", "/empty", "/late_read", "/raises", "/replaces_late",
    "/raises_in_iteration", "/environ/caf%C3%A9",
)  # fmt: skip
"""Routes on which the app does nothing that PEP 3333 forbids."""


def complaints(worker: WorkerProcess) -> list[str]:
    """What `wsgiref.validate` has found: it raises, and writes what was never closed."""
    words = ("AssertionError", "WSGIWarning", "without being closed")
    return [line for line in worker.errors.splitlines() if any(word in line for word in words)]


def test_the_standard_library_s_validator_is_content(run_dir: Path) -> None:
    with running("validated_apps:own", run_dir, "--interface", "wsgi") as (worker, peer):
        for path in VALID:
            for about, body in ((scope(path=path.encode()), b""), (sized(path, 4), b"a\nbc")):
                call = peer.call(about, body)
                assert call.reset is None or "raises" in path or "late" in path, call.reset
        assert complaints(worker) == []
        # The validator is there, and finds what is to be found:
        peer.get("/body_without_start")
        assert complaints(worker) != []


@pytest.mark.slow
@pytest.mark.parametrize(
    ("app", "paths"),
    [
        ("flask_app", ("/json", "/query?name=a", "/stream?n=100000", "/none", "/form")),
        ("django", ("/json", "/query?name=a", "/stream?n=100000", "/none")),
        ("wsgi_raw", ("/hello", "/echo", "/swallow", "/stream?n=100000&piece=1000")),
    ],
)
def test_the_validator_around_apps_of_frameworks(
    run_dir: Path, app: str, paths: tuple[str, ...]
) -> None:
    with running(f"validated_apps:{app}", run_dir, "--interface", "wsgi") as (worker, peer):
        for path in paths:
            name, _, query = path.partition("?")
            for method in ("GET", "HEAD", "POST"):
                kind = (b"content-type", b"application/x-www-form-urlencoded")
                headers = [(b"host", b"localhost"), kind, (b"content-length", b"3")]
                about = scope(method, name.encode(), headers=headers, query=query.encode())
                call = peer.call(about, b"a=b")
                assert call.status, worker.errors
                assert call.reset is None
        assert complaints(worker) == []


def test_sigterm_ends_at_the_deadline_though_a_thread_is_stuck(run_dir: Path) -> None:
    options = ("--graceful-timeout", "0.2")
    with running("wsgi_apps:stuck", run_dir, *options) as (worker, peer):
        peer.open()
        peer.flush()
        peer.quiet(0.1)
        begun = time.monotonic()
        worker.process.terminate()
        assert worker.wait() == 0
        assert time.monotonic() - begun < 3


# -- wsgi.file_wrapper -------------------------------------------------------------------------


def sends_file(peer: GatewayPeer, path: Path, *query: object) -> PeerCall:
    headers = [(b"x-file", os.fsencode(path))]
    text = ",".join(map(str, query)).encode()
    return peer.call(scope(path=b"/sends_file", query=text, headers=headers))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "file"
    path.write_bytes(b"0123456789")
    return path


@pytest.mark.parametrize(
    ("query", "part"),
    [(("plain", 0, ""), (0, 10)), (("plain", 4, ""), (4, 6)), (("plain", 4, 3), (4, 3)),
     (("plain", 99, ""), (99, 0)), (("write", 0, ""), (0, 10))],
)  # fmt: skip
def test_a_wrapped_file_is_passed_to_the_gateway(
    wsgi: GatewayPeer, file: Path, query: tuple[Any, ...], part: tuple[int, int]
) -> None:
    before = wsgi.get("/stats").json["closed"]
    call = sends_file(wsgi, file, *query)
    assert call.file == part
    assert call.body == file.read_bytes()[part[0] :][: part[1]]
    assert call.kinds in ([RESPONSE_FILE], [RESPONSE_FILE, END])
    assert wsgi.get("/stats").json["closed"] == [*before, "wrapped"]


def test_what_a_descriptor_does_not_give_is_read(wsgi: GatewayPeer, file: Path) -> None:
    packed = file.with_suffix(".gz")
    packed.write_bytes(gzip.compress(b"unpacked"))
    call = sends_file(wsgi, packed, "gzip", 2, "")
    assert (call.body, call.file) == (b"packed", None)
    call = sends_file(wsgi, file, "plain", 4, 7)  # it has six bytes: the app's fault
    assert (call.body, call.file) == (b"456789", None)
    file.write_bytes(b"")
    assert (sends_file(wsgi, file, "plain", 0, "").body, call.file) == (b"", None)


@pytest.mark.slow
def test_a_gateway_that_takes_no_files_gets_bytes(run_dir: Path, file: Path) -> None:
    greeting = Greeting(who={"gateway": 1}, features=FEATURES - {FILES})
    with running("wsgi_apps:application", run_dir, greeting=greeting) as (_, peer):
        assert sends_file(peer, file, "plain", 4, "").body == b"456789"
