"""The end of a connection: two GOAWAYs, and what leads from one to the next."""

from typing import Final

import pytest
from propylon.gateway.http2.engine import ANY_STREAM, ErrorCode
from propylon.gateway.http2.graceful_shutdown import OPEN_STREAMS_HAVE, OUR_PING, GracefulShutdown

from ...http2_frames import Kind, get
from .engine_exam import EACH_ENGINE, Examined

NOW: Final = 100.0
ANSWER: Final = 0.75
"""Seconds for the PING's answer."""
LONG: Final = 4 * OPEN_STREAMS_HAVE
"""A time for a stop that does not shorten what open streams have."""


def said(one: Examined) -> list[int | bytes]:
    """The last streams of GOAWAYs, and the PINGs."""
    told = list[int | bytes]()
    for frame in one.frames():
        if frame.kind == Kind.GOAWAY:
            assert frame.payload[4:8] == ErrorCode.NO_ERROR.to_bytes(4)
            told.append(int.from_bytes(frame.payload[:4]))
        else:
            assert frame.kind == Kind.PING
            told.append(frame.payload)
    return told


def begun(name: str, graceful: float = LONG) -> tuple[Examined, GracefulShutdown]:
    one = Examined(name)
    one.send(get(1) + get(7))
    ends = GracefulShutdown(one.engine, ANSWER)
    ends.begin(NOW, graceful)
    assert ends.has_begun
    assert not ends.is_final
    assert said(one) == []
    return one, ends


@EACH_ENGINE
def test_the_first_goaway_refuses_nothing_and_the_second_names_the_last_stream(name: str) -> None:
    one, ends = begun(name)
    assert ends.notice(NOW)
    assert said(one) == [ANY_STREAM, OUR_PING]
    assert not ends.notice(NOW), "it is said once"
    one.send(get(9))  # it was under way
    assert not ends.pong(b"another.")
    assert not ends.is_final
    assert ends.pong(OUR_PING)
    assert ends.is_final
    assert said(one) == [9]
    assert not ends.pong(OUR_PING)
    assert not ends.sweep(NOW + 1_000)
    assert said(one) == []


@pytest.mark.parametrize(("graceful", "waits"), [(LONG, OPEN_STREAMS_HAVE), (4.0, 1.0), (0.0, 0.0)])
def test_time_leads_on_when_the_client_does_not(graceful: float, waits: float) -> None:
    one, ends = begun("builtin", graceful)
    if waits:
        assert not ends.sweep(NOW + waits - 0.01)
    assert ends.sweep(NOW + waits)
    assert said(one) == [ANY_STREAM, OUR_PING]
    assert not ends.sweep(NOW + waits + ANSWER - 0.01)
    assert ends.sweep(NOW + waits + ANSWER)
    assert said(one) == [7]


def test_before_it_has_begun_nothing_is_said() -> None:
    one = Examined("builtin")
    ends = GracefulShutdown(one.engine, ANSWER)
    assert not ends.notice(NOW)
    assert not ends.pong(OUR_PING)
    assert not ends.sweep(NOW + 1_000)
    assert not ends.has_begun
    assert said(one) == []


def test_to_begin_twice_does_not_begin_again() -> None:
    one, ends = begun("builtin")
    ends.begin(NOW + 4, LONG)
    assert ends.sweep(NOW + OPEN_STREAMS_HAVE)
    ends.begin(NOW + 5, LONG)
    assert said(one) == [ANY_STREAM, OUR_PING]
