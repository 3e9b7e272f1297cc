"""The last requests that have failed, for the one who asks what goes wrong. Pure.

Failed is what ended with a 5xx, whoever has chosen it, or without its whole response. A refused
request is not among them, whatever a client sends: it has got its answer, and a scanner would push
out all that matters. Nor is a WebSocket whose client has left: most end so. Clients that leave
before they have their whole response are among them, and any client can do that as often as it
likes; so these have a list of their own, a shorter one.
"""

from collections import deque
from collections.abc import Callable
from typing import Final

from ...protocol.supervision.messages import FailedRequest
from ..exchange.end_codes import CLIENT_UNSUPPORTED, END_CODES, OK
from ..exchange.exchange import Exchange

MOST_FAILURES: Final = 100
MOST_OF_CLIENTS: Final = 30
"""Of those that a client has ended."""
LONGEST_PATH: Final = 300
LONGEST_METHOD: Final = 30
LONGEST_REASON: Final = 300


def is_failure(status: int, end_code: str) -> bool:
    """Whether an exchange that has ended in this way belongs here."""
    if end_code == CLIENT_UNSUPPORTED:  # a refusal, though its status may be 501 or 505
        return False
    if status >= 499:  # 499: the client has left before there was a response
        return True
    row = END_CODES.get(end_code)
    if row is None or (status == 101 and row.who == "client"):
        return False
    return row.is_failure and status < 400


class Failures:
    """The last failed requests of one gateway process."""

    __slots__ = ("_clock", "_failed", "_of_clients")

    def __init__(self, clock: Callable[[], float]) -> None:
        """`clock` gives seconds since the epoch."""
        self._clock = clock
        self._failed: deque[FailedRequest] = deque(maxlen=MOST_FAILURES)
        self._of_clients: deque[FailedRequest] = deque(maxlen=MOST_OF_CLIENTS)

    def add(self, exchange: Exchange) -> None:
        """Notes an exchange that has failed."""
        request, source = exchange.request, exchange.source
        account = None if source is None else source.account()
        failed = FailedRequest(
            id=exchange.request_id,
            at=self._clock(),
            method=_plain(request.method, LONGEST_METHOD),
            path=_plain(request.path.partition(b"?")[0].decode("latin-1"), LONGEST_PATH),
            status=exchange.status,
            end=exchange.end_code or OK,
            reason=_plain(exchange.reason, LONGEST_REASON),
            pool="" if account is None else account.pool,
            worker=None if account is None else account.worker,
            duration=exchange.ended - exchange.opened,
        )
        row = END_CODES.get(failed.end)
        of_client = row is not None and row.who == "client"
        (self._of_clients if of_client else self._failed).append(failed)

    def report(self) -> tuple[FailedRequest, ...]:
        """The failed requests, the oldest first."""
        return tuple(sorted((*self._of_clients, *self._failed), key=lambda failed: failed.at))


def _plain(text: str, most: int) -> str:
    """A text as printable ASCII, cut where it is longer than anybody reads."""
    if len(text) > most:
        text = text[: most - 3] + "..."
    if text.isascii() and text.isprintable():
        return text
    return "".join(
        char if " " <= char <= "~" else char.encode("unicode_escape").decode() for char in text
    )
