"""Pieces of one size become frames of another."""

from hypothesis import given
from hypothesis import strategies as st
from propylon.gateway.http2.piece_buffer import MOST_SMALL_PIECES, PieceBuffer


@given(st.lists(st.one_of(st.binary(max_size=9), st.integers(0, 12)), max_size=40))
def test_what_goes_in_comes_out(steps: list[bytes | int]) -> None:
    buffer, expected = PieceBuffer(), b""
    for step in steps:
        if isinstance(step, bytes):
            buffer.add(step)
            expected += step
        else:
            count = min(step, len(expected))
            assert buffer.take(count) == expected[:count]
            expected = expected[count:]
        assert buffer.size == len(expected)
    assert buffer.take(buffer.size) == expected


def test_a_piece_that_fits_is_not_copied() -> None:
    buffer, piece = PieceBuffer(), b"x" * 1_000
    buffer.add(piece)
    assert buffer.take(1_000) is piece


def test_many_small_ones_are_joined() -> None:
    buffer = PieceBuffer()
    buffer.add(b"0123")
    assert buffer.take(2) == b"01"
    for _ in range(MOST_SMALL_PIECES):
        buffer.add(b"x")
    assert len(buffer._pieces) == 1
    assert buffer.take(4) == b"23xx"
    buffer.add(b"end")
    assert buffer.take(buffer.size) == b"x" * (MOST_SMALL_PIECES - 2) + b"end"


def test_what_is_cleared_is_gone() -> None:
    buffer = PieceBuffer()
    buffer.add(b"abc")
    buffer.take(1)
    buffer.clear()
    buffer.add(b"xyz")
    assert (buffer.size, buffer.take(3)) == (3, b"xyz")
