"""A body that is kept until it is whole, between a client and a pool of linked workers."""

import errno
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from time import monotonic

import pytest
from propylon.gateway.buffering.body_file import NoRoom
from propylon.gateway.buffering.store import BufferStore
from propylon.gateway.exchange.errors import RequestError
from propylon.gateway.exchange.exchange import Exchange, Request
from propylon.gateway.pool.pool import Pool
from propylon.gateway.settings import BufferSettings
from propylon.protocol.calls import Call
from propylon.protocol.messages import MAX_BODY

from ...fakes.exchange_sides import FakeClient
from ..pool.linked import LinkedMember, pool, submit

BODY = bytes(range(256)) * 4_000
"""A megabyte, more than any window."""


@pytest.fixture
def store(tmp_path: Path) -> BufferStore:
    settings = BufferSettings(body=100_000, memory=150_000, disk=2_000_000, directory=str(tmp_path))
    return BufferStore(settings)


@pytest.fixture
def keeping(store: BufferStore) -> Pool:
    return pool(store=store, buffer_requests="on")


def send(exchange: Exchange, data: bytes, *, more: bool = False) -> None:
    """The client's connection hands on what has come."""
    for start in range(0, len(data), MAX_BODY):
        assert exchange.source is not None
        piece = data[start : start + MAX_BODY]
        assert exchange.source.send_credit >= len(piece)
        exchange.source.send_body(piece, more or start + MAX_BODY < len(data))


def nothing_is_kept(store: BufferStore) -> bool:
    return (store.memory, store.disk, store.files) == (0, 0, 0)


def read_all(member: LinkedMember, call: Call, size: int) -> bytes:
    """The app reads so much of its body."""
    read = 0
    member.exchange_bytes()
    while len(member.bodies[call]) < size:
        new = len(member.bodies[call]) - read
        assert new, "the body stands still"
        read += new
        member.read(call, new)
        member.exchange_bytes()
    return member.bodies[call]


def test_what_came_whole_is_not_kept(keeping: Pool) -> None:
    member = LinkedMember(keeping)
    exchange, _ = submit(keeping, "POST", body=b"small")
    assert exchange.collected is None
    assert len(member.calls) == 1


@pytest.mark.parametrize("whole", [b"a", BODY[:MAX_BODY], BODY[: MAX_BODY + 1], BODY[:150], BODY])
def test_a_worker_gets_it_when_it_is_whole(keeping: Pool, store: BufferStore, whole: bytes) -> None:
    member = LinkedMember(keeping)
    exchange, client = submit(keeping, "POST", body=whole[:100], more=True)
    assert client.credited == 1, "the client is asked for the rest"
    send(exchange, whole[100:-1], more=True)
    assert not member.calls
    assert keeping.load().running == 0
    send(exchange, whole[-1:] if len(whole) > 100 else b"")
    if len(whole) <= 100:
        assert exchange.source is not None
        exchange.source.send_body(b"", False)
    (call,) = member.calls
    assert read_all(member, call, len(whole)) == whole
    member.answer(call)
    exchange.complete(200, (), 2, 0.0)
    assert nothing_is_kept(store)


def test_it_is_in_memory_first_and_then_on_disk(keeping: Pool, store: BufferStore) -> None:
    one, _ = submit(keeping, "POST", body=BODY[:60_000], more=True)
    send(one, BODY[:30_000], more=True)
    assert (store.memory, store.disk) == (90_000, 0)
    send(one, BODY[:30_000], more=True)
    assert (store.memory, store.disk, store.files) == (90_000, 30_000, 1)
    two, _ = submit(keeping, "POST", body=BODY[:60_000], more=True)
    send(two, BODY[:60_000], more=True)
    assert (store.memory, store.files) == (150_000, 2), "all bodies together have a bound"


def test_a_worker_that_dies_late_costs_nothing(keeping: Pool, store: BufferStore) -> None:
    first, second = LinkedMember(keeping), LinkedMember(keeping, slots=0)
    exchange, client = submit(keeping, "PUT", body=BODY[:9], more=True)
    send(exchange, BODY[9:])
    (call,) = first.calls
    read_all(first, call, 700_000)
    second.slots = 1
    first.die()
    (again,) = second.calls
    assert read_all(second, again, len(BODY)) == BODY
    assert client.failed is None


def test_what_may_not_be_done_again_is_dropped_early(keeping: Pool, store: BufferStore) -> None:
    member = LinkedMember(keeping)
    exchange, _ = submit(keeping, "POST", body=BODY[:9], more=True)
    send(exchange, BODY[9:])
    (call,) = member.calls
    member.start(call)
    assert store.files == 1, "the worker has yet to get the rest"
    assert read_all(member, call, len(BODY)) == BODY
    assert nothing_is_kept(store)


@pytest.mark.parametrize("when", ["collecting", "whole"])
def test_a_client_that_leaves(keeping: Pool, store: BufferStore, when: str) -> None:
    LinkedMember(keeping)
    exchange, client = submit(keeping, "POST", body=BODY[:9], more=True)
    send(exchange, BODY[9:], more=when == "collecting")
    assert not nothing_is_kept(store)
    client.leave(exchange)
    assert exchange.end_code == "client_left_upload"
    assert nothing_is_kept(store)
    assert keeping.buffers.collecting == 0


def test_a_length_is_known_in_the_end(keeping: Pool) -> None:
    LinkedMember(keeping)
    request = Request("POST", b"/x", "1.1")
    request.content_length = None
    request.headers = ((b"host", b"x"), (b"transfer-encoding", b"chunked"), (b"x-id", b"1"))
    exchange = Exchange(request, FakeClient(), opened=keeping.now)
    exchange.begin_body(b"", True)
    keeping.submit(exchange)
    send(exchange, b"hello", more=False)
    assert request.content_length == 5
    assert request.headers == ((b"host", b"x"), (b"content-length", b"5"), (b"x-id", b"1"))
    assert (exchange.body, exchange.more_body) == (b"hello", False)


@pytest.mark.parametrize("bound", ["disk", "folder"])
def test_no_room_on_disk(bound: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    settings = BufferSettings(
        body=100,
        disk=100_000 if bound == "disk" else 10**9,
        directory=str(tmp_path / ("" if bound == "disk" else "missing")),
    )
    store = BufferStore(settings)
    keeping = pool(store=store, buffer_requests="on")
    for _ in range(2):
        exchange, client = submit(keeping, "POST", body=BODY[:99], more=True)
        with pytest.raises(RequestError) as refused:
            send(exchange, BODY)
        assert refused.value.status == 507
        assert refused.value.end_code == "gateway_no_room"
        assert refused.value.option == ("buffer-disk" if bound == "disk" else "temp-dir")
        client.leave(exchange)
        assert nothing_is_kept(store)
    found = list(store.full.at(monotonic()))
    if bound == "disk":
        assert [one.kind for one in found] == ["full volume"]
        assert "--buffer-disk" in found[0].remedy
    else:
        assert not found
        assert len(caplog.messages) == 1, "it is said once a minute"
        assert "missing" in caplog.text
    other, _ = submit(keeping, "POST", body=b"short", more=True)
    send(other, b"enough")
    assert keeping.load().queued == 1, "what fits is served"


@pytest.mark.parametrize(("error", "falls"), [(errno.EACCES, True), (errno.ENOSPC, False)])
def test_a_full_folder_is_not_given_up_for_the_next(
    error: int, falls: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next may be in memory, and would be used for ever."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    store = BufferStore(BufferSettings())

    def open_file(path: str, *rest: int, call: Callable[..., int] = os.open) -> int:
        if path == str(tmp_path):
            raise OSError(error, os.strerror(error), path)
        return call(path, *rest)

    monkeypatch.setattr(os, "open", open_file)
    monkeypatch.setattr(tempfile, "mkstemp", lambda **_: open_file(str(tmp_path)))
    if falls:
        store.new_file().close()
    else:
        with pytest.raises(NoRoom):
            store.new_file()
        assert [one.subject for one in store.full.at(monotonic())] == ["bodies in temporary files"]


def test_a_stop_answers_what_has_not_come(keeping: Pool, store: BufferStore) -> None:
    LinkedMember(keeping)
    exchange, client = submit(keeping, "POST", body=b"begun", more=True)
    keeping.fail_waiting()
    assert client.failed is not None
    assert client.failed[0] == 503
    assert exchange.end_code == "gateway_stopped_queue"
    assert nothing_is_kept(store)


def test_the_queue_s_time_begins_when_it_is_whole(keeping: Pool) -> None:
    exchange, client = submit(keeping, "POST", body=b"slow", more=True)
    keeping.sweep(500.0)
    assert client.failed is None
    send(exchange, b"ly")
    keeping.sweep(510.0)
    assert client.failed is None
    member = LinkedMember(keeping)
    assert [member.bodies[call] for call in member.calls] == [b"slowly"]


def test_auto_is_for_wsgi() -> None:
    p = pool()
    assert not p.buffers.requests
    member = LinkedMember(p)
    for interface, kept in (("asgi", False), ("wsgi", True)):
        member.who["interface"] = interface
        p.introduced()
        assert p.buffers.requests is kept
    member.die()
    p.introduced()
    assert p.buffers.requests, "with no worker there it is as it was"
