"""What every `Transport` has to do, as trio's `check_one_way_stream` asks it of streams.

A `Pair` is a transport and the client at its other end, with little room in between. Each check is
a function of a fresh pair; `CHECKS` are all of them.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable

from propylon.gateway.transport.poller import Poller
from propylon.gateway.transport.transport import Transport

SEND_TIMEOUT = 7.0
LARGE = bytes(range(256)) * 4_096
"""More than a transport's client takes at once."""


class Pair(ABC):
    """What an implementation brings to its exam."""

    transport: Transport
    poller: Poller
    now: float
    """What the transport's clock shows."""

    @abstractmethod
    def client_sends(self, data: bytes) -> None: ...

    @abstractmethod
    def client_reads(self, most: int = 1 << 20) -> bytes | None:
        """What has come for it, of some `most` bytes on the wire; b"" for nothing, None for the
        end. Raises ConnectionResetError."""

    @abstractmethod
    def client_shuts(self) -> None:
        """It says that it will send no more."""

    @abstractmethod
    def client_leaves(self) -> None:
        """It closes without a word."""

    @abstractmethod
    def close(self) -> None: ...

    def client_reads_all(self) -> bytes:
        data = b""
        while piece := self.client_reads():
            data += piece
        return data

    def turn(self) -> None:
        """Lets the poller tell the owner, if there is something to tell."""
        self.poller._turn(0.0)  # pyright: ignore[reportPrivateUsage]


class Owner:
    """Writes down what it is told."""

    def __init__(self, transport: Transport) -> None:
        self.transport = transport
        self.read: list[bytes] = []
        self.room = 0
        """How often it was told that there is room."""

    def readable(self) -> None:
        data = self.transport.recv()
        if data is not None:
            self.read.append(data)

    def writable(self) -> None:
        self.room += 1
        self.transport.send_kept()

    def cut(self) -> None:
        raise AssertionError("an owner has failed")


def what_is_sent_goes_at_once(pair: Pair) -> None:
    for data in (b"a", b"", b"bc"):
        pair.transport.send(data)
        assert pair.client_reads() == data
    assert (pair.transport.kept, pair.transport.blocked, pair.transport.send_by) == (0, False, 0.0)


def what_is_gathered_waits(pair: Pair) -> None:
    transport = pair.transport
    assert transport.gather((b"a", b"b"))
    assert not transport.gather((b"c",))
    assert (transport.kept > 0, transport.blocked, transport.send_by) == (True, False, 0.0)
    assert pair.client_reads() == b""
    kept = transport.kept
    assert transport.send_kept() == kept
    assert pair.client_reads_all() == b"abc"
    assert transport.gather((b"d",))
    transport.send(b"e")
    assert (transport.kept, pair.client_reads_all()) == (0, b"de")


def what_the_client_does_not_take_is_kept(pair: Pair) -> None:
    """In its order, and the owner is told each time that there is room."""
    transport, owner = pair.transport, Owner(pair.transport)
    transport.join(owner)
    transport.gather((LARGE[:100], LARGE[100:200]))
    transport.send(LARGE[200:])
    transport.send(b"behind")
    transport.gather((b" it",))
    assert transport.blocked
    kept, heard = transport.kept, b""
    assert kept > 0
    while transport.kept:
        piece = pair.client_reads(50_000)
        assert piece is not None
        heard += piece
        pair.turn()
        assert transport.kept <= kept
        assert transport.blocked == (transport.kept > 0)
        kept = transport.kept
    assert owner.room > 1
    heard += pair.client_reads_all()
    assert heard == LARGE + b"behind it"
    rounds = owner.room
    pair.turn()
    assert owner.room == rounds, "it is told of room that it does not wait for"


def a_client_that_takes_some_has_all_its_time_again(pair: Pair) -> None:
    transport = pair.transport
    transport.join(Owner(transport))
    transport.send(LARGE)
    assert transport.send_by == pair.now + SEND_TIMEOUT
    pair.now += 1.0
    transport.send(b"more")
    assert transport.send_kept() == 0
    assert transport.send_by == pair.now - 1.0 + SEND_TIMEOUT, "it has taken nothing"
    while transport.send_by != pair.now + SEND_TIMEOUT:
        assert transport.kept
        pair.client_reads(50_000)
        pair.turn()
    while transport.kept:
        pair.client_reads()
        pair.turn()
    assert transport.send_by == 0.0


def what_the_client_sends_is_read(pair: Pair) -> None:
    transport, owner = pair.transport, Owner(pair.transport)
    assert transport.recv() is None
    transport.join(owner)
    pair.client_sends(b"hello")
    pair.turn()
    assert owner.read == [b"hello"]
    pair.turn()
    assert owner.read == [b"hello"]
    pair.client_shuts()
    pair.turn()
    assert owner.read == [b"hello", b""]


def the_last_bytes_come_before_the_end(pair: Pair) -> None:
    owner = Owner(pair.transport)
    pair.client_sends(b"bye")
    pair.client_shuts()
    pair.transport.join(owner)
    for _ in range(3):
        pair.turn()
    assert b"".join(owner.read) == b"bye"
    assert owner.read[-1] == b""


def nobody_is_told_of_bytes_while_reading_pauses(pair: Pair) -> None:
    transport, owner = pair.transport, Owner(pair.transport)
    transport.join(owner)
    transport.pause()
    assert transport.paused
    pair.client_sends(b"later")
    pair.turn()
    assert owner.read == []
    transport.pause(False)
    pair.turn()
    assert owner.read == [b"later"]
    transport.pause()
    pair.client_leaves()
    pair.turn()
    assert owner.read[1:] == [b""], "the end is noticed all the same"


def a_deaf_pause_hears_the_end_when_it_is_over(pair: Pair) -> None:
    transport, owner = pair.transport, Owner(pair.transport)
    transport.join(owner)
    transport.pause(deaf=True)
    pair.client_sends(b"last")
    pair.client_shuts()
    for _ in range(3):
        pair.turn()
    assert owner.read == []
    transport.pause(False)
    for _ in range(3):
        pair.turn()
    assert b"".join(owner.read) == b"last"
    assert owner.read[-1] == b""


def what_is_dropped_is_read(pair: Pair) -> None:
    """And so the end behind it is found."""
    assert pair.transport.drop(), "nothing has come yet"
    pair.client_sends(LARGE[:50_000])
    assert pair.transport.drop()
    for _ in range(20):  # as many reads as TLS may take
        pair.transport.drop()
    pair.client_sends(b"heard")
    assert pair.transport.recv() == b"heard"
    pair.client_shuts()
    for _ in range(3):
        ended = not pair.transport.drop()
    assert ended


def another_owner_takes_over(pair: Pair) -> None:
    first, second = Owner(pair.transport), Owner(pair.transport)
    pair.transport.join(first)
    pair.transport.send(LARGE)
    pair.client_sends(b"for the second")
    pair.transport.join(second)
    pair.turn()
    assert (first.read, second.read) == ([], [b"for the second"])
    while pair.transport.kept:
        pair.client_reads(50_000)
        pair.turn()
    assert (first.room, second.room > 0) == (0, True)


def the_end_is_sent_behind_everything(pair: Pair) -> None:
    pair.transport.send(b"last")
    pair.transport.shut_writing()
    assert pair.client_reads_all() == b"last"
    assert pair.client_reads() is None
    pair.client_sends(b"too late")
    assert not pair.transport.closed
    pair.transport.close()
    assert pair.transport.closed


def a_close_is_seen_as_the_end(pair: Pair) -> None:
    pair.transport.join(Owner(pair.transport))
    pair.transport.send(b"all")
    pair.transport.close()
    pair.transport.close()
    pair.transport.reset()
    assert pair.transport.closed
    assert pair.client_reads_all() == b"all"
    assert pair.client_reads() is None
    pair.turn()


def a_reset_is_seen_as_none(pair: Pair) -> None:
    pair.transport.join(Owner(pair.transport))
    pair.transport.gather((b"half",))
    pair.transport.reset()
    pair.transport.reset()
    assert (pair.transport.closed, pair.transport.kept) == (True, 0)
    try:
        ended = pair.client_reads() is None
    except OSError:
        ended = False
    assert not ended
    pair.turn()


def a_client_that_is_gone_is_an_error(pair: Pair) -> None:
    pair.client_leaves()
    try:
        for _ in range(3):
            pair.transport.send(LARGE)
            pair.transport.send_kept()
    except OSError:
        return
    raise AssertionError("nobody is there, and nobody says so")


CHECKS: list[Callable[[Pair], None]] = [
    what_is_sent_goes_at_once,
    what_is_gathered_waits,
    what_the_client_does_not_take_is_kept,
    a_client_that_takes_some_has_all_its_time_again,
    what_the_client_sends_is_read,
    the_last_bytes_come_before_the_end,
    nobody_is_told_of_bytes_while_reading_pauses,
    a_deaf_pause_hears_the_end_when_it_is_over,
    what_is_dropped_is_read,
    another_owner_takes_over,
    the_end_is_sent_behind_everything,
    a_close_is_seen_as_the_end,
    a_reset_is_seen_as_none,
    a_client_that_is_gone_is_an_error,
]
