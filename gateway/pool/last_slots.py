"""The last free slots of a pool are for connections with few requests. Pure: time is passed in.

An app's call waits for its client when the client takes nothing of the response, or sends nothing
of the body, and holds its slot meanwhile. The time limits end that after half a minute
(`--send-timeout`, `--body-timeout`). In HTTP/1.1 such a client needs a connection for each slot. An
HTTP/2 connection has a hundred requests under way, so that a hundred connections would have all
slots of an ASGI worker, and nobody else any.

No rule about the single request helps: nobody can tell whether a client is slow or means harm, and
whoever is cut off when slots are short may be the phone in a tunnel. So the rule is about how many
a connection has, and only about the last slots, one in `ONE_IN`. Of those it gets another one only
if it has no more requests under way than slots are free. (Switches divide their memory among ports
in this way: dynamic queue thresholds, Choudhury and Hahne, IEEE/ACM Transactions on Networking 6:2,
1998.) However many connections have a hundred requests each, about a hundred slots stay free for
those that have fewer. To take these as well, a client needs a connection for each, as in HTTP/1.1.

A request that is held back waits in a queue of its own, with the bounds that the pool's has (see
`queue`), until nobody waits there and more than the last slots are free. So the others do not
notice it, and it costs a lone client one slot in `ONE_IN` at most. A pool with fewer than `ONE_IN`
slots has no last ones.
"""

import sys
from typing import Final, Generic

from .queue import PoolQueue, W

ONE_IN: Final = 64
"""One slot in so many is one of the last."""


class LastSlots(Generic[W]):
    """The last slots of one pool, in one gateway process, and the calls that are held back."""

    __slots__ = ("_count", "begin_at", "held_back")

    def __init__(self, size: int, patience: float, target: float) -> None:
        """As a `PoolQueue` has them."""
        self.held_back: PoolQueue[W] = PoolQueue(size, patience, target)
        self._count = 0
        self.begin_at = sys.maxsize
        """Calls under way at which only the last slots may be left."""

    def rank(self, slots: int) -> None:
        """Notes how many slots there are now."""
        self._count = slots // ONE_IN
        self.begin_at = slots - self._count if self._count else sys.maxsize

    def holds_back(self, under_way: int, free: int) -> bool:
        """Whether a request has to wait though `free` slots are. `under_way`: how many its
        connection has, this one among them."""
        return free <= self._count and under_way > free

    def are_left(self, free: int) -> bool:
        """Whether no slot is free but the last ones."""
        return free <= self._count
