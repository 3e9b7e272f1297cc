"""Clients below the least rate are cut, and those that wait for the app are not."""

from contextlib import closing
from typing import Final

import pytest
from propylon.gateway.serve.service import SWEEP_EVERY

from .http1_framing import Http1Framing
from .stage import (
    Stage,
    Step,
    asks,
    begins,
    fills,
    given_up,
    goes_on,
    hears,
    hears_nothing_else,
    is_over,
    logged,
    passes,
    play,
    reads,
    says,
    step,
    takes,
    uploads,
    wants,
)

LEAST, GRACE = 1_000, 2.0
QUIET: Final = 150.0
"""Seconds in which the kernel says at least twice that a slow client has read."""
SLOW = "The request's body arrived too slowly."


@step
def drips(stage: Stage, seconds: float, size: int, *, wanted: bool = False) -> None:
    """A piece of so many bytes twice a second. `wanted`: the app has credit for the last one only
    then, and not before."""
    for _ in range(int(seconds * 2)):
        if wanted:
            wants(size)(stage)
        else:
            uploads(b"x" * size)(stage)
        for _ in range(int(0.5 / SWEEP_EVERY)):
            passes(SWEEP_EVERY)(stage)


@step
def reads_slowly(stage: Stage, seconds: float, size: int) -> None:
    """Takes so many bytes in each round of the sweeper."""
    for _ in range(int(seconds / SWEEP_EVERY)):
        if not stage.end:
            try:
                stage.received += stage.client.recv(size)
            except BlockingIOError:
                pass
            except ConnectionError:
                stage.end = "reset"
        passes(SWEEP_EVERY)(stage)


ROWS: dict[str, list[Step]] = {
    "a body in drops": [
        asks("POST", size=1_000_000, last=False),
        drips(GRACE - 0.5, 10),
        hears_nothing_else(0),
        drips(1.5, 10),
        hears(408, holds=SLOW.encode()),
        given_up(SLOW),
        logged(408, reason=f"{SLOW} --min-body-rate", end="client_body_rate"),
    ],
    "a body that is fast enough": [
        asks("POST", size=1_000_000, last=False),
        drips(20.0, LEAST // 2),
        hears_nothing_else(0),
        goes_on(),
    ],
    "a body that the app takes in drops": [
        takes(0),
        asks("POST", size=1_000_000, last=False),
        uploads(b"x" * 100_000),
        drips(20.0, 10, wanted=True),
        hears_nothing_else(0),
        goes_on(),
    ],
    "a body in drops behind an app that was late": [
        takes(0),
        asks("POST", size=1_000_000, last=False),
        uploads(b"x" * 100),
        *[passes(SWEEP_EVERY)] * 100,
        wants(1_000_000),
        drips(GRACE - 0.5, 10),
        hears_nothing_else(0),
        drips(1.5, 10),
        hears(408),
    ],
    "drops beside a response": [
        asks("POST", size=1_000_000, last=False),
        begins(),
        says(b"go on"),
        drips(20.0, 10),
        goes_on(),
    ],
    "a client that waits for 100 Continue": [
        takes(0),
        asks("POST", fields=((b"expect", b"100-continue"),), size=9, last=False),
        *[passes(SWEEP_EVERY)] * 100,
        hears_nothing_else(0),
        goes_on(),
    ],
    "a response that is read too slowly": [
        asks(),
        reads(False),
        begins(),
        fills(bytes(65_536)),
        reads_slowly(QUIET, 150),
        is_over("reset"),
        logged(200, end="client_send_rate"),
    ],
    "a response that is read fast enough": [
        asks(),
        reads(False),
        begins(),
        fills(bytes(65_536)),
        reads_slowly(QUIET, 4_000),
        goes_on(),
    ],
}


@pytest.mark.parametrize("row", ROWS.values(), ids=ROWS)
def test_rows(row: list[Step]) -> None:
    limits = {"min_body_rate": LEAST, "min_send_rate": LEAST, "min_rate_grace": GRACE}
    limits |= {"body_timeout": 30.0, "send_timeout": 120.0}
    with closing(Stage(Http1Framing(), **limits)) as stage:
        play(stage, row)
