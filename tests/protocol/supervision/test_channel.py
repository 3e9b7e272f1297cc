"""One end of a channel between a supervisor and a child."""

import json
import os
import socket
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
from propylon.protocol.supervision.channel import LAST_WORDS, MOST_WAITING, Channel, LineReader
from propylon.protocol.supervision.codec import LONGEST_LINE, line_of, read_order, read_report
from propylon.protocol.supervision.messages import (
    ExitNow,
    ForkExited,
    ForkWorker,
    GatewayAlive,
    GatewayDraining,
    LinkedWorker,
    Listening,
    PoolWorkers,
    RecycleWish,
    ReopenLogs,
    Vitals,
    WorkerEnded,
    WorkerForked,
)

Pair = tuple[Channel[Any], socket.socket]


@pytest.fixture
def pair() -> Iterator[Pair]:
    """A channel that is soon full, and the other end's socket."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.setblocking(False)
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1)
        theirs.settimeout(20)
        yield Channel(ours, read_order), theirs


def fill(channel: Channel[Any]) -> None:
    """Until something waits."""
    for number in range(1_000):
        channel.say(ForkExited(-number, 0))
        if not channel.all_said:
            return
    raise AssertionError("the socket takes everything")


# -- reading ---------------------------------------------------------------------------------


def test_lines_however_they_are_cut() -> None:
    data = b"one\n\ntwo\nthree\nrest"
    for size in range(1, len(data) + 1):
        reader = LineReader()
        lines = [
            line
            for start in range(0, len(data), size)
            for line in reader.feed(data[start : start + size])
        ]
        assert (lines, reader.unread) == ([b"one", b"", b"two", b"three"], b"rest")


def test_somebody_else_reads_on_in_the_middle_of_a_line() -> None:
    line = line_of(RecycleWish("is old"))
    for cut in range(len(line)):
        first = LineReader()
        first.feed(line[:cut])
        (whole,) = LineReader(first.unread).feed(line[cut:])
        assert read_report(whole) == RecycleWish("is old")


def test_a_line_that_is_too_long_is_dropped_to_its_end_and_costs_no_memory() -> None:
    reader = LineReader()
    for _ in range(LONGEST_LINE // 65_536 + 10):
        assert reader.feed(b"x" * 65_536) == []
        assert len(reader.unread) <= LONGEST_LINE + 1
    reader = LineReader(reader.unread)  # an upgrade in the midst of it
    assert reader.feed(b"now\nreopen\nno") == [b"reopen"]
    assert reader.feed(b"w\n") == [b"now"]


def test_the_longest_line_is_read() -> None:
    reader = LineReader()
    lines = [
        line
        for data in (b"x" * LONGEST_LINE + b"\n", b"x" * (LONGEST_LINE + 1) + b"\n", b"now\n")
        for line in reader.feed(data)
    ]
    assert [len(line) for line in lines] == [LONGEST_LINE, 3]


def test_orders_are_heard_between_what_is_none(pair: Pair) -> None:
    channel, theirs = pair
    heard: list[object] = []
    for said in (b"later\nno", b"w\n", b"x\nended 7\n", b"x" * 9_000 + b"now\n", b"reopen\n"):
        theirs.sendall(said)
        heard += channel.hear()
    assert heard == [ExitNow(), WorkerEnded(7), ReopenLogs()]
    assert not channel.ended
    theirs.sendall(b"now\nno")
    theirs.close()
    assert channel.hear() == [ExitNow()]
    assert channel.ended
    assert channel.hear() == []


def test_who_never_stops_talking_is_not_all_that_is_listened_to() -> None:
    class Talker:
        def send(self, data: bytes, /) -> int:
            raise AssertionError

        def recv(self, size: int, /) -> bytes:
            return b"now\n" * (size // 4)

    assert Channel(Talker(), read_order).hear()


def test_a_reset_is_an_end(pair: Pair) -> None:
    channel, theirs = pair
    channel.say(Listening())
    theirs.close()  # with words unread
    assert channel.hear() == []
    assert channel.ended
    channel.say(GatewayDraining())
    channel.say(GatewayAlive())
    assert channel.all_said


# -- writing ---------------------------------------------------------------------------------


def lines(channel: Channel[Any], theirs: socket.socket) -> list[dict[str, Any]]:
    """All that was said, read while it is written."""
    data = b""
    while not channel.flush():
        data += theirs.recv(65_536)
    theirs.setblocking(False)
    try:
        while more := theirs.recv(65_536):
            data += more
    except BlockingIOError:
        pass
    assert data.endswith(b"\n")
    return [json.loads(line) for line in data.splitlines()]


def test_of_each_kind_the_latest_waits_and_nothing_is_torn(pair: Pair) -> None:
    channel, theirs = pair
    channel.say(Listening())
    fill(channel)
    for number in range(300):
        for pool in ("api", "site"):
            channel.say(PoolWorkers(pool, (LinkedWorker("x" * 700, number),) * 8))
        channel.say(Vitals(requests=number))
    channel.say(GatewayDraining())
    channel.say(PoolWorkers("site", ()))
    assert channel.waiting_size < 30_000
    said = lines(channel, theirs)
    assert said[0] == {"event": "listening"}
    kinds = [(one["event"], one.get("pool")) for one in said if one["event"] != "exited"]
    assert kinds == [
        ("listening", None), ("workers", "api"), ("draining", None), ("workers", "site"),
    ]  # fmt: skip
    assert [one["workers"][0]["worker"] for one in said if one.get("pool") == "api"] == [299]
    assert said[-1]["workers"] == []


def test_a_sign_of_life_is_dropped_while_something_waits_and_comes_again(pair: Pair) -> None:
    channel, theirs = pair
    fill(channel)
    channel.say(Vitals(calls=1))
    assert not [one for one in lines(channel, theirs) if one["event"] == "vitals"]
    channel.say(Vitals(calls=2))
    assert [one["calls"] for one in lines(channel, theirs)] == [2]


def test_what_waits_is_bounded(pair: Pair) -> None:
    channel, theirs = pair
    fill(channel)
    for number in range(2 * MOST_WAITING):
        channel.say(WorkerEnded(number))
    before = channel.waiting_size
    channel.say(WorkerEnded(-1))
    assert channel.waiting_size == before < 40_000
    assert theirs.recv(1)


def test_what_was_said_is_sent_when_there_is_room(pair: Pair) -> None:
    channel, theirs = pair
    channel.say(RecycleWish("x" * 500_000))
    assert not channel.all_said
    (said,) = lines(channel, theirs)
    assert len(said["why"]) == 500_000


def test_last_words_are_waited_for_but_not_for_ever(pair: Pair) -> None:
    channel, theirs = pair
    channel.say(RecycleWish("x" * 300_000))
    now = [0.0]
    got: list[bytes] = []

    def nap(seconds: float) -> None:
        now[0] += seconds
        got.append(theirs.recv(65_536))

    channel.flush_before_exit(lambda: now[0], nap)
    assert channel.all_said
    assert now[0] < LAST_WORDS
    fill(channel)
    begun = now[0]

    def sleep(seconds: float) -> None:
        now[0] += seconds

    channel.flush_before_exit(lambda: now[0], sleep)
    assert now[0] == pytest.approx(begun + LAST_WORDS, abs=0.1)
    assert not channel.all_said


# -- descriptors -----------------------------------------------------------------------------


def test_descriptors_go_with_their_lines() -> None:
    ours, far = socket.socketpair()
    with ours, far:
        ours.setblocking(False)
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1)
        channel = Channel(
            ours, read_order, send_fds=lambda data, fds: socket.send_fds(ours, [data], fds)
        )
        fill(channel)
        with open(os.devnull, "rb") as file:
            channel.say(WorkerForked(1, 17, True), [file.fileno()])
            channel.say(ForkWorker(2, {"app": "x"}), [file.fileno()])
            channel.withdraw(ForkWorker(2, {"app": "x"}))
            data, fds = b"", []
            said = False
            while not said:  # what comes with descriptors is received by itself
                said = channel.flush()
                far.setblocking(False)
                with suppress(BlockingIOError):
                    while True:
                        more, more_fds, _, _ = socket.recv_fds(far, 4_096, 4)
                        data += more
                        fds += more_fds
            assert data.endswith(line_of(WorkerForked(1, 17, True)))
        (fd,) = fds
        assert os.read(fd, 1) == b""
        os.close(fd)
