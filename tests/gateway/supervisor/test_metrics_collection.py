import trio
from propylon.gateway.supervisor.metrics_collection import ANSWERS_WITHIN, MetricsCollection
from propylon.protocol.supervision.messages import CollectMetrics, Order


class Gateways:
    """Gateway processes that are asked, and answer when a test says so."""

    def __init__(self, *numbers: int) -> None:
        self.numbers = list(numbers)
        self.asked: list[tuple[int, int]] = []

    def __call__(self):
        return [(number, lambda order, n=number: self._hear(n, order)) for number in self.numbers]

    def _hear(self, number: int, order: Order) -> None:
        assert isinstance(order, CollectMetrics)
        self.asked.append((number, order.token))


async def begun(
    nursery: trio.Nursery, collection: MetricsCollection, scope: trio.CancelScope | None = None
) -> trio.Event:
    """Begins a collection. The event is set when it is over."""
    over = trio.Event()

    async def collect() -> None:
        with scope or trio.CancelScope():
            await collection.collect()
        over.set()

    nursery.start_soon(collect)
    await trio.testing.wait_all_tasks_blocked()
    return over


async def test_it_is_over_at_once_when_all_have_answered(autojump_clock) -> None:
    gateways = Gateways(1, 2)
    collection = MetricsCollection(gateways)
    async with trio.open_nursery() as nursery:
        over = await begun(nursery, collection)
        assert gateways.asked == [(1, 1), (2, 1)]
        collection.answered(2, 0)  # unasked: not the answer
        collection.answered(1, 1)
        await trio.testing.wait_all_tasks_blocked()
        assert not over.is_set()
        collection.answered(2, 1)
        await over.wait()
    assert trio.current_time() == 0


async def test_without_gateways_there_is_nothing_to_wait_for(autojump_clock) -> None:
    await MetricsCollection(Gateways()).collect()
    assert trio.current_time() == 0


async def test_one_that_does_not_answer_is_waited_for_once(autojump_clock) -> None:
    gateways = Gateways(1)
    collection = MetricsCollection(gateways)
    await collection.collect()
    assert trio.current_time() == ANSWERS_WITHIN
    await collection.collect()
    assert trio.current_time() == ANSWERS_WITHIN
    assert gateways.asked == [(1, 1)]
    collection.answered(1, 1)  # late, and it is well again
    async with trio.open_nursery() as nursery:
        over = await begun(nursery, collection)
        assert gateways.asked == [(1, 1), (1, 3)]
        collection.answered(1, 3)
        await over.wait()
    assert trio.current_time() == ANSWERS_WITHIN


async def test_one_that_ends_is_not_waited_for(autojump_clock) -> None:
    collection = MetricsCollection(Gateways(1))
    async with trio.open_nursery() as nursery:
        over = await begun(nursery, collection)
        collection.ended(1)
        await over.wait()
    assert trio.current_time() == 0


async def test_several_share_one_even_when_the_first_has_gone(autojump_clock) -> None:
    gateways = Gateways(1)
    collection = MetricsCollection(gateways)
    async with trio.open_nursery() as nursery:
        first = trio.CancelScope()
        await begun(nursery, collection, first)
        first.cancel()
        over = await begun(nursery, collection)
        assert gateways.asked == [(1, 1)]
        assert not over.is_set()
        collection.answered(1, 1)
        await over.wait()
    assert trio.current_time() == 0


async def test_nothing_is_collected_for_itself_while_others_collect(autojump_clock) -> None:
    gateways = Gateways(1)
    collection = MetricsCollection(gateways)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(collection.collect_every, 1.0)
        for _ in range(10):
            await trio.sleep(0.8)
            await begun(nursery, collection)
            collection.answered(1, gateways.asked[-1][1])
        assert len(gateways.asked) == 10
        await trio.sleep(2.1)
        assert len(gateways.asked) == 11  # it owes the answer to this one
        nursery.cancel_scope.cancel()
