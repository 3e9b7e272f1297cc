"""The hinge carries: filters and sources that are nothing but real, over a real connection.

Each of these stalled, recursed or sent every piece by itself where credit went around filters and
what was said outside of a poller's turn was sent at once.
"""

import os
import zlib
from collections.abc import Iterator
from contextlib import closing, suppress
from threading import Thread

import pytest
import trio
from propylon.gateway.exchange.exchange import Exchange
from propylon.gateway.exchange.filters import FilterChain
from propylon.protocol.messages import MAX_BODY, WINDOW

from ...fakes.exchange_sides import PushingSource
from ..pool.linked import pool
from .body_reader import BodyReader
from .connected import GET, HEAD, Connected
from .gzip_filter import Gzip
from .linked_worker import LinkedWorker

NOISE = os.urandom(MAX_BODY // 4) + bytes(MAX_BODY * 3 // 4)
"""A quarter of it cannot be compressed, and the rest nearly vanishes."""
MEGABYTE = 1_000_000


def noise(offset: int) -> bytes:
    start = offset % MAX_BODY
    return NOISE[start:]


def noise_sum(size: int) -> int:
    whole, rest = divmod(size, MAX_BODY)
    total = 0
    for _ in range(whole):
        total = zlib.crc32(NOISE, total)
    return zlib.crc32(NOISE[:rest], total)


def resident() -> int:
    """Bytes of memory that this process has now (proc_pid_statm(5))."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGESIZE")


def test_gzip_of_a_long_response_to_a_slow_client_takes_constant_memory() -> None:
    size = 200 * MEGABYTE
    p = pool()
    filters: list[Gzip] = []

    def answer(exchange: Exchange) -> None:
        filters.append(Gzip())
        FilterChain(exchange, filters, it.poller.at_end_of_turn)
        p.submit(exchange)

    with closing(Connected(answer, room=16_384)) as it:
        worker = LinkedWorker(p, it.poller, size, noise)
        worker.step()
        it.turn()
        it.client.send(GET)
        it.turn()
        worker.step()
        worker.answer()
        reader = BodyReader()
        before = highest = resident()
        idle = 0
        while not reader.is_whole:
            worker.step()
            it.turn()
            data = it.read(16_384)
            reader.feed(data)
            idle = 0 if data else idle + 1
            assert idle < 1_000, f"it stalls after {worker.sent} bytes"
            # The link's window, what the kernel holds, and the compressor.
            assert worker.sent - reader.size < 4 * WINDOW
            highest = max(highest, resident())
        assert (reader.size, reader.sum) == (size, noise_sum(size))
        assert highest - before < 16 * MEGABYTE
        assert filters[0].aborted == 0
        worker.close()


def test_a_retry_leaves_the_filters_in_their_place() -> None:
    p = pool()
    filters: list[Gzip] = []

    def answer(exchange: Exchange) -> None:
        filters.append(Gzip())
        FilterChain(exchange, filters, it.poller.at_end_of_turn)
        p.submit(exchange)

    with closing(Connected(answer)) as it:
        size = MEGABYTE
        first = LinkedWorker(p, it.poller, size, noise, 1)
        first.step()
        it.turn()
        it.client.send(GET)
        it.turn()
        first.step()
        assert len(first.calls) == 1
        second = LinkedWorker(p, it.poller, size, noise, 2)
        second.step()
        it.turn()
        first.die()
        it.turn()
        it.turn()
        second.step()
        second.answer()
        reader = BodyReader()
        for _ in range(10_000):
            second.step()
            it.turn()
            reader.feed(it.read())
            if reader.is_whole:
                break
        assert (reader.size, reader.sum) == (size, noise_sum(size))
        assert [(one.heads, one.aborted) for one in filters] == [(1, 0)]
        second.close()


def test_a_client_that_leaves_aborts_the_filters_and_the_worker_hears_of_it() -> None:
    p = pool()
    filters: list[Gzip] = []

    def answer(exchange: Exchange) -> None:
        filters.append(Gzip())
        FilterChain(exchange, filters, it.poller.at_end_of_turn)
        p.submit(exchange)

    with closing(Connected(answer)) as it:
        worker = LinkedWorker(p, it.poller, 8 * MEGABYTE, noise)
        worker.step()
        it.turn()
        it.client.send(GET)
        it.turn()
        worker.step()
        worker.answer()
        worker.step()
        it.turn()
        it.client.close()
        for _ in range(10):
            it.turn()
            worker.step()
        assert filters[0].aborted == 1
        assert worker.calls[0].request == "reset"
        worker.close()


# -- what strangers tried (a filter, a two-way filter, a source of small pieces) ---------------

SIZE = 4 << 20


@pytest.mark.parametrize("piece", [65_536, 1_000])
def test_a_body_that_nearly_vanishes_does_not_stall(piece: int) -> None:
    """The filter keeps what it gets for a long time: nothing that goes out brings credit."""
    sources: list[PushingSource] = []

    def answer(exchange: Exchange) -> None:
        FilterChain(exchange, [Gzip()], it.poller.at_end_of_turn)
        sources.append(PushingSource(exchange, SIZE, piece))
        sources[0].begin()

    with closing(Connected(answer)) as it:
        it.client.send(GET)
        reader = BodyReader()
        for _ in range(1_000):
            it.turn()
            reader.feed(it.read())
            if reader.is_whole:
                break
        assert (reader.size, reader.sum) == (SIZE, zlib.crc32(b"a" * SIZE))
        assert sources[0].deepest == 1
        assert sources[0].ahead_at_most <= WINDOW


PIECE, SMALL_WINDOW, PUSHED = 32, 32_768, 262_144


@pytest.fixture
def pushed() -> Iterator[tuple[Connected, list[PushingSource]]]:
    """A client that hears a source of thousands of small pieces, each send as one packet; the
    source waits to be pushed."""
    sources: list[PushingSource] = []

    def answer(exchange: Exchange) -> None:
        sources.append(PushingSource(exchange, PUSHED, PIECE, SMALL_WINDOW))

    with closing(Connected(answer, packets=True)) as it:
        it.client.send(GET)
        it.turn()
        yield it, sources


MOST_PACKETS = PUSHED // SMALL_WINDOW + 2


def hear(it: Connected, source: PushingSource) -> list[bytes]:
    packets: list[bytes] = []
    for _ in range(1_000):
        it.turn()
        packets += it.read_packets()
        if source.left == 0:
            break
    return packets + it.read_packets()


def body_of(packets: list[bytes]) -> int:
    reader = BodyReader()
    reader.feed(b"".join(packets))
    assert reader.is_whole
    return reader.size


def test_a_source_that_pushes_outside_of_a_turn(
    pushed: tuple[Connected, list[PushingSource]],
) -> None:
    it, (source,) = pushed
    source.begin()
    assert it.read() == b"", "it waits for what else there is"
    packets = hear(it, source)
    assert body_of(packets) == PUSHED
    assert len(packets) <= MOST_PACKETS
    assert source.deepest == 1


def test_a_source_in_a_thread(pushed: tuple[Connected, list[PushingSource]]) -> None:
    it, (source,) = pushed

    def work() -> None:
        it.poller.call_soon_threadsafe(source.start)
        for _ in range(PUSHED // PIECE):
            it.poller.call_soon_threadsafe(source.push_one)

    thread = Thread(target=work)
    thread.start()
    thread.join()
    packets = hear(it, source)
    assert body_of(packets) == PUSHED
    assert len(packets) <= MOST_PACKETS
    assert source.deepest == 1


async def test_a_source_with_a_timer(pushed: tuple[Connected, list[PushingSource]]) -> None:
    it, (source,) = pushed
    packets: list[bytes] = []
    bursts = 0
    async with trio.open_nursery() as nursery:
        nursery.start_soon(it.poller.run)
        source.start()
        with trio.fail_after(20):
            while source.left:
                bursts += 1
                for _ in range(SMALL_WINDOW // PIECE // 4):
                    source.push_one()
                await trio.sleep(0.001)
                packets += it.read_packets()
            while not packets or not packets[-1].endswith(b"0\r\n\r\n"):
                await trio.lowlevel.wait_readable(it.client)
                packets += it.read_packets()
        it.close()
        nursery.cancel_scope.cancel()
    assert body_of(packets) == PUSHED
    assert len(packets) <= 2 * bursts + 2
    assert source.deepest == 1


def test_a_body_that_nobody_hears_is_no_recursion() -> None:
    """The answer to HEAD: the source has its credit, though nothing goes out."""
    sources: list[PushingSource] = []

    def answer(exchange: Exchange) -> None:
        sources.append(PushingSource(exchange, PUSHED, PIECE, SMALL_WINDOW))
        sources[0].begin()

    with closing(Connected(answer)) as it:
        it.client.send(HEAD)
        for _ in range(1_000):
            it.turn()
            if not sources[0].left:
                break
        assert sources[0].deepest == 1
        assert it.read().endswith(b"\r\n\r\n")


def test_others_have_their_turn_while_a_long_body_is_pushed() -> None:
    """A client that takes all at once, and a source that has always more."""
    sources: list[PushingSource] = []

    def answer(exchange: Exchange) -> None:
        sources.append(PushingSource(exchange, 64 * WINDOW, 65_536))
        sources[0].begin()

    with closing(Connected(answer)) as it:
        it.client.setblocking(True)
        reading = Thread(target=lambda: drink(it))
        it.client.send(GET)
        reading.start()
        most, turns = 0, 0
        while sources == [] or sources[0].left:
            before = sources[0].left if sources else 64 * WINDOW
            it.turn()
            turns += 1
            most = max(most, before - sources[0].left if sources else 0)
        assert most <= 6 * WINDOW, "what one turn pushed"
        it.close()
        reading.join()


def drink(it: Connected) -> None:
    with suppress(OSError):
        while it.client.recv(1 << 20):
            pass
