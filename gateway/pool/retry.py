"""When a worker ended with calls on it: which of them another worker may answer.

ARCHITECTURE's failure table: a call that never reached the app goes elsewhere, whatever its
method; one that did goes elsewhere once, if doing it twice means the same as doing it once.
"""

from typing import Final

from ..exchange import IDEMPOTENT, Exchange

MOST_ATTEMPTS: Final = 2
"""A request that two workers died of gets no third."""


def may_retry(exchange: Exchange, *, started: bool, streamed: bool, attempts: int) -> bool:
    """`started`: the app may have been called. `streamed`: body went out that is not kept."""
    if exchange.status or streamed or attempts >= MOST_ATTEMPTS:
        return False
    return not started or exchange.request.method in IDEMPOTENT
