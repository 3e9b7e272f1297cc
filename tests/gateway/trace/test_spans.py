"""OpenTelemetry's conventions: https://opentelemetry.io/docs/specs/semconv/http/http-spans/"""

import pytest
from propylon.gateway.exchange.exchange import Exchange
from propylon.gateway.trace.spans import Span, SpanMaker

from .exchanges import PARENT, SPAN, TRACE, a_worker, an_exchange, recorded

EPOCH = 1_000.0


def spans_of(exchange: Exchange, ended: float = 104.0, status: int = 200) -> dict[str, Span]:
    """The spans of an exchange that ends now, by name."""
    recorder = exchange.trace or recorded(exchange)
    if not exchange.ended:
        exchange.complete(status, (), 2, ended)
    made = list(SpanMaker().spans_of(recorder.record(exchange), EPOCH, lambda: "f" * 16))
    assert len({span.name for span in made}) == len(made)
    return {span.name: span for span in made}


def test_a_request_and_its_app() -> None:
    exchange = an_exchange()
    recorded(exchange)
    exchange.identify("0190")
    exchange.take_route("/a/")
    exchange.connect(a_worker(3), 100.0)
    spans = spans_of(exchange, 100.25)
    assert spans.keys() == {"GET /a/", "app"}
    server, app = spans["GET /a/"], spans["app"]
    assert server.attributes == {
        "http.request.method": "GET",
        "http.response.status_code": 200,
        "http.route": "/a/",
        "url.path": "/a/b",
        "url.scheme": "https",
        "server.address": "example.com",
        "server.port": 443,
        "client.address": "192.0.2.1",
        "network.protocol.version": "1.1",
        "user_agent.original": "curl/8",
        "propylon.pool": "web",
        "propylon.worker": "3",
        "propylon.request_id": "0190",
        "propylon.end": "ok",
    }
    assert (server.kind, server.trace_id, server.parent_id) == ("server", TRACE, SPAN)
    assert (server.parent_is_remote, server.flags, server.state) == (True, 1, PARENT.state)
    assert (server.failed, server.reason) == (False, "")
    assert (app.kind, app.trace_id, app.parent_id) == ("client", TRACE, server.span_id)
    assert app.attributes == {"propylon.pool": "web", "propylon.worker": "3"}
    for span in (server, app):
        assert (span.started, span.ended) == (1_100_000_000_000, 1_100_250_000_000)


def test_the_queue_has_a_span_if_the_request_waited() -> None:
    exchange = an_exchange()
    recorded(exchange)
    exchange.connect(a_worker(), 100.0)
    exchange.wait()
    exchange.start(103.0)
    spans = spans_of(exchange)
    queue, app = spans["queue"], spans["app"]
    assert (queue.kind, queue.span_id) == ("internal", 16 * "f")
    assert queue.parent_id == spans["GET"].span_id
    assert (queue.started, queue.ended) == (1_100_000_000_000, 1_103_000_000_000)
    assert (app.started, app.ended) == (1_103_000_000_000, 1_104_000_000_000)


def test_a_request_that_no_worker_took() -> None:
    exchange = an_exchange()
    recorded(exchange)
    exchange.connect(a_worker(), 100.0)
    exchange.wait()
    exchange.give_end("gateway_queue_timeout")
    exchange.give_reason("No worker was free in time.")
    spans = spans_of(exchange, status=503)
    assert spans.keys() == {"GET", "queue"}
    assert spans["GET"].attributes["error.type"] == "gateway_queue_timeout"
    assert (spans["GET"].failed, spans["GET"].reason) == (True, "No worker was free in time.")


def test_a_retried_request() -> None:
    exchange = an_exchange()
    recorder = recorded(exchange)
    exchange.connect(a_worker(1), 100.0)
    exchange.connect(a_worker(2, 2), 101.0)
    exchange.complete(200, (), 2, 102.0)
    record = recorder.record(exchange)
    server, first, second = SpanMaker().spans_of(record, EPOCH, lambda: "")
    assert first.attributes == {
        "propylon.pool": "web",
        "propylon.worker": "1",
        "error.type": "retried",
    }
    assert second.attributes == {
        "propylon.pool": "web",
        "propylon.worker": "2",
        "http.request.resend_count": 1,
    }
    assert (server.failed, first.failed, second.failed) == (False, True, False)
    assert server.attributes["propylon.worker"] == "2"
    assert (first.ended, second.started) == (1_101_000_000_000, 1_101_000_000_000)


@pytest.mark.parametrize(
    ("status", "end", "error", "failed"),
    [
        (200, "", None, False),
        (404, "", None, False),
        (500, "", "500", True),
        (503, "", "503", True),
        (404, "gateway_no_route", "gateway_no_route", False),
        (400, "client_malformed", "client_malformed", False),
        (499, "client_left_app", "client_left_app", False),
        (500, "app_failed", "app_failed", True),
        (502, "worker_died", "worker_died", True),
        (200, "worker_died_response", "worker_died_response", True),
        (200, "app_no_end", "app_no_end", True),
        (200, "client_left_response", "client_left_response", False),
        (101, "client_closed_websocket", None, False),
        (101, "gateway_restart", None, False),
        (101, "worker_died_response", "worker_died_response", True),
        (308, "gateway_redirect", None, False),
    ],
)
def test_what_has_failed(status: int, end: str, error: str | None, failed: bool) -> None:
    exchange = an_exchange()
    recorded(exchange)
    exchange.connect(a_worker(), 100.0)
    exchange.give_end(end)
    spans = spans_of(exchange, status=status)
    for span in spans.values():
        assert span.attributes.get("error.type") == error
        assert span.failed is failed
    server = spans["GET"].attributes
    assert server["propylon.end"] == (end or "ok")
    assert server.get("http.response.status_code") == (None if status == 499 else status)


@pytest.mark.parametrize(
    ("method", "name", "known", "original"),
    [
        ("POST", "POST /a/", "POST", None),
        ("get", "HTTP /a/", "_OTHER", "get"),
        ("X" * 100, "HTTP /a/", "_OTHER", "X" * 64),
        ("", "HTTP /a/", "_OTHER", None),
    ],
)
def test_methods(method: str, name: str, known: str, original: str | None) -> None:
    exchange = an_exchange(method)
    exchange.take_route("/a/")
    server = spans_of(exchange)[name]
    assert server.attributes["http.request.method"] == known
    assert server.attributes.get("http.request.method_original") == original


def test_known_methods_may_be_others() -> None:
    exchange = an_exchange("PURGE")
    recorder = recorded(exchange)
    exchange.complete(200, (), 0, 101.0)
    record = recorder.record(exchange)
    (server,) = SpanMaker(frozenset({"PURGE"})).spans_of(record, EPOCH, lambda: "")
    assert server.name == "PURGE"


def test_what_is_not_known_is_left_out() -> None:
    exchange = an_exchange(path=b"/\xff\xc3\xa9")
    exchange.request.is_meant_for("", ())
    exchange.came_from(None, "http", ("/run/app.sock", None))
    server = spans_of(exchange)["GET"].attributes
    assert server == {
        "http.request.method": "GET",
        "http.response.status_code": 200,
        "url.path": "/\\xffé",
        "url.scheme": "http",
        "server.address": "/run/app.sock",
        "network.protocol.version": "1.1",
        "propylon.end": "ok",
    }
