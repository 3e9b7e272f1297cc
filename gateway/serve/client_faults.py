"""Logs the faults of clients and the exchanges that could not be answered, once per kind, source
and minute."""

from collections.abc import Callable
from logging import getLogger
from time import monotonic

from ...protocol.messages import Address
from ..exchange.exchange import Exchange, log_facts, log_tail
from ..observe.formats import escaped
from .log_throttle import LogThrottle

log = getLogger("propylon.gateway")


class ClientFaults:
    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._throttle = LogThrottle()

    def say(self, what: str, client: Address | None) -> None:
        log_line = f"{what}, from {client[0] if client else 'a Unix socket'}"
        if self._throttle.may(log_line, self._clock()):
            log.info("%s", log_line)

    def failed(self, exchange: Exchange, status: int) -> None:
        """Logs an exchange that the app has not answered, once per kind, pool and minute. The
        others are in the access log."""
        source = exchange.source
        account = None if source is None else source.account()
        pool = "-" if account is None else account.pool
        if not self._throttle.may(f"{status} {pool} {exchange.status}", self._clock()):
            return
        request = exchange.request
        how = "was cut short" if exchange.status else f"was answered with {status}"
        what = f"{request.method} {escaped(request.path)} {how}: {exchange.reason}"
        if account is not None:
            what += (
                f" (pool {pool}, worker {_or_none(account.worker)}, "
                f"{account.queued:.3f} s in the queue, attempts: {account.attempts})"
            )
        log.warning("%s%s", what, log_tail(exchange), extra=log_facts(exchange))


def _or_none(worker: int | str | None) -> int | str:
    return "none" if worker is None else worker
