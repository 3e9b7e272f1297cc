"""Credit across filters whose output has another length than their input, and chains of them."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st
from propylon.gateway.exchange.end_codes import APP_FAILED_RESPONSE
from propylon.gateway.exchange.exchange import Exchange
from propylon.gateway.exchange.filters import Filter, FilterChain, Ledger

from ...fakes.exchange_sides import FakeClient, FakeSource, PushingSource, exchange_of


@given(
    pieces=st.lists(st.tuples(st.integers(1, 100), st.integers(0, 100)), max_size=30),
    steps=st.lists(st.integers(1, 50), max_size=60),
)
def test_what_went_in_has_its_credit_when_what_came_out_is_taken(
    pieces: list[tuple[int, int]], steps: list[int]
) -> None:
    ledger = Ledger()
    for went_in, came_out in pieces:
        ledger.pass_through(went_in, came_out)
    taken = credit = 0
    for step in steps:
        step = min(step, sum(out for _, out in pieces) - taken)
        taken += step
        credit += ledger.taken(step)
        through = owed = 0
        for went_in, came_out in pieces:
            through += came_out
            owed += went_in if through <= taken else 0
        assert credit == owed
    credit += ledger.taken(sum(out for _, out in pieces) - taken)
    assert credit == sum(went_in for went_in, _ in pieces), "in the end all of it"


class Holds(Filter):
    """Keeps all, and says it in one piece at the end."""

    def __init__(self) -> None:
        self.kept = b""

    def body(self, data: bytes) -> Iterable[bytes]:
        self.kept += data
        return ()

    def end(self) -> Iterable[bytes]:
        return (self.kept,)


class Doubles(Filter):
    def body(self, data: bytes) -> Iterable[bytes]:
        return (data, data)

    def end(self) -> Iterable[bytes]:
        return (b".",)


class Limits(Filter):
    """Lets the source go on by a tenth of what the client takes."""

    def taken(self, count: int) -> int:
        return count // 10


@dataclass
class Chained:
    """An exchange with filters, its client, and what the end of a turn is to do."""

    filters: Iterable[Filter]
    client: FakeClient = field(default_factory=FakeClient)
    later: list[Callable[[], None]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.exchange = exchange_of(self.client)
        self.chain = FilterChain(self.exchange, self.filters, self.later.append)

    def turn(self) -> None:
        self.client.take(self.exchange)
        calls, self.later[:] = self.later[:], []
        for call in calls:
            call()


def test_the_end_of_each_passes_those_behind_it() -> None:
    it = Chained([Holds(), Doubles()])
    client, exchange = it.client, it.exchange
    exchange.connect(FakeSource(), 0.0)
    exchange.sink.head(exchange, 200, ())
    exchange.sink.body(exchange, b"a")
    exchange.sink.body(exchange, b"b")
    assert client.data == b""
    exchange.sink.end(exchange)
    assert client.data == b"abab."
    it = Chained([Holds(), Doubles()])
    assert it.exchange.sink.respond(it.exchange, 200, (), b"ab") == 200
    assert it.client.data == b"abab.", "a complete response becomes the same"


@pytest.mark.parametrize("filters", [[Holds], [Doubles], [Holds, Doubles], [Doubles, Holds]])
def test_no_filter_stalls_and_none_is_ahead_of_the_window(filters: list[type[Filter]]) -> None:
    it = Chained([make() for make in filters])
    source = PushingSource(it.exchange, 10_000, 70, 500)
    source.begin()
    for _ in range(200):
        it.turn()
    assert source.left == 0
    assert (source.deepest, source.ahead_at_most) == (1, 500)
    assert len(it.client.data) >= 10_000


def test_a_source_that_has_ended_hears_no_more() -> None:
    it, source = Chained([Holds()]), FakeSource()
    it.exchange.connect(source, 0.0)
    it.exchange.sink.head(it.exchange, 200, ())
    it.exchange.sink.body(it.exchange, b"all")
    it.exchange.sink.end(it.exchange)
    it.turn()
    assert source.taken == 0


def test_a_filter_may_hold_credit_back() -> None:
    it, source = Chained([Limits()]), FakeSource()
    it.exchange.connect(source, 0.0)
    it.exchange.sink.head(it.exchange, 200, ())
    it.exchange.sink.body(it.exchange, bytes(1_000))
    it.turn()
    assert source.taken == 100


class Aborts(Filter):
    def __init__(self) -> None:
        self.aborted = 0

    def abort(self) -> None:
        self.aborted += 1


@pytest.mark.parametrize(
    ("end", "aborted"),
    [
        (lambda exchange, client: exchange.sink.end(exchange), 0),
        (lambda exchange, client: exchange.sink.fail(exchange, 500, "It failed."), 1),
        (lambda exchange, client: client.leave(exchange), 1),
    ],
)
def test_a_filter_is_aborted_unless_the_response_has_its_end(
    end: Callable[[Exchange, FakeClient], None], aborted: int
) -> None:
    one = Aborts()
    it = Chained([one])
    it.exchange.connect(FakeSource(), 0.0)
    it.exchange.sink.head(it.exchange, 200, ())
    it.exchange.give_end(APP_FAILED_RESPONSE)
    for _ in range(2):
        end(it.exchange, it.client)
    assert one.aborted == aborted


def test_a_source_that_comes_late_or_again_is_connected_to_the_chain() -> None:
    it = Chained([Filter()])
    exchange, chain = it.exchange, it.chain
    assert exchange.source is chain
    assert (chain.account(), chain.send_credit) == (None, 0)
    first, second = FakeSource(send_credit=5), FakeSource(send_credit=7)
    for source in (first, second):
        exchange.connect(source, 1.0)
        assert exchange.source is chain
        assert chain.send_credit == source.send_credit
    exchange.sink.head(exchange, 200, ())
    exchange.sink.body(exchange, b"x")
    it.turn()
    assert (first.taken, second.taken) == (0, 1)


def test_hints_and_trailers_pass_filters_as_they_are() -> None:
    client, source = FakeClient(), FakeSource()
    exchange = exchange_of(client)
    FilterChain(exchange, [Holds(), Doubles()], lambda _: None)
    exchange.connect(source, 1.0)
    exchange.sink.interim(exchange, 103, ((b"link", b"</a>"),))
    exchange.sink.head(exchange, 200, ())
    exchange.sink.body(exchange, b"kept")
    exchange.sink.trailers(exchange, ((b"x-digest", b"abc"),))
    exchange.sink.end(exchange)
    assert client.interims == [(103, ((b"link", b"</a>"),))]
    assert (client.data, client.trailing) == (b"keptkept.", ((b"x-digest", b"abc"),))
