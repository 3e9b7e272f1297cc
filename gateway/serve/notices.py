"""What clients do wrong, in the log: once per kind, source and minute."""

from collections.abc import Callable
from logging import getLogger
from time import monotonic

from ...protocol.messages import Address
from .seldom import Seldom

log = getLogger("propylon.gateway")


class Notices:
    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._seldom = Seldom()

    def say(self, what: str, client: Address | None) -> None:
        notice = f"{what}, from {client[0] if client else 'a Unix socket'}"
        if self._seldom.may(notice, self._clock()):
            log.info("%s", notice)
