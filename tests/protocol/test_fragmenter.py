"""Messages cut into pieces: what comes out is what went in, within every limit."""

from itertools import cycle

import pytest
from hypothesis import given
from hypothesis import strategies as st
from propylon.protocol.fragmenter import Fragmenter
from propylon.protocol.messages import MAX_BODY

TEXTS = st.text(st.characters(exclude_categories=["Cs"]))


def size(data: bytes | str) -> int:
    return len(data) if isinstance(data, bytes) else len(data.encode())


def pieces(data: bytes | str, limit: int) -> list[bytes | str]:
    fragmenter, found = Fragmenter[bytes | str](data), list[bytes | str]()
    while (piece := fragmenter.take(limit)) is not None:
        found.append(piece)
    assert fragmenter.done
    return found


@given(st.binary() | TEXTS, st.lists(st.integers(0, 20), min_size=1))
def test_pieces_join_to_the_message(data: bytes | str, limits: list[int]) -> None:
    fragmenter, found = Fragmenter[bytes | str](data), list[bytes | str]()
    for limit in cycle([*limits, 4]):  # four bytes let any character through
        piece = fragmenter.take(limit)
        if piece is not None:
            assert size(piece) <= limit
            assert piece or not data
            found.append(piece)
        if fragmenter.done:
            break
    assert data[:0].join(found) == data  # type: ignore[arg-type]
    assert fragmenter.take(1000) is None


@given(st.binary() | TEXTS, st.integers(4, 20))
def test_pieces_are_as_long_as_they_may_be(data: bytes | str, limit: int) -> None:
    for piece in pieces(data, limit)[:-1]:
        assert size(piece) > limit - (1 if isinstance(data, bytes) else 4)


@pytest.mark.parametrize("data", [b"", ""])
def test_an_empty_message_is_one_empty_piece_at_any_credit(data: bytes | str) -> None:
    """But for a debt: there is no credit for the overhead of a piece."""
    assert pieces(data, 0) == [data]
    fragmenter = Fragmenter[bytes | str](data)
    assert (fragmenter.take(-1), fragmenter.begun) == (None, False)
    assert fragmenter.take(0) == data


@pytest.mark.parametrize("data", [b"whole", "whole", "gänze"])
def test_what_fits_is_not_copied(data: bytes | str) -> None:
    (piece,) = pieces(data, size(data))
    assert piece is data


def test_a_character_waits_for_the_credit_that_it_needs() -> None:
    fragmenter = Fragmenter("a\U0001f600b")
    assert not fragmenter.begun
    assert fragmenter.take(0) is None
    assert not fragmenter.begun
    assert fragmenter.take(3) == "a"
    assert fragmenter.begun
    assert fragmenter.take(3) is None
    assert fragmenter.take(4) == "\U0001f600"
    assert not fragmenter.done
    assert fragmenter.take(3) == "b"
    assert fragmenter.done


def test_what_utf8_cannot_carry_is_refused_before_the_first_piece() -> None:
    with pytest.raises(UnicodeEncodeError):
        Fragmenter("x" * 100 + "\ud800")


class CountedBytes(bytes):
    """Counts the bytes that its slices copy."""

    copied = 0

    def __getitem__(self, key):  # type: ignore[override]
        part = super().__getitem__(key)
        self.copied += len(part)  # type: ignore[arg-type]
        return part


class CountedText(str):
    """Counts the characters that its slices copy and its encodings read."""

    copied = 0

    def __getitem__(self, key):  # type: ignore[override]
        part = super().__getitem__(key)
        self.copied += len(part)
        return part

    def encode(self, *arguments: str) -> bytes:  # type: ignore[override]
        self.copied += len(self)
        return super().encode(*arguments)


@pytest.mark.parametrize("kind", ["bytes", "ascii", "text"])
def test_the_rest_is_not_copied_for_every_piece(kind: str) -> None:
    data = {
        "bytes": CountedBytes(b"x" * 5_000_000),
        "ascii": CountedText("x" * 5_000_000),
        "text": CountedText("é" * 5_000),
    }[kind]
    assert len(pieces(data, min(MAX_BODY, len(data) // 50))) > 50
    assert data.copied <= len(data)
