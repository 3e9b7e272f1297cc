"""Traces from the client through gateway and worker to the app's own spans, and to a collector."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from socket import create_server
from typing import NamedTuple

import httpx
import pytest
from websockets.sync.client import connect

from ..fakes.otlp_receiver import OtlpReceiver, ReceivedSpan, otlp_receiver
from .server import Propylon, command_line, descendants, stat, wait_for

pytest.importorskip("opentelemetry.exporter.otlp.proto.http")
pytest.importorskip("opentelemetry.instrumentation.fastapi")
pytest.importorskip("opentelemetry.instrumentation.flask")

POOLS = """
traces = "otlp"
bind = ["127.0.0.1:0"]
[[pools]]
name = "fastapi"
app = "traced_fastapi:app"
[[pools]]
name = "flask"
app = "traced_flask:app"
[[pools]]
name = "raw"
app = "asgi_raw:app"
[[routes]]
pool = "fastapi"
[[routes]]
prefix = "/flask"
pool = "flask"
[[routes]]
prefix = "/raw"
pool = "raw"
"""
SPAN = "b7ad6b7169203331"


class Traced(NamedTuple):
    server: Propylon
    client: httpx.Client
    collector: OtlpReceiver


@pytest.fixture(scope="module")
def traced(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Traced]:
    file: Path = tmp_path_factory.mktemp("traces") / "propylon.toml"
    file.write_text(POOLS)
    with otlp_receiver() as collector:
        env = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
            "OTEL_EXPORTER_OTLP_HEADERS": "api-key=hush",
            "OTEL_EXPORTER_OTLP_COMPRESSION": "gzip",
            "OTEL_RESOURCE_ATTRIBUTES": "deployment.environment.name=test",
            "OTEL_BSP_SCHEDULE_DELAY": "50",
        }
        with Propylon("-c", str(file), env=env) as server, server.client() as client:
            yield Traced(server, client, collector)


def seen_by_app(client: httpx.Client, **fields: str) -> list[str]:
    """The `traceparent` fields that an app without tracing gets."""
    lines = client.get("/raw/facts", headers=fields).text.splitlines()
    start = "header traceparent="
    return [line.removeprefix(start) for line in lines if line.startswith(start)]


def of_gateway(spans: list[ReceivedSpan]) -> dict[str, ReceivedSpan]:
    return {span.kind: span for span in spans if span.resource["service.name"] == "propylon"}


def of_app(spans: list[ReceivedSpan], name: str) -> ReceivedSpan:
    (found,) = [
        span for span in spans if span.resource["service.name"] != "propylon" and span.name == name
    ]
    return found


def test_fastapi_continues_the_trace(traced: Traced) -> None:
    trace_id = 31 * "1" + "a"
    answer = traced.client.get(
        "/items/7?secret=1",
        headers={"traceparent": f"00-{trace_id}-{SPAN}-01", "tracestate": "a=1"},
    )
    assert answer.json() == {"item": "7"}
    spans = traced.collector.of(trace_id, "GET /", "app", "GET /items/{item}", "work")
    ours = of_gateway(spans)
    server, asked = ours["server"], ours["client"]
    assert (server.name, server.parent_id, server.state) == ("GET /", SPAN, "a=1")
    assert (asked.name, asked.parent_id) == ("app", server.span_id)
    assert server.attributes["url.path"] == "/items/7"
    assert server.attributes["http.response.status_code"] == 200
    assert server.attributes["propylon.pool"] == "fastapi"
    assert server.resource["deployment.environment.name"] == "test"
    assert server.resource["process.pid"] in traced.server.pids("gateway")
    route = of_app(spans, "GET /items/{item}")
    assert (route.kind, route.parent_id) == ("server", asked.span_id)
    assert of_app(spans, "work").trace_id == trace_id
    assert server.started <= asked.started <= route.started
    assert "secret" not in repr(ours)


def test_flask_continues_the_trace(traced: Traced) -> None:
    trace_id = 31 * "2" + "a"
    traced.client.get("/flask/users/ann", headers={"traceparent": f"00-{trace_id}-{SPAN}-01"})
    spans = traced.collector.of(trace_id, "GET /flask/", "app", "GET /users/<name>")
    ours = of_gateway(spans)
    assert ours["server"].name == "GET /flask/"
    route = of_app(spans, "GET /users/<name>")
    assert (route.kind, route.parent_id) == ("server", ours["client"].span_id)


def test_a_websocket_s_span_ends_with_it(traced: Traced) -> None:
    trace_id = 31 * "3" + "a"
    url = traced.server.url.replace("http", "ws") + "/socket"
    with connect(url, additional_headers={"traceparent": f"00-{trace_id}-{SPAN}-01"}) as socket:
        socket.send("hello")
        assert socket.recv() == "hello"
    ours = of_gateway(traced.collector.of(trace_id, "GET /", "app"))
    server = ours["server"]
    assert server.attributes["http.response.status_code"] == 101
    assert server.attributes["propylon.end"] == "app_closed_websocket"
    assert not server.failed


def test_a_trace_begins_here_and_its_id_is_the_app_s(traced: Traced) -> None:
    for bad in ("", "00-" + 32 * "0" + f"-{SPAN}-01"):
        (value,) = seen_by_app(traced.client, **({"traceparent": bad} if bad else {}))
        _, trace_id, span_id, flags = value.split("-")
        ours = of_gateway(traced.collector.of(trace_id, "GET /raw/", "app"))
        assert flags == "01"
        assert ours["server"].parent_id == ""
        assert ours["client"].span_id == span_id


def test_what_is_not_sampled_goes_on_as_it_came(traced: Traced) -> None:
    value = f"00-{31 * '4'}a-{SPAN}-00"
    assert seen_by_app(traced.client, traceparent=value) == [value]


def test_the_exporter_does_what_the_variables_say(traced: Traced) -> None:
    seen_by_app(traced.client)
    with traced.collector.changed:
        assert traced.collector.changed.wait_for(lambda: traced.collector.requests, 20.0)
    for path, fields in traced.collector.requests:
        assert path == "/v1/traces"
        assert fields["api-key"] == "hush"
        assert fields["content-encoding"] == "gzip"
        assert fields["content-type"] == "application/x-protobuf"


@pytest.mark.slow
def test_no_request_notices_a_collector_that_never_answers() -> None:
    """Nor does a gateway's end: not a stop, and not a kill."""
    with create_server(("127.0.0.1", 0)) as silent:  # it accepts, and that is all
        env = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{silent.getsockname()[1]}",
            "OTEL_EXPORTER_OTLP_TIMEOUT": "600",
            "OTEL_BSP_SCHEDULE_DELAY": "10",
            "OTEL_BSP_MAX_QUEUE_SIZE": "50",
        }
        with Propylon("asgi_raw:app", "--traces", "otlp", env=env) as server:
            with server.client() as client:
                answers = [client.get("/").status_code for _ in range(200)]
            assert answers == 200 * [200]
            (exporter,) = exporters(server)
            (gateway,) = server.pids("gateway")
            os.kill(gateway, signal.SIGKILL)
            wait_for(lambda: exporters(server) - {exporter}, "another process that exports")
            wait_for(lambda: not stat(exporter), "the end of the first one")
            with server.client() as client:
                assert client.get("/").status_code == 200
            server.stop()
            assert "Stopped" in server.stderr.text


def exporters(server: Propylon) -> set[int]:
    """The processes that export."""
    found = descendants(server.process.pid)
    return {pid for pid in found if "export_process" in command_line(pid)}
