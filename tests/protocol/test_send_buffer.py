"""Buffers on their way into a socket that takes as many bytes as it likes."""

import socket
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from propylon.protocol.send_buffer import MOST_BUFFERS, SendBuffer


def joined(unsent: SendBuffer) -> bytes:
    return b"".join(unsent.buffers)


def test_a_part_taken_at_every_byte() -> None:
    buffers = [b"abc", b"d", memoryview(b"efgh"), b"ij"]
    whole = b"".join(buffers)
    for first in range(len(whole) + 1):
        for second in range(len(whole) - first + 1):
            unsent = SendBuffer()
            for data in buffers:
                unsent.add(data)
            for taken in (first, second):
                unsent.sent(taken)
            assert joined(unsent) == whole[first + second :]
            assert unsent.size == len(whole) - first - second
            assert bool(unsent) == (unsent.size > 0)


@given(st.lists(st.binary(max_size=20) | st.integers(0, 50)))
def test_whatever_is_added_and_taken(steps: list[bytes | int]) -> None:
    unsent, said, taken = SendBuffer(), b"", 0
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
        unsent = SendBuffer()
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
    unsent = SendBuffer()
    unsent.add(b"abc")
    unsent.clear()
    assert (unsent.size, bool(unsent)) == (0, False)


class Taker:
    """A socket's `sendmsg` that takes so many bytes each time, 0: none for now."""

    def __init__(self, *counts: int) -> None:
        self.counts = list(counts)
        self.taken: list[bytes] = []

    def sendmsg(self, buffers: Iterable[bytes | memoryview]) -> int:
        count = self.counts.pop(0)
        if not count:
            raise BlockingIOError
        self.taken.append(b"".join(buffers)[:count])
        return len(self.taken[-1])


@pytest.mark.parametrize(
    ("counts", "batches", "outcome", "taken", "left"),
    [
        ([], [], "sent", [], b""),
        ([9], [[b"ab", b"c"]], "sent", [b"abc"], b""),
        ([9, 9], [[b"a"], [b"b"]], "sent", [b"a", b"b"], b""),
        ([2], [[b"ab", b"c"], [b"later"]], "blocked", [b"ab"], b"c"),
        ([0], [[b"ab"], [b"later"]], "blocked", [], b"ab"),
        ([9, 0], [[b"ab"], [b"c"]], "blocked", [b"ab"], b"c"),
    ],
)
def test_what_is_left_is_sent_until_the_socket_takes_no_more(
    counts: list[int], batches: list[list[bytes]], outcome: str, taken: list[bytes], left: bytes
) -> None:
    unsent, taker = SendBuffer(), Taker(*counts)
    refill = iter(batches)
    assert unsent.send(taker.sendmsg, lambda: next(refill, [])) == outcome
    assert (taker.taken, joined(unsent), taker.counts) == (taken, left, [])


def test_what_waits_goes_before_the_next_batch() -> None:
    unsent, taker = SendBuffer(), Taker(9, 9)
    unsent.add(b"first")
    refill = iter([[b"second"]])
    assert unsent.send(taker.sendmsg, lambda: next(refill, [])) == "sent"
    assert taker.taken == [b"first", b"second"]
