"""Buffers on their way into a socket that takes as many bytes as it likes."""

import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st
from propylon.protocol.send_buffer import MOST_BUFFERS, Unsent


def joined(unsent: Unsent) -> bytes:
    return b"".join(unsent.buffers)


def test_a_part_taken_at_every_byte() -> None:
    buffers = [b"abc", b"d", memoryview(b"efgh"), b"ij"]
    whole = b"".join(buffers)
    for first in range(len(whole) + 1):
        for second in range(len(whole) - first + 1):
            unsent = Unsent()
            for data in buffers:
                unsent.add(data)
            for taken in (first, second):
                unsent.sent(taken)
            assert joined(unsent) == whole[first + second :]
            assert unsent.size == len(whole) - first - second
            assert bool(unsent) == (unsent.size > 0)


@given(st.lists(st.binary(max_size=20) | st.integers(0, 50)))
def test_whatever_is_added_and_taken(steps: list[bytes | int]) -> None:
    unsent, said, taken = Unsent(), b"", 0
    for step in steps:
        if isinstance(step, bytes):
            unsent.add(step)
            said += step
        else:
            count = min(step, unsent.size)
            unsent.sent(count)
            taken += count
        assert joined(unsent) == said[taken:]
        assert unsent.size == len(said) - taken
        assert all(unsent.buffers), "an empty buffer would never be taken"


def test_more_small_buffers_than_one_call_takes() -> None:
    """IOV_MAX: the system call would fail, with nothing sent."""
    one, other = socket.socketpair()
    with one, other:
        unsent = Unsent()
        said = [b"%d," % number for number in range(5 * MOST_BUFFERS)]
        unsent.add_all(said)
        assert len(unsent.buffers) <= MOST_BUFFERS
        heard = b""
        while unsent:
            unsent.sent(one.sendmsg(unsent.buffers))
            heard += other.recv(1 << 20)
        assert heard == b"".join(said)


def test_so_many_are_too_many() -> None:
    one, other = socket.socketpair()
    with one, other, pytest.raises(OSError, match="too long"):
        one.sendmsg([b"x"] * (MOST_BUFFERS + 1))


def test_what_is_forgotten_is_gone() -> None:
    unsent = Unsent()
    unsent.add(b"abc")
    unsent.clear()
    assert (unsent.size, bool(unsent)) == (0, False)
