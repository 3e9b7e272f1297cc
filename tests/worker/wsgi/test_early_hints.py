"""`wsgi.early_hints` over a real link."""

import pytest
from propylon.protocol.messages import (
    APP_FAILED,
    EARLY_HINT,
    EVENT,
    MOST_HINTS,
    RESPONSE,
    TAKES_HINTS,
    TAKES_TRAILERS,
)
from propylon.worker.wsgi.early_hints import EarlyHints

from ..gateway_peer import GatewayPeer, scope

LINKS = (b"</a>; rel=preload", b"</b>")


def test_hints_go_before_the_response(wsgi: GatewayPeer) -> None:
    call = wsgi.call(scope(path=b"/hints"), flags=TAKES_HINTS)
    other = ((b"x-other", b"y"),)
    assert call.kinds == [EVENT, RESPONSE]
    assert call.events == [{"type": EARLY_HINT, "links": LINKS, "headers": other}]
    assert call.body == b"hinted"


def test_the_environ_has_it_only_where_the_client_takes_hints(wsgi: GatewayPeer) -> None:
    for flags in (0, TAKES_TRAILERS):
        call = wsgi.call(scope(path=b"/hints"), flags=flags)
        assert (call.kinds, call.body) == ([RESPONSE], b"no hints")


def test_hints_behind_the_head_are_dropped(wsgi: GatewayPeer) -> None:
    call = wsgi.call(scope(path=b"/hints_late"), flags=TAKES_HINTS)
    assert (call.events, call.body) == ([], b"partrest")
    # Between start_response and the first bytes the head is still here.
    call = wsgi.call(scope(path=b"/hints_behind_start"), flags=TAKES_HINTS)
    assert call.kinds == [EVENT, RESPONSE]


def test_a_hint_that_is_wrong_is_the_app_s_error(wsgi: GatewayPeer) -> None:
    call = wsgi.call(scope(path=b"/hints_wrong"), flags=TAKES_HINTS)
    assert call.reset is not None
    assert call.reset[0] == APP_FAILED
    assert "the value of header b'Link' holds CR, LF or NUL" in call.reset[1]


def test_no_more_travel_than_are_worth_it() -> None:
    sent: list[object] = []
    hint = EarlyHints(sent.append)
    hint([])
    for _ in range(MOST_HINTS + 5):
        hint([("Link", "</a>")])
    assert sent == [{"type": EARLY_HINT, "links": (b"</a>",)}] * MOST_HINTS
    with pytest.raises(TypeError):
        hint([("Link", b"</a>")])  # type: ignore[list-item]
