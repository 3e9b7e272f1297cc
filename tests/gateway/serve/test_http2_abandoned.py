"""Streams that were reset, and apps that have not left them: both count for what a connection may
have at once (CVE-2023-44487, CVE-2025-8671). The workers are the link's real machines."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from propylon.gateway.exchange.exchange import Exchange
from propylon.gateway.http2.engine import ErrorCode
from propylon.gateway.pool.call import PoolCall
from propylon.gateway.pool.pool import Pool
from propylon.gateway.settings import Http2Settings, PoolSettings

from ...http2_frames import data
from ..pool.linked import LinkedMember, Owner
from .http2_stage import Http2Stage, answer, staged
from .stage import BODY

MOST = 3
REFUSED = ErrorCode.REFUSED_STREAM


@contextmanager
def with_pool(slots: int = 10) -> Iterator[tuple[Http2Stage, LinkedMember]]:
    with staged(http2=Http2Settings(max_streams=MOST)) as stage:
        pool = Pool(PoolSettings(), 60.0, Owner(), clock=lambda: stage.now)

        def submit(exchange: Exchange) -> None:
            stage.exchanges.append(exchange)
            pool.submit(exchange)

        stage.state.answer = submit
        yield stage, LinkedMember(pool, slots=slots)


def ask(stage: Http2Stage, method: str = "GET") -> int:
    size = 0 if method == "GET" else None
    stage.sends(stage.peer.ask(method, "/", (), b"", size, method == "GET"))
    return stage.peer.last


def respond(stage: Http2Stage, exchange: Exchange) -> None:
    """The client has it whole."""
    answer(exchange, b"ok")
    assert stage.stream().body == b"ok"


def resets_it(stage: Http2Stage, number: int) -> None:
    stage.sends(stage.peer.reset(number))


def has_us_reset_it(stage: Http2Stage, number: int) -> None:
    stage.sends(stage.peer.send(number, b"x", last=True), data(number, b"behind the end"))
    assert stage.stream(number).reset is not None


def is_late_with_its_body(stage: Http2Stage, number: int) -> None:
    stage.passes(BODY)
    assert stage.stream(number).reset is not None


@pytest.mark.parametrize("ends", [resets_it, has_us_reset_it, is_late_with_its_body])
def test_a_stream_is_free_when_the_app_has_left_it(
    ends: Callable[[Http2Stage, int], None],
) -> None:
    with with_pool() as (stage, member):
        for _ in range(MOST):
            ends(stage, ask(stage, "POST"))
        assert len(member.calls) == MOST
        ask(stage)
        assert (stage.stream().reset, len(member.calls)) == (REFUSED, MOST)
        member.exchange_bytes()
        member.worker.end(member.calls.pop())
        member.exchange_bytes()
        ask(stage)
        respond(stage, stage.exchange)
        assert len(member.calls) == MOST
        ask(stage)
        assert stage.stream().reset is None
        ask(stage)
        assert stage.stream().reset == REFUSED


def test_the_slots_of_a_connection_are_counted_until_its_apps_have_left() -> None:
    with with_pool() as (stage, member):
        for _ in range(MOST):
            ask(stage)
        assert stage.exchange.opener is not None
        assert stage.exchange.opener.slots_held() == MOST
        resets_it(stage, 1)
        assert stage.connection.slots_held() == MOST, "its app has not left"
        member.worker.end(member.calls[0])
        member.exchange_bytes()
        assert stage.connection.slots_held() == MOST - 1
        member.answer(member.calls[1])
        assert stage.connection.slots_held() == MOST - 2


def test_a_request_that_is_refused_while_its_app_is_at_work() -> None:
    """All of its body has come, so that nothing has to be reset."""
    with with_pool() as (stage, member):
        for _ in range(MOST):
            stage.sends(stage.peer.ask("POST", "/", (), b"x", 2, last=False))
            number = stage.peer.last
            stage.sends(data(number, b"y"))
            stage.sends(stage.peer.head([(b"content-length", b"2")], ended=True, stream=number))
            assert (stage.stream().ended, stage.stream().reset) == (True, None)
        assert len(member.calls) == MOST
        ask(stage)
        assert (stage.stream().reset, len(member.calls)) == (REFUSED, MOST)
        member.exchange_bytes()
        member.worker.end(member.calls.pop())
        member.exchange_bytes()
        ask(stage)
        respond(stage, stage.exchange)


def test_a_call_that_leaves_the_queue_is_over_at_once() -> None:
    with with_pool(slots=1) as (stage, member):
        ask(stage)
        for _ in range(10 * MOST):
            resets_it(stage, ask(stage))
        assert len(member.calls) == 1
        ask(stage)
        respond(stage, stage.exchange)


def test_what_its_worker_takes_with_it_is_over() -> None:
    with with_pool() as (stage, member):
        for _ in range(MOST):
            resets_it(stage, ask(stage))
        member.die()
        ask(stage)
        respond(stage, stage.exchange)


def test_whole_responses_free_their_streams_at_once() -> None:
    """Though an app may have a background task."""
    with with_pool() as (stage, member):
        for _ in range(2 * MOST):
            ask(stage)
            respond(stage, stage.exchange)
        assert len(member.calls) == 2 * MOST


def test_a_websocket_whose_app_goes_on() -> None:
    with with_pool() as (stage, member):
        for _ in range(MOST):
            stage.sends(stage.peer.connect())
            exchange = stage.exchange
            assert exchange.websocket is not None
            assert isinstance(exchange.source, PoolCall)
            exchange.websocket.accept(exchange, exchange.source, None, ())
            stage.turn()
            resets_it(stage, stage.peer.last)
        ask(stage)
        assert stage.stream().reset == REFUSED
        member.exchange_bytes()
        member.worker.end(member.calls.pop())
        member.exchange_bytes()
        ask(stage)
        respond(stage, stage.exchange)
