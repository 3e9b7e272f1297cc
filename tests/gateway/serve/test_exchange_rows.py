"""The rows that every version of HTTP has to play, in each of them, whole and byte by byte; and on
a stream of HTTP/2 that has served another request before."""

from collections.abc import Iterator
from contextlib import closing

import pytest
from propylon.gateway.settings import Http2Settings

from .exchange_rows import ROWS
from .http1_framing import Http1Framing
from .http2_framing import Http2Framing
from .http2_stage import Http2Stage
from .stage import Stage, play

FRAMINGS = {"http1": Http1Framing, "http2": Http2Framing}


@pytest.fixture(
    params=[
        *FRAMINGS,
        pytest.param("h2", marks=pytest.mark.slow),
    ]
)
def stage(request: pytest.FixtureRequest) -> Iterator[Stage]:
    if request.param in FRAMINGS:
        one = Stage(FRAMINGS[request.param]())
    else:
        one = Stage(Http2Framing(), http2=Http2Settings(engine=request.param))
    yield one
    one.close()


@pytest.mark.parametrize("row", ROWS)
def test_row(stage: Stage, row: str) -> None:
    play(stage, ROWS[row])


@pytest.mark.parametrize("row", [name for name in ROWS if "long body" not in name])
def test_row_byte_by_byte(stage: Stage, row: str) -> None:
    stage.cut = True
    play(stage, ROWS[row])


@pytest.mark.parametrize(
    "row", [name for name, row in ROWS.items() if all(one.name != "connects" for one in row)]
)
def test_row_behind_another_request_on_the_same_stream(row: str) -> None:
    with closing(Http2Stage()) as stage:
        stage.open()
        exchange = stage.asks()
        (used,) = stage.connection._streams.values()  # pyright: ignore[reportPrivateUsage]
        exchange.sink.respond(exchange, 200, (), b"ok")
        assert stage.stream().body == b"ok"
        assert used in stage.connection._resting  # pyright: ignore[reportPrivateUsage]
        stage.peer.streams.clear()
        stage.exchanges.clear()
        stage.ended.clear()
        play(stage, ROWS[row], opened=True)
