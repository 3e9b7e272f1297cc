"""Calls that wait for a thread, and the threads that wait for a call.

Everything happens under the host's lock, which `wait` lets go of. Whoever adds calls decides how
many threads they need, and wakes them when it is done with adding.
"""

import threading
from collections import deque

from .call import WsgiCall


class CallQueue:
    __slots__ = ("_calls", "_idle", "closed")

    def __init__(self, lock: threading.Lock) -> None:
        self._calls: deque[WsgiCall] = deque()
        self._idle = threading.Condition(lock)
        self.closed = False
        """There will be no more calls: the threads may end."""

    def __len__(self) -> int:
        return len(self._calls)

    def put(self, call: WsgiCall) -> None:
        self._calls.append(call)

    def pop(self) -> WsgiCall:
        """The one that has waited longest. Raises IndexError if there is none."""
        return self._calls.popleft()

    def wait(self) -> None:
        """Until another thread wakes this one; what for, it has to see."""
        self._idle.wait()

    def wake(self, count: int) -> None:
        """So many of the threads that wait, as far as there are any."""
        self._idle.notify(count)

    def close(self) -> None:
        self.closed = True
        self._idle.notify_all()
