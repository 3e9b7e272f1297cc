"""Compression is taken off in steps that are bounded, whatever a client sends."""

import zlib

import pytest
from propylon.gateway.websocket.inflate import MOST_INFLATED, Inflater


def packed(message: bytes, mode: int = zlib.Z_SYNC_FLUSH) -> bytes:
    compressor = zlib.compressobj(wbits=-12)
    data = compressor.compress(message) + compressor.flush(mode)
    return data.removesuffix(b"\0\0\xff\xff")


def inflated(inflater: Inflater, data: bytes) -> list[bytes]:
    """The steps of a whole message."""
    inflater.feed(data, True)
    steps: list[bytes] = []
    while inflater.pending:
        steps.append(inflater.step())
    assert inflater.message_over
    return steps


@pytest.mark.parametrize(
    "size",
    [
        0,
        1,
        MOST_INFLATED - 1,
        MOST_INFLATED,
        MOST_INFLATED + 1,
        5 * MOST_INFLATED,
        5 * MOST_INFLATED + 7,
    ],
)
def test_steps_have_a_bound_and_nothing_is_lost(size: int) -> None:
    inflater = Inflater(12, forgets=True)
    for _ in range(2):
        steps = inflated(inflater, packed(bytes(size)))
        assert b"".join(steps) == bytes(size)
        assert all(len(step) <= MOST_INFLATED for step in steps)
        assert len(steps) <= size // MOST_INFLATED + 2


def test_a_window_is_kept_or_not() -> None:
    compressor = zlib.compressobj(wbits=-12)
    first, second = (
        (compressor.compress(b"hello again " * 9) + compressor.flush(zlib.Z_SYNC_FLUSH))[:-4]
        for _ in range(2)
    )
    keeps, forgets = Inflater(12, forgets=False), Inflater(12, forgets=True)
    for inflater in (keeps, forgets):
        assert b"".join(inflated(inflater, first)) == b"hello again " * 9
    assert b"".join(inflated(keeps, second)) == b"hello again " * 9
    with pytest.raises(zlib.error):
        inflated(forgets, second)


@pytest.mark.parametrize("behind", [b"", b"\0", packed(b"!")])
def test_a_stream_may_end_within_a_message(behind: bytes) -> None:
    """What follows is another one, and keeps no bytes that nobody counts."""
    inflater = Inflater(12, forgets=False)
    ended = packed(b"hello", zlib.Z_FINISH)
    for _ in range(2):
        heard = b"".join(inflated(inflater, ended + behind))
        assert heard == b"hello" + (b"!" if len(behind) > 1 else b"")
    assert b"".join(inflated(inflater, ended * 100)) == b"hello" * 100


def test_each_end_of_a_stream_is_a_step() -> None:
    """There may be one in each two bytes."""
    inflater = Inflater(12, forgets=False)
    inflater.feed(packed(b"", zlib.Z_FINISH) * 1_000, False)
    steps = 0
    while inflater.pending:
        assert inflater.step() == b""
        steps += 1
    assert steps == 1_000
