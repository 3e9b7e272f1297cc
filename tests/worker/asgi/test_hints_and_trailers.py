"""Early hints and trailers of an ASGI app over a real link, and the rules that events break."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from propylon.protocol.messages import (
    APP_FAILED,
    BAD_RESPONSE,
    EARLY_HINT,
    EVENT,
    MAX_BODY,
    MOST_HINTS,
    RESPONSE,
    TAKES_HINTS,
    TAKES_TRAILERS,
    TRAILERS,
)

from ..gateway_peer import GatewayPeer, PeerCall, running, scope

BOTH = TAKES_HINTS | TAKES_TRAILERS
START = {"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"4")]}
ANNOUNCING = {**START, "trailers": True}
PART = {"type": "http.response.body", "body": b"bo", "more_body": True}
LAST = {"type": "http.response.body", "body": b"dy"}
HINT = {"type": EARLY_HINT, "links": [b"</a>; rel=preload", b"</b>"]}
DIGEST = (b"x-digest", b"abc")
TRAILING = {"type": TRAILERS, "headers": [DIGEST]}
DENY = {"type": "websocket.http.response.start", "status": 401}
DENY_LAST = {"type": "websocket.http.response.body"}
ACCEPT = {"type": "websocket.accept"}
SEND = {"type": "websocket.send", "text": "x"}
CLOSE = {"type": "websocket.close"}


def said(
    peer: GatewayPeer, *events: Any, flags: int = BOTH, kind: str = "http", method: str = "GET"
) -> PeerCall:
    about = scope(method, b"/says", query=repr(list(events)).encode(), kind=kind)
    return peer.call(about, flags=flags)


def offered(peer: GatewayPeer, flags: int) -> set[str]:
    found = eval(peer.call(scope(), flags=flags).body)["extensions"]
    return {name for name in found if name in (EARLY_HINT, TRAILERS)}


def test_the_scope_offers_what_the_gateway_says_that_the_client_takes(asgi: GatewayPeer) -> None:
    assert offered(asgi, 0) == set()
    assert offered(asgi, TAKES_HINTS) == {EARLY_HINT}
    assert offered(asgi, TAKES_TRAILERS) == {TRAILERS}
    assert offered(asgi, BOTH) == {EARLY_HINT, TRAILERS}


# -- early hints -------------------------------------------------------------------------------


@pytest.mark.parametrize("events", [[HINT, START, LAST], [START, HINT, LAST]])
def test_hints_go_before_the_head(asgi: GatewayPeer, events: list[Any]) -> None:
    """ASGI puts them behind http.response.start, HTTP before the response: a head waits for it."""
    call = said(asgi, *events)
    assert call.kinds == [EVENT, RESPONSE]
    assert call.events == [{"type": EARLY_HINT, "links": tuple(HINT["links"])}]


def test_hints_that_come_too_late_or_that_nobody_takes_are_dropped(asgi: GatewayPeer) -> None:
    call = said(asgi, START, PART, HINT, LAST)
    assert (call.events, call.body) == ([], b"body")
    call = said(asgi, HINT, START, LAST, flags=TAKES_TRAILERS)
    assert (call.events, call.body) == ([], b"dy")
    call = said(asgi, {"type": EARLY_HINT}, START, LAST)
    assert call.events == []


def test_no_more_hints_travel_than_are_worth_it(asgi: GatewayPeer) -> None:
    call = said(asgi, *[HINT] * (MOST_HINTS + 5), START, LAST)
    assert (len(call.events), call.body) == (MOST_HINTS, b"dy")


# -- trailers ----------------------------------------------------------------------------------


def test_trailers_go_before_the_end(asgi: GatewayPeer) -> None:
    call = said(asgi, ANNOUNCING, PART, LAST, TRAILING)
    assert (call.status, call.body, call.complete, call.reset) == (200, b"body", True, None)
    assert call.events == [{"type": TRAILERS, "headers": (DIGEST,)}]
    assert call.header == {}  # HTTP/1.1 has trailers behind chunks only


def test_trailers_in_several_events_travel_together(asgi: GatewayPeer) -> None:
    more = {**TRAILING, "more_trailers": True}
    call = said(asgi, ANNOUNCING, LAST, more, {"type": TRAILERS, "headers": [(b"X-B", b" c ")]})
    assert call.events == [{"type": TRAILERS, "headers": (DIGEST, (b"x-b", b"c"))}]
    call = said(asgi, ANNOUNCING, LAST, {"type": TRAILERS})
    assert (call.events, call.complete, call.body) == ([], True, b"dy")


def test_a_body_without_credit_keeps_its_trailers_behind_it(asgi: GatewayPeer) -> None:
    large = {"type": "http.response.body", "body": b"x" * (5 * MAX_BODY)}
    call = said(asgi, ANNOUNCING, large, TRAILING)
    assert (len(call.body), call.complete) == (5 * MAX_BODY, True)
    assert call.kinds.index(EVENT) > len(call.kinds) - 4


def test_trailers_that_nobody_takes_are_dropped(asgi: GatewayPeer) -> None:
    """ASGI: they are sent only if the client said TE: trailers. The response ends without them."""
    call = said(asgi, ANNOUNCING, LAST, TRAILING, flags=TAKES_HINTS)
    assert (call.kinds[0], call.body, call.events, call.reset) == (RESPONSE, b"dy", [], None)
    assert call.header == {b"content-length": b"4"}
    assert "Error" not in asgi.worker.errors[-200:]


@pytest.mark.parametrize("flags", [0, BOTH])
def test_trailers_behind_a_file(asgi: GatewayPeer, tmp_path: Path, flags: int) -> None:
    (tmp_path / "file").write_bytes(b"body, and what was appended since")
    file = {"type": "http.response.pathsend", "path": str(tmp_path / "file")}
    call = said(asgi, ANNOUNCING, file, TRAILING, flags=flags)
    assert (call.reset, call.complete) == (None, True)
    if flags:
        assert (call.body, [one["headers"] for one in call.events]) == (b"body", [(DIGEST,)])
    missing = {**file, "path": str(tmp_path / "none")}
    assert "FileNotFoundError" in said(asgi, ANNOUNCING, missing, flags=flags).reset[1]
    mixed = said(asgi, ANNOUNCING, PART, file, flags=flags)
    assert "cannot be mixed" in mixed.reset[1]


def test_the_answer_to_head_keeps_its_length(asgi: GatewayPeer) -> None:
    call = said(asgi, ANNOUNCING, LAST, TRAILING, method="HEAD")
    assert call.header == {b"content-length": b"4"}
    assert call.complete


def test_an_app_that_returns_without_its_trailers(asgi: GatewayPeer) -> None:
    call = said(asgi, ANNOUNCING, LAST)
    assert call.reset == (
        BAD_RESPONSE,
        "the app returned without the trailers that it has announced",
    )


def test_debug_information_is_logged_in_development(run_dir: Path) -> None:
    debug = {"type": "http.response.debug", "info": {"template": "page.html", "context": {"a": 1}}}
    with running("asgi_apps:app", run_dir, "--development") as (worker, peer):
        assert "http.response.debug" in eval(peer.get("/").body)["extensions"]
        assert said(peer, debug, START, LAST, flags=0).body == b"dy"
        assert "GET /says: debug information: {'template': 'page.html', 'con" in worker.errors
        for events, words in (
            ([START, debug], "was sent behind http.response.start"),
            ([debug, debug], "http.response.debug was sent already"),
            ([{"type": "http.response.debug"}], "info of http.response.debug is a dict, not None"),
        ):
            call = said(peer, *events, flags=0)
            assert call.reset is not None
            assert words in call.reset[1]


# -- the rules ---------------------------------------------------------------------------------

OVER = "after the response was complete"
NO_EVENT = "an event is a dict with a type"
HTTP_RULES: list[tuple[Sequence[Any], str]] = [
    ([START, START], "http.response.start was sent already"),
    ([START, LAST, START], "http.response.start was sent already"),
    ([{"type": "http.response.start"}], "status is a number, not None"),
    ([LAST], "http.response.body was sent before http.response.start"),
    ([START, LAST, LAST], f"http.response.body was sent {OVER}"),
    ([ANNOUNCING, LAST, LAST], "only http.response.trailers may follow the last"),
    ([ANNOUNCING, LAST, TRAILING, LAST], f"http.response.body was sent {OVER}"),
    ([TRAILING], "http.response.start had not announced it"),
    ([START, LAST, TRAILING], "http.response.start had not announced it"),
    ([ANNOUNCING, TRAILING], "http.response.trailers was sent before the last"),
    ([ANNOUNCING, PART, TRAILING], "http.response.trailers was sent before the last"),
    ([ANNOUNCING, LAST, TRAILING, TRAILING], f"http.response.trailers was sent {OVER}"),
    ([ANNOUNCING, LAST, {**TRAILING, "headers": [(b"host", b"h")]}], "may not be a trailer"),
    ([ANNOUNCING, LAST, {**TRAILING, "headers": [(b"a", b"b\r\nc: d")]}], "holds CR, LF or NUL"),
    ([START, LAST, HINT], f"http.response.early_hint was sent {OVER}"),
    ([{**HINT, "links": b"</a>"}], "links of http.response.early_hint are an iterable of bytes"),
    ([{**HINT, "links": ["</a>"]}], "links of http.response.early_hint are bytes, not str"),
    ([{**HINT, "links": [b"a\r\nb: c"]}], "holds CR, LF or NUL"),
    ([START, {"type": "http.response.push", "path": "/"}], "this scope does not offer"),
    ([{"type": "http.response.debug", "info": {}}], "this scope does not offer"),
    (
        [{"type": "http.response.pathsend", "path": "/"}],
        "pathsend was sent before",
    ),
    ([{"type": "http.nonsense"}], "is no event that an app may send in an http call"),
    ([SEND], "is no event that an app may send in an http call"),
    ([{"body": b""}], NO_EVENT),
    (["http.response.start"], NO_EVENT),
]
WEBSOCKET_RULES: list[tuple[Sequence[Any], str]] = [
    ([SEND], "while the WebSocket is connecting; websocket.accept comes first"),
    ([ACCEPT, ACCEPT], "while the WebSocket is open; it was accepted already"),
    ([ACCEPT, DENY], "only one that was not accepted can be refused"),
    ([ACCEPT, DENY_LAST], "only one that was not accepted can be refused"),
    ([DENY, ACCEPT], "while the WebSocket is denying; it is refused by"),
    ([DENY, SEND], "while the WebSocket is denying; it is refused by"),
    ([DENY, CLOSE], "the response that refuses it closes it"),
    ([DENY_LAST], "websocket.http.response.body was sent before websocket.http.response.start"),
    ([DENY, DENY], "websocket.http.response.start was sent already"),
    ([START], "the events of a WebSocket are websocket.accept"),
    ([ACCEPT, LAST], "the events of a WebSocket are websocket.accept"),
    ([{"type": "websocket.http.response.trailers"}], "the events of a WebSocket are"),
    ([{"type": "websocket.nonsense"}], "the events of a WebSocket are websocket.accept"),
    ([{"text": "x"}], NO_EVENT),
    ([ACCEPT, {**SEND, "text": b"x"}], "websocket.send needs a text of type str, not b'x'"),
    ([ACCEPT, {**SEND, "bytes": "x"}], "websocket.send needs bytes of type bytes, not 'x'"),
    ([ACCEPT, {"type": "websocket.send"}], "websocket.send needs bytes or text, not None"),
]
ROWS = [("http", *row) for row in HTTP_RULES] + [("websocket", *row) for row in WEBSOCKET_RULES]


@pytest.mark.parametrize(("kind", "events", "words"), ROWS)
def test_a_wrong_order_is_an_error_that_names_the_rule(
    asgi: GatewayPeer, kind: str, events: Sequence[Any], words: str
) -> None:
    before = len(asgi.worker.errors)
    call = said(asgi, *events, kind=kind)
    if call.reset is not None:
        assert call.reset[0] == APP_FAILED
        assert words in call.reset[1]
    assert words in asgi.worker.errors[before:]
