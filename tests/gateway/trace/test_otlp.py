"""The adapter of OpenTelemetry, against a collector that decodes what really comes."""

import sys
import threading
from collections.abc import Callable
from contextlib import contextmanager
from socket import create_server

import pytest
from propylon.gateway.trace.otlp import MOST_ANSWER, UNRESOLVED, OtlpExporter
from propylon.gateway.trace.spans import SpanMaker

from ...fakes.otlp_receiver import otlp_receiver
from .exchanges import SPAN, TRACE, a_worker, an_exchange, recorded

pytest.importorskip("opentelemetry.exporter.otlp.proto.http")


def some_spans(count: int = 1):
    for _ in range(count):
        exchange = an_exchange()
        recorder = recorded(exchange)
        exchange.connect(a_worker(), 100.0)
        exchange.give_end("worker_died")
        exchange.give_reason("It was killed.")
        exchange.complete(502, (), 2, 101.5)
        yield from SpanMaker().spans_of(recorder.record(exchange), 1_000.0, lambda: "f" * 16)


def exporter_to(monkeypatch: pytest.MonkeyPatch, url: str, timeout: str = "5") -> OtlpExporter:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", url)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", timeout)
    return OtlpExporter(3)


def test_spans_arrive_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    with otlp_receiver() as collector:
        assert exporter_to(monkeypatch, collector.url).export(some_spans()) == ""
        server, app = collector.spans
    assert (server.name, server.kind, server.scope) == ("GET", "server", "propylon")
    assert (server.trace_id, server.parent_id) == (TRACE, SPAN)
    assert server.state == "rojo=00f067aa0ba902b7"
    assert (server.started, server.ended) == (1_100_000_000_000, 1_101_500_000_000)
    assert server.attributes["http.response.status_code"] == 502
    assert server.attributes["error.type"] == "worker_died"
    assert (server.failed, server.reason) == (True, "It was killed.")
    assert (app.name, app.kind, app.parent_id) == ("app", "client", server.span_id)
    assert server.resource["service.name"] == "propylon"
    assert server.resource["propylon.gateway"] == 3


def test_the_environment_names_the_service(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_SERVICE_NAME", "shop")
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "service.instance.id=one,team=a")
    with otlp_receiver() as collector:
        assert exporter_to(monkeypatch, collector.url).export(some_spans()) == ""
        (resource, _) = [span.resource for span in collector.spans]
    assert resource["service.name"] == "shop"
    assert resource["service.instance.id"] == "one"
    assert resource["team"] == "a"


def test_a_collector_that_refuses(monkeypatch: pytest.MonkeyPatch) -> None:
    with otlp_receiver() as collector:
        exporter = exporter_to(monkeypatch, collector.url)
        collector.refuses_with = 400
        assert "400" in exporter.export(some_spans())
        collector.refuses_with = 0
        assert exporter.export(some_spans()) == ""


@contextmanager
def hostile(answer: Callable[[], bytes]):
    """A server that answers with whatever `answer` gives, for as long as it is read. It yields its
    address and how many connections it has had."""
    with create_server(("127.0.0.1", 0)) as listener:
        had: list[int] = []

        def serve() -> None:
            while True:
                try:
                    client, _ = listener.accept()
                except OSError:
                    return
                had.append(1)
                with client:
                    try:
                        client.recv(65_536)
                        while data := answer():
                            client.sendall(data)
                    except OSError:
                        pass

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}", had
        finally:
            listener.shutdown(2)
            thread.join()


def test_an_answer_without_end_is_not_read_to_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    head = [b"HTTP/1.1 400 Bad\r\n\r\n"]
    sent: list[int] = []

    def answer() -> bytes:
        data = head.pop() if head else 65_536 * b"\x1b"
        sent.append(len(data))
        return data

    with hostile(answer) as (url, _):
        why = exporter_to(monkeypatch, url).export(some_spans())
    assert why
    assert sum(sent) < 200 * MOST_ANSWER


def test_no_redirect_is_followed(monkeypatch: pytest.MonkeyPatch) -> None:
    with otlp_receiver() as elsewhere:
        answers = [
            f"HTTP/1.1 307 Go\r\nLocation: {elsewhere.url}/v1/traces\r\n"
            "Content-Length: 0\r\nConnection: close\r\n\r\n".encode()
        ]
        with hostile(lambda: answers.pop() if answers else b"") as (url, had):
            why = ""
            try:  # older exporters let the error through, and `Batches` takes it
                why = exporter_to(monkeypatch, url).export(some_spans())
            except OSError as error:
                why = str(error)
            assert why
        assert len(had) == 1
        assert not elsewhere.requests


def test_without_the_packages_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace", None)
    with pytest.raises(ValueError, match=r"pip install 'propylon\[otel\]'"):
        OtlpExporter(1)


def test_a_collector_that_cannot_be_reached_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    with create_server(("127.0.0.1", 0)) as sock:
        nobody = f"http://127.0.0.1:{sock.getsockname()[1]}"
    refused = exporter_to(monkeypatch, nobody, "0.5").export(some_spans())
    assert refused.endswith("Connection refused")
    assert "0x" not in refused, "it is the same each time"
    unknown = exporter_to(monkeypatch, "http://collector.invalid:4318", "0.5").export([])
    assert unknown.startswith(f"{UNRESOLVED} 'collector.invalid'")


def test_an_empty_batch_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    with otlp_receiver() as collector:
        assert exporter_to(monkeypatch, collector.url).export([]) == ""
        assert len(collector.requests) == 1
        assert collector.spans == []
