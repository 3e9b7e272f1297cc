"""The poller's barriers: an owner that fails ends, and nobody else notices."""

import socket
from collections.abc import Callable, Iterator

import pytest
import trio
from propylon.gateway.poller import READ, WRITE, Poller


class Owner:
    """Watches one end of a pair; `do` is what it does when it is called."""

    def __init__(self, poller: Poller, do: Callable[["Owner"], None], events: int = READ) -> None:
        self.poller, self.do = poller, do
        self.sock, self.peer = socket.socketpair()
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
    owner.sock.recv(100)


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
    poller.at_end_of_turn(whole)
    assert flushed[-2:] == ["whole", "whole"], "outside of a turn it happens at once"
