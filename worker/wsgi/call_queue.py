"""The queue of calls that wait for a thread, and of threads that wait for a call.

All methods are called under the host's lock, which `wait` releases. A thread that adds calls
decides how many threads they need, and wakes them when it has added all.
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
        """Whether there will be no more calls, so that threads may end."""

    def __len__(self) -> int:
        return len(self._calls)

    def put(self, call: WsgiCall) -> None:
        self._calls.append(call)

    def pop(self) -> WsgiCall:
        """Takes the call that has waited longest. Raises IndexError if there is none."""
        return self._calls.popleft()

    def wait(self) -> None:
        """Waits until another thread wakes this one, which then looks for what has changed."""
        self._idle.wait()

    def wake(self, count: int) -> None:
        """Wakes `count` waiting threads, or all if there are fewer."""
        self._idle.notify(count)

    def close(self) -> None:
        self.closed = True
        self._idle.notify_all()
