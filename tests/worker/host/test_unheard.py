"""What becomes of a response that nobody hears any more, as a table."""

import pytest
from propylon.worker.host.unheard import (
    FULL_SPEED,
    MANY,
    PACE,
    PATIENCE,
    TURN,
    UnheardResponse,
)

LENGTH = [(b"Content-Length", b"1000000")]


def sent(*pieces: tuple[float, bool], headers: list[tuple[bytes, bytes]]) -> UnheardResponse:
    response = UnheardResponse()
    response.head(headers)
    for now, more in pieces:
        response.piece(more, now)
    return response


@pytest.mark.parametrize(
    ("headers", "pieces", "endless"),
    [
        ([], [(10, True), (11, True)], True),
        ([(b"x", b"y")], [(10, True), (39, True)], True),
        ([], [], False),
        ([], [(10, True)], False),  # one piece, and then work
        ([], [(10, True), (11, True), (12, False)], False),  # the end
        (LENGTH, [(10, True), (11, True)], False),  # a file has one
    ],
)
def test_what_has_no_end(
    headers: list[tuple[bytes, bytes]], pieces: list[tuple[float, bool]], endless: bool
) -> None:
    response = sent(*pieces, headers=headers)
    assert not response.is_endless(10 + PATIENCE, hurry=False)
    assert response.is_endless(10.1 + PATIENCE, hurry=False) == endless
    assert not response.is_endless(10 + FULL_SPEED, hurry=True)
    assert response.is_endless(10.1 + FULL_SPEED, hurry=True) == endless


def test_it_takes_its_time_when_it_goes_on() -> None:
    response = sent((10, True), headers=[])
    assert response.piece(True, 10 + FULL_SPEED) == 0
    assert response.piece(True, 10.1 + FULL_SPEED) == PACE
    assert response.piece(False, 10.2 + FULL_SPEED) == 0


@pytest.mark.parametrize(
    ("more", "goes_on"),
    [
        ([True], False),  # it may only have to hear of the disconnect
        ([True, True], True),
        ([True, True, True, False], False),  # and is soon done
        ([False], False),
        ([False, False], True),  # which goes on behind its end
    ],
)
def test_what_goes_on_and_on_takes_turns(more: list[bool], goes_on: bool) -> None:
    assert sent(*[(10, each) for each in more], headers=[]).goes_on == goes_on


def test_it_goes_on_while_it_has_its_turn() -> None:
    response = sent((10, True), headers=[])
    assert not response.has_turn(10)
    response.begin_turn(10)
    assert response.has_turn(10 + TURN / 2)
    assert not response.has_turn(10 + TURN)


def test_what_has_an_end_reaches_it_at_full_speed() -> None:
    response = sent((10, True), headers=LENGTH)
    assert response.piece(True, 1000) == 0


@pytest.mark.parametrize(("every", "endless"), [(PACE, True), (0.2, False), (5.0, False)])
def test_only_what_goes_on_often_has_no_end_where_each_piece_is_an_error(
    every: float, endless: bool
) -> None:
    response, now = UnheardResponse(MANY), 10.0
    while now <= 10.1 + PATIENCE:
        response.piece(True, now)
        now += every
    assert response.is_endless(now, hurry=False) == endless
    assert response.is_endless(now, hurry=True) == endless
