"""Each transport passes the same exam."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, suppress

import pytest
from propylon.gateway.tls.certificates import Certificates
from propylon.gateway.transport.min_rate import rate_limit
from propylon.gateway.transport.tls_transport import TlsTransport

from .exam import CHECKS, LARGE, Owner, Pair, a_reset_is_seen_as_none
from .pairs import PlainPair, TlsPair, certificates


@pytest.fixture(scope="module")
def held(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return certificates(tmp_path_factory.mktemp("certificates"))


Make = Callable[..., Pair]


@pytest.fixture(params=["plain", "tls"])
def make(request: pytest.FixtureRequest, held: Certificates) -> Iterator[Make]:
    with ExitStack() as stack:

        def make(*, tcp: bool = False) -> Pair:
            plain = request.param == "plain"
            pair = PlainPair(tcp=tcp) if plain else TlsPair(held.session(), tcp=tcp)
            return stack.enter_context(closing(pair))

        yield make


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_exam(check: Callable[[Pair], None], make: Make) -> None:
    check(make(tcp=check is a_reset_is_seen_as_none))


def test_more_buffers_than_one_call_takes(make: Make) -> None:
    pair = make()
    pair.transport.gather([b"ab"] * 5_000)
    pair.transport.send_kept()
    heard = b""
    while pair.transport.kept:
        heard += pair.client_reads() or b""
        pair.transport.send_kept()
    assert heard + pair.client_reads_all() == b"ab" * 5_000


def test_it_says_once_that_it_is_closed_also_when_tls_has_taken_it_over(
    held: Certificates,
) -> None:
    told: list[str] = []
    with closing(PlainPair()) as plain, closing(TlsPair(held.session())) as tls:
        plain.below.at_close(lambda: told.append("plain"))
        tls.below.at_close(lambda: told.append("tls"))
        over = TlsTransport(tls.below, held.session(), None)
        for transport in (plain.transport, over, plain.transport, over):
            transport.close()
    assert told == ["plain", "tls"]


@pytest.mark.parametrize("least", [0, 5_000])
def test_a_client_that_takes_from_the_kernel_has_its_whole_time_again(least: int) -> None:
    """Though the kernel has no room for more yet."""
    with closing(PlainPair(send_rate=rate_limit(least, 5.0, 50.0))) as pair:
        transport = pair.transport
        transport.send(LARGE)
        assert not transport.takes_too_little(pair.now)
        before = transport.send_by
        slow = []
        for _ in range(200):
            pair.now += 0.25
            pair.client_reads(100)
            slow.append(transport.takes_too_little(pair.now))
        assert not any(slow[:20])
        assert any(slow) is (least > 0)
        assert transport.send_by > before


def test_what_is_peeked_at_is_still_there() -> None:
    with closing(PlainPair()) as pair:
        below = pair.below
        assert below.peek(10) is None
        pair.client_sends(b"header and more")
        assert below.peek(100) == b"header and more"
        assert below.take(0) == b""
        assert below.take(6) == b"header"
        assert below.recv() == b" and more"


class Closes(Owner):
    """Closes at the end, as every driver does."""

    def readable(self) -> None:
        super().readable()
        if self.read[-1:] == [b""]:
            self.transport.close()


def test_the_first_owner_reads_at_once() -> None:
    with closing(PlainPair()) as pair:
        owner = Owner(pair.transport)
        pair.client_sends(b"with the first packet")
        pair.transport.join(owner)
        assert owner.read == [b"with the first packet"]
        pair.client_sends(b"later")
        pair.turn()
        assert owner.read[1:] == [b"later"]


def test_one_that_has_left_before_is_never_watched() -> None:
    with closing(PlainPair()) as pair:
        pair.client_leaves()
        pair.transport.go_on()
        pair.transport.join(Closes(pair.transport))
        assert pair.transport.closed
        assert not pair.poller._watched  # pyright: ignore[reportPrivateUsage]
        assert not pair.poller._going_on  # pyright: ignore[reportPrivateUsage]


def test_an_owner_that_hands_over_at_once_is_not_called_again() -> None:
    with closing(PlainPair()) as pair:
        second = Owner(pair.transport)

        class HandsOver(Owner):
            def readable(self) -> None:
                super().readable()
                pair.client_sends(b"behind it, ")
                pair.transport.join(second)
                assert second.read == [], "it waits for its turn"

        first = HandsOver(pair.transport)
        pair.client_sends(b"first")
        pair.transport.join(first)
        pair.client_sends(b"second")
        pair.turn()
        assert (first.read, second.read) == ([b"first"], [b"behind it, second"])


def test_tls_takes_over_what_the_handshake_has_left(held: Certificates) -> None:
    with closing(PlainPair()) as pair:
        owner = Owner(pair.below)
        pair.below.join(owner)
        pair.below.send(LARGE)
        kept, send_by = pair.below.kept, pair.below.send_by
        above = TlsTransport(pair.below, held.session(), b"early")
        assert (above.kept, above.send_by, above.blocked) == (kept, send_by, True)
        later = Owner(above)
        above.join(later)
        assert (owner.read, later.read) == ([], [b"early"])
        heard = b""
        while above.kept:
            heard += pair.client_reads() or b""
            pair.turn()
        assert heard + pair.client_reads_all() == LARGE
        assert (owner.room, later.room > 0) == (0, True)
        above.reset()


def test_the_end_is_not_said_where_there_is_no_room(held: Certificates) -> None:
    """All was sent, and is still with the kernel, which takes no more. If close_notify were kept,
    the shut socket would call for it, and the error would look as if the client had gone."""
    with closing(TlsPair(held.session())) as pair:
        owner = Owner(pair.transport)
        pair.transport.join(owner)
        with suppress(BlockingIOError):
            while pair.ours.send(b"x"):
                pass
        pair.transport.shut_writing()
        assert (pair.transport.kept, pair.transport.blocked) == (0, False)
        pair.turn()
        assert owner.room == 0


def test_the_end_is_the_socket_s_too(make: Make) -> None:
    """A client that knows nothing of close_notify has to see it."""
    pair = make()
    pair.transport.shut_writing()
    assert isinstance(pair, PlainPair)
    while pair.client.recv(1 << 20):
        pass
