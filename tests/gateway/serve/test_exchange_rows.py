"""The rows that every version of HTTP has to play, in each of them, whole and byte by byte."""

from collections.abc import Iterator

import pytest
from propylon.gateway.settings import Http2Settings

from .exchange_rows import ROWS
from .http1_framing import Http1Framing
from .http2_framing import Http2Framing
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
