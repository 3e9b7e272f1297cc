"""The line of those calls of one worker that go on sending though nobody hears them
(`host.unheard`)."""

from .loop_kind import LoopKind


class UnheardLine:
    def __init__(self, loop: LoopKind) -> None:
        self._loop = loop
        self._turn = loop.new_lock()
        self._length = 0
        """Calls that stand in line, the first one among them."""

    async def wait(self) -> bool:
        """Waits for the caller's turn, one turn of the event loop at least. Returns whether others
        stand in line behind it."""
        self._length += 1
        try:
            async with self._turn:
                await self._loop.sleep(0)
                return self._length > 1
        finally:
            self._length -= 1
