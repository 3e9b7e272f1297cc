"""The poller's barriers: an owner that fails ends, and nobody else notices."""

import gc
import os
import socket
from collections.abc import Callable, Iterator
from time import monotonic

import pytest
import trio
import trio.testing
from propylon.gateway.transport.poller import MOST_FLUSHES, READ, WRITE, Poller, read_now


class Owner:
    """Watches one end of a pair; `do` is what it does when it is called."""

    def __init__(self, poller: Poller, do: Callable[["Owner"], None], events: int = READ) -> None:
        self.poller, self.do = poller, do
        self.sock, self.peer = socket.socketpair()
        self.sock.setblocking(False)
        self.calls = 0
        self.cuts = 0
        poller.add(self.sock.fileno(), self, events)

    def readable(self) -> None:
        self.calls += 1
        self.do(self)

    def writable(self) -> None:
        self.calls += 1
        self.do(self)

    def cut(self) -> None:
        self.cuts += 1

    def close(self) -> None:
        self.sock.close()
        self.peer.close()


class Ends(Owner):
    """Does in `cut` what an owner should."""

    def cut(self) -> None:
        super().cut()
        self.poller.remove(self.sock.fileno())
        self.sock.close()


class FailsToEnd(Owner):
    def cut(self) -> None:
        super().cut()
        raise RuntimeError("the end fails too")


def fail(owner: Owner) -> None:
    raise RuntimeError("a persistent fault")


def read(owner: Owner) -> None:
    try:
        owner.sock.recv(100)
    except BlockingIOError:
        pass


@pytest.fixture
def owners() -> Iterator[list[Owner]]:
    made: list[Owner] = []
    yield made
    for owner in made:
        owner.close()


async def turns(poller: Poller, well: Owner, count: int = 5) -> None:
    """So many turns, each of which brings something to a socket that is well."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(poller.run)
        for number in range(count):
            well.peer.send(b"x")
            with trio.fail_after(20):
                while well.calls <= number:
                    await trio.lowlevel.checkpoint()
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("kind", [Owner, Ends, FailsToEnd])
@pytest.mark.parametrize("events", [READ, WRITE])
async def test_an_owner_that_fails_is_cut_and_never_called_again(
    kind: type[Owner], events: int, owners: list[Owner], caplog: pytest.LogCaptureFixture
) -> None:
    poller = Poller()
    failing, well = kind(poller, fail, events), Owner(poller, read)
    owners += [failing, well]
    failing.peer.send(b"never read")
    await turns(poller, well)
    assert (failing.calls, failing.cuts) == (1, 1)
    assert caplog.messages.count("a socket's owner failed") == 1
    poller.remove(failing.sock.fileno())  # harmless for one that was dropped


class PutsOff(Owner):
    """Says what it does, and does it when all are read."""

    said: list[str]

    def readable(self) -> "PutsOff":  # type: ignore[override]
        read(self)
        self.said.append(f"reads {self.peer.fileno()}")
        return self

    def advance(self) -> None:
        self.said.append(f"handles {self.peer.fileno()}")
        self.do(self)


@pytest.mark.parametrize("kind", [PutsOff, type("", (FailsToEnd, PutsOff), {})])
def test_what_is_put_off_is_done_when_all_are_read_and_before_the_turns_end(
    kind: type[PutsOff], owners: list[Owner], caplog: pytest.LogCaptureFixture
) -> None:
    """One of them fails, and the others notice nothing."""
    poller, said = Poller(), list[str]()

    def do(owner: Owner) -> None:
        poller.at_end_of_turn(lambda: said.append("flushes"))

    several = [PutsOff(poller, do), kind(poller, fail), PutsOff(poller, do)]
    owners += several
    for owner in several:
        owner.said = said
        owner.peer.send(b"x")
    poller._turn()
    ends = [owner.peer.fileno() for owner in several]
    assert said == [
        *[f"reads {end}" for end in ends],
        *[f"handles {end}" for end in ends],
        "flushes",
        "flushes",
    ]
    assert [owner.cuts for owner in several] == [0, 1, 0]
    assert caplog.messages.count("a socket's owner failed") == 1
    for owner in several:
        owner.peer.send(b"x")
    said.clear()
    poller._turn()
    assert f"reads {ends[1]}" not in said, "it is not watched any more"
    assert f"reads {ends[2]}" in said
    read_now(several[0])
    assert said[-2:] == [f"reads {ends[0]}", f"handles {ends[0]}"]


async def test_a_flush_that_fails_leaves_the_turn_whole(owners: list[Owner]) -> None:
    poller = Poller()
    flushed: list[str] = []

    def do(owner: Owner) -> None:
        read(owner)
        for flush in (broken, whole):
            poller.at_end_of_turn(flush)
        assert len(flushed) == 2 * (owner.calls - 1), "flushed before the turn's end"

    def broken() -> None:
        flushed.append("broken")
        raise RuntimeError("cannot be sent")

    def whole() -> None:
        flushed.append("whole")

    well = Owner(poller, do)
    owners.append(well)
    await turns(poller, well, 3)
    assert flushed == ["broken", "whole"] * 3
    assert well.cuts == 0


def test_what_is_said_outside_of_a_turn_is_flushed_together_by_the_next() -> None:
    poller = Poller()
    flushed: list[int] = []
    for number in range(3):
        poller.at_end_of_turn(lambda number=number: flushed.append(number))
    assert flushed == []
    poller._turn(60.0)
    assert flushed == [0, 1, 2], "and it does not wait for a socket"


async def test_the_next_turn_comes_at_once_for_what_is_said_outside_of_one() -> None:
    """By the loop itself, or by a thread."""
    poller = Poller()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(poller.run)
        await trio.testing.wait_all_tasks_blocked()
        for say in (poller.at_end_of_turn, poller.call_soon_threadsafe):
            heard = trio.Event()
            say(heard.set)
            with trio.fail_after(20):
                await heard.wait()
        heard, told = trio.Event(), []
        with trio.fail_after(20):
            await trio.to_thread.run_sync(poller.call_soon_threadsafe, heard.set)
            await heard.wait()
        nursery.cancel_scope.cancel()
        poller.at_end_of_turn(lambda: told.append("the last"))
    assert told == ["the last"], "what was gathered goes out before the end"
    poller.at_end_of_turn(lambda: told.append("behind the end"))
    poller.call_soon_threadsafe(lambda: None)
    assert told[1:] == ["behind the end"]


async def test_a_thread_that_is_late_writes_to_no_other_s_file() -> None:
    """It has seen that the poller runs, and writes when the poller has ended."""
    poller = Poller()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(poller.run)
        await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    number = poller._wakeup
    os.eventfd_write(number, 1)
    del poller, nursery
    gc.collect()
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.eventfd_write(number, 1)


def test_what_fails_in_a_handed_over_call_is_its_own(caplog: pytest.LogCaptureFixture) -> None:
    poller = Poller()
    done: list[str] = []

    def broken() -> None:
        raise RuntimeError("a fault of ours")

    poller.call_soon_threadsafe(broken)
    poller.call_soon_threadsafe(lambda: done.append("it"))
    poller._turn(60.0)
    assert done == ["it"]
    assert "a fault of ours" in caplog.text


def test_a_turn_with_something_left_to_do_does_not_wait() -> None:
    poller = Poller()
    flushes: list[int] = []

    def again() -> None:
        flushes.append(1)
        if len(flushes) < 2 * MOST_FLUSHES:
            poller.at_end_of_turn(again)

    poller.at_end_of_turn(again)
    patience, begun = 5.0, monotonic()
    while len(flushes) < 2 * MOST_FLUSHES:
        poller._turn(patience)
    assert monotonic() < begun + patience


def test_a_flush_that_brings_about_the_next_leaves_others_their_turn() -> None:
    """A source that always has more to push."""
    poller = Poller()
    flushes = turns_of_others = 0

    def again() -> None:
        nonlocal flushes
        flushes += 1
        if flushes < 100:
            poller.at_end_of_turn(again)

    poller.at_end_of_turn(again)
    other = Owner(poller, endless)
    try:
        other.peer.send(b"x")
        while flushes < 100:
            assert poller._turn(60.0), "there is something to do"
            turns_of_others = other.calls
        assert turns_of_others >= 100 // MOST_FLUSHES
    finally:
        other.close()


class KeepsOn(Owner):
    """Has ten turns' work of what it reads once, and reads nothing meanwhile."""

    left = 0

    def readable(self) -> None:
        self.calls += 1
        if self.left:
            self.left -= 1
        else:
            self.sock.recv(1)
            self.left = 10
        if self.left:
            self.poller.go_on(self.sock.fileno())


def test_who_goes_on_has_one_share_of_each_turn(owners: list[Owner]) -> None:
    """Behind the others, although its socket is readable too, and behind what they have to send."""
    poller = Poller()
    order: list[str] = []
    flushed: list[int] = []

    def note(owner: Owner) -> None:
        order.append(f"other {busy.calls}")
        poller.at_end_of_turn(lambda: flushed.append(busy.calls))
        endless(owner)

    busy, other = KeepsOn(poller, read), Owner(poller, note)
    owners += [busy, other]
    busy.peer.send(b"first, and more that is not read meanwhile")
    other.peer.send(b"x")
    for number in range(1, 12):
        assert poller._turn(60.0)
        assert busy.calls == number, "one share a turn"
    assert order[1:] == [f"other {number}" for number in range(1, 11)], "it was heard before"
    assert flushed[1:] == [*range(1, 11)], "its share was handled before others' bytes went out"


def test_a_turn_with_somebody_who_goes_on_does_not_wait(owners: list[Owner]) -> None:
    """No socket tells of what is left, so a lost wake-up would be one for ever."""
    poller = Poller()
    busy = KeepsOn(poller, read)
    owners.append(busy)
    busy.peer.send(b"x")
    patience, begun = 5.0, monotonic()
    for _ in range(11):
        assert poller._turn(patience)
    assert (busy.left, busy.calls) == (0, 11)
    assert monotonic() < begun + patience
    assert not poller._turn(0.0), "it turns in circles"


async def test_who_goes_on_wakes_the_loop(
    owners: list[Owner], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between two rounds, and outside of a turn."""
    monkeypatch.setattr("propylon.gateway.transport.poller.LONGEST_ROUND", 0.0)
    poller = Poller()
    busy = KeepsOn(poller, read)
    owners.append(busy)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(poller.run)
        await trio.testing.wait_all_tasks_blocked()
        busy.left = 10
        poller.go_on(busy.sock.fileno())
        with trio.fail_after(20):
            while busy.calls < 10:
                await trio.lowlevel.checkpoint()
        nursery.cancel_scope.cancel()
    assert busy.left == 0


def test_who_has_ended_does_not_go_on(owners: list[Owner]) -> None:
    """Its number may be another's by then."""
    poller = Poller()
    busy = KeepsOn(poller, read)
    owners.append(busy)
    poller.go_on(busy.sock.fileno())
    poller.remove(busy.sock.fileno())
    other = KeepsOn.__new__(KeepsOn)
    number = busy.sock.fileno()
    busy.sock.close()
    Owner.__init__(other, poller, read)
    owners.append(other)
    assert number in (other.sock.fileno(), other.peer.fileno())
    poller._turn(0.0)
    assert (busy.calls, other.calls) == (0, 0)


def endless(owner: Owner) -> None:
    """Has the next turn find something again."""
    owner.sock.recv(100)
    owner.peer.send(b"x")


async def test_traffic_that_never_ends_leaves_trio_its_turns(owners: list[Owner]) -> None:
    poller = Poller()
    busy = Owner(poller, endless)
    owners.append(busy)
    busy.peer.send(b"x")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(poller.run)
        with trio.fail_after(20):
            for number in range(1, 4):
                while busy.calls < number * 10:
                    await trio.lowlevel.checkpoint()
        nursery.cancel_scope.cancel()
