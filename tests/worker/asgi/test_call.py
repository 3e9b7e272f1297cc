"""ASGI calls over a real link, the same on uvloop, trio and asyncio."""

import copy
import json
import pickle
import time
from pathlib import Path

import pytest
from propylon.protocol.messages import (
    APP_FAILED,
    BAD_RESPONSE,
    CLIENT_GONE,
    CONFIRM_START,
    END,
    HOLD_BODY,
    IDENTIFIED,
    MAX_BODY,
    REFUSED,
    RESET,
    RESPONSE,
    STARTED,
    WINDOW,
)

from ..gateway_peer import GatewayPeer, PeerCall, abandon_downloads, scope


def wait_for_stats(peer: GatewayPeer, name: str, least: int) -> None:
    deadline = time.monotonic() + 5
    while True:
        value = peer.get("/stats").json[name]
        if (value if isinstance(value, int) else len(value)) >= least:
            return
        assert time.monotonic() < deadline, f"{name} stayed at {value}"


# -- requests and responses --------------------------------------------------------------------


def test_a_response_at_once_is_one_message(asgi: GatewayPeer) -> None:
    call = asgi.get("/hello")
    assert (call.status, call.body, call.kinds) == (200, b"hello", [RESPONSE])
    assert call.headers == [(b"content-type", b"text/plain")]


def test_it_runs_on_the_loop_that_was_asked_for(asgi: GatewayPeer) -> None:
    assert asgi.ready["loop"] == asgi.loop
    assert asgi.get("/library").body == (b"trio" if asgi.loop == "trio" else b"asyncio")


def test_many_calls_at_once(asgi: GatewayPeer) -> None:
    calls = [asgi.open(scope(path=b"/hello")) for _ in range(500)]
    asgi.flush()
    asgi.until(lambda: all(call.ended for call in calls))
    assert {call.body for call in calls} == {b"hello"}


def test_the_scope(asgi: GatewayPeer) -> None:
    about = scope("POST", b"/caf%C3%A9/%2f%ff", query=b"a=%20", headers=[(b"x", b"\xff")])
    found = eval(asgi.call(about).body)
    assert found["path"] == "/café//\ufffd"
    assert found["raw_path"] == b"/caf%C3%A9/%2f%ff"
    assert (found["method"], found["query_string"]) == ("POST", b"a=%20")
    assert found["headers"] == [(b"x", b"\xff")]
    assert (found["client"], found["server"]) == (("192.0.2.1", 40000), ("192.0.2.2", 80))
    assert found["asgi"] == {"version": "3.0", "spec_version": "2.3"}


@pytest.mark.parametrize(
    ("path", "whole"), [(b"/api/x", "/api/x"), (b"/x", "/api/x"), (b"/apix", "/api/apix")]
)
def test_the_path_includes_the_mount_point(asgi: GatewayPeer, path: bytes, whole: str) -> None:
    found = eval(asgi.call(scope(path=path, root_path="/api")).body)
    assert (found["path"], found["root_path"]) == (whole, "/api")
    assert found["raw_path"] == whole.encode()


def test_a_mount_point_that_a_proxy_took_off_is_put_back_encoded(asgi: GatewayPeer) -> None:
    found = eval(asgi.call(scope(path=b"/%C3%A4", root_path="/caf\u00e9 1")).body)
    assert (found["path"], found["raw_path"]) == ("/caf\u00e9 1/\u00e4", b"/caf%C3%A9%201/%C3%A4")


def test_the_scope_holds_plain_values(asgi: GatewayPeer) -> None:
    """Middleware writes parts of it as JSON, copies it and sends it to other processes."""
    found = eval(asgi.get("/anything").body)
    assert json.loads(json.dumps(found["extensions"])) == {
        "propylon.shutdown": {}, "http.response.pathsend": {}, "http.response.zerocopysend": {},
    }  # fmt: skip
    assert pickle.loads(pickle.dumps(found)) == copy.deepcopy(found) == found


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_the_request_s_id(asgi: GatewayPeer, method: str) -> None:
    """A worker knows the field by OPEN's flag and not by its name."""
    about = scope(method, headers=[(b"x-request-id", b"a client's"), (b"x-trace", b"0193-a")])
    assert "propylon.request_id" not in eval(asgi.call(about).body)
    found = eval(asgi.call(about, flags=IDENTIFIED).body)
    assert found["propylon.request_id"] == "0193-a"
    assert found["headers"] == list(about[7])
    assert asgi.call(scope(headers=[]), flags=IDENTIFIED).status == 200


def test_state_is_copied_for_every_call(asgi: GatewayPeer) -> None:
    assert asgi.get("/state").json == {"greeting": "hello"}
    assert asgi.get("/state").json == {"greeting": "hello"}


def test_a_body_in_one_piece_and_in_many(asgi: GatewayPeer) -> None:
    assert asgi.call(scope("POST", b"/echo"), b"whole").body == b"whole"
    call = asgi.open(scope("POST", b"/echo"), b"one,", more=True)
    asgi.flush()
    asgi.quiet(0.05)
    asgi.link.send_body(call, b"two,", True)
    asgi.link.send_body(call, b"three", True)
    asgi.link.send_body(call, b"", False)
    asgi.flush()
    asgi.until(lambda: call.ended)
    assert (call.body, call.header[b"x-end"]) == (b"one,two,three", b"end")


def test_context_variables_are_the_calls_own(asgi: GatewayPeer) -> None:
    calls = [asgi.open(scope(path=b"/context")) for _ in range(3)]
    asgi.flush()
    asgi.until(lambda: all(call.ended for call in calls))
    assert [call.body for call in calls] == [b"unset"] * 3
    assert asgi.get("/context").body == b"unset"


def test_headers_are_brought_into_shape(asgi: GatewayPeer) -> None:
    assert asgi.get("/title_case").headers == [(b"content-type", b"text/html"), (b"x-empty", b"")]


# -- credit ------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", [b"/large", b"/large_at_once"])
def test_a_slow_reader_stops_the_app_at_the_window(asgi: GatewayPeer, path: bytes) -> None:
    asgi.take_bodies = False
    call = asgi.open(scope(path=path))
    asgi.flush()
    asgi.until(lambda: len(call.body) >= WINDOW)
    asgi.quiet()
    assert len(call.body) == WINDOW
    if path == b"/large":
        assert asgi.get("/stats").json["sent"] <= WINDOW
    asgi.take_bodies = True
    asgi.link.taken(call, len(call.body))
    asgi.flush()
    asgi.until(lambda: call.ended)
    assert len(call.body) == 5_000_000
    if path == b"/large":
        assert call.body == b"".join(bytes([number]) * 100_000 for number in range(50))


def test_an_app_that_does_not_read_stops_the_gateway_at_the_window(asgi: GatewayPeer) -> None:
    first = b"x" * MAX_BODY
    call = asgi.open(scope("POST", b"/ignores_body"), first, more=True)
    sent = len(first)

    def feed() -> int:
        nonlocal sent
        while call.send_credit and sent < 5_000_000:
            size = min(call.send_credit, MAX_BODY, 5_000_000 - sent)
            sent += size
            asgi.link.send_body(call, b"x" * size, sent < 5_000_000)
        asgi.flush()
        return sent

    feed()
    asgi.quiet()
    assert feed() == WINDOW  # the app took the first piece; half a window is not owed yet
    asgi.get("/go")
    while sent < 5_000_000:
        asgi.until(lambda: call.send_credit)
        feed()
    asgi.until(lambda: call.ended)
    assert call.body == b"5000000"


def test_a_held_body_is_asked_for_only_when_the_app_wants_it(asgi: GatewayPeer) -> None:
    about = scope("POST", b"/slow")
    unread = asgi.open(about, more=True, flags=HOLD_BODY)
    asgi.flush()
    asgi.until(lambda: unread.ended)
    assert unread.send_credit == 0
    wanted = asgi.open(scope("POST", b"/echo"), more=True, flags=HOLD_BODY)
    asgi.flush()
    asgi.until(lambda: wanted.send_credit)
    assert wanted.send_credit == WINDOW
    asgi.link.send_body(wanted, b"body", False)
    asgi.flush()
    asgi.until(lambda: wanted.ended)
    assert wanted.body == b"body"


# -- disconnects -------------------------------------------------------------------------------


def abandon(peer: GatewayPeer, call: PeerCall) -> None:
    peer.link.reset(call, CLIENT_GONE, "the client is gone")
    peer.flush()
    peer.until(lambda: call.ended)


def test_a_disconnect_reaches_receive_and_send_does_nothing(asgi: GatewayPeer) -> None:
    before = asgi.get("/stats").json
    call = asgi.open(scope(path=b"/waits_for_disconnect"))
    asgi.flush()
    asgi.quiet(0.05)
    abandon(asgi, call)
    after = asgi.get("/stats").json
    assert after["disconnects"] == before["disconnects"] + 1
    assert after["errors"][len(before["errors"]) :] == [None]
    assert (call.kinds, call.reset) == ([END], None)


def test_a_disconnect_in_the_middle_of_the_body(asgi: GatewayPeer) -> None:
    before = asgi.get("/stats").json["disconnects"]
    call = asgi.open(scope("POST", b"/waits_for_disconnect"), b"part", more=True)
    asgi.flush()
    asgi.quiet(0.05)
    abandon(asgi, call)
    assert asgi.get("/stats").json["disconnects"] == before + 1


def test_a_disconnect_wakes_a_send_that_waits_for_credit(asgi: GatewayPeer) -> None:
    """And none waits any more: the app soon reaches its end."""
    before = len(asgi.get("/stats").json["errors"])
    asgi.take_bodies = False
    call = asgi.open(scope(path=b"/blocks_while_sending"))
    asgi.flush()
    asgi.until(lambda: len(call.body) == WINDOW)
    abandon(asgi, call)
    asgi.take_bodies = True
    assert asgi.get("/stats").json["errors"][before:] == [5_000_000]


def test_calls_that_nobody_hears_take_turns_behind_those_that_somebody_does(
    asgi: GatewayPeer,
) -> None:
    """Twenty downloads whose clients have left: in each turn of the loop one of them goes on. The
    others of the worker wait for some of its pieces, and not for all of them."""
    before = len(asgi.get("/stats").json["errors"])
    calls = abandon_downloads(asgi, 20)
    most = asgi.get("/turns").json
    assert 1 <= most["downloads"] <= 2
    assert most["pieces"] < 5_000
    asgi.until(lambda: all(call.ended for call in calls))
    assert asgi.get("/stats").json["errors"][before:] == [None] * 20


def test_a_call_given_up_in_the_batch_that_opened_it_never_meets_the_app(
    asgi: GatewayPeer,
) -> None:
    before = asgi.get("/stats").json
    call = asgi.open(scope(path=b"/waits_for_disconnect"))
    abandon(asgi, call)
    assert asgi.get("/stats").json == before


def test_receive_after_the_response_says_disconnect(asgi: GatewayPeer) -> None:
    before = len(asgi.get("/stats").json["errors"])
    assert asgi.get("/after_response").body == b"done"
    wait_for_stats(asgi, "errors", before + 1)
    assert asgi.get("/stats").json["errors"][before:] == ["http.disconnect"]


def test_receive_after_the_response_does_not_wait_for_the_request(asgi: GatewayPeer) -> None:
    """The rest of the request never comes: what is there is read, then the call can end."""
    before = len(asgi.get("/stats").json["errors"])
    call = asgi.open(scope("POST", b"/late_receive"), b"part", more=True)
    asgi.flush()
    asgi.until(lambda: call.ended)
    assert asgi.get("/stats").json["errors"][before:] == [["http.request", "http.disconnect"]]
    assert asgi.ping()["calls"] == 0


def test_a_receive_that_is_parked_hears_of_the_end_of_the_response(asgi: GatewayPeer) -> None:
    before = len(asgi.get("/stats").json["errors"])
    call = asgi.open(scope("POST", b"/receive_is_parked"), b"part", more=True)
    asgi.flush()
    asgi.until(lambda: call.ended)
    assert call.body == b"done"
    assert asgi.get("/stats").json["errors"][before:] == ["http.disconnect"]


# -- several tasks that send -------------------------------------------------------------------


def test_bodies_of_several_tasks_do_not_mix(asgi: GatewayPeer) -> None:
    asgi.take_bodies = False
    call = asgi.open(scope(path=b"/two_send"))
    asgi.flush()
    asgi.until(lambda: len(call.body) == WINDOW)
    asgi.quiet(0.2)  # the others are in line by then
    asgi.take_bodies = True
    asgi.link.taken(call, WINDOW)
    asgi.flush()
    asgi.until(lambda: call.ended)
    parts = [b"%d" % n * (1_000_000 >> (5 * n)) for n in range(4)]
    assert call.body == b"".join(parts) + b"end"
    assert call.complete


def test_a_body_that_was_cancelled_in_its_middle_gives_the_response_up(asgi: GatewayPeer) -> None:
    """What is missing must not pass for a whole response."""
    before = len(asgi.get("/stats").json["errors"])
    asgi.take_bodies = False
    call = asgi.open(scope(path=b"/send_is_cancelled"))
    asgi.flush()
    asgi.until(lambda: call.ended)
    asgi.take_bodies = True
    assert not call.complete
    assert call.reset == (APP_FAILED, "a send was cancelled in the middle of a body")
    assert asgi.get("/stats").json["errors"][before:] == [
        "http.response.body was sent after the response was given up"
    ]


# -- faults of the app -------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/raises_before", "/raises_with_head"])
def test_an_exception_before_anything_was_sent(asgi: GatewayPeer, path: str) -> None:
    call = asgi.get(path)
    assert call.status == 0
    assert call.reset is not None
    assert call.reset[0] == APP_FAILED
    assert call.reset[1].startswith("ValueError: ")
    log = asgi.worker.errors
    assert f"GET {path}: the app raised ValueError\nTraceback" in log
    assert "asgi_call.py" not in log


def test_an_exception_after_the_head(asgi: GatewayPeer) -> None:
    """Nothing is heard of a head that was said in the same turn; one that was heard stands."""
    call = asgi.get("/raises_after")
    assert (call.status, call.body, call.kinds) == (0, b"", [RESET, END])
    assert call.reset == (APP_FAILED, "ValueError: after the head")
    call = asgi.get("/raises_later")
    assert (call.status, call.body, call.complete) == (200, b"part", False)
    assert call.reset == (APP_FAILED, "ValueError: after the head")


def test_a_stream_said_at_once_is_one_message(asgi: GatewayPeer) -> None:
    call = asgi.get("/many_events")
    assert (call.kinds, call.body) == (
        [RESPONSE],
        b"".join(b"data: %d\n\n" % n for n in range(100)),
    )


def test_what_is_said_in_one_turn_does_not_wait_for_the_next(asgi: GatewayPeer) -> None:
    """The app sends an event and waits for the client to have it."""
    call = asgi.open(scope("POST", b"/asks"), b"", more=True)
    asgi.flush()
    for number in range(3):
        asgi.until(lambda: call.body.endswith(b"%d?" % number))  # noqa: B023
        asgi.link.send_body(call, b"yes", True)
        asgi.flush()
    asgi.until(lambda: call.ended)
    assert call.body == b"0?1?2?"


def test_an_answer_does_not_wait_for_all_that_compute_behind_it(
    asgi: GatewayPeer, tmp_path: Path
) -> None:
    heard = tmp_path / "heard"
    query = str(heard).encode()
    calls = [asgi.open(scope(path=b"/one_after_the_other", query=query)) for _ in range(3)]
    asgi.flush()
    asgi.until(lambda: any(call.ended for call in calls))
    heard.touch()
    asgi.until(lambda: all(call.ended for call in calls))
    assert [call.body for call in calls] == [b"in time"] * 3


def test_an_exception_after_the_response_is_only_logged(asgi: GatewayPeer) -> None:
    call = asgi.get("/raises_when_complete")
    assert (call.body, call.complete, call.reset) == (b"whole", True, None)
    assert "ValueError: after everything" in asgi.worker.errors


@pytest.mark.parametrize("path", ["/returns_nothing", "/returns_half"])
def test_an_app_that_returns_too_early(asgi: GatewayPeer, path: str) -> None:
    assert asgi.get(path).reset == (
        BAD_RESPONSE, "the app returned without a complete response"
    )  # fmt: skip


def test_an_app_that_exits_takes_only_its_call_with_it(asgi: GatewayPeer) -> None:
    call = asgi.get("/exits")
    assert call.reset == (APP_FAILED, "SystemExit: the app wants to exit")
    assert asgi.get("/hello").body == b"hello"


@pytest.mark.parametrize(
    ("case", "words"),
    [
        ("body_first", "before http.response.start"),
        ("two_starts", "http.response.start was sent already"),
        ("unknown", "'http.response.nonsense' is no event"),
        ("str_body", "is bytes, not str"),
        ("str_header", "bytes, not str: 'a'"),
        ("bad_name", "b'a b' is no header name"),
        ("bad_value", "holds CR, LF or NUL"),
        ("smuggled", "holds CR, LF or NUL"),
        ("no_pair", "a header is a pair"),
        ("str_status", "status is a number, not '200'"),
        ("informational", "status 103 is no final response"),
    ],
)
def test_events_that_are_wrong(asgi: GatewayPeer, case: str, words: str) -> None:
    call = asgi.call(scope(path=b"/bad", query=case.encode()))
    assert call.status == 0
    assert call.reset is not None
    assert call.reset[0] == APP_FAILED
    assert words in call.reset[1]


def test_a_second_response_is_an_error_that_the_client_does_not_see(asgi: GatewayPeer) -> None:
    call = asgi.get("/twice")
    assert (call.body, call.complete, call.reset) == (b"first", True, None)
    assert "http.response.start was sent already" in asgi.worker.errors


def test_events_behind_the_end_are_ignored_and_logged_once(asgi: GatewayPeer) -> None:
    before = len(asgi.worker.errors)
    start = {"type": "http.response.start", "status": 200, "headers": []}
    whole = {"type": "http.response.body", "body": b"whole"}
    call = asgi.call(scope(path=b"/says", query=repr([start, whole, whole, start, whole]).encode()))
    assert (call.body, call.complete, call.reset) == (b"whole", True, None)
    log = asgi.worker.errors[before:]
    assert log.count("was sent") == 1
    assert "GET /says: http.response.body was sent after the response was complete" in log
    assert "the app raised" not in log


def test_an_exception_s_text_may_be_anything(asgi: GatewayPeer) -> None:
    """A client's JSON can put a lone surrogate there."""
    call = asgi.call(scope("POST", b"/raises_surrogate"), b'{"name": "\\ud800"}')
    assert call.reset == (APP_FAILED, "ValueError: no such user: \\ud800")
    assert asgi.get("/hello").body == b"hello"


@pytest.mark.parametrize(
    ("path", "words"),
    [("/raises_odd", "Odd: neither an Exception"), ("/raises_frozen", "Frozen: 7")],
)
def test_odd_exceptions_cost_their_call_only(asgi: GatewayPeer, path: str, words: str) -> None:
    other = asgi.open(scope(path=b"/slow"))
    call = asgi.get(path)
    assert call.reset is not None
    assert call.reset[0] == APP_FAILED
    assert words in call.reset[1]
    asgi.until(lambda: other.ended)
    assert other.body == b"slow"
    log = asgi.worker.errors
    assert f"GET {path}: the app raised " in log
    assert "never retrieved" not in log
    assert "asgi_call.py" not in log


# -- the link ----------------------------------------------------------------------------------


def test_started_comes_before_the_app_answers(asgi: GatewayPeer) -> None:
    call = asgi.call(scope("POST", b"/hello"), flags=CONFIRM_START)
    assert call.kinds == [STARTED, RESPONSE]
    assert not asgi.get("/hello").started


def test_started_is_on_the_wire_before_the_app_is_called(asgi: GatewayPeer) -> None:
    """The app holds the loop: what is not on the wire by then comes late."""
    begun = time.monotonic()
    calls = [asgi.open(scope("POST", b"/slow_sync"), flags=CONFIRM_START) for _ in range(2)]
    asgi.flush()
    asgi.until(lambda: all(call.started for call in calls))
    assert time.monotonic() - begun < 0.12
    asgi.until(lambda: all(call.ended for call in calls))
    assert time.monotonic() - begun >= 0.28


def test_a_ping_is_answered_while_calls_run(asgi: GatewayPeer) -> None:
    call = asgi.open(scope(path=b"/slow"))
    asgi.flush()
    asgi.quiet(0.05)
    vitals = asgi.ping()
    assert not call.ended
    assert vitals["calls"] == 1
    assert vitals["rss"] > 5_000_000
    asgi.until(lambda: call.ended)
    assert asgi.ping()["calls"] == 0


def test_a_busy_loop_shows_its_lag(asgi: GatewayPeer) -> None:
    asgi.ping()
    call = asgi.get("/slow_sync")
    assert call.ended
    assert asgi.ping()["lag"] > 0.05


def test_calls_of_an_unknown_type_are_refused(asgi: GatewayPeer) -> None:
    call = asgi.call(scope(kind="webtransport"))
    assert call.reset is not None
    assert call.reset[0] == REFUSED
    assert asgi.get("/hello").body == b"hello"
