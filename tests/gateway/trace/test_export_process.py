"""The process that exports, from its start to its end, and whatever it meets."""

import io
import os
import signal
from collections.abc import Iterator
from socket import create_server

import pytest
from propylon.gateway.trace.export_process import EXPORTER_ENDED, Batches, ExportProcess, serve

from ...fakes.otlp_receiver import OtlpReceiver, otlp_receiver
from .exchanges import TRACE
from .test_export_queue import a_record

pytest.importorskip("opentelemetry.exporter.otlp.proto.http")


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch) -> Iterator[OtlpReceiver]:
    with otlp_receiver() as receiver:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.url)
        yield receiver


def test_batches_go_out_and_a_process_that_died_is_followed(collector: OtlpReceiver) -> None:
    process = ExportProcess(2)
    for number in (signal.SIGTERM, signal.SIGINT):
        assert process.export([a_record(), a_record()]) == ""
        os.kill(process.pid, number)  # as a terminal or an init system does to all
    assert len(collector.spans) == 4
    assert {span.resource["propylon.gateway"] for span in collector.spans} == {2}
    collector.refuses_with = 400
    assert "400" in process.export([a_record()])
    collector.refuses_with = 0
    before = process.pid
    os.kill(before, signal.SIGKILL)
    outcomes = [process.export([a_record()]) for _ in range(2)]
    assert outcomes in (["", ""], [EXPORTER_ENDED, ""])
    assert process.pid != before
    last = process.pid
    process.stop(at_once=False)
    with pytest.raises(ProcessLookupError):
        os.kill(last, 0)


def test_a_stop_does_not_wait_for_a_collector(collector: OtlpReceiver) -> None:
    process = ExportProcess(1)
    process.stop(at_once=True)
    with pytest.raises(ProcessLookupError):
        os.kill(process.pid, 0)


def test_a_collector_that_never_answers_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    with create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", url)
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "600")
        process = ExportProcess(1, patience=0.1)
        assert process.export([a_record()]) == EXPORTER_ENDED
        process.stop(at_once=True)


def test_a_fault_is_one_printable_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "s\x1b" + 500 * "o")
    answers = io.BytesIO()
    serve(Batches(1), io.BytesIO(2 * b"\x00\x00\x00\x01x" + b"\x00"), answers)
    lines = answers.getvalue().decode("ascii").splitlines()
    assert len(lines) == 2
    assert all(0 < len(line) <= 300 and line.isprintable() for line in lines)


def test_a_record_survives_the_way(collector: OtlpReceiver) -> None:
    process = ExportProcess(1)
    record = a_record()._replace(
        path=b"/\xff", server=("/run/\udcff.sock", None), host="", attempts=()
    )
    assert process.export([record]) == ""
    process.stop(at_once=False)
    (span,) = collector.spans
    assert span.trace_id == TRACE
    assert span.attributes["url.path"] == "/\\xff"
    assert span.attributes["server.address"] == "/run/\\udcff.sock"
