"""A collector may do what it likes: requests only put records into the queue."""

import logging
import threading
from time import monotonic

import pytest
from propylon.gateway.trace import export_queue
from propylon.gateway.trace.export_queue import ExportQueue
from propylon.gateway.trace.recording import ExchangeRecord

from .exchanges import an_exchange, recorded

DEADLINE = 20.0
FOREVER = 1_000.0


def a_record() -> ExchangeRecord:
    exchange = an_exchange()
    recorder = recorded(exchange)
    exchange.complete(200, (), 2, 101.0)
    return recorder.record(exchange)


class Collector:
    """Takes batches, when it is let to, and answers with `why`."""

    def __init__(self, why: str = "") -> None:
        self.why = why
        self.batches: list[int] = []
        self.takes = threading.Event()
        self.asked = threading.Event()
        self.taken = threading.Condition()

    def export(self, records: list[ExchangeRecord]) -> str:
        self.asked.set()
        assert self.takes.wait(DEADLINE)
        with self.taken:
            self.batches.append(len(records))
            self.taken.notify_all()
        if self.why == "raises":
            raise RuntimeError("it broke")
        return self.why

    def has_taken(self, count: int) -> None:
        with self.taken:
            assert self.taken.wait_for(lambda: sum(self.batches) >= count, DEADLINE)


def test_a_whole_batch_goes_at_once_and_the_rest_at_the_end() -> None:
    collector = Collector()
    collector.takes.set()
    queue = ExportQueue(collector.export, 100, 4, FOREVER)
    for _ in range(6):
        queue.put(a_record())
    collector.has_taken(4)
    assert queue.close(DEADLINE)
    assert sum(collector.batches) == 6
    assert max(collector.batches) <= 4
    assert queue.dropped == queue.failed == 0


def test_what_is_no_batch_goes_after_a_while() -> None:
    collector = Collector()
    collector.takes.set()
    queue = ExportQueue(collector.export, 100, 50, 0.02)
    queue.put(a_record())
    collector.has_taken(1)
    queue.close(DEADLINE)


def test_a_full_queue_drops_and_counts(caplog: pytest.LogCaptureFixture) -> None:
    collector = Collector()
    queue = ExportQueue(collector.export, 5, 1, FOREVER)
    queue.put(a_record())
    assert collector.asked.wait(DEADLINE)  # the collector holds this one
    for _ in range(8):
        if queue.has_room():
            queue.put(a_record())
    assert queue.dropped == 3
    with caplog.at_level(logging.WARNING):
        collector.takes.set()
        queue.close(DEADLINE)
    assert sum(collector.batches) == 6
    assert [record.getMessage() for record in caplog.records] == [
        "traces: what 3 requests have left is lost: the collector takes less than comes in"
    ]


@pytest.mark.parametrize(
    ("why", "said"), [("it is down", "it is down"), ("raises", "RuntimeError: it broke")]
)
def test_a_failure_is_counted_and_said_once_in_a_while(
    why: str, said: str, caplog: pytest.LogCaptureFixture
) -> None:
    collector = Collector(why)
    collector.takes.set()
    queue = ExportQueue(collector.export, 100, 1, FOREVER)
    with caplog.at_level(logging.WARNING):
        for count in range(1, 6):
            queue.put(a_record())
            collector.has_taken(count)
        collector.why = ""
        queue.put(a_record())
        collector.has_taken(6)
        before = len(caplog.records)
        queue.close(DEADLINE)
    assert before <= 1
    assert queue.failed == 5
    lines = [record.getMessage() for record in caplog.records]
    assert len(lines) <= 2
    assert lines[0].endswith(f"lost: {said}")
    assert sum(int(line.split()[2]) for line in lines) == 5


def test_an_end_does_not_wait_for_a_collector_that_hangs(caplog: pytest.LogCaptureFixture) -> None:
    collector = Collector()
    queue = ExportQueue(collector.export, 100, 1, FOREVER)
    queue.put(a_record())
    assert collector.asked.wait(DEADLINE)
    queue.put(a_record())
    began = monotonic()
    with caplog.at_level(logging.WARNING):
        assert not queue.close(0.05)
    assert monotonic() - began < DEADLINE / 2
    assert "takes nothing" in caplog.text
    collector.takes.set()


def test_a_collector_that_is_back_is_noticed_without_requests(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(export_queue, "TRIED_AGAIN_EVERY", 0.01)
    collector = Collector("Connection refused")
    collector.takes.set()
    queue = ExportQueue(collector.export, 100, 1, FOREVER)
    queue.put(a_record())
    collector.has_taken(1)
    with collector.taken:
        assert collector.taken.wait_for(lambda: len(collector.batches) >= 3, DEADLINE)
        assert queue.fault == "Connection refused"
        assert collector.batches[:3] == [1, 0, 0], "nothing waits"
        collector.why = "another reason"
    with collector.taken:
        tried = len(collector.batches)
        assert collector.taken.wait_for(lambda: len(collector.batches) > tried + 1, DEADLINE)
        assert queue.fault == "Connection refused", "as it began"
        collector.why = ""
    deadline = monotonic() + DEADLINE
    while queue.fault and monotonic() < deadline:
        pass
    assert queue.fault == ""
    assert queue.close(DEADLINE)
    assert queue.failed == 1
