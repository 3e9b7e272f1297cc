"""What waits to be exported, and the thread that exports it.

A collector may be down, slow or hostile, and a request must not notice. So a request only puts its
record into a queue, without a lock and without waiting. If the queue is full, because the collector
takes less than comes in, the record is dropped and counted. The thread has batches exported
(`export_process`), and what goes wrong with one is said once a minute at most.

That no batch goes through is a problem as long as it lasts. An instance without requests has
nothing to send, and would never learn that its collector is back. So it then sends an empty batch,
which every collector takes (OTLP 1.0, "OTLP/HTTP Response": an empty request is a success).
"""

import threading
from collections import deque
from collections.abc import Callable
from logging import getLogger
from time import monotonic
from typing import Final

from .recording import ExchangeRecord

log = getLogger("propylon.gateway")

SAID_EVERY: Final = 60.0
"""Seconds between two lines about what was lost."""

TRIED_AGAIN_EVERY: Final = 5.0
"""Seconds between two empty batches."""

Export = Callable[[list[ExchangeRecord]], str]
"""Exports a batch. Returns "", or why it could not."""


class ExportQueue:
    def __init__(self, export: Export, size: int, batch: int, delay: float) -> None:
        """`size` and `batch` are numbers of records, `delay` is in seconds."""
        self._export = export
        self._size = size
        self._batch = batch
        self._delay = delay
        self._records: deque[ExchangeRecord] = deque()
        self._due = threading.Event()
        """Set when there is a whole batch, and at the end."""
        self._ended = False
        self.dropped = 0
        """Records that found the queue full. Only `has_room` counts."""
        self.failed = 0
        """Records that could not be exported. Only the thread counts."""
        self.fault = ""
        """Why the first of the batches that have failed in a row did so; "" if the last one went
        through. Only the thread sets it."""
        self._try_again_at = 0.0
        self._said = 0
        """How many of both the log knows of."""
        self._say_at = 0.0
        self._why = ""
        """Why the last export failed that the log was not told of."""
        self._thread = threading.Thread(target=self._run, name="propylon-traces", daemon=True)
        self._thread.start()

    def has_room(self) -> bool:
        """Whether a record can be put. If not, it is counted as dropped, and need not be made."""
        if len(self._records) < self._size:
            return True
        self.dropped += 1
        return False

    def put(self, record: ExchangeRecord) -> None:
        """Takes a record, if there is room. It never waits."""
        records = self._records
        records.append(record)
        if len(records) == self._batch:
            self._due.set()

    def close(self, seconds: float) -> bool:
        """Exports what waits, within so many seconds, and ends the thread. Returns whether it has
        ended."""
        self._ended = True
        self._due.set()
        self._thread.join(seconds)
        if not self._thread.is_alive():
            return True
        log.warning(
            "traces: the collector takes nothing; what %d requests have left is lost",
            max(1, len(self._records)),
        )
        return False

    # -- the thread ----------------------------------------------------------------------------

    def _run(self) -> None:
        while not self._ended:
            self._due.wait(min(self._delay, TRIED_AGAIN_EVERY) if self.fault else self._delay)
            self._due.clear()
            while self._records and self._export_batch():
                if len(self._records) < self._batch and not self._ended:
                    break  # the rest may wait for more
            self._try_again()
            self._say()
        # What came while the last batch was on its way. One that fails is the last one.
        while self._records and self._export_batch():
            pass
        self._say(last=True)

    def _export_batch(self) -> bool:
        """Exports a batch. Returns whether that has worked."""
        records = self._records
        batch = [records.popleft() for _ in range(min(len(records), self._batch))]
        why = self._exported(batch)
        if why:
            self.failed += len(batch)
            self._why = why
        return not why

    def _exported(self, batch: list[ExchangeRecord]) -> str:
        try:
            why = self._export(batch)
        except Exception as error:  # a library's, which must not end the thread
            log.debug("traces: an export failed", exc_info=True)
            why = f"{type(error).__name__}: {error}"
        self.fault = why and (self.fault or why)
        self._try_again_at = monotonic() + TRIED_AGAIN_EVERY
        return why

    def _try_again(self) -> None:
        """Looks whether batches go through again, if nothing else shows it."""
        if self.fault and not self._ended and monotonic() >= self._try_again_at:
            self._exported([])

    def _say(self, *, last: bool = False) -> None:
        """Logs how many records were lost since the log was told, if there were any."""
        lost = self.failed + self.dropped - self._said
        now = monotonic()
        if not lost or (now < self._say_at and not last):
            return
        self._said += lost
        self._say_at = now + SAID_EVERY
        log.warning(
            "traces: what %d requests have left is lost: %s",
            lost,
            self._why or "the collector takes less than comes in",
        )
        self._why = ""
