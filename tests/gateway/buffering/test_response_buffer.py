"""A streamed response between a source that pushes within its credit and a client in no hurry."""

import os
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from propylon.gateway.buffering.response_buffer import AHEAD, ResponseBuffer
from propylon.gateway.buffering.store import BufferStore
from propylon.gateway.exchange.exchange import Exchange, OpenFile, Request
from propylon.gateway.exchange.filters import Filter, FilterChain
from propylon.gateway.files.disk_file import DiskFile
from propylon.gateway.settings import BufferSettings
from propylon.protocol.credit import ReceiveWindow
from propylon.protocol.messages import FIRST_WINDOW, MAX_BODY, WINDOW

from ...fakes.exchange_sides import FakeClient, FakeSource

BODY = bytes(range(256)) * 4_000


class SlowClient(FakeClient):
    """It takes as many bytes as it is told to."""

    @property
    def waiting(self) -> int:
        return self._owed

    def take_some(self, exchange: Exchange, count: int) -> None:
        count = min(count, self._owed)
        self._owed -= count
        if count and exchange.source is not None and not self.over:
            exchange.source.consumed(count)


@dataclass
class WindowedSource(FakeSource):
    """It has the credit that a worker's call has."""

    window: ReceiveWindow = field(
        default_factory=lambda: ReceiveWindow(WINDOW, allowed=FIRST_WINDOW)
    )
    credit: int = FIRST_WINDOW
    """Bytes that it may still send."""

    def consumed(self, count: int) -> None:
        super().consumed(count)
        self.credit += self.window.taken(count)

    def send(self, size: int) -> None:
        self.window.arrived(size)
        self.credit -= size


@dataclass
class Scene:
    """Both sides of one response, and the ends of turns."""

    store: BufferStore
    client: SlowClient = field(default_factory=SlowClient)
    source: WindowedSource = field(default_factory=WindowedSource)
    pushed: int = 0

    def __post_init__(self) -> None:
        self.later = self.store.later
        self.exchange = Exchange(Request("GET", b"/", "1.1"), self.client)
        self.exchange.connect(self.source, 1.0)

    def begin(self) -> None:
        ResponseBuffer(self.exchange, self.source, self.store)
        self.exchange.sink.head(self.exchange, 200, ())

    def push(self, most: int = len(BODY)) -> int:
        """The source sends as much of BODY as it has credit for. Returns how much that was."""
        before = self.pushed
        while size := min(self.source.credit, MAX_BODY, len(BODY) - self.pushed, most):
            piece = BODY[self.pushed : self.pushed + size]
            self.pushed += size
            self.source.send(size)
            most -= size
            credit = self.source.taken
            self.exchange.sink.body(self.exchange, piece)
            assert self.source.taken == credit, "no credit comes from inside of a body"
            turn_ends()
        return self.pushed - before

    @property
    def is_empty(self) -> bool:
        return (self.store.memory, self.store.disk, self.store.files) == (0, 0, 0)


DUE: list = []


def turn_ends() -> None:
    calls, DUE[:] = DUE[:], []
    for call in calls:
        call()


def scene(folder: Path, **bounds: int) -> Scene:
    settings = BufferSettings(**{"directory": str(folder), "body": 100_000, **bounds})  # type: ignore[arg-type]
    made = Scene(BufferStore(settings, later=DUE.append))
    made.begin()
    return made


def test_a_client_that_keeps_up_gets_each_piece_at_once(tmp_path: Path) -> None:
    s = scene(tmp_path)
    for number in range(1, 20):
        assert s.push(50_000) == 50_000
        assert len(s.client.data) == number * 50_000, "nothing waits"
        assert s.source.taken == (number - 1) * 50_000, "as if nothing stood between"
        s.client.take(s.exchange)
        assert s.source.taken == number * 50_000
    assert s.is_empty


def test_a_client_that_takes_nothing_holds_up_nobody(tmp_path: Path) -> None:
    s = scene(tmp_path)
    assert s.push() == len(BODY)
    assert len(s.client.data) == AHEAD
    assert s.store.memory + s.store.disk == len(BODY) - AHEAD
    assert s.store.files == 1
    s.exchange.sink.end(s.exchange)
    assert not s.client.over
    while not s.client.over:
        assert s.client.waiting <= AHEAD
        s.client.take_some(s.exchange, 70_000)
    assert s.client.data == BODY
    assert s.is_empty


@pytest.mark.parametrize("bounds", [{"disk": 0}, {"disk": 400_000}, {"disk": 0, "memory": 0}])
def test_without_room_the_source_waits_for_its_client(tmp_path: Path, bounds) -> None:
    s = scene(tmp_path, **bounds)
    assert s.push() < len(BODY)
    assert s.source.credit == 0
    assert s.store.disk <= 200_000, "responses get half of it"
    while s.pushed < len(BODY):
        assert s.client.waiting, "it stands still"
        s.client.take_some(s.exchange, 60_000)
        s.push()
        assert s.store.memory <= 100_000 + WINDOW
    s.exchange.sink.end(s.exchange)
    while not s.client.over:
        s.client.take(s.exchange)
    assert s.client.data == BODY
    assert s.is_empty


def test_a_client_has_one_file_at_a_time(tmp_path: Path) -> None:
    class Body(FakeClient):
        has_file = True

        def forget(self) -> None: ...
        def rewind(self, exchange: Exchange) -> None: ...
        def leave(self) -> None: ...

    settings = BufferSettings(directory=str(tmp_path), body=100_000)
    s = Scene(BufferStore(settings, later=DUE.append))
    body = Body()
    s.exchange.collected = body
    s.begin()
    assert s.push() < len(BODY)
    assert (s.store.files, s.source.credit) == (0, 0)
    body.has_file = False
    while s.pushed < len(BODY):
        s.client.take_some(s.exchange, 60_000)
        s.push()
    assert s.store.files == 1
    s.exchange.sink.end(s.exchange)
    while not s.client.over:
        s.client.take(s.exchange)
    assert s.client.data == BODY
    assert s.is_empty


def test_a_failure_comes_behind_what_was_sent_before_it(tmp_path: Path) -> None:
    s = scene(tmp_path)
    s.push(500_000)
    s.exchange.give_end("worker_died_response")
    assert s.exchange.sink.fail(s.exchange, 502, "It died.") == 0
    assert s.client.failed is None
    for _ in range(20):
        s.client.take(s.exchange)
    assert s.client.data == BODY[:500_000]
    assert s.client.failed == (502, "It died.")
    assert s.is_empty


def test_a_client_that_leaves(tmp_path: Path) -> None:
    s = scene(tmp_path)
    s.push()
    s.client.leave(s.exchange)
    assert s.source.given_up == 1
    assert s.is_empty


def test_a_disk_that_is_not_there(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    s = scene(tmp_path, directory=str(tmp_path / "missing"))  # type: ignore[arg-type]
    assert s.push() < len(BODY)
    assert len(caplog.messages) == 1
    while s.pushed < len(BODY):
        s.client.take(s.exchange)
        s.push()
    assert s.client.data[:AHEAD] == BODY[:AHEAD]


def test_a_filter_that_stands_there_already_is_told_of_the_end(tmp_path: Path) -> None:
    aborted: list[bool] = []

    class Aborts(Filter):
        def abort(self) -> None:
            aborted.append(True)

    s = Scene(BufferStore(BufferSettings(directory=str(tmp_path)), later=DUE.append))
    FilterChain(s.exchange, [Aborts()], DUE.append)
    s.exchange.connect(s.source, 1.0)
    assert s.exchange.source is not None
    ResponseBuffer(s.exchange, s.source, s.store)
    s.exchange.sink.head(s.exchange, 200, ())
    s.push(400_000)
    s.client.leave(s.exchange)
    assert aborted == [True]
    assert s.is_empty


@given(
    steps=st.lists(st.tuples(st.integers(0, 300_000), st.integers(0, 300_000)), max_size=30),
    body=st.sampled_from([0, 1, 70_000, 1_000_000]),
    memory=st.sampled_from([0, 90_000, 10_000_000]),
    disk=st.sampled_from([0, 300_000, 10_000_000]),
)
def test_all_bytes_come_in_their_order(
    tmp_path_factory: pytest.TempPathFactory,
    steps: list[tuple[int, int]],
    body: int,
    memory: int,
    disk: int,
) -> None:
    s = scene(tmp_path_factory.getbasetemp(), body=body, memory=memory, disk=disk)
    for pushed, taken in steps:
        s.push(pushed)
        s.client.take_some(s.exchange, taken)
        assert BODY.startswith(s.client.data)
    s.exchange.sink.end(s.exchange)
    while not s.client.over:
        assert s.client.waiting
        s.client.take(s.exchange)
    assert s.client.data == BODY[: s.pushed]
    assert s.is_empty


def test_trailers_wait_with_the_end(tmp_path: Path) -> None:
    s = scene(tmp_path)
    assert s.push() == len(BODY)
    s.exchange.sink.trailers(s.exchange, ((b"x-digest", b"abc"),))
    s.exchange.sink.end(s.exchange)
    assert not s.client.over
    while not s.client.over:
        s.client.take_some(s.exchange, 70_000)
    assert (s.client.data, s.client.trailing) == (BODY, ((b"x-digest", b"abc"),))


class SendfileClient(SlowClient):
    """It leaves what it is given of a file in the file."""

    def file(self, exchange: Exchange, file: OpenFile, offset: int, count: int) -> bool:
        super().file(exchange, file, offset, count)
        return True


def test_a_file_is_passed_on_while_nothing_is_kept(tmp_path: Path) -> None:
    """However long a piece: it stays in the file, and nothing of it is copied."""
    (tmp_path / "file").write_bytes(BODY)
    one = scene(tmp_path)
    one.client = SendfileClient()
    one.exchange = Exchange(Request("GET", b"/", "1.1"), one.client)
    one.exchange.connect(one.source, 1.0)
    one.begin()
    file = DiskFile(os.open(tmp_path / "file", os.O_RDONLY), "file")
    assert one.exchange.sink.file(one.exchange, file, 5, 2 * AHEAD)
    assert one.exchange.sink.file(one.exchange, file, 5 + 2 * AHEAD, 10)
    assert one.is_empty
    assert one.client.data == BODY[5 : 15 + 2 * AHEAD]
    one.client.take_some(one.exchange, 4 * AHEAD)
    assert one.source.taken == 2 * AHEAD + 10
    one.exchange.sink.end(one.exchange)
    assert one.client.over


def test_a_large_piece_of_a_file_moves_on_behind_what_is_kept(tmp_path: Path) -> None:
    """It may be longer than all that is under way to the client at a time."""
    (tmp_path / "file").write_bytes(BODY)
    one = scene(tmp_path)
    one.push(AHEAD + MAX_BODY)
    assert not one.is_empty
    file = DiskFile(os.open(tmp_path / "file", os.O_RDONLY), "file")
    assert not one.exchange.sink.file(one.exchange, file, 5, 2 * AHEAD)
    one.exchange.sink.end(one.exchange)
    for _ in range(3 * AHEAD // MAX_BODY + 2):
        turn_ends()
        one.client.take_some(one.exchange, MAX_BODY)
    assert one.client.over
    assert one.client.data == BODY[: AHEAD + MAX_BODY] + BODY[5 : 5 + 2 * AHEAD]


def test_a_piece_that_is_longer_than_may_be_under_way(tmp_path: Path) -> None:
    """As a thread reads them of a file that is not in memory."""
    s = scene(tmp_path)
    s.exchange.sink.body(s.exchange, BODY[: 2 * AHEAD])
    assert s.client.waiting, "it stands still"
    s.exchange.sink.body(s.exchange, BODY[2 * AHEAD :])
    s.exchange.sink.end(s.exchange)
    for _ in range(100):
        s.client.take(s.exchange)
    assert s.client.over
    assert s.client.data == BODY
