"""Links on which something was said that has not been sent yet.

An answer need not go out by itself: what the next call says soon goes with it, in one send, and
the gateway reads both at once. Everything happens under the host's lock.
"""

import logging
import time
from typing import Final

from .link_session import LinkSession

logger = logging.getLogger("propylon.worker")

SEND_WITHIN: Final = 0.000_2
"""Seconds that an answer may wait for others."""


class PendingSends:
    __slots__ = ("_sessions", "_since")

    def __init__(self) -> None:
        self._sessions: set[LinkSession] = set()
        self._since = 0.0

    def add(self, session: LinkSession) -> None:
        if not self._sessions:
            self._since = time.monotonic()
        self._sessions.add(session)

    def may_wait(self, until: float) -> bool:
        """Whether nothing would be too old at that time, by the monotonic clock."""
        return until - self._since < SEND_WITHIN

    def flush(self) -> None:
        """Sends it all, as far as the sockets take it."""
        while self._sessions:
            session = self._sessions.pop()
            try:
                session.flush()
            except Exception:  # a fault of ours: it costs one link
                logger.exception("link %s has failed", session.path)
                session.lose("a fault of the worker")
