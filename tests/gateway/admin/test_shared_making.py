"""One making for all who ask at the same time, and a rest behind it."""

from contextlib import suppress

import pytest
import trio
from propylon.gateway.admin.shared_making import LONGEST_REST, SharedMaking
from trio.testing import MockClock


class Maker:
    """Makes the numbers from 1 upwards; each takes a while."""

    def __init__(self, seconds: float) -> None:
        self.began: list[float] = []
        self._seconds = seconds

    async def make(self) -> int:
        self.began.append(trio.current_time())
        number = len(self.began)
        await trio.sleep(self._seconds)
        if number == 2:
            raise ValueError(number)
        return number


async def test_who_asks_again_at_once_gets_no_more_than_a_fifth_of_the_time(
    autojump_clock: MockClock,
) -> None:
    maker, asked_from = Maker(0.02), trio.current_time()
    async with trio.open_nursery() as nursery:
        shared = SharedMaking(maker.make, nursery, trio.current_time)
        while trio.current_time() < asked_from + 1.0:
            with suppress(RuntimeError):  # one that fails is followed by a rest too
                await shared.get()
    assert 9 <= len(maker.began) <= 11
    assert maker.began[0] == asked_from  # the first one does not wait


async def test_who_asks_during_the_rest_gets_what_is_made_behind_it(
    autojump_clock: MockClock,
) -> None:
    maker = Maker(60.0)
    async with trio.open_nursery() as nursery:
        shared = SharedMaking(maker.make, nursery, trio.current_time)
        assert await shared.get() == 1
        ended = trio.current_time()
        with pytest.raises(RuntimeError):
            await shared.get()
        assert maker.began[1] == pytest.approx(ended + LONGEST_REST)
        await trio.sleep(LONGEST_REST)
        now = trio.current_time()
        assert await shared.get() == 3
        assert maker.began[2] == now
